"""This package's json, which also stores the images without detections and the detector's classes.

{"format": "keras_ssd detections", "version": 1, "class_names": ["cat", "dog"], "images": [
{"name": "street", "class_ids": [1], "scores": [0.9], "boxes_xyxy": [[10.0, 20.0, 30.0, 60.0]]}
]}

The files of `keras-ssd detect --format json` are read, too.
"""

import json
import os

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.records import shortened
from keras_ssd.evaluation.formats.json_files import read_json
from keras_ssd.evaluation.formats.rounding import shortest
from keras_ssd.evaluation.formats.rows import Rows, Strictness
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import check_class_names
from keras_ssd.replacing import replacing

NAME = "json"
FORMAT, VERSION = "keras_ssd detections", 1
_COLUMNS = ("class_ids", "scores", "boxes_xyxy")


def write(table: DetectionTable, path: str | os.PathLike[str], dataset: Dataset | None = None) -> None:
    """Writes a table, one image per line."""
    table = table[np.argsort(table.image, kind="stable")]
    ends = np.searchsorted(table.image, np.arange(len(table.images)), side="right")
    head = {"format": FORMAT, "version": VERSION, "class_names": list(table.class_names)}
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "images": [')
        start, separator = 0, "\n"
        for name, end in zip(table.images, ends.tolist(), strict=True):
            rows = slice(start, end)
            values = (table.class_ids[rows], shortest(table.scores[rows]), shortest(table.boxes_xyxy[rows]))
            row = {"name": name, **{key: value.tolist() for key, value in zip(_COLUMNS, values, strict=True)}}
            file.write(separator + json.dumps(row, ensure_ascii=False))
            start, separator = end, ",\n"
        file.write("\n]}\n")


def read(path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness) -> DetectionTable:
    """Reads a file; the images are those that the file names, in the order of the dataset."""
    content = read_json(path, _compact)
    if isinstance(content, list):
        return _read_detect(path, content, dataset, strictness)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} has no detections. Expected a json file of keras-ssd or COCO's tools.")
    if content.get("version") != VERSION:
        raise ValueError(f"{path} has the format version {content.get('version')!r}. Expected {VERSION}")
    names = _class_names(path, content.get("class_names"))
    entries = content.get("images", content.get("pictures"))  # its former name
    if not isinstance(entries, list):
        raise ValueError(f"{path} has no list of images.")
    rows, places = Rows(path, dataset, strictness, "image"), set()
    for count, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or "name" not in entry or any(name not in entry for name in _COLUMNS):
            raise ValueError(f"{rows.where(count)}: expected name, {', '.join(_COLUMNS)}. Received: {shortened(entry)}")
        ids, scores, boxes = (_column(rows.where(count), entry, name) for name in _COLUMNS)
        if not len(ids) == len(scores) == len(boxes):
            raise ValueError(
                f"{rows.where(count)}: {', '.join(_COLUMNS)} must be of one length. Received: {len(ids)}, "
                f"{len(scores)} and {len(boxes)}"
            )
        _take(rows, places, count, entry["name"], zip(ids, scores, boxes, strict=True), names)
    return rows.table(names, places)


def _read_detect(path, content, dataset, strictness):
    """Reads the file of `keras-ssd detect`: a list of `Detections.to_dict`."""
    first = content[0] if content and isinstance(content[0], dict) else {}
    names = _class_names(path, first.get("class_names")) if content else tuple(dataset.classes)
    rows, places = Rows(path, dataset, strictness, "image"), set()
    for count, entry in enumerate(content, 1):
        try:
            found = [(row["class_id"], row["score"], row["box_xyxy"]) for row in entry["detections"]]
            source, own = entry["source"], tuple(entry["class_names"])
        except (KeyError, TypeError):
            raise ValueError(
                f"{rows.where(count)}: expected what `keras-ssd detect` writes as json: source, class_names, "
                f"detections. Received: {shortened(entry)}"
            ) from None
        if own != names:
            raise ValueError(
                f"{rows.where(count)}: its classes differ from the first image's: {', '.join(map(str, own))}"
            )
        try:
            ids, scores = np.array([row[:2] for row in found], np.float64).reshape(-1, 2).T
            boxes = np.array([row[2] for row in found], np.float64).reshape(-1, 4)
        except (TypeError, ValueError):
            raise ValueError(f"{rows.where(count)}: class_id, score and box_xyxy must be 1, 1 and 4 numbers.") from None
        _take(rows, places, count, source, zip(ids, scores, boxes, strict=True), names)
    return rows.table(names, places)


def _take(rows, places, count, called, found, names):
    place = rows.image(count, called)
    if place is None:
        return
    if place in places:
        raise ValueError(f"{rows.where(count)}: image {called!r} occurs twice.")
    places.add(place)
    for class_id, score, box in found:
        if not (0 <= class_id < len(names) and class_id == int(class_id)):
            raise ValueError(
                f"{rows.where(count)}: class ids must be in 0..{len(names) - 1}, the places in class_names. "
                f"Received: {class_id:g}"
            )
        rows.add(count, place, int(class_id), score, box)


def _class_names(path, names):
    try:
        return check_class_names("class_names", names)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _compact(entry):
    """Converts an image's lists to arrays as soon as they are read, for a tenth of the memory."""
    for name in _COLUMNS if "boxes_xyxy" in entry else ():
        if isinstance(entry.get(name), list):
            try:
                entry[name] = np.array(entry[name], np.float64)
            except (TypeError, ValueError):
                entry[name] = None
    return entry


def _column(where, entry, name):
    value, boxes = entry[name], name == "boxes_xyxy"
    if isinstance(value, np.ndarray) and boxes and not value.size:
        value = value.reshape(-1, 4)
    if not isinstance(value, np.ndarray) or value.ndim != 1 + boxes or (boxes and value.shape[1] != 4):
        raise ValueError(f"{where}: {name} must be a list of {'four numbers each' if boxes else 'numbers'}.")
    return value
