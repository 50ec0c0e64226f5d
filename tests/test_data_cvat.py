"""CVAT for images: literals by hand, what is refused, and the file as CVAT's own documentation describes it."""

import dataclasses
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from data_files import CLASSES, awkward_dataset, save_image

from keras_ssd import data
from keras_ssd.data import DataError

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task><labels>'
    "<label><name>nut</name></label><label><name>bolt</name></label>"
    "<label><name>knee</name><parent>leg</parent></label></labels></task></meta>\n"
)
BOX = '<box label="{}" occluded="0" xtl="{}" ytl="{}" xbr="{}" ybr="{}" {}>{}</box>'


def cvat(folder, *objects, image='name="a.jpg"', more="", file="annotations.xml"):
    """Writes an xml file for an image of 60 x 40; returns its path."""
    body = "\n".join([f'<image id="0" {image} width="60" height="40">', *objects, "</image>"])
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{body}\n{more}</annotations>\n")
    return path


def test_values_boxes_and_marks(tmp_path):
    marks = '<attribute name="difficult">true</attribute><attribute name="colour">red</attribute>'
    first, second = BOX.format("bolt", 1.5, 2, 30, 20.25, "", marks), BOX.format("nut", 0, 0, 60, 40, "", "")
    path = cvat(tmp_path, first, second, '<tag label="good"></tag>')
    save_image(tmp_path / "images" / "a.jpg")
    for given in (tmp_path, path):
        read = data.read(given)
        [annotation] = read
        assert (read.format, read.classes, annotation.name) == ("cvat", ("nut", "bolt"), "a")
        np.testing.assert_array_equal(annotation.boxes_xyxy, [[1.5, 2, 30, 20.25], [0, 0, 60, 40]])
        assert (annotation.class_ids.tolist(), annotation.lines.tolist()) == ([1, 0], [6, 7])
        assert annotation.difficult.tolist() == [True, False]
        assert not read.problems


@pytest.mark.parametrize(
    ("element", "box"),
    [
        ('<polygon label="nut" points="10,20;30.5,12;20,35" />', [10, 12, 30.5, 35]),
        ('<polyline label="nut" points="10,20;30,12" />', [10, 12, 30, 20]),
        ('<ellipse label="nut" cx="30" cy="20" rx="20" ry="10" />', [10, 10, 50, 30]),
        ('<ellipse label="nut" cx="30" cy="20" rx="15" ry="10" rotation="90" />', [20, 5, 40, 35]),
        ('<mask label="nut" rle="3, 4" left="5" top="6" width="7" height="8" />', [5, 6, 12, 14]),
        (
            '<cuboid label="nut" xtl1="5" ytl1="6" xbl1="5" ybl1="20" xtr1="15" ytr1="6" xbr1="15" ybr1="20" xtl2="9" '
            'ytl2="3" xbl2="9" ybl2="17" xtr2="19" ytr2="3" xbr2="19" ybr2="17" />',
            [5, 3, 19, 20],
        ),
        (BOX.format("nut", 20, 10, 40, 20, 'rotation="90.0"', ""), [25, 5, 35, 25]),
    ],
    ids=["polygon", "polyline", "ellipse", "turned ellipse", "mask", "cuboid", "turned box"],
)
def test_values_shapes_become_the_boxes_around_them(tmp_path, element, box):
    cvat(tmp_path, element)
    save_image(tmp_path / "a.jpg")
    read = data.read(tmp_path)
    np.testing.assert_allclose(read[0].boxes_xyxy, [box], rtol=1e-6)
    [note] = read.problems
    assert (note.kind, note.line) == ("assumed", 6)


def test_values_subsets_are_splits(tmp_path):
    more = (
        f'<image id="1" name="a.jpg" subset="Validation" width="60" height="40">{BOX.format("nut", 1, 1, 9, 9, "", "")}'
    )
    cvat(tmp_path, image='name="a.jpg" subset="Train"', more=more + "</image>")
    for seed, subset in enumerate(("Train", "Validation")):
        save_image(tmp_path / "images" / subset / "a.jpg", seed=seed)
    splits = data.read_splits(tmp_path)
    assert {name: [len(each) for each in part] for name, part in splits.items()} == {"train": [0], "validation": [1]}
    assert splits["train"][0].image == str(tmp_path / "images" / "Train" / "a.jpg")
    assert {each.name for each in data.read(tmp_path)} == {"train/a", "validation/a"}


@pytest.mark.parametrize(
    ("element", "what"),
    [
        (BOX.format("bolt", 1, 2, "x", 4, "", ""), "object 0: xbr must be a finite number, and is 'x'"),
        (BOX.format("", 1, 2, 3, 4, "", ""), "object 0: it has no label"),
        ('<points label="nut" points="1,2;3,4" />', "object 0: its shape is points, which marks no box: draw"),
        ('<skeleton label="nut"></skeleton>', "object 0: its shape is skeleton, which"),
        ('<polygon label="nut" points="1,2;3" />', "object 0: points of a polygon must be x,y;x,y"),
        (BOX.format("screw", 1, 2, 9, 9, "", ""), "object 0 (screw): Unknown class 'screw'"),
        (BOX.format("nut", 1, 2, 1, 9, "", ""), "object 0 (nut): it has no area: xmin=1, ymin=2, xmax=1, ymax=9"),
    ],
)
def test_rejects_objects(tmp_path, element, what):
    path = cvat(tmp_path, element, more=f'<image id="1" name="b.jpg">{BOX.format("nut", 1, 1, 9, 9, "", "")}</image>')
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg", seed=1)
    with pytest.raises(DataError, match="1 fault in the data") as error:
        data.read(tmp_path)
    assert f"{path}:6: {what}" in str(error.value)
    assert [each.name for each in data.read(tmp_path, policy="drop")] == ["b"]


def test_rejects_images_without_name_and_twice(tmp_path):
    path = cvat(
        tmp_path, image="", more='<image id="1" name="a.jpg"/>\n<image id="2" name="gone.jpg"/>\n<image name="a.jpg"/>'
    )
    save_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="3 faults") as error:
        data.read(tmp_path)
    said = str(error.value)
    for what in (
        f"{path}:5: image 0 has no name",
        f"{path}:8: there is no image gone.jpg",
        f"{path}:9: image a.jpg is",
    ):
        assert what in said


def test_rejects_video(tmp_path):
    path = cvat(tmp_path, more='<track id="0" label="nut"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track>')
    save_image(tmp_path / "a.jpg")
    with pytest.raises(DataError, match="CVAT for video") as error:
        data.read(tmp_path)
    assert f"{path}:7: it cannot be read: it is of CVAT for video. In CVAT, export as CVAT for images 1.1" in str(
        error.value
    )


def test_values_the_file_is_what_cvat_documents(tmp_path):
    """Tags and attributes of docs.cvat.ai, "XML annotation format", annotation mode."""
    given = awkward_dataset(tmp_path / "in")
    data.write({"train": given[:2], "test": given[2:]}, tmp_path / "out", "cvat")
    root = ElementTree.parse(tmp_path / "out" / "annotations.xml").getroot()
    assert [child.tag for child in root] == ["version", "meta", *["image"] * 4]
    assert root.findtext("version") == "1.1"
    assert root.findtext("meta/task/mode") == "annotation"
    labels = root.findall("meta/task/labels/label")
    assert [each.findtext("name") for each in labels] == list(CLASSES)
    assert {each.findtext("type") for each in labels} == {"rectangle"}
    images = root.findall("image")
    assert [int(each.get("id")) for each in images] == [0, 1, 2, 3]
    assert [each.get("name") for each in images] == ["many.png", "edge.png", "none.png", "deep/er.v2.png"]
    assert [each.get("subset") for each in images] == ["train", "train", "test", "test"]
    assert all((tmp_path / "out" / "images" / each.get("subset") / each.get("name")).is_file() for each in images)
    boxes = root.findall("image/box")
    assert {tuple(each.keys()) for each in boxes} == {
        ("label", "source", "occluded", "xtl", "ytl", "xbr", "ybr", "z_order")
    }
    assert {each.get("source") for each in boxes} == {"manual"}
    raw = json.loads((tmp_path / "out" / "labels.json").read_text())
    declared = [[each.findtext("name") for each in label.findall("attributes/attribute")] for label in labels]
    assert [[each["name"] for each in label["attributes"]] for label in raw] == declared
    assert {tuple(child.get("name") for child in box) for box in boxes} == {tuple(declared[0])}


def test_values_labels_without_marks_need_no_attributes(tmp_path):
    """A task of CVAT refuses boxes with attributes that its labels lack."""
    given = awkward_dataset(tmp_path / "in")
    plain = [dataclasses.replace(each, difficult=None, truncated=None, crowd=None) for each in given]
    data.write(dataclasses.replace(given, annotations=plain), tmp_path / "out", "cvat", images="link")
    assert "<attribute" not in (tmp_path / "out" / "annotations.xml").read_text().replace("<attributes", "")
    [first, *_] = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert first == {"name": "cat", "type": "rectangle", "attributes": []}
