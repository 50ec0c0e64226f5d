"""Rows of COCO files as tools write them, and what is read of them."""

import pytest

from keras_ssd import data
from keras_ssd.data import DataError

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
