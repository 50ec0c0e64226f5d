"""`keras-ssd evaluate`, as a user types it."""

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from training_toys import CLASSES, squares, toy

import keras_ssd
from keras_ssd import zoo
from keras_ssd.cli.main import main
from keras_ssd.evaluation import DetectionTable, collect, evaluate, read_detections, write_detections
from keras_ssd.evaluation.journal import Journal


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with VOC data of two splits and a small model."""
    monkeypatch.chdir(tmp_path)
    keras_ssd.data.write({"train": squares(2), "val": squares(4, 1, "other")}, tmp_path / "data", "voc")
    toy().save("toy.keras")
    return tmp_path


@pytest.fixture
def val(folder):
    return keras_ssd.data.read(folder / "data", "val")


def perfect(data):
    """Detections of exactly what is there."""
    places = [place for place, one in enumerate(data) for _ in range(len(one))]
    ids, boxes = (np.concatenate([getattr(one, name) for one in data]) for name in ("class_ids", "boxes_xyxy"))
    return DetectionTable([one.name for one in data], data.classes, places, ids, np.ones(len(ids)), boxes)


def test_values_a_model(folder, val, capsys):
    assert main(["evaluate", "data", "--model", "toy.keras", "--measure", "voc12", "--save", "d.json"]) == 0
    said = capsys.readouterr().out
    expected = evaluate(keras_ssd.load("toy.keras"), val, "voc12")
    assert "data/val (VOC): 4 images" in said
    assert str(evaluate(expected.found, val, "voc12")) in said
    assert said.endswith("detections: d.json\n")
    assert "published" not in said
    again = read_detections("d.json", val)
    np.testing.assert_array_equal(again.boxes_xyxy, evaluate(again, val).found.boxes_xyxy)
    assert len(again) == len(expected.found)
    assert main(["evaluate", "data", "--weights", "toy.keras", "--split", "all", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 6
    assert "6 images" in printed.err


def test_values_files_of_detections(folder, val, capsys):
    found = perfect(val)
    for name, places in (("first.json", slice(0, 3)), ("second.json", slice(3, None))):
        part = val[places]
        write_detections(perfect(part), name)
    files = ["--detections", "first.json", "second.json"]
    assert main(["evaluate", "data", *files, "--iou", "0.9", "--save", "all", "--format", "voc"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"mean of 2 classes +4 +4 +1.000", said)
    assert "IoU 0.9" in said
    assert {path.name for path in (folder / "all").iterdir()} == {f"comp4_det_test_{name}.txt" for name in CLASSES}
    np.testing.assert_array_equal(read_detections("all", val).boxes_xyxy, found.boxes_xyxy)
    assert main(["evaluate", "data", "--detections", "first.json"]) == 2
    assert "has not seen 1 of the 4 images" in capsys.readouterr().err
    assert main(["evaluate", "data", "-d", "all", "--classes", "dark", "--save", "coco.json", "--format", "coco"]) == 0
    said = capsys.readouterr()
    assert "mean of 1 class " in said.out
    assert "bright" not in said.out.split("VOC, area under the curve")[1]
    ids = {row["category_id"] for row in json.loads((folder / "coco.json").read_text())}
    assert ids == {1, 2}  # what is saved is all that was found, by the ids of the data as they lie there


@pytest.mark.usefixtures("folder")
def test_values_what_does_not_fit_is_named(val, capsys):
    found = perfect(val)
    off = DetectionTable(found.images, CLASSES, found.image, found.class_ids, found.scores, found.boxes_xyxy + 40)
    write_detections(off, "off.csv")
    (val_again,) = (keras_ssd.data.read("data", "train"),)
    write_detections(perfect(val_again), "train.csv")
    assert main(["evaluate", "data", "-d", "off.csv"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("keras-ssd evaluate: off.csv:2: the box leaves its image of 48 x 32 pixels")
    assert said.count("\n") == 1
    assert main(["evaluate", "data", "-d", "off.csv", "--outside", "keep"]) == 0
    assert main(["evaluate", "data", "-d", "train.csv"]) == 2
    assert "train.csv:2: Unknown image 'squares0'" in capsys.readouterr().err
    assert main(["evaluate", "data", "-d", "train.csv", "--others", "drop"]) == 0
    assert re.search(r"mean of 2 classes +4 +0 +0.000", capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "There is no detector to evaluate; give --weights NAME or FILE"),
        (["--model", "ssd300"], "--model ssd300 says the network; give --weights"),
        (["--model", "ssd30", "--weights", "toy.keras"], "Unknown model 'ssd30'. Did you mean 'ssd300'"),
        (["--weights", "toy.keras", "--detections", "d.json"], "Give a model or --detections, not both"),
        (["--weights", "nowhere.keras"], "nowhere.keras"),
        (["--detections", "nowhere.json"], "There is no file nowhere.json"),
        (["--weights", "toy.keras", "--split", "tset"], "Unknown split 'tset'"),
        (["--weights", "toy.keras", "--save", "none/d.json"], "There is no folder none"),
        (["--weights", "toy.keras", "--iou", "0"], "--iou-threshold"),
        (["--weights", "toy.keras", "--classes", "brihgt"], "Unknown class 'brihgt'. Did you mean 'bright'"),
    ],
)
def test_rejects(options, message, capsys):
    assert main(["evaluate", "data", *options]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("keras-ssd evaluate: ")


@pytest.mark.usefixtures("folder")
def test_values_ctrl_c_and_the_same_command_again(val, monkeypatch, capsys):
    command = ["evaluate", "data", "--model", "toy.keras", "--save", "d.json", "--batch-size", "2"]
    add, seen = Journal.add, []

    def counting(journal, found):
        add(journal, found)
        seen.append(found)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", counting)
    assert main(command) == 130
    assert "What was found so far is kept; the same command goes on." in capsys.readouterr().err
    assert main([*command, "--confidence", "0.3"]) == 2
    assert "the confidence was 0.01, now 0.3" in capsys.readouterr().err
    assert main(command) == 0
    assert len(seen) == len(val)  # on after the first whole batch
    expected = collect(keras_ssd.load("toy.keras"), val, batch_size=2)
    np.testing.assert_array_equal(read_detections("d.json", val).scores, expected.scores)


@pytest.mark.usefixtures("folder")
def test_values_published_figures_stand_beside_the_measured(val, monkeypatch, capsys):
    results = (
        zoo.catalog.Result("VOC2007 test", "mAP", 77.2, "its authors"),
        zoo.catalog.Result("VOC2007 test", "AP of dark", 60.0, "others", "converted"),
        zoo.catalog.Result("COCO val2017", "AP", 25.1, "third"),
    )
    entry = zoo.catalog.WeightSet("ssd300", "mine", (), results=results)
    monkeypatch.setattr(zoo, "by_file_name", lambda path: entry if path == "toy.keras" else None)
    assert main(["evaluate", "data", "--weights", "toy.keras", "--measure", "voc12"]) == 0
    said = capsys.readouterr().out
    result = evaluate(keras_ssd.load("toy.keras"), val, "voc12")
    assert "ssd300.mine, in per cent:\n  measured  published\n" in said
    assert f"  {100 * result.map:8.1f}       77.2  mAP, VOC2007 test, its authors\n" in said
    assert f"  {100 * result.per_class['dark']:8.1f}       60.0  AP of dark, VOC2007 test, others (converted)\n" in said
    assert "         -       25.1  AP, COCO val2017, third\n" in said


@pytest.mark.usefixtures("folder")
def test_values_beside_others(val, capsys, caplog):
    pytest.importorskip("jinja2")
    found = perfect(val)
    write_detections(found, "good.json")
    write_detections(found[:2], "half.json")
    command = ["evaluate", "data", "--detections", "half.json", "--compare", "good.json", "--classes", "bright"]
    assert main([*command, "--report", "out/page"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"mean of 1 class +2 +\d +([\d.]+)", said) == ["1.000", "0.500"]  # half of the objects
    assert said.index("\ngood.json\n") < said.index("\nhalf.json\n")
    assert said.endswith("report: out/page/report.html\n")
    page = Path("out/page/report.html").read_text()
    assert "half.json" in page
    assert "good.json" in page
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["others"]["good.json"]["map"] == 1
    assert not caplog.messages


@pytest.mark.usefixtures("folder")
def test_values_a_model_reports_with_its_anchors(capsys):
    pytest.importorskip("jinja2")
    assert main(["evaluate", "data", "--weights", "toy.keras", "--report", "out"]) == 0
    assert "report: out/report.html" in capsys.readouterr().out
    assert "anchor" in Path("out/report.html").read_text()


@pytest.mark.usefixtures("folder")
def test_rejects_a_report_before_any_work(monkeypatch, capsys):
    Path("file").touch()
    assert main(["evaluate", "data", "--weights", "nowhere.keras", "--report", "file"]) == 2
    assert "cannot write to the output folder file: it is a file" in capsys.readouterr().err
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "jinja2" else find_spec(name))
    assert main(["evaluate", "data", "--weights", "nowhere.keras", "--report", "out"]) == 2
    assert "pip install 'keras-ssd[report]'" in capsys.readouterr().err


@pytest.mark.slow
def test_reference_the_shipped_detector_on_bccd(shared, capsys):
    data = str(shared("data", "bccd"))
    assert main(["evaluate", data, "--weights", "ssd_small.cells", "--measure", "voc12", "--policy", "drop"]) == 0
    said = capsys.readouterr().out
    assert "72 images, 945 objects" in said
    for name, value in (("RBC", 0.855), ("WBC", 0.975), ("Platelets", 0.897), ("mean of 3 classes", 0.909)):
        [measured] = re.findall(rf"^  {name} +\d+ +\d+ +([\d.]+)$", said, re.MULTILINE)
        assert abs(float(measured) - value) <= 0.001
    assert re.findall(r"^ +([\d.]+) +([\d.]+)  mAP, BCCD test", said, re.MULTILINE) == [("90.9", "90.9")]
