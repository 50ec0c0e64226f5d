"""`keras-ssd detect`: what it prints and writes, its exit codes, and what it leaves alone."""

import csv
import io
import json
import sys

import numpy as np
import pytest
from cli_lookalike import NAMES, Lookalike, make_images, replace_network, run
from PIL import Image

from keras_ssd.cli import results
from keras_ssd.detections import Detections
from keras_ssd.images import Source


@pytest.fixture
def pretend(monkeypatch):
    replace_network(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    return make_images(tmp_path)


def hidden_files(folder):
    return [path.name for path in folder.rglob(".*")]


# -- the table --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_values_prints_a_table_for_each_image(folder, capsys):
    assert run(folder) == 0
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if "found" in line] == [
        f"{folder / 'a.png'} (60 x 40): 2 found",
        f"{folder / 'b.jpg'} (61 x 40): 2 found",
        f"{folder / 'c.gif'} (62 x 40): 2 found",
    ]
    assert out.splitlines()[2].split() == ["cat", "0.75", "0.0", "0.0", "30.0", "20.0"]
    assert err == ""


@pytest.mark.usefixtures("pretend")
def test_values_options_reach_the_model(folder, capsys):
    options = ("--classes", "dog", "--confidence", "0.3", "--iou", "0.2", "--batch-size", "3", "--max-pixels", "9999")
    assert run(folder / "a.png", *options, "--model", "ssd7", "--labels", "cat, dog") == 0
    assert Lookalike.opened == ("some", "ssd7", NAMES)
    assert Lookalike.options == {
        "classes": ("dog",),
        "confidence": 0.3,
        "iou_threshold": 0.2,
        "batch_size": 3,
        "max_pixels": 9999,
        "engine": "auto",
        "precision": "float32",
        "tiles": None,
        "overlap": 0.2,
    }
    assert "cat" not in capsys.readouterr().out


# -- the files --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_values_writes_images_json_and_csv(folder, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert run(folder, "--out", out, "--format", "json,csv,images") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "a.png",
        "b.jpg",
        "c.gif.png",
        "detections.csv",
        "detections.json",
    ]
    with Image.open(out / "b.jpg") as drawn:
        assert drawn.format == "JPEG"
    with Image.open(out / "a.png") as drawn:
        assert (np.asarray(drawn) != 90).any()
    read = [Detections.from_dict(values) for values in json.loads((out / "detections.json").read_text())]
    assert [one.source for one in read] == [str(folder / name) for name in ("a.png", "b.jpg", "c.gif")]
    assert read[1].names == NAMES
    with open(out / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[0] == {
        "source": str(folder / "a.png"),
        "width": "60",
        "height": "40",
        "class": "cat",
        "score": "0.75",
        "xmin": "0.0",
        "ymin": "0.0",
        "xmax": "30.0",
        "ymax": "20.0",
    }
    assert "3 of 3 images, 6 objects" in capsys.readouterr().out


@pytest.mark.usefixtures("pretend")
def test_values_writes_images_unless_told_otherwise(folder, tmp_path):
    assert run(folder, "--out", tmp_path / "one") == 0
    assert len(list((tmp_path / "one").iterdir())) == 3
    assert run(folder, "--out", tmp_path / "two", "--format", "json") == 0
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["detections.json"]


@pytest.mark.usefixtures("pretend")
def test_values_an_input_is_never_overwritten(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(folder, "--out", folder) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.png",
        "a_2.png",
        "b.jpg",
        "b_2.jpg",
        "c.gif",
        "c.gif.png",
    ]


def test_values_places_of_drawn_images(tmp_path):
    def places(*pairs):
        targets = results.image_targets(tmp_path, [Source(path, path, relative) for path, relative in pairs])
        return [path.relative_to(tmp_path).as_posix() for paths in targets.values() for path in paths]

    assert places(("x/a.png", "a.png"), ("y/a.png", "a.png"), ("z/a.png", "a.png")) == ["a.png", "a_2.png", "a_3.png"]
    assert places(("x/d/a.png", "d/a.png"), ("x/e/a.png", "e/a.png")) == ["d/a.png", "e/a.png"]
    assert places(("x/a.png", "a.png"), ("x/a.png", "a.png")) == ["a.png", "a_2.png"]
    assert places(("http://h/..", "..")) == ["image.png"]
    assert places(("u", "../../etc/passwd")) == ["etc/passwd.png"]
    assert places(("u", "/etc/a.jpg")) == ["etc/a.jpg"]


# -- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_rejects_bad_files_by_name_and_does_the_rest(folder, tmp_path, capsys):
    (folder / "b.jpg").write_text("letter")
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    assert run(folder, empty, folder / "nowhere.png", "--out", out, "--format", "images,json") == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 3
    assert all(line.startswith("keras-ssd detect: Cannot read image ") for line in err)
    assert {name for name in ("b.jpg", "empty", "nowhere.png") if any(name in line for line in err)} == {
        "b.jpg",
        "empty",
        "nowhere.png",
    }
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "c.gif.png", "detections.json"]
    assert len(json.loads((out / "detections.json").read_text())) == 2


@pytest.mark.usefixtures("pretend")
def test_rejects_when_nothing_could_be_done(tmp_path, capsys):
    (tmp_path / "a.jpg").write_text("letter")
    out = tmp_path / "out"
    assert run(tmp_path / "a.jpg", "--out", out, "--format", "json,csv,images") == 2
    assert not out.exists()
    out.mkdir()
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(out) == 2
    assert "holds no image" in capsys.readouterr().err


def test_rejects_an_output_folder_that_cannot_be_written_before_any_work(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_ssd.opening", None)  # opening a model would be an error
    (tmp_path / "file").touch()
    assert run(folder, "--out", tmp_path / "file") == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"cannot write to the output folder {tmp_path / 'file'}" in err


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("when", ["early", "late"])
def test_rejects_leave_nothing_half_written(folder, tmp_path, monkeypatch, capsys, when):
    """A full disk, at the first or at the last image: old results stay, and no temporary file does."""
    out = tmp_path / "out"
    assert run(folder, "--out", out, "--format", "json,csv,images") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    countdown = [1 if when == "early" else 3]

    def draw(self):
        countdown[0] -= 1
        if not countdown[0]:
            raise OSError("No space left on device")
        return Image.new("RGB", (5, 5))

    monkeypatch.setattr(Detections, "draw", draw)
    assert run(folder, "--out", out, "--format", "json,csv,images") == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(before) == sorted(path.name for path in out.iterdir())
    for name in ("detections.json", "detections.csv"):
        assert (out / name).read_bytes() == before[name]


@pytest.mark.usefixtures("pretend")
def test_values_an_interruption_keeps_what_was_found(folder, tmp_path, monkeypatch, capsys):
    real = sys.modules["keras_ssd.detecting"].detect

    def detect(*args, **options):
        found = real(*args, **options)
        yield next(found)
        yield next(found)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["keras_ssd.detecting"], "detect", detect)
    out = tmp_path / "out"
    assert run(folder, "--out", out, "--format", "json,images") == 130
    done = len(json.loads((out / "detections.json").read_text()))
    assert f"interrupted after {done} of 3 images" in capsys.readouterr().err
    assert done == len(list(out.iterdir())) - 1 >= 1
    assert hidden_files(out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--confidence", "1.5"), "0..1"),
        (("--confidence", "high"), "high"),
        (("--batch-size", "0"), "from 1 on"),
        (("--format", "yaml", "--out", "x"), "Unknown format 'yaml'. Known: images, json, csv"),
    ],
)
def test_rejects_arguments(folder, arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        run(folder, *arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_rejects_format_without_folder(folder, capsys):
    assert run(folder, "--format", "json") == 2
    assert "--out" in capsys.readouterr().err


# -- standard input, folders below, several frames --------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_values_standard_input(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "a.png").read_bytes())))
    assert run("-", "--out", tmp_path / "out", "--format", "json,images") == 0
    [found] = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert (found["source"], found["width"]) == ("standard input", 60)
    assert (tmp_path / "out" / "standard input.png").is_file()
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert run("-") == 2
    assert "standard input: the file is empty (0 bytes)" in capsys.readouterr().err


@pytest.mark.usefixtures("pretend")
def test_values_folders_below(folder, tmp_path, capsys):
    (folder / "deep" / "er").mkdir(parents=True)
    for name in ("deep/a.png", "deep/er/a.png"):
        Image.new("RGB", (60, 40)).save(folder / name)
    assert run(folder) == 0
    told = capsys.readouterr()
    assert f"2 images lie in folders below {folder} and are left out; --recursive takes them too" in told.err
    assert run(folder, "--recursive", "--out", tmp_path / "out") == 0
    written = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a.png", "b.jpg", "c.gif.png", "deep/a.png", "deep/er/a.png"]
    capsys.readouterr()
    out = tmp_path / "none"
    assert run(folder / "deep" / "er" / "..", "--out", out) == 0
    (folder / "deep" / "a.png").unlink()
    capsys.readouterr()
    assert run(folder / "deep", "--out", tmp_path / "nothing") == 2
    assert "1 lie in folders below. --recursive takes those" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.usefixtures("pretend")
def test_values_the_first_of_several_frames(tmp_path, capsys):
    frames = [Image.new("RGB", (16, 16), (level,) * 3) for level in (40, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert run(tmp_path / "a.gif") == 0
    assert "a.gif has several frames or pages; the first is used." in capsys.readouterr().err
