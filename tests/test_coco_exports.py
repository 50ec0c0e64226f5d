"""COCO json as labelling tools export it: a small file a tool, made from its documentation, and what they differ in."""

import json

import pytest
from coco_exports import CORNERS, OUTLINE, assumed, category, faults, found, image, marked
from data_files import coco_file, save_image

from keras_ssd import data

# -- one file a tool --------------------------------------------------------------------------------

TOOLS = {
    "Roboflow": (
        "train/_annotations.coco.json",
        "train/a_jpg.rf.1b2c3d.jpg",
        [image(0, "a_jpg.rf.1b2c3d.jpg", license=1, date_captured="2024-01-01", extra={"name": "a.jpg"})],
        [marked(0, 0, 1, area=320, segmentation=[], iscrowd=0)],
        [category(0, "nuts", supercategory="none"), category(1, "nut", supercategory="nuts")],
    ),
    "Roboflow, one class": (
        "train/_annotations.coco.json",
        "train/a.jpg",
        [image(0)],
        [marked(0, 0, 1, area=320, segmentation=[OUTLINE], iscrowd=0)],
        [category(0, "nut", supercategory="none"), category(1, "nut", supercategory="nut")],
    ),
    "CVAT": (
        "annotations/instances_default.json",
        "images/default/shelf/a.jpg",
        [image(1, "shelf/a.jpg", license=0, flickr_url="", coco_url="", date_captured=0)],
        [marked(segmentation=[], area=320.0, iscrowd=0, attributes={"occluded": False, "rotation": 0.0})],
        [category(1, "nut", supercategory="")],
    ),
    "Label Studio": (
        "result.json",
        "images/3f5a7b2c-a.jpg",
        [image(0, "images\\3f5a7b2c-a.jpg")],
        [marked(0, 0, 0, segmentation=[], ignore=0, iscrowd=0, area=320)],
        [category(0, "nut")],
    ),
    "Label Studio without images": (
        "result.json",
        "mine/a.jpg",
        [image(0, "../../label-studio/data/media/upload/1/3f5a7b2c-a.jpg")],
        [marked(0, 0, 0, bbox=[10.0, 8.0, 20.0, 16.0], segmentation=[OUTLINE], ignore=0, iscrowd=0, area=320)],
        [category(0, "nut")],
    ),
    "Label Studio, local files": (
        "result.json",
        "mine/a b.jpg",
        [image(0, "/data/local-files/?d=mine/a%20b.jpg")],
        [marked(0, 0, 0, segmentation=[], ignore=0, iscrowd=0, area=320)],
        [category(0, "nut")],
    ),
    "VGG Image Annotator": (
        "via_export_coco.json",
        "a.jpg",
        [image(1, license=0, flickr_url="a.jpg", coco_url="a.jpg", date_captured="")],
        [marked(1, "1", "1", segmentation=OUTLINE, area=320, iscrowd=0)],
        [category(1, "nut", supercategory="type")],
    ),
    "Datumaro": (
        "annotations/instances_train.json",
        "images/train/a.jpg",
        [image(1, license=0, flickr_url="", coco_url="", date_captured=0)],
        [marked(segmentation=[OUTLINE], area=320.0, iscrowd=0, attributes={"occluded": False})],
        [category(1, "nut", supercategory="")],
    ),
    "fiftyone": (
        "labels.json",
        "data/a.jpg",
        [image(1, license=None, coco_url=None)],
        [marked(bbox=[10.0, 8.0, 20.0, 16.0], area=320.0, iscrowd=0, supercategory=None)],
        [category(1, "nut", supercategory=None)],
    ),
    "Supervisely": (
        "ds0/annotations/instances.json",
        "ds0/images/a.jpg",
        [image(7, license=None, url="None", flickr_url="", coco_url="", date_captured="2024-01-01")],
        [marked(1, 7, segmentation=[OUTLINE], area=320.0, iscrowd=0)],
        [category(1, "nut", supercategory="nut")],
    ),
    "labelme2coco": (
        "annotations.json",
        "shots/a.jpg",
        [image(0, "C:\\Users\\me\\shots\\a.jpg")],
        [marked(0, 0, 0, segmentation=[OUTLINE], area=320, iscrowd=0)],
        [category(0, "nut", supercategory="nut")],
    ),
    "LabelMe's labelme2coco.py": (
        "annotations.json",
        "JPEGImages/a.jpg",
        [image(0, "JPEGImages\\a.jpg", license=0, url=None, date_captured=None)],
        [marked(0, 0, 1, segmentation=[OUTLINE], area=320.0, iscrowd=0)],
        [category(0, "_background_", supercategory=None), category(1, "nut", supercategory=None)],
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_values_what_tools_export(tmp_path, tool):
    file, image, images, annotations, categories = TOOLS[tool]
    save_image(tmp_path / image)
    path = coco_file(tmp_path / file, images, annotations, categories)
    at_once = path.parents[1] if path.parent.name == "annotations" else tmp_path
    for place in (at_once, path):
        dataset = data.read(place)
        assert [*found(dataset).values()] == [[("nut", CORNERS)]]
        assert [a.image for a in dataset] == [str(tmp_path / image)]
        assert "nut" in dataset.classes
        assert set(dataset.classes) <= {"nut", "_background_"}


# -- file names, line by line -------------------------------------------------------------------------


def test_values_backslashes_are_noted_and_checked(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    coco_file(tmp_path / "result.json", [image(1, "images\\a.jpg")], [marked()], [category()])
    dataset = data.read(tmp_path)
    assert found(dataset) == {"images/a": [("nut", CORNERS)]}
    [note] = assumed(dataset)
    assert note.startswith("an image is found by the end of the path that names it: images\\a.jpg is ")
    checked = data.check(tmp_path)
    assert checked.ok
    assert "assumptions: 1" in checked.text()
    assert note in str(dataset)


def test_rejects_two_images_that_may_be_meant(tmp_path):
    for seed, folder in enumerate("xy"):
        save_image(tmp_path / folder / "a.jpg", seed=seed)
    coco_file(tmp_path / "result.json", [image(1, "C:\\z\\a.jpg")], [marked()], [category()])
    [fault] = faults(tmp_path)
    assert fault == f"C:\\z\\a.jpg may be {tmp_path}/x/a.jpg, {tmp_path}/y/a.jpg"


def test_rejects_one_file_for_two_images(tmp_path):
    save_image(tmp_path / "a.jpg")
    images = [image(1, "a.jpg"), image(2, "x\\a.jpg")]
    coco_file(tmp_path / "result.json", images, [marked(), marked(2, 2)], [category()])
    [fault] = faults(tmp_path)
    assert fault == "image id 2, file 'x\\\\a.jpg': image id 1 is that file too"


# -- marks that matter little -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "crowd"), [("Unspecified", False), (2, True), (0.06, True), (-1, False), ([], False)]
)
def test_values_an_odd_mark_costs_no_object(tmp_path, value, crowd):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "result.json", [image()], [marked(iscrowd=value, area="?")], [category()])
    dataset = data.read(tmp_path)
    assert dataset[0].crowd.tolist() == [crowd]
    assert dataset[0].areas.tolist() == [320]
    assert len(assumed(dataset)) == 2


# -- two images that differ by their endings ----------------------------------------------------------------


def test_values_the_full_file_name_is_the_key(tmp_path):
    for seed, name in enumerate(("a.jpg", "a.png", "b.jpg")):
        save_image(tmp_path / name, seed=seed)
    images = [image(1, "a.jpg"), image(2, "a.png"), image(3, "b.jpg")]
    coco_file(tmp_path / "result.json", images, [marked(1, 1), marked(2, 2, bbox=[1, 2, 3, 4])], [category()])
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a.jpg": [("nut", CORNERS)], "a.png": [("nut", [1, 2, 4, 6])], "b": []}
    assert assumed(dataset) == ["a.jpg and a.png differ by ending alone, which their names keep"]
    data.write(dataset, tmp_path / "out", "coco")
    again = data.read(tmp_path / "out")
    assert [len(a) for a in again] == [1, 1, 0]


# -- files as they were found ----------------------------------------------------------------------------------

CASES = {
    "01-coco-backslash/d": {"images/ab-one": ["nut"], "images/ab-two": ["bolt"]},
    "03-coco-root-category/d": {"a": ["cod"]},
    "03-coco-root-category/e": {"a": ["fish"]},
    "04-coco-polygon-only/d": {"a": ["nut", "bolt"]},
    "06-coco-ids/float": {"a": ["bolt"]},
    "06-coco-ids/mixed": {"a": ["bolt"]},
    "06-coco-ids/string": {"a": ["bolt"]},
    "06-coco-ids/zero": {"a": ["nut"]},
    "07-same-stem/coco": {"a.jpg": ["nut"], "a.png": ["nut"]},
    "07-same-stem/folders": {"x/a": ["nut"], "y/a": ["nut"]},
    "10-coco-bom/d": {"a": ["nut"]},
}


@pytest.mark.parametrize("case", CASES)
def test_values_files_as_they_were_found(shared, case):
    dataset = data.read(shared("cases", "annotation_exports", *case.split("/")))
    assert {name: [label for label, _ in rows] for name, rows in found(dataset).items()} == CASES[case]
    assert all(box == [10, 10, 40, 50] for rows in found(dataset).values() for _, box in rows)


def test_rejects_the_empty_bbox_as_it_was_found(shared):
    path = shared("cases", "annotation_exports", "12-coco-empty-bbox", "d")
    assert faults(path) == ["annotation 2 (bolt) of a: it has neither a bbox nor an outline"]
    assert data.read(path, policy="drop").counts() == {"nut": 1, "bolt": 0}


def test_rejects_deep_and_huge_values_in_few_words(tmp_path):
    save_image(tmp_path / "a.jpg")
    deep = json.loads("[" * 900 + "]" * 900)
    rows = [marked(1, deep), marked(2, 1, deep), marked(3, bbox=deep), marked(4, bbox=[deep] * 4), marked(5), deep]
    rows += [marked(6, bbox="absent", segmentation=deep), marked(7, "x" * 100_000), marked(8, iscrowd=deep, area=deep)]
    path = coco_file(tmp_path / "result.json", [image(), deep, image(deep), image(2, deep)], rows, [category()])
    told = faults(path)
    assert len(told) == 10
    assert max(map(len, told)) < 300


def test_rejects_objects_of_the_background(tmp_path):
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg", seed=1)
    rows = [marked(), marked(2, 2, 2)]
    categories = [category(1, "Background"), category(2, "nut")]
    coco_file(tmp_path / "result.json", [image(), image(2, "b.jpg")], rows, categories)
    what = "object 0 (Background): 'Background' is not a class: every model has it"
    assert faults(tmp_path) == [f"{what}. Rename it, or remove its objects"]
    assert found(data.read(tmp_path, policy="drop")) == {"b": [("nut", CORNERS)]}


def test_rejects_one_label_file_of_two_images_as_it_was_found(shared):
    [fault] = faults(shared("cases", "annotation_exports", "07-same-stem", "yolo"))
    assert "a.jpg, " in fault
    assert fault.endswith("a.png: call it a.jpg.txt where it is of a.jpg")
