"""COCO json: categories, ids, and boxes as tools write them, each read or named."""

import numpy as np
import pytest
from coco_exports import CORNERS, assumed, category, faults, found, image, marked
from data_files import coco_file, save_image

from keras_ssd import data
from keras_ssd.data import DataError
from keras_ssd.data.ids import Ids

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
    assert assumed(dataset) == ["a box is rotated: the upright box around it is used: annotation 1"]
    path.unlink()
    attributes = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    box = "<bndbox><xmin>11</xmin><ymin>9</ymin><xmax>30</xmax><ymax>24</ymax></bndbox>"
    (tmp_path / "a.xml").write_text(f"<annotation><object><name>nut</name>{attributes}{box}</object></annotation>")
    dataset = data.read(tmp_path)
    np.testing.assert_allclose(dataset[0].boxes_xyxy, [[12, 6, 28, 26]], atol=1e-4)
    assert assumed(dataset) == ["a box is rotated: the upright box around it is used"]


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
