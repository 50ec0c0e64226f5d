"""`keras-ssd anchors`, and `keras-ssd train --anchors FILE`, as a user types them."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import keras_ssd
from keras_ssd.anchors import named_spec, read_spec, report, write_spec
from keras_ssd.cli.main import main, make_parser
from keras_ssd.cli.training_setup import build_model
from keras_ssd.data import Dataset
from keras_ssd.images import read_image


@pytest.fixture
def folder(training_folder):
    return training_folder


def test_values_report(folder, capsys):
    assert main(["anchors", "report", "data", "--split", "train", "--out", "report.png"]) == 0
    said = capsys.readouterr().out
    found = report(named_spec("ssd_small"), keras_ssd.data.read("data", "train"))
    assert str(found) in said
    assert "report.png: the report as an image" in said
    with Image.open("report.png") as image:
        assert image.size == found.draw().size
    assert main(["anchors", "report", "data", "--split", "train", "--anchors", "toy.keras", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["objects"] == 8
    assert data["anchors"] == keras_ssd.load("toy.keras").anchor_spec.num_anchors
    assert main(["anchors", "report", "data", "--model", "ssd7", "--input-size", "64x96", "--iou", "0.9"]) == 0
    said = capsys.readouterr().out
    assert "12 objects in 12 images, warped to 96 x 64" in said
    assert "recall at IoU 0.9" in said


def test_values_fit_and_train_with_it(folder, capsys):
    fit = ["anchors", "fit", "data", "--split", "train", "--model", "ssd_small", "--input-size", "32x48"]
    assert main([*fit, "--boxes-per-cell", "2,1,1", "--out", "fitted.json"]) == 0
    said = capsys.readouterr().out
    spec = read_spec("fitted.json")
    assert spec.boxes_per_cell == (2, 1, 1)
    assert said.startswith("Anchors fitted to 8 objects")
    assert f"fitted.json: {spec.num_anchors:,} anchors. Use them: keras-ssd train DATA --anchors fitted.json" in said
    short = ["train", "data", "--anchors", "fitted.json", "--epochs", "1", "--batch-size", "8", "--augment", "none"]
    assert main([*short, "--out", "run", "--input-size", "32x48"]) == 0
    assert keras_ssd.load("run/model.keras").anchor_spec == spec
    command = json.loads((folder / "run" / "run.json").read_text())["commands"][0]
    assert "--anchors fitted.json" in command


def test_values_anchors_of_a_file_follow_another_input_size(folder):
    spec = named_spec("ssd_small")
    write_spec(spec, "own.json")
    words = ["train", "data", "--out", "run", "--anchors", "own.json", "--input-size", "48x64"]
    wide = build_model(make_parser().parse_args(words), Dataset("x", ("a",), [])).anchor_spec
    assert wide.grids == ((6, 8), (3, 4), (2, 2))
    np.testing.assert_allclose(wide.levels[0].boxes_hw, np.array(spec.levels[0].boxes_hw) * 48 / 240)


def test_values_train_goes_on_with_other_anchors(folder, capsys):
    assert main(["anchors", "fit", "data", "--anchors", "toy.keras", "--method", "kmeans", "--out", "own.json"]) == 0
    warm = ["train", "data", "--weights", "toy.keras", "--anchors", "own.json", "--epochs", "1", "--batch-size", "8"]
    capsys.readouterr()
    assert main([*warm, "--out", "run"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"Anchors: \d+ of \d+ boxes keep their trained rows", said)
    assert keras_ssd.load("run/model.keras").anchor_spec == read_spec("own.json")


def test_values_options_reach_the_fit(folder, monkeypatch):
    from keras_ssd import anchors

    seen = []
    monkeypatch.setattr(anchors, "fit", lambda *args, **options: seen.append((args, options)) or named_spec("ssd7"))
    options = ["--boxes-per-cell", "3", "--method", "kmeans", "--goal", "matched", "--iou", "0.6", "--seed", "4"]
    assert main(["anchors", "fit", "data", *options, "--balance-classes", "--reach", "1,3.5"]) == 0
    [((data, spec, count), rest)] = seen
    assert (data.num_objects, spec, count) == (12, named_spec("ssd_small"), 3)
    assert rest == {
        "method": "kmeans",
        "goal": "matched",
        "iou_threshold": 0.6,
        "balance_classes": True,
        "reach": (1.0, 3.5),
        "seed": 4,
    }


def test_values_show(folder, capsys):
    [image, *_] = sorted((folder / "data").rglob("*.png")) + sorted((folder / "data").rglob("*.jpg"))
    assert main(["anchors", "show", str(image), "--out", "cell.png", "--at", "0.1,0.9"]) == 0
    assert "cell.png: 6,480 anchors on 3 levels" in capsys.readouterr().out
    assert main(["anchors", "show", str(image), "--data", "data", "--out", "matches.png"]) == 0
    first, second = map(read_image, ("cell.png", "matches.png"))
    assert first.shape == second.shape
    assert (first != second).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report", "data", "--anchors", "ssd_smal"], "Did you mean 'ssd_small'"),
        (["report", "data", "--model", "ssd_smal"], "Did you mean 'ssd_small'"),
        (["report", "data", "--anchors", "ssd7", "--model", "ssd7"], "either --anchors or --model"),
        (["report", "data", "--input-size", "64x64"], "--input-size is for the model"),
        (["report", "data", "--out", "report.txt"], "--out must end in"),
        (["report", "nowhere"], "no file or folder nowhere"),
        (["report", "data", "--anchors", "gone.json"], "gone.json"),
        (["report", "data", "--anchors", "broken.json"], "broken.json is not a description of anchors"),
        (["fit", "data", "--out", "spec.toml"], "--out must end in .json"),
        (["fit", "data", "--out", "gone/spec.json"], "There is no folder gone"),
        (["fit", "data", "--boxes-per-cell", "1,2"], "one for each of the 3 levels"),
        (["show", "gone.jpg", "--out", "a.png"], "gone.jpg"),
        (["show", "lone.png", "--data", "data", "--out", "a.png"], "has no annotation of lone.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_rejects_in_one_line(folder, capsys, arguments, message):
    (folder / "broken.json").write_text('{"levels": 3')
    Image.new("RGB", (9, 9)).save("lone.png")
    before = {path.name for path in folder.iterdir()}
    assert main(["anchors", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("keras-ssd anchors: ")
    assert message in error
    assert "unexpectedly" not in error
    assert {path.name for path in folder.iterdir()} == before


def test_roundtrip_of_a_file(tmp_path):
    spec = named_spec("ssd300_voc")
    assert read_spec(write_spec(spec, tmp_path / "a.json")) == spec
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("clip"), "'clip' is missing"),
        (lambda data: data.update(version=99), "Update keras_ssd"),
        (lambda data: data.update(levels=[]), "at least one AnchorLevel"),
        (lambda data: data["levels"][0].update(boxes_hw=[[1, "a"]]), "not a description of anchors"),
        (lambda data: data["levels"][0].update(grid_hw=[9999, 9999]), "at most 1,000,000 are read"),
        (lambda data: data.pop("levels"), "it has no levels"),
    ],
)
def test_rejects_broken_files(tmp_path, change, message):
    data = named_spec("ssd_small").to_dict()
    change(data)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match=re.escape(message)):
        read_spec(path)
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(ValueError, match="not a description of anchors"):
        read_spec(path)
    path.write_bytes(b" " * 2_000_000)
    with pytest.raises(ValueError, match="it has 2,000,000 bytes"):
        read_spec(path)


def test_values_weights_of_the_catalogue_take_other_anchors(folder, capsys):
    spec = named_spec("ssd_small_cells")
    small, *rest = spec.levels
    write_spec(replace(spec, levels=(replace(small, boxes_hw=((16, 16), (30, 30))), *rest)), "own.json")
    words = ["train", "data", "--out", "run", "--weights", "ssd_small.cells", "--anchors", "own.json"]
    model = build_model(make_parser().parse_args([*words, "--freeze", "stem1*"]), Dataset("x", ("RBC", "mite"), []))
    said = capsys.readouterr().out
    assert "Newly initialised, to be trained: mite" in said
    assert "Anchors: 11 of 12 boxes keep their trained rows, 1 start from those of the nearest" in said
    assert model.anchor_spec == read_spec("own.json")
    assert not model.get_layer("stem1_conv").trainable
    assert model.get_layer("stem2_conv").trainable
