"""Label Studio's json: literals by hand, whose work counts, and the file as its documentation describes it."""

import json

import numpy as np
import pytest
from data_files import save_image
from test_data_json_tools import found, put

from keras_ssd import data
from keras_ssd.data import DataError

VALUE = {"x": 10, "y": 25, "width": 50, "height": 50, "rotation": 0}
BOX = [6, 10, 36, 30]  # of an image of 60 x 40


def region(label="nut", kind="rectanglelabels", key="r1", **changes):
    value = {**VALUE, kind: [label] if label else [], **changes}
    value = {name: number for name, number in value.items() if number is not None}
    told = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    return {"id": key, "type": kind, "from_name": "label", "to_name": "image", **told, "value": value}


def task(*regions, image="/data/upload/1/3f5a7b2c-a.jpg", **more):
    return {"id": 1, "data": {"image": image}, "annotations": [{"id": 1, "result": [*regions]}], **more}


@pytest.mark.parametrize(
    "image",
    ["a.jpg", "/data/upload/1/3f5a7b2c-a.jpg", "/data/local-files/?d=set/images/a.jpg", "s3://bucket/x/a.jpg"],
)
def test_values_boxes_are_percent(tmp_path, image):
    save_image(tmp_path / "images" / "a.jpg")
    path = put(
        tmp_path / "project-1.json", [task(region(), region("bolt", x=0, y=0, width=100, height=100), image=image)]
    )
    for given in (tmp_path, path):
        read = data.read(given)
        assert list(found(read).values()) == [[("nut", BOX), ("bolt", [0, 0, 60, 40])]]
        assert (read.format, read[0].size_hw) == ("labelstudio", (40, 60))


@pytest.mark.parametrize(
    ("changed", "box"),
    [
        (region(rotation=90), [-14, 10, 6, 40]),
        (region(kind="polygonlabels", points=[[10, 50], [50, 25], [30, 75]]), [6, 10, 30, 30]),
        (region(kind="ellipselabels", x=50, y=50, radiusX=25, radiusY=25), [15, 10, 45, 30]),
        (region(kind="ellipselabels", x=50, y=50, radiusX=25, radiusY=25, rotation=90), [20, 5, 40, 35]),
        (region(kind="labels"), BOX),
    ],
    ids=["turned box", "polygon", "ellipse", "turned ellipse", "labels"],
)
def test_values_shapes_become_the_boxes_around_them(tmp_path, changed, box):
    from keras_ssd.data.formats import labelstudio
    from keras_ssd.data.records import PERCENT_BOXES

    label, raw, _ = labelstudio.FORMAT.region(changed)
    assert label == "nut"
    np.testing.assert_allclose(PERCENT_BOXES.to_pixels(np.array([raw]), (40, 60)), [box], atol=1e-9)


def test_values_whose_work_counts(tmp_path):
    for seed, name in enumerate("abcd"):
        save_image(tmp_path / f"{name}.jpg", seed=seed)
    other = {"id": 2, "result": [region("bolt")]}
    last = task(region(), image="a.jpg")
    last["annotations"].append(other)
    truth = task(region(), image="b.jpg")
    truth["annotations"][0]["ground_truth"] = True
    truth["annotations"].append(other)
    cancelled = task(region(), image="c.jpg")
    cancelled["annotations"].append({**other, "was_cancelled": True})
    guessed = {"data": {"image": "d.jpg"}, "predictions": [{"result": [region("bolt")]}]}
    put(tmp_path / "export.json", [last, truth, cancelled, guessed])
    read = data.read(tmp_path)
    assert found(read) == {"a": [("bolt", BOX)], "b": [("nut", BOX)], "c": [("nut", BOX)]}
    assert [note.what for note in read.problems] == ["an image has no annotation, and is left out: d.jpg"]


def test_values_what_is_no_object_is_passed_over(tmp_path):
    save_image(tmp_path / "a.jpg")
    choice = {"id": "x", "type": "choices", "value": {"choices": ["good"]}}
    twin = {**region(None, "rectangle"), "type": "rectangle"}  # of tools with a shape and a label of their own
    put(tmp_path / "e.json", [task(choice, twin, region(kind="labels"), image="a.jpg")])
    assert found(data.read(tmp_path)) == {"a": [("nut", BOX)]}


def test_values_json_min(tmp_path):
    for seed, name in enumerate("ab"):
        save_image(tmp_path / f"{name}.jpg", seed=seed)
    item = {**VALUE, "rectanglelabels": ["nut"], "original_width": 60, "original_height": 40}
    first = {"image": "/data/upload/1/3f5a7b2c-a.jpg", "id": 1, "label": [item], "annotator": 1, "lead_time": 3.5}
    put(tmp_path / "min.json", [first, {"image": "b.jpg", "id": 2, "annotator": 1}])
    assert found(data.read(tmp_path)) == {"a": [("nut", BOX)], "b": []}


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (region(width="x"), "width must be a finite number, and is 'x'"),
        (region(None), "it has no class"),
        (region(kind="brushlabels", rle=[1, 2]), "its shape is brush, which marks no box: draw a rectangle"),
        (region(kind="keypointlabels"), "its shape is keypoint, which"),
        ({**region(), "image_rotation": 90}, "its image was rotated by 90 degrees in Label Studio"),
        (region(rectanglelabels=["nut", "bolt"]), "it has 2 labels. Leave one"),
        ({**region(rotation=45), "original_width": None}, "it is turned, and the size of its image"),
    ],
)
def test_rejects_regions(tmp_path, changed, what):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "e.json", [task(changed, image="a.jpg")])
    with pytest.raises(DataError, match="1 fault") as error:
        data.read(tmp_path)
    assert f"object 0 of a: {what}" in str(error.value)


@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        ([{"data": {"image": "a.jpg"}, "predictions": [{"result": [region()]}]}], "none of its 1 tasks has an annot"),
        ([{"id": 4, "data": {"text": "x"}, "annotations": [{"result": []}]}], "task 4 names no image"),
        ([task(image="a.jpg"), 3], "a task must be a json object"),
    ],
)
def test_rejects_files(tmp_path, tasks, what):
    save_image(tmp_path / "a.jpg")
    put(tmp_path / "e.json", tasks)
    with pytest.raises(DataError, match=what):
        data.read(tmp_path)


def test_values_what_people_drew_is_written_as_annotations(tmp_path):
    image = save_image(tmp_path / "in" / "a b.jpg")
    annotation = data.Annotation("a b", image, [[6, 10, 36, 30]], [1], (40, 60))
    data.write(data.Dataset("x", ("nut", 'a & "b"'), [annotation]), tmp_path / "out", "labelstudio")
    [written] = json.loads((tmp_path / "out" / "tasks.json").read_text())
    [result] = written["annotations"][0]["result"]
    assert "predictions" not in written
    assert written["data"]["image"] == "/data/local-files/?d=out/images/a%20b.jpg"
    assert result == {**region('a & "b"', key="1-1"), "value": {**VALUE, "rectanglelabels": ['a & "b"']}}
    config = (tmp_path / "out" / "label_config.xml").read_text()
    assert '<Label value="a &amp; &quot;b&quot;"/>' in config
    assert '<RectangleLabels name="label" toName="image">' in config
    assert '<Image name="image" value="$image"/>' in config
