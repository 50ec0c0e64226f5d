"""Categories and annotations of a COCO json file, as tools write them: each is read, or named."""

import collections
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from keras_ssd.data import outlines
from keras_ssd.data.ids import Ids, is_id, plain_id
from keras_ssd.data.records import COCO_BOXES, EntryError, finite, mark, shortened
from keras_ssd.names import listed

MARKS: dict[str, str] = {"crowd": "iscrowd", "difficult": "difficult", "truncated": "truncated"}
_HALF = re.compile(r"[\ud800-\udfff]")  # half of a character in UTF-16, which is not valid text
_MOST_AREA = 1e12  # square pixels: more than any image has
_NO_PARENT = (None, "", "none", "None")


def read_categories(rows: Iterable[Any], annotations: Iterable[Any], book: Any) -> dict[Any, str]:
    """{id: class name}, without roots of a tree of categories that no annotation uses.

    Raises:
        ValueError: a category without id or name, or two with the same id or name.
    """
    names, parents = {}, {}
    for number, row in enumerate(rows):
        key, name = (plain_id(row.get("id")), row.get("name")) if isinstance(row, dict) else (None, None)
        if isinstance(name, (int, float)) and not isinstance(name, bool):
            book.assume("a number is the name of a category", f"{name!r} is taken for the class {str(name)!r}")
            name = str(name)
        if key is None or not isinstance(name, str) or not name.strip() or _HALF.search(name):
            raise ValueError(f"category {number} needs an id and a name, and is {shortened(row)}")
        if name != name.strip():
            book.assume("white space around the name of a category is no part of it", repr(name))
            name = name.strip()
        if key in names:
            raise ValueError(f"category {number} has the id {key!r}, which another has: {shortened(row)}")
        names[key], parents[key] = name, row.get("supercategory")
    for key in _unused_roots(names, parents, annotations):
        what = f"category {names[key]!r} (id {key!r}) is the root of others and has no objects: it is not a class"
        book.assume(what, "")
        del names[key]
    told = {}
    for key, name in names.items():
        if name in told:
            raise ValueError(f"categories {told[name]!r} and {key!r} have the same name: {shortened(name)}")
        told[name] = key
    if not names:
        raise ValueError("its list of categories is empty")
    return names


def _unused_roots(names, parents, annotations):
    """Ids of categories without objects that have subcategories, or share their name with another."""
    above = {parent for parent in parents.values() if isinstance(parent, str)}
    counts = collections.Counter(names.values())
    roots = [k for k in names if parents[k] in _NO_PARENT and (names[k] in above or counts[names[k]] > 1)]
    if not roots:
        return []
    ids = Ids({key: key for key in names})
    used = {ids.get(row.get("category_id"))[0] for row in annotations if isinstance(row, dict)}
    return [key for key in roots if key not in used]


def add_objects(records: Mapping[Any, Any], rows: Iterable[Any], names: Mapping[Any, str], book: Any) -> None:
    """Adds the annotations to the records of their images, {id: `Record`}."""
    images, classes = Ids(records), Ids(names)
    seen, empty = {}, {}
    for number, row in enumerate(rows):
        record = None
        try:
            if not isinstance(row, dict):
                raise EntryError("it is no object")
            record = _named(images, row, "image_id", book)
            if record is None:
                raise EntryError(f"there is no image with the id {shortened(row.get('image_id'))}")
            if _repeats(seen, row, record, book):
                continue
            label = _named(classes, row, "category_id", book)
            if label is None:
                known = listed(map(repr, names), 5)
                what = f"there is no category with the id {shortened(row.get('category_id'))}. Known: {known}"
                book.report("label", f"annotation {_called(row, number)} of {record.name}: {what}", record)
                record.lost += 1
            elif not _add_object(record, row, label, book):
                which = f"annotation {_called(row, number)} ({label}) of {record.name}"
                what = f"{which}: it has neither a bbox nor an outline"
                book.report("no area", what, record)
                empty[id(record)] = record, empty.get(id(record), (record, 0))[1] + 1
        except EntryError as error:
            of = "" if record is None else f" of {record.name}"
            book.report("entry", f"annotation {_called(row, number)}{of}: {error}", record)
            if record is not None:
                record.lost += 1
    for record, count in empty.values():
        record.lost += 0 if record.labels else count  # an image without any other would be trained as background


def _named(ids, row, key, book):
    """The entry that an annotation refers to by id; None if there is none."""
    found, exact = ids.get(row.get(key))
    if found is not None and not exact:
        book.assume(f"{key} is written as number here and as text there", f"{row[key]!r}")
    return found


def _called(row, number):
    return shortened(row["id"]) if isinstance(row, dict) and is_id(row.get("id")) else f"number {number}"


def _repeats(seen, row, record, book):
    """Whether an annotation is there already; one that shares only its id is reported and stays."""
    key = plain_id(row.get("id"))
    if key is None:
        return False
    first = seen.setdefault(key, row)
    if first is row:
        return False
    same = _equal(first, row)
    book.report("duplicate id", f"annotation id {shortened(key)} occurs twice", record, "left out" if same else "kept")
    return same


def _equal(one, other):
    try:
        return one == other
    except RecursionError:
        return False


def _add_object(record, row, label, book):
    """Adds an annotation to its record; False if it has no box."""
    raw = _box(row, book, record)
    if raw is None:
        return False
    marks = {}
    for name, key in MARKS.items():
        marks[name], known = mark(row.get(key))
        if not known:
            book.assume(f"{key} is {shortened(row[key])}, taken for {int(marks[name])}", "", record)
    record.add(label, raw, _line(row), **marks)
    record.areas.append(_area(row, raw, book, record))
    return True


def _line(row):
    key = plain_id(row.get("id"))
    return key if isinstance(key, int) and abs(key) < 1 << 62 else 0


def _box(row, book, record):
    """x, y, width, height of an annotation, or of its outline if it has no bbox; None if it has neither."""
    box, raw = row.get("bbox"), None
    if box is not None and box != []:
        if not isinstance(box, list) or len(box) != 4:
            raise EntryError(f"bbox must be x, y, width, height, and is {shortened(box)}")
        raw = [finite(value, name) for value, name in zip(box, COCO_BOXES.columns, strict=True)]
        if any(raw[2:]) or not row.get("segmentation"):
            return _upright(row, raw, book, record)
    around = outlines.box_of(row.get("segmentation"))
    if around is not None:
        book.assume("an object has no bbox: its outline's is taken", f"annotation {_called(row, 0)}", record)
    return raw if around is None else around


def _upright(row, raw, book, record):
    """The box, or the upright one around it where CVAT's attribute `rotation` turns it."""
    attributes = row.get("attributes")
    told = attributes.get("rotation") if isinstance(attributes, dict) else None
    degrees = 0.0 if told is None or row.get("segmentation") else finite(told, "rotation")
    if not degrees:
        return raw
    x, y, width, height = raw
    book.assume(outlines.TURNED, f"annotation {_called(row, 0)}", record)
    left, top, right, bottom = outlines.around_turned([x, y, x + width, y + height], math.radians(degrees))
    return [left, top, right - left, bottom - top]


def _area(row, raw, book, record):
    area = row.get("area")
    of_box = min(raw[2] * raw[3], _MOST_AREA)
    if area is None:
        return of_box
    try:
        if abs(finite(area, "area")) <= _MOST_AREA:
            return finite(area, "area")
    except EntryError:
        pass
    book.assume("an area is not a number, or is huge: that of its box is used", shortened(area), record)
    return of_box
