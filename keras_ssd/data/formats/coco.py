"""COCO: one json file per split, with lists of images, annotations and categories.

Boxes are x, y, width, height in continuous pixels. Source of the format: cocodataset.org, "Data format".
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.coco_entries import MARKS, add_objects, read_categories
from keras_ssd.data.formats.finding import Found, ImageFinder
from keras_ssd.data.formats.json_files import load_json
from keras_ssd.data.formats.kinds import COCO, kind_of
from keras_ssd.data.ids import is_id, plain_id
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import COCO_BOXES, Record, shortened, size_of
from keras_ssd.names import listed

NAME = "coco"


def find(path: str | os.PathLike[str]) -> lay.Layout | None:
    """The layout of a COCO json file or of a folder with such files, or None."""
    path = Path(path)
    if path.suffix.lower() == ".json" and path.is_file() and kind_of(path) in (COCO, None):
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        return lay.Layout(NAME, root, {_split_name(path): path})
    if not path.is_dir():
        return None
    for folders in ((path / "annotations",), (path,), lay.subfolders(path)):
        found = [file for folder in folders for file in lay.files_ending(folder, ".json")]
        instances = [file for file in found if file.name.startswith("instances")]
        found = [file for file in instances or found if kind_of(file) == COCO]
        if found:
            return lay.Layout(NAME, path, {_split_name(file): file for file in found})
    return None


def _split_name(path):
    name = path.stem.removeprefix("instances_").removesuffix("_annotations.coco")
    return path.parent.name if name in ("", "_annotations.coco") else name


def read(layout: lay.Layout, part: Path, problems: list[Problem]) -> lay.Contents:
    """Reads a json file.

    Args:
        layout: what `find` gave.
        part: path of the file.
        problems: list that takes `Problem`s.
    """
    book = _Book(part, problems)
    try:
        data = _load(part)
        _name_only_class(data, layout.classes, book)
        names = read_categories(data["categories"], data["annotations"], book)
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(part), what, lay.line_of(error), done="left out"))
        return lay.Contents([], COCO_BOXES)
    records = _records(data["images"], _finder(layout, part), layout.root, book)
    add_objects(records, data["annotations"], names, book)
    problems += book.assumed.problems()
    found = [record for record in records.values() if record.image is not None]
    ids = tuple(plain_id(key) for key in names)
    return lay.Contents(found, COCO_BOXES, tuple(names.values()), ids, str(part))


class _Book:
    """The problems and assumptions about a file."""

    def __init__(self, path, problems) -> None:
        self.path, self.problems, self.assumed = str(path), problems, lay.Assumed()

    def report(self, kind, what, record=None, done="left out"):
        self.problems.append(Problem(kind, self.path, what, image=record.name if record else "", done=done))

    def assume(self, what, example, record=None):
        self.assumed.add(what, self.path, 0, record.name if record else "", example)


def _load(path):
    data = load_json(path)
    if not isinstance(data, dict):
        raise ValueError(f"a COCO file is an object with images, annotations and categories, not a {_kind(data)}")
    lost = [key for key in ("images", "annotations", "categories") if not isinstance(data.get(key), list)]
    if lost:
        there = listed(map(shortened, data), 10) or "nothing"
        raise ValueError(f"it has no list of {' and of '.join(lost)}; it has {there}")
    return data


def _name_only_class(data, classes, book):
    """Gives annotations without category, as VIA may write them, the only possible category, and changes `data`.

    Raises:
        ValueError: there are several categories, or none.
    """
    rows = data["annotations"]
    if not rows or any(isinstance(row, dict) and row.get("category_id") is not None for row in rows):
        return
    if len(classes or ()) == 1:
        data["categories"] = [{"id": 1, "name": classes[0]}]
    if len(data["categories"]) != 1 or not isinstance(data["categories"][0], dict):
        raise ValueError(
            f"none of its {len(rows)} annotations has a category_id, as where regions in VIA have no attribute of "
            "the type dropdown, radio or checkbox. Give them one and export again; or, if all objects are of one "
            "class, pass classes=['its name']"
        )
    [category] = data["categories"]
    book.assume("the annotations name no category", f"all are taken for {category.get('name')!r}")
    data["annotations"] = [{**row, "category_id": category.get("id")} if isinstance(row, dict) else row for row in rows]


def _kind(value):
    return {list: "list", str: "text", type(None): "null"}.get(type(value), "number")


def _finder(layout, path):
    """Where the images of a file may be: in the folder of its split before others."""
    split, root = _split_name(path), layout.root
    named = [layout.images] if layout.images else []
    own = [*named, root / "images" / split, root / split]
    inside = [base / name for base in (root, path.parent) for name in lay.IMAGE_FOLDERS]
    return ImageFinder([*own, *inside, path.parent, root], own, below=named or [path.parent, root])


def _records(rows, finder, root, book):
    """{id: `Record`} of the images; without `image` if the file is missing."""
    records, homes = {}, {}
    for number, row in enumerate(rows):
        key, file = (plain_id(row.get("id")), row.get("file_name")) if isinstance(row, dict) else (None, None)
        if key is None or not isinstance(file, str) or not file:
            book.report("entry", f"image {number} needs an id and a file_name, and is {shortened(row)}")
            continue
        name = lay.stem(file)
        if key in records:
            what = f"image id {shortened(key)}, file {shortened(file)}: another image has that id"
            book.problems.append(Problem("duplicate id", book.path, what, image=name, done="left out"))
            continue
        found = finder.find(file)
        if found.path is not None and (not found.exact or lay.leaves(file)):
            name = lay.stem(lay.below(found.path, root))
        if found.path is not None and homes.setdefault(found.path, key) != key:
            what = f"image id {shortened(key)}, file {shortened(file)}: image id {homes[found.path]} is that file too"
            book.problems.append(Problem("duplicate id", book.path, what, image=name, done="left out"))
            found = Found()
        else:
            finder.tell(found, file, name, (book.path, 0), (book.problems, book.assumed))
        size_hw = size_of(row.get("height"), row.get("width"))
        records[key] = Record(name, found.path, book.path, size_hw, areas=[], image_id=key)
    return records


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes images/ and annotations/instances_SPLIT.json; instances.json if there is one split without a name.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        ids = data.category_ids or range(1, len(data.classes) + 1)
        categories = [{"id": key, "name": name} for key, name in zip(ids, data.classes, strict=True)]
        keys = _image_ids(data)
        images, annotations = [], []
        for annotation, key in zip(data, keys, strict=True):
            image = target.place(annotation, f"images/{target.safe_name(annotation)}")
            height, width = annotation.size_hw
            file_name = image.removeprefix("images/")
            images.append({"id": key, "file_name": file_name, "width": width, "height": height})
            rows = _rows(annotation, key, ids, len(annotations))
            if target.guesses is not None:
                scores = target.guesses.scores[annotation.name]
                rows = [{**row, "score": float(str(score))} for row, score in zip(rows, scores, strict=True)]
            annotations += rows
        content = {"images": images, "annotations": annotations, "categories": categories}
        name = f"annotations/instances_{split}.json" if split else "annotations/instances.json"
        target.text(name, json.dumps(content, ensure_ascii=False))


def _image_ids(data):
    """The images' own ids if all have one, and else numbers from 1."""
    ids = [annotation.image_id for annotation in data]
    return ids if all(is_id(key) for key in ids) and len(set(ids)) == len(ids) else range(1, len(data) + 1)


def _rows(annotation, image_id, category_ids, first):
    rows = []
    for row, box in enumerate(annotation.boxes_xyxy):
        marks = {key: 1 for name, key in MARKS.items() if getattr(annotation, name)[row]}
        rows.append(
            {
                "id": first + row + 1,
                "image_id": image_id,
                "category_id": category_ids[annotation.class_ids[row]],
                "bbox": exact_xywh(box),
                "area": float(str(annotation.areas[row])),
                "iscrowd": 0,
                **marks,
            }
        )
    return rows


def exact_xywh(box: ArrayLike) -> list[float]:
    """x, y, width, height with the fewest decimals that give the same float32 corners when they are read."""
    box32 = np.asarray(box, np.float32)
    corner = [float(str(value)) for value in box32[:2]]
    sides = []
    for start, end in zip(corner, box32[2:], strict=True):
        rounded = (round(float(end) - start, digits) for digits in range(17))
        sides.append(next((w for w in rounded if np.float32(start + w) == end), float(end) - start))
    return [*corner, *sides]
