"""Files of detections that cannot be used, and targets that cannot be written: one clear error, with file and line."""

import json
import re

import pytest
from detection_tables import CLASSES, FILES, ROWS, dataset, random_table, table

from keras_ssd.evaluation import read_detections, write_detections

HEAD = "image,class,score,xmin,ymin,xmax,ymax\n"
GOOD = "p0,cat,0.5,1,2,3,4\n"


def coco_row(**changes):
    """A COCO results file of one row."""
    return json.dumps([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1, **changes}])


def own_json(**changes):
    """A file of our own of no image."""
    content = {"format": "keras_ssd detections", "version": 1, "class_names": CLASSES, "images": []}
    return json.dumps({**content, **changes})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", HEAD + GOOD + "q0,cat,1,1,2,3,4\n", r"d.csv:3: Unknown image 'q0'. Did you mean .*others='drop'"),
        ("d.csv", HEAD + "p0,bat,1,1,2,3,4\n", r"d.csv:2: Unknown class 'bat'. Did you mean 'cat'"),
        ("d.csv", HEAD + GOOD + GOOD + "p1,cat,nan,1,2,3,4\n", r"d.csv:4: a number is NaN.*'p1', score=nan"),
        ("d.csv", HEAD + "p0,cat,1,1,inf,3,4\n", r"d.csv:2: a number is NaN or infinite.* = 1, inf, 3, 4"),
        ("d.csv", HEAD + "p0,cat,1,1,1e39,3,1e39\n", "d.csv:2: a number is NaN or infinite"),
        ("d.csv", HEAD + "p0,cat,1,1,2,300,4\n", "d.csv:2: the box leaves its image of 120 x 80 pixels"),
        ("d.csv", HEAD + "p0,cat,high,1,2,3,4\n", "d.csv:2: score must be a number. Received: 'high'"),
        ("d.csv", HEAD + "p0,cat,1\n", "d.csv:2: the line has 3 columns"),
        ("d.csv", "p0,cat,1,1,2,3,4\n", "needs a first line with the columns image, .*Missing: image"),
        ("d.csv", "", "needs a first line"),
        ("d.txt", "1 1 0.5 1 1 3\n", "d.txt:1: expected image_index class_id"),
        ("d.txt", "9 1 0.5 1 1 3 4\n", "d.txt:1: Unknown image_index '9'"),
        ("d.txt", "1 dog 0.5 1 1 3 4\n", "d.txt:1: Unknown class_id 'dog'"),
        ("comp4_det_test_cat.txt", "p0 0.5 1 1 3\n", r"cat.txt:1: expected image score"),
        ("comp4_det_test_cat.txt", "\np0 nan 1 1 3 3\n", "cat.txt:2: a number is NaN"),
        ("comp4_det_test_bat.txt", "p0 0.5 1 1 3 3\n", "Unknown class 'bat'. Did you mean 'cat'"),
        ("c.json", coco_row(image_id=9), "detection 1: Unknown image_id 9"),
        ("c.json", coco_row(category_id=[1]), r"detection 1: Unknown category_id \[1\]"),
        ("c.json", coco_row(bbox=[1, 2, 3]), "detection 1: bbox must be x, y, width, height"),
        ("c.json", coco_row(score=float("nan")), "detection 1: a number is NaN"),
        ("c.json", coco_row(score=None), "detection 1: score must be a number. Received: missing"),
        ("c.json", '[{"image_id": 1, "category_id": 1}]', "detection 1: expected image_id, category_id, bbox, score"),
        ("c.json", '{"images": [{"image_id": 1}]}', "is not a list of detections.*keras_ssd.data.read"),
        ("d.json", "{}", "d.json has no detections"),
        ("d.json", own_json(version=2), "version 2. Expected 1"),
        ("d.json", own_json(images=None), "has no list of images"),
        ("d.json", own_json(class_names=[]), "d.json: `class_names` needs"),
        ("d.json", '[{"source": "p0"}]', "d.json: `class_names` must be a list"),
        ("d.json", "[" * 100_000, "nested too deeply|not a complete json"),
        ("d.xyz", "", "is not that of a format. Pass format=..., one of json, coco"),
    ],
)
def test_rejects_files_with_faults(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_detections(tmp_path / name, dataset())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("d.csv", HEAD + GOOD + "p0,cat,1,30,2,3,4\n", "d.csv:3: 1 of 2 boxes have a negative side.* = 30, 2, 3, 4."),
        ("d.txt", "1 1 0.5 9 1 3 4\n", "d.txt:1: 1 of 1 boxes have a negative side"),
        ("c.json", coco_row(bbox=[9, 2, -3, 4]), "c.json: detection 1: 1 of 1 boxes have a negative side"),
    ],
)
def test_values_a_warning_tells_of_negative_sides(name, text, message, tmp_path, caplog):
    (tmp_path / name).write_text(text)
    assert len(read_detections(tmp_path / name, dataset())) == (2 if name == "d.csv" else 1)
    [record] = caplog.records
    assert re.search(message, record.getMessage())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "q"}, "image 1: Unknown image 'q'"),
        ({"class_ids": [3]}, r"must be in 0..2.*: 3"),
        ({"class_ids": [0.5]}, r"must be in 0..2.*0.5"),
        ({"class_ids": [float("nan")]}, r"must be in 0..2.*nan"),
        ({"class_ids": [0, 1]}, "one length.*2, 1 and 1"),
        ({"boxes_xyxy": [[1, 2, 3]]}, "boxes_xyxy must be a list of four numbers each"),
        ({"boxes_xyxy": [[1, 2, 3, 4], [1]]}, "boxes_xyxy must be a list of four numbers each"),
        ({"boxes_xyxy": []}, "one length.*1, 1 and 0"),
        ({"scores": "x"}, "scores must be a list of numbers"),
        ({"scores": [float("inf")]}, "image 1: a number is NaN"),
    ],
)
def test_rejects_faults_in_our_own_json(tmp_path, changes, message):
    whole = {"name": "p0", "class_ids": [0], "scores": [1], "boxes_xyxy": [[1, 2, 3, 4]]}
    (tmp_path / "d.json").write_text(own_json(images=[{**whole, **changes}]))
    with pytest.raises(ValueError, match=message):
        read_detections(tmp_path / "d.json", dataset())


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"name": "p0"}], "image 1: expected name, class_ids, scores, boxes_xyxy"),
        (
            [{"name": "p1", "class_ids": [], "scores": [], "boxes_xyxy": []}] * 2,
            "image 2: image 'p1' occurs twice",
        ),
    ],
)
def test_rejects_images_in_our_own_json(tmp_path, entries, message):
    (tmp_path / "d.json").write_text(own_json(images=entries))
    with pytest.raises(ValueError, match=message):
        read_detections(tmp_path / "d.json", dataset())


@pytest.mark.parametrize("format", ["json", "coco"])
def test_rejects_json_that_was_cut_off_anywhere(tmp_path, format):
    path, data = tmp_path / "d.json", dataset()
    write_detections(table(*ROWS), path, format, dataset=data)
    whole = path.read_bytes()
    for end in range(len(whole) - 2):  # without the last line break it is still whole
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="is not a complete json file: .* at line"):
            read_detections(path, data)


def test_rejects_broken_archives_and_other_bytes(tmp_path):
    path = write_detections(random_table(), tmp_path / "d.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="is not a complete zip file"):
        read_detections(path, dataset())
    path.write_bytes(whole[:200] + bytes(50) + whole[250:])
    with pytest.raises(ValueError, match=r"d.zip/results/.* cannot be read"):
        read_detections(path, dataset())
    (tmp_path / "d.csv").write_bytes(b"\xff\xf0")
    with pytest.raises(ValueError, match="it is not UTF-8 text"):
        read_detections(tmp_path / "d.csv", dataset())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no file of detections, such as comp4_det_test_cat.txt"):
        read_detections(tmp_path / "empty", dataset())
    with pytest.raises(FileNotFoundError, match=r"There is no file .*c.csv .* Did you mean .*d.csv"):
        read_detections(tmp_path / "c.csv", dataset())


def test_values_others_can_be_left_out(tmp_path):
    (tmp_path / "d.csv").write_text(HEAD + "q0,cat,1,1,2,3,4\np0,bat,1,1,2,3,4\n" + GOOD)
    assert len(read_detections(tmp_path / "d.csv", dataset(), others="drop")) == 1
    with pytest.raises(ValueError, match="others must be one of 'error', 'drop'. Received: others='skip'"):
        read_detections(tmp_path / "d.csv", dataset(), others="skip")


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("d.xyz", {}, "The ending of .*d.xyz is not that of a format. Expected .json"),
        (
            "d.json",
            {"format": "yolo"},
            "Unknown format 'yolo'. Did you mean 'coco'. Known: json, coco, voc, ilsvrc, csv",
        ),
        ("nowhere/d.json", {}, "There is no folder .*nowhere"),
        ("c.json", {"format": "coco"}, "'coco' writes the ids of images and classes. Pass dataset="),
        ("d.txt", {"dataset": dataset(classes=("cat", "dog"))}, "pets has none for 'bird'"),
        ("d.txt", {"dataset": dataset(names=("p0",))}, "pets has none for 'p1', 'p2', 'p3'"),
    ],
)
def test_rejects_targets_before_writing(tmp_path, path, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        write_detections(table(), tmp_path / path, **options)
    assert not any(tmp_path.iterdir())


def test_rejects_names_that_a_format_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="image 'p 0' has one in its name"):
        write_detections(table(names=("p 0",)), tmp_path / "d.zip")
    with pytest.raises(ValueError, match="'a/b' cannot be part of a file name"):
        write_detections(table(classes=("a/b",)), tmp_path / "d.zip")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["json", "voc"])
def test_values_a_writer_that_fails_leaves_what_was_there(tmp_path, monkeypatch, format):
    path = write_detections(table(*ROWS), tmp_path / FILES[format], format)
    before = path.read_bytes()
    name = {"json": "json.dumps", "voc": "zipfile.ZipFile.writestr"}[format]
    monkeypatch.setattr(name, lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_detections(table(), path, format)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
