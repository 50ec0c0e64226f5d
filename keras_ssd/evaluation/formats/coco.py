"""COCO's results: one json list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}.

The ids are those of the annotations, `Annotation.image_id` and `Dataset.category_ids`; without them, the numbers from 1
that `keras_ssd.data.write` uses. Source of the format: cocodataset.org, "Results format".
"""

import json
import numbers
import os
from collections.abc import Sequence

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.ids import Ids, is_id
from keras_ssd.data.records import shortened
from keras_ssd.evaluation.formats.json_files import read_json
from keras_ssd.evaluation.formats.rounding import parts, shortest, shortest_from
from keras_ssd.evaluation.formats.rows import Rows, Strictness, number
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.replacing import replacing

NAME = "coco"
_KEYS = ("image_id", "category_id", "bbox", "score")


def write(table: DetectionTable, path: str | os.PathLike[str], dataset: Dataset) -> None:
    """Writes a table, one detection per line."""
    images = dict(zip((one.name for one in dataset), image_ids(dataset), strict=True))
    categories = dict(zip(dataset.classes, category_ids(dataset), strict=True))
    images = [images[name] for name in table.images]
    categories = [categories.get(name) for name in table.class_names]
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        separator = "[\n"
        for part in parts(table):
            for image, class_id, *values in _rows(part):
                row = dict(zip(_KEYS, (images[image], categories[class_id], *values), strict=True))
                file.write(separator + json.dumps(row))
                separator = ",\n"
        file.write("\n]\n" if len(table) else "[]\n")


def _rows(table):
    """(image, class id, bbox, score) of each detection."""
    corner = shortest(table.boxes_xyxy[:, :2])
    boxes = np.hstack([corner, shortest_from(table.boxes_xyxy[:, 2:], corner)])
    return zip(table.image, table.class_ids, boxes.tolist(), shortest(table.scores).tolist(), strict=True)


def read(path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness) -> DetectionTable:
    """Reads a results file; it does not distinguish images without detections from images not seen."""
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(
            f"{path} is not a list of detections, as a COCO results file is. Read annotations with keras_ssd.data.read."
        )
    rows = Rows(path, dataset, strictness, "detection")
    images = Ids({key: place for place, key in enumerate(image_ids(dataset))})
    categories = Ids({key: place for place, key in enumerate(category_ids(dataset))})
    for count, row in enumerate(content, 1):
        if not isinstance(row, dict) or any(key not in row for key in _KEYS):
            raise ValueError(f"{rows.where(count)}: expected {', '.join(_KEYS)}. Received: {shortened(row)}")
        image, class_id = (
            rows.place(count, key, row[key], known)
            for key, known in (("image_id", images), ("category_id", categories))
        )
        if image is not None and class_id is not None:
            x, y, width, height = _bbox(rows, count, row["bbox"])
            score = number(row["score"], rows.where(count), "score")
            rows.add(count, image, class_id, score, (x, y, x + width, y + height))
    return rows.table()


def image_ids(dataset: Dataset) -> Sequence[int | str]:
    """The images' own ids if all have one, else numbers from 1."""
    ids = [annotation.image_id for annotation in dataset]
    return ids if all(is_id(key) for key in ids) and len(set(ids)) == len(ids) else range(1, len(ids) + 1)


def category_ids(dataset: Dataset) -> Sequence[int | str]:
    """The classes' own ids, or numbers from 1."""
    return dataset.category_ids or range(1, len(dataset.classes) + 1)


def _bbox(rows, count, bbox):
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(isinstance(side, numbers.Real) for side in bbox):
        raise ValueError(f"{rows.where(count)}: bbox must be x, y, width, height. Received: {shortened(bbox)}")
    return bbox
