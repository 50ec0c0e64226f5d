"""COCO: one json file a split, with lists of images, annotations and categories.

Boxes are x, y, width, height in continuous pixels. Source of the format: cocodataset.org, "Data format".
"""

import json
import os
from pathlib import Path

import numpy as np

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import COCO_BOXES, EntryError, Record, finite, flag, size_of
from keras_ssd.text_files import beginning, read_text

NAME = "coco"
MAX_BYTES = 4 << 30
_SIGNS = ('"images"', '"annotations"', '"categories"', '"info"')


def find(path):
    """The layout of a COCO json file or of a folder with such files, or None."""
    path = Path(path)
    if path.suffix.lower() == ".json" and path.is_file():
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        return lay.Layout(NAME, root, {_split_name(path): path})
    if not path.is_dir():
        return None
    for folders in ((path / "annotations",), (path,), lay.subfolders(path)):
        found = [file for folder in folders for file in lay.files_ending(folder, ".json")]
        instances = [file for file in found if file.name.startswith("instances")]
        found = [file for file in instances or found if _looks_like_coco(file)]
        if found:
            return lay.Layout(NAME, path, {_split_name(file): file for file in found})
    return None


def _split_name(path):
    name = path.stem.removeprefix("instances_").removesuffix("_annotations.coco")
    return path.parent.name if name in ("", "_annotations.coco") else name


def _looks_like_coco(path):
    with open(path, "rb") as file:
        start = file.read(1 << 16)
    text = beginning(start)
    return text.lstrip()[:1] == "{" and any(sign in text for sign in _SIGNS)


def read(layout, part, problems):
    """Reads a json file.

    Args:
        layout: what `find` gave.
        part: path of the file.
        problems: list that takes `Problem`s.

    Returns:
        `Contents`.
    """
    try:
        data = _load(part)
        names = _categories(data["categories"])
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(part), what, getattr(error, "lineno", 0), done="left out"))
        return lay.Contents([], COCO_BOXES)
    pictures = lay.PictureIndex(_picture_folders(layout, part))
    records = _records(data["images"], part, pictures, problems)
    _add_objects(records, data["annotations"], names, part, problems)
    found = [record for record in records.values() if record.picture is not None]
    return lay.Contents(found, COCO_BOXES, tuple(names.values()), tuple(names), str(part))


def _load(path):
    try:
        data = json.loads(read_text(path, MAX_BYTES))
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if not isinstance(data, dict):
        raise ValueError(f"a COCO file is an object with images, annotations and categories, not a {_kind(data)}")
    lost = [key for key in ("images", "annotations", "categories") if not isinstance(data.get(key), list)]
    if lost:
        there = ", ".join(map(repr, list(data)[:10])) or "nothing"
        raise ValueError(f"it has no list of {' and of '.join(lost)}; it has {there}")
    return data


def _categories(rows):
    names = {}
    for number, row in enumerate(rows):
        key, name = (row.get("id"), row.get("name")) if isinstance(row, dict) else (None, None)
        if not _is_id(key) or not isinstance(name, str) or not name.strip():
            raise ValueError(f"category {number} needs an id and a name, and is {str(row)[:80]}")
        if key in names or name in names.values():
            raise ValueError(f"category {number} has an id or name that another has: {str(row)[:80]}")
        names[key] = name
    if not names:
        raise ValueError("its list of categories is empty")
    return names


def _is_id(value):
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _kind(value):
    return {list: "list", str: "text", type(None): "null"}.get(type(value), "number")


def _picture_folders(layout, path):
    split, root = _split_name(path), layout.root
    named = [layout.pictures] if layout.pictures else []
    inside = [base / name for base in (root, path.parent) for name in lay.PICTURE_FOLDERS]
    return [*named, root / "images" / split, root / split, *inside, path.parent, root]


def _records(rows, path, pictures, problems):
    records, seen = {}, set()
    for number, row in enumerate(rows):
        key, file = (row.get("id"), row.get("file_name")) if isinstance(row, dict) else (None, None)
        if not _is_id(key) or not isinstance(file, str) or not file:
            what = f"image {number} needs an id and a file_name, and is {str(row)[:80]}"
            problems.append(Problem("entry", str(path), what, done="left out"))
            continue
        name = lay.stem(file)
        if key in records or name in seen:
            what = f"image id {key}, file {file}: another image has that id or name"
            problems.append(Problem("duplicate id", str(path), what, picture=name, done="left out"))
            continue
        found = None if lay.leaves(file) else pictures.by_path(file) or pictures.by_path(os.path.basename(file))
        if found is None:
            problems.append(lay.missing_picture(name, path, file))
        seen.add(name)
        size_hw = size_of(row.get("height"), row.get("width"))
        records[key] = Record(name, found, str(path), size_hw, areas=[], picture_id=key)
    return records


def _add_objects(records, rows, names, path, problems):
    seen = {}
    for number, row in enumerate(rows):
        record = None
        try:
            if not isinstance(row, dict):
                raise EntryError("it is no object")
            record = records.get(row.get("image_id")) if _is_id(row.get("image_id")) else None
            if record is None:
                raise EntryError(f"there is no image with the id {row.get('image_id')!r}")
            if _repeats(seen, row, (path, record), problems):
                continue
            label = names.get(row.get("category_id")) if _is_id(row.get("category_id")) else None
            if label is None:
                what = f"annotation {_called(row, number)}: there is no category with the id {row.get('category_id')!r}"
                problems.append(Problem("label", str(path), what, picture=record.name, done="left out"))
                record.lost += 1
                continue
            _add_object(record, row, label)
        except EntryError as error:
            what = f"annotation {_called(row, number)}: {error}"
            problems.append(Problem("entry", str(path), what, picture=record.name if record else "", done="left out"))
            if record is not None:
                record.lost += 1


def _called(row, number):
    return row["id"] if isinstance(row, dict) and _is_id(row.get("id")) else f"number {number}"


def _repeats(seen, row, place, problems):
    """Whether an annotation is there already; one that shares only its id is reported and stays."""
    key = row.get("id")
    if not _is_id(key):
        return False
    path, record = place
    says = (row.get("image_id"), row.get("category_id"), str(row.get("bbox")))
    same = seen.setdefault(key, says) is not says and seen[key] == says
    if seen[key] is not says:
        what = f"annotation id {key} occurs twice"
        done = "left out" if same else "kept"
        problems.append(Problem("duplicate id", str(path), what, picture=record.name, done=done))
    return same


def _add_object(record, row, label):
    box = row.get("bbox")
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise EntryError(f"bbox must be x, y, width, height, and is {str(box)[:80]}")
    raw = [finite(value, name) for name, value in zip(COCO_BOXES.columns, box, strict=True)]
    marks = {name: flag(row.get(key), key) for name, key in _MARKS.items()}
    area = row.get("area")
    area = raw[2] * raw[3] if area is None else finite(area, "area")
    key = row.get("id")
    record.add(label, raw, key if isinstance(key, int) and abs(key) < 1 << 62 else 0, **marks)
    record.areas.append(area)


_MARKS = {"crowd": "iscrowd", "difficult": "difficult", "truncated": "truncated"}


def write(splits, target):
    """Writes images/ and annotations/instances_SPLIT.json, or instances.json where there is one nameless split.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        ids = data.category_ids or range(1, len(data.classes) + 1)
        categories = [{"id": key, "name": name} for key, name in zip(ids, data.classes, strict=True)]
        keys = _picture_ids(data)
        images, annotations = [], []
        for annotation, key in zip(data, keys, strict=True):
            picture = target.place(annotation, f"images/{target.safe_name(annotation)}")
            height, width = annotation.size_hw
            file_name = picture.removeprefix("images/")
            images.append({"id": key, "file_name": file_name, "width": width, "height": height})
            annotations += _rows(annotation, key, ids, len(annotations))
        content = {"images": images, "annotations": annotations, "categories": categories}
        name = f"annotations/instances_{split}.json" if split else "annotations/instances.json"
        target.text(name, json.dumps(content, ensure_ascii=False))


def _picture_ids(data):
    """The pictures' own ids if all have one, and else numbers from 1."""
    ids = [annotation.picture_id for annotation in data]
    return ids if all(_is_id(key) for key in ids) and len(set(ids)) == len(ids) else range(1, len(data) + 1)


def _rows(annotation, picture_id, category_ids, first):
    rows = []
    for row, box in enumerate(annotation.boxes_xyxy):
        marks = {key: 1 for name, key in _MARKS.items() if getattr(annotation, name)[row]}
        rows.append(
            {
                "id": first + row + 1,
                "image_id": picture_id,
                "category_id": category_ids[annotation.class_ids[row]],
                "bbox": exact_xywh(box),
                "area": float(str(annotation.areas[row])),
                "iscrowd": 0,
                **marks,
            }
        )
    return rows


def exact_xywh(box):
    """x, y, width, height with the fewest decimals that give the same float32 corners when they are read."""
    box32 = np.asarray(box, np.float32)
    corner = [float(str(value)) for value in box32[:2]]
    sides = []
    for start, end in zip(corner, box32[2:], strict=True):
        rounded = (round(float(end) - start, digits) for digits in range(17))
        sides.append(next((w for w in rounded if np.float32(start + w) == end), float(end) - start))
    return [*corner, *sides]
