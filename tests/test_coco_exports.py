"""COCO json as labelling tools export it: a small file a tool, made from its documentation, and what they differ in."""

import json

import numpy as np
import pytest
from data_files import coco_file, save_image
from PIL import Image

from keras_ssd import data
from keras_ssd.data import DataError, outlines
from keras_ssd.data.ids import Ids
from keras_ssd.data.records import EntryError

BOX = [10, 8, 20, 16]  # x, y, width, height
CORNERS = [10, 8, 30, 24]
OUTLINE = [10, 8, 30, 8, 30, 24, 10, 24]


def found(dataset):
    """Name -> [(class, box)] of all images."""
    return {
        a.name: [(dataset.classes[c], b.tolist()) for c, b in zip(a.class_ids, a.boxes_xyxy, strict=True)]
        for a in dataset
    }


def assumed(dataset):
    return [problem.what for problem in dataset.problems.of_kind("assumed")]


def faults(path, **options):
    with pytest.raises(DataError) as error:
        data.read(path, **options)
    return [problem.what for problem in error.value.problems.faults]


def image(key=1, file="a.jpg", size=(60, 40), **more):
    return {"id": key, "file_name": file, "width": size[0], "height": size[1], **more}


def marked(key=1, image_id=1, category_id=1, bbox=BOX, **more):
    row = {"id": key, "image_id": image_id, "category_id": category_id, "bbox": bbox, **more}
    return {name: value for name, value in row.items() if value != "absent"}


def category(key=1, name="nut", **more):
    return {"id": key, "name": name, **more}


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
    assert "things that were taken for granted: 1" in checked.text()
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


# -- categories -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("categories", "classes"),
    [
        ([category(0, "fish", supercategory="none"), category(1, "cod", supercategory="fish")], ("cod",)),
        ([category(0, "fish", supercategory="none"), category(1, "fish", supercategory="fish")], ("fish",)),
        ([category(0, "fish"), category(1, "fish", supercategory="fish")], ("fish",)),
        ([category(5, "fish", supercategory=""), category(1, "cod", supercategory="fish")], ("cod",)),
        ([category(0, "crab", supercategory="none"), category(1, "cod", supercategory="none")], ("crab", "cod")),
        ([category(0, "cod", supercategory="cod"), category(1, "eel", supercategory="cod")], ("cod", "eel")),
        ([category(0, 0), category(1, 1)], ("0", "1")),
        ([category(1, 2.5)], ("2.5",)),
    ],
)
def test_values_roots_and_numbers_as_names(tmp_path, categories, classes):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "result.json", [image()], [marked()], categories)
    dataset = data.read(tmp_path)
    assert dataset.classes == classes
    assert found(dataset) == {"a": [(str(categories[-1]["name"]), CORNERS)]}
    noted = len(classes) < len(categories) or any(not isinstance(row["name"], str) for row in categories)
    assert len(assumed(dataset)) == noted


def test_values_a_root_with_objects_is_a_class(tmp_path):
    save_image(tmp_path / "a.jpg")
    categories = [category(0, "fish", supercategory="none"), category(1, "cod", supercategory="fish")]
    coco_file(tmp_path / "result.json", [image()], [marked(), marked(2, 1, 0, [1, 2, 3, 4])], categories)
    assert data.read(tmp_path).counts() == {"fish": 1, "cod": 1}


@pytest.mark.parametrize(
    ("categories", "what"),
    [
        ([category(0, "cod"), category(1, "cod")], "categories 0 and 1 have the same name: 'cod'"),
        ([category(1, "cod"), category(1.0, "eel")], "category 1 has the id 1, which another has"),
        ([category(1, None)], "category 0 needs an id and a name"),
        ([category(True, "cod")], "category 0 needs an id and a name"),
        ([category(1, "\ud800")], "category 0 needs an id and a name"),
    ],
)
def test_rejects_categories(tmp_path, categories, what):
    save_image(tmp_path / "a.jpg")
    rows = [marked(), marked(2, 1, 0, [1, 2, 3, 4])]
    coco_file(tmp_path / "result.json", [image()], rows, categories)
    [fault] = faults(tmp_path)
    assert what in fault


def test_values_annotations_without_category(tmp_path):
    """As VIA exports regions that have no attribute with options."""
    save_image(tmp_path / "a.jpg")
    path = coco_file(tmp_path / "via.json", annotations=[marked(category_id="absent"), marked(2)], categories=[])
    path.write_text(path.read_text().replace(', "category_id": 1', ""))
    [fault] = faults(path)
    assert "none of its 2 annotations has a category_id" in fault
    assert "pass classes=['its name']" in fault
    one = data.read(path, classes=["nut"])
    assert found(one) == {"a": [("nut", CORNERS)] * 2}
    assert "all are taken for 'nut'" in assumed(one)[0]
    coco_file(path, annotations=[marked(category_id="absent")], categories=[category(5, "bolt")])
    assert found(data.read(path)) == {"a": [("bolt", CORNERS)]}
    coco_file(path, annotations=[marked(category_id="absent")], categories=[category(), category(2, "bolt")])
    assert "none of its 1 annotations has a category_id" in faults(path)[0]


def test_values_boxes_as_fractions(tmp_path):
    """As Azure's tools write them; boxes within the first pixel mean nothing else."""
    save_image(tmp_path / "a.jpg")
    rows = [marked(bbox=[0.25, 0.5, 0.5, 0.25], area=0.125), marked(2, bbox=[0, 0, 1, 1], area=1)]
    path = coco_file(tmp_path / "a.json", annotations=rows, categories=[category()])
    dataset = data.read(path)
    assert found(dataset) == {"a": [("nut", [15, 20, 45, 30]), ("nut", [0, 0, 60, 40])]}
    assert dataset[0].areas.tolist() == [300, 2400]
    assert assumed(dataset) == ["its boxes are taken for fractions of their images"]
    coco_file(path, annotations=[marked(bbox=[0, 0, 1, 1])], categories=[category()])
    assert found(data.read(path)) == {"a": [("nut", [0, 0, 1, 1])]}  # a pixel
    box = "<bndbox><xmin>0.25</xmin><ymin>0.5</ymin><xmax>0.75</xmax><ymax>0.75</ymax></bndbox>"
    path.unlink()
    (tmp_path / "a.xml").write_text(f"<annotation><object><name>nut</name>{box}</object></annotation>")
    assert found(data.read(tmp_path)) == {"a": [("nut", [15, 20, 45, 30])]}


def test_values_boxes_that_cvat_turned(tmp_path):
    save_image(tmp_path / "a.jpg")
    rows = [marked(attributes={"rotation": 90.0}), marked(2, attributes={"rotation": 0.0, "occluded": False})]
    path = coco_file(tmp_path / "a.json", annotations=rows, categories=[category()])
    dataset = data.read(path)
    [(_, turned_box), (_, upright)] = found(dataset)["a"]
    np.testing.assert_allclose(turned_box, [12, 6, 28, 26], atol=1e-4)
    assert upright == CORNERS
    assert assumed(dataset) == ["a box is turned: the upright box around it is taken: annotation 1"]
    path.unlink()
    attributes = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    box = "<bndbox><xmin>11</xmin><ymin>9</ymin><xmax>30</xmax><ymax>24</ymax></bndbox>"
    (tmp_path / "a.xml").write_text(f"<annotation><object><name>nut</name>{attributes}{box}</object></annotation>")
    dataset = data.read(tmp_path)
    np.testing.assert_allclose(dataset[0].boxes_xyxy, [[12, 6, 28, 26]], atol=1e-4)
    assert assumed(dataset) == ["a box is turned: the upright box around it is taken"]


def test_rejects_exports_without_images(tmp_path):
    path = coco_file(tmp_path / "a.json", annotations=[marked()], categories=[category()])
    for read in (data.read, data.read_splits):
        with pytest.raises(
            DataError, match="No image is there. Export the annotations with their images, or pass images"
        ):
            read(path)


# -- ids --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [1, 1.0, "1", "1.0"])
@pytest.mark.parametrize("here", [1, 1.0, "1", " 1", "01"])
def test_values_ids_as_numbers_and_texts(tmp_path, here, there):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "result.json", [image(there)], [marked(1, here, here)], [category(there)])
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a": [("nut", CORNERS)]}
    assert bool(assumed(dataset)) == (here != there)
    assert dataset.category_ids == (int(there) if isinstance(there, float) else there,)


def test_values_ids_that_say_one_number_are_not_mixed_up():
    ids = Ids({1: "cat", "1": "dog", "x": "eel"})
    assert [ids.get(key) for key in (1, "1", 1.0, "x")] == [("cat", True), ("dog", True), ("cat", True), ("eel", True)]
    for key in ("01", True, None, 1.5, float("nan"), float("inf"), [], {}, "9" * 5000, "\u0661"):
        assert ids.get(key) == (None, False)


# -- outlines ---------------------------------------------------------------------------------------------


def mask_of(runs):
    return {"size": [40, 60], "counts": runs}


RUNS = [10 * 40 + 8, 16, *([24, 16] * 19), 30 * 40 + 40 - 24]  # columns 10..29, rows 8..23


def as_text(runs):
    """The text form of runs, written another way than it is read: from the description of `pycocotools`."""
    text = ""
    for place, run in enumerate(runs):
        rest = run - (runs[place - 2] if place > 2 else 0)
        while True:
            low, rest = rest & 31, rest >> 5
            more = rest != (-1 if low & 16 else 0)
            text += chr(48 + low + 32 * more)
            if not more:
                break
    return text


@pytest.mark.parametrize(
    "segmentation",
    [
        [OUTLINE],
        OUTLINE,
        [[10, 8, 20, 10, 15, 24], [25, 9, 30, 20, 26, 21]],
        [[10.0, "8", 30, 24]],
        mask_of(RUNS),
        mask_of(as_text(RUNS)),
    ],
)
@pytest.mark.parametrize("bbox", ["absent", None, [], [0, 0, 0, 0]])
def test_values_the_box_of_an_outline(tmp_path, segmentation, bbox):
    save_image(tmp_path / "a.jpg")
    coco_file(tmp_path / "result.json", [image()], [marked(bbox=bbox, segmentation=segmentation)], [category()])
    dataset = data.read(tmp_path)
    assert found(dataset) == {"a": [("nut", CORNERS)]}
    assert assumed(dataset) == ["an object has no bbox: its outline's is taken: annotation 1"]


@pytest.mark.parametrize("seed", range(20))
def test_reference_boxes_of_random_masks(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 30, 2)
    mask = rng.random((height, width)) < rng.choice([0.01, 0.2, 0.9])
    flat = np.concatenate([[False], mask.T.ravel(), [not mask[-1, -1]]])
    ends = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], ends])).tolist()
    rows, columns = np.nonzero(mask)
    box = None
    if len(rows):
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    for counts in (runs, as_text(runs)):
        assert outlines.box_of({"size": [int(height), int(width)], "counts": counts}) == box


def test_values_a_mask_as_pycocotools_writes_it():
    # encode of a 5 x 7 mask with rows 1..3 of columns 2..4: runs 11, 3, 2, 3, 2, 3, 11
    assert outlines.box_of({"size": [5, 7], "counts": ";320009"}) == [2, 1, 3, 3]


@pytest.mark.parametrize(
    ("segmentation", "what"),
    [
        ("text", "segmentation must hold polygons or a mask, and is 'text'"),
        ([[1, 2, 3]], "a polygon must be a list of x, y, x, y ..., and is [1, 2, 3]"),
        ([[1, 2, float("nan"), 4]], "a polygon's number must be a finite number, and is nan"),
        ({"size": [40], "counts": [2400]}, "a mask needs a size of height and width, and has [40]"),
        (mask_of([1, 2]), "the runs of a mask of 60 x 40 pixels do not fill it"),
        (mask_of([-1, 2401]), "runs of a mask must be whole numbers from 0 on"),
        (mask_of("0" * 3 + "~"), "counts of a mask hold '~', or a run without end"),
        (mask_of("o" * 50), "counts of a mask hold 'o', or a run without end"),
        (mask_of("o"), "counts of a mask end within a run"),
        (mask_of(None), "counts of a mask must be a list or text, and is missing"),
        ({"size": [1e6, 1e6], "counts": [1e12, 1]}, "the runs of a mask of 1000000 x 1000000 pixels do not fill it"),
    ],
)
def test_rejects_outlines(segmentation, what):
    with pytest.raises(EntryError) as error:
        outlines.box_of(segmentation)
    assert str(error.value) == what


@pytest.mark.parametrize("bbox", ["absent", None, []])
@pytest.mark.parametrize("segmentation", ["absent", None, [], [[]], mask_of([2400])])
def test_rejects_objects_that_mark_nothing(tmp_path, bbox, segmentation):
    save_image(tmp_path / "a.jpg")
    rows = [marked(bbox=bbox, segmentation=segmentation), marked(2)]
    coco_file(tmp_path / "result.json", [image()], rows, [category()])
    assert faults(tmp_path) == ["annotation 1 (nut): it has neither a bbox nor an outline"]
    assert found(data.read(tmp_path, policy="drop")) == {"a": [("nut", CORNERS)]}
    coco_file(tmp_path / "result.json", [image()], rows[:1], [category()])  # nothing else: no image without objects
    with pytest.raises(DataError, match="neither a bbox nor an outline"):
        data.read(tmp_path, policy="drop")


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


# -- EXIF -----------------------------------------------------------------------------------------------------


def turned(path, orientation, size_hw=(40, 60)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(orientation).integers(0, 256, (*size_hw, 3), "uint8")
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_values_sizes_before_exif_rotation(tmp_path, orientation, ending):
    turned(tmp_path / f"a.{ending}", orientation)  # stored 60 x 40, shown 40 x 60
    box = [5, 30, 30, 28]
    coco_file(tmp_path / "result.json", [image(1, f"a.{ending}", (60, 40))], [marked(bbox=box)], [category()])
    dataset = data.read(tmp_path)
    assert dataset[0].size_hw == (60, 40)
    assert dataset[0].boxes_xyxy.tolist() == [[5, 30, 35, 58]]
    assert data.Sample.of(dataset[0]).image.shape == (60, 40, 3)
    [note] = assumed(dataset)
    assert note.startswith("a size is given before EXIF rotation; the boxes fit the image as it is shown: ")
    assert data.check(tmp_path).ok


def test_values_sizes_before_exif_rotation_in_voc_and_csv(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    (tmp_path / "a.xml").write_text(
        "<annotation><filename>a.jpg</filename><size><width>60</width><height>40</height></size><object><name>nut</name>"
        "<bndbox><xmin>6</xmin><ymin>31</ymin><xmax>35</xmax><ymax>58</ymax></bndbox></object></annotation>"
    )
    (tmp_path / "a.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,60,40,nut,5,30,35,58\n")
    for format in ("voc", "csv"):
        dataset = data.read(tmp_path, format=format)
        assert dataset[0].size_hw == (60, 40)
        assert dataset[0].boxes_xyxy.tolist() == [[5, 30, 35, 58]]
        assert len(assumed(dataset)) == 1


def test_rejects_boxes_that_were_drawn_before_exif_rotation(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    coco_file(tmp_path / "result.json", [image()], [marked(), marked(2, bbox=[30, 10, 25, 20])], [category()])
    [fault] = faults(tmp_path)
    assert "is 40 x 60 pixels as its EXIF orientation shows it, the annotation says 60 x 40 pixels" in fault


@pytest.mark.parametrize("orientation", [1, 3])
def test_values_sizes_of_images_that_keep_them(tmp_path, orientation):
    turned(tmp_path / "a.jpg", orientation)
    coco_file(tmp_path / "result.json", [image()], [marked()], [category()])
    dataset = data.read(tmp_path)
    assert dataset[0].size_hw == (40, 60)
    assert assumed(dataset) == []


def test_values_the_stated_size_after_rotation(tmp_path):
    turned(tmp_path / "a.jpg", 6)
    coco_file(tmp_path / "result.json", [image(size=(40, 60))], [marked()], [category()])
    assert data.read(tmp_path)[0].size_hw == (60, 40)


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
    assert faults(path) == ["annotation 2 (bolt): it has neither a bbox nor an outline"]
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
    what = "object 0 (Background): 'Background' is no class, since it is always there and never counted"
    assert faults(tmp_path) == [f"{what}. Rename it, or remove its objects"]
    assert found(data.read(tmp_path, policy="drop")) == {"b": [("nut", CORNERS)]}


def test_rejects_one_label_file_of_two_images_as_it_was_found(shared):
    [fault] = faults(shared("cases", "annotation_exports", "07-same-stem", "yolo"))
    assert "a.jpg, " in fault
    assert fault.endswith("a.png: call it a.jpg.txt where it is of a.jpg")
