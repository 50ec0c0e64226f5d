"""CSV: a header, then a line per object; the header names the columns.

Known headers are those of ssd_keras, TensorFlow's detection tutorials, VoTT, Open Images, the VGG Image Annotator,
Kaggle's contests, and `write`. Without a header, the files of keras-retinanet, makesense.ai and Google's AutoML are
read, and the lines of keras-yolo3. A line with an empty box is an image without objects.
"""

import collections
import csv
import dataclasses
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats import via
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.table_classes import name_machine_ids, name_numbers
from keras_ssd.data.formats.table_columns import EXAMPLE, HEADLESS, MARKS, YOLO3, columns_of
from keras_ssd.data.formats.table_rows import is_table, is_yolo3, rows_of
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import CORNER_BOXES, EntryError, Record, finite, mark, size_of
from keras_ssd.images import has_image_ending
from keras_ssd.names import fold

NAME = "csv"
SSD_KERAS_COLUMNS = ("image_name", "xmin", "xmax", "ymin", "ymax", "class_id")
WRITTEN = (*EXAMPLE.split(","), *MARKS)
_ENDINGS = (".csv", ".tsv")
_NOTHING = (
    "nofinding",
    "noobject",
    "none",
    "nothing",
    "negative",
    "empty",
    "background",
)  # classes of lines without box
_SPLITS = {"training": "train", "validate": "validation", "": "unassigned"}


@checked_arguments
@dataclasses.dataclass(frozen=True)
class CsvLayout:
    """The columns of a CSV file whose header does not name them.

    Args:
        columns: names of the columns of a file without header; `read` must know the meaning of each.
        first_label: number of the first class, if classes are numbers: 1 in the files of ssd_keras, in which 0 is the
            background, and 0 in others. None means 1.

    Example:
        >>> keras_ssd.data.read("boxes.csv", csv=CsvLayout(("image", "x1", "y1", "x2", "y2", "class")))
    """

    columns: tuple[str, ...] | None = None
    first_label: int | None = None


def find(path: str | os.PathLike[str]) -> lay.Layout | None:
    """The layout of a CSV file or of a folder with such files, or None."""
    path = Path(path)
    if path.is_file() and (path.suffix.lower() in _ENDINGS or is_yolo3(path)):
        return _layout(path.parent, [path])
    if not path.is_dir():
        return None
    for folders in ((path,), lay.subfolders(path)):
        files = [file for folder in folders for file in lay.files_ending(folder, *_ENDINGS)]
        files += [file for folder in folders for file in lay.files_ending(folder, ".txt") if is_yolo3(file)]
        if files:
            tables = [file for file in files if is_table(file)] or [file for file in files if is_table(file, True)]
            what = "its first line names no image, box and class: it was not taken for annotation"
            notes = [Problem("unused", str(file), what) for file in files if tables and file not in tables]
            return _layout(path, tables or files, tuple(notes))
    return None


def _layout(root, files, notes=()):
    """Splits are the values of a column that names them, or the files."""
    splits = {name: (file, "") for name, file in _splits(files, root).items()}
    if len(files) == 1:
        values = _values(files[0])
        if values:
            parts = {value: (files[0], value) for value in values}
            return lay.Layout(NAME, root, parts, whole={"": (files[0], "")}, notes=notes)
    return lay.Layout(NAME, root, splits, notes=notes)


def _values(path):
    """The splits in a column of a file, in order; none if the column is missing or empty."""
    try:
        if not is_table(path, True):
            return ()
        rows = rows_of(path)
        columns = _columns(path, rows, None, True)
    except (OSError, ValueError):  # reported when it is read
        return ()
    place = columns.places.get("split")
    if place is None:
        return ()
    values = dict.fromkeys(_split_of(cells, place) for _, cells in rows[not columns.headless :])
    return () if [*values] == ["unassigned"] else tuple(values)


def _split_of(cells, place):
    value = cells[place].strip().lower() if place < len(cells) else ""
    return _SPLITS.get(value, value)


def _columns(path, rows, given, one_class):
    first = rows[0][1] if rows else ()
    if path.suffix.lower() == ".txt":
        return dataclasses.replace(columns_of(YOLO3, path), headless="keras-yolo3")
    return columns_of(first, path, given, one_class)


def _splits(files, root):
    """Names of splits: of the files, or of their folders where all are called alike, as Roboflow's."""
    for names in ([file.stem for file in files], [file.parent.name for file in files]):
        if len(set(names)) == len(names):
            return dict(zip(names, files, strict=True))
    return {lay.stem(lay.below(file, root)): file for file in files}


def read(layout: lay.Layout, part: tuple[Path, str], problems: list[Problem]) -> lay.Contents:
    """Reads a CSV file.

    Args:
        layout: of `find`; its options are a `CsvLayout`.
        part: (path of the file, the split to read; "" for all).
        problems: list that takes `Problem`s.

    Raises:
        ValueError: the file has no header, or its header does not name image, box and class.
    """
    options = layout.options or CsvLayout()
    path, split = part
    try:
        rows = rows_of(path)
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(path), what, lay.line_of(error), done="left out"))
        return lay.Contents([], CORNER_BOXES)
    only = layout.classes[0] if layout.classes and len(layout.classes) == 1 else None
    columns = _columns(path, rows, options.columns, only is not None)
    table = _Table(layout, path, columns, problems, only)
    if columns.headless in HEADLESS:
        names = ",".join(name or "..." for name in HEADLESS[columns.headless])
        table.assumed.add(f"it has no header: taken for {names}, as {columns.headless} writes it", path, 1)
    elif not (options.columns or columns.headless):
        rows.pop(0)
    if "box" in columns.places:
        table.assumed.add(
            "its boxes are taken for x, y, width, height; a column named bbox_xyxy holds corners", path, 1
        )
    for line, cells in rows:
        if not split or _split_of(cells, columns.places["split"]) == split:
            table.add(line, cells)
    classes = layout.classes or lay.listed_classes(path.parent) or lay.listed_classes(layout.root)
    if "number" in columns.places and "label" not in columns.places:
        first = 0 if columns.headless and options.first_label is None else options.first_label
        name_numbers(table, classes, first, problems)
    boxes = columns.boxes
    if table.in_fractions():
        boxes = dataclasses.replace(boxes, fractions=True)
        table.assumed.add("its boxes are taken for fractions of their images", path)
    name_machine_ids(table, (path.parent, layout.root, layout.root / "metadata", path.parent / "metadata"))
    problems += table.assumed.problems()
    return lay.Contents(list(table.records.values()), boxes, classes, classes_source=str(path.parent / "classes.txt"))


class _Table:
    """Gathers the lines of a file into records, one an image."""

    def __init__(self, layout, path, columns, problems, only=None) -> None:
        named = [layout.images] if layout.images else []
        bases = (path.parent, layout.root)
        inside = [base / name for base in bases for name in (*lay.IMAGE_FOLDERS, path.stem)]
        own = () if path.parent == layout.root else (path.parent,)
        self.images = ImageFinder([*named, *bases, *inside], own, below=[*named, *bases])
        self.path, self.columns, self.problems, self.only = path, columns, problems, only
        self.records, self.files = {}, {}  # by path of the image; path by what the file calls it, None if missing
        self.assumed = lay.Assumed()
        self.inside = collections.Counter()  # of boxes by whether they may be fractions

    def add(self, line, cells):
        """Takes one line."""
        record = None
        places, width = self.columns.places, self.columns.width
        padded = [*cells, *[""] * (max(places.values()) + 1 - len(cells))]
        cell = {meaning: padded[place].strip() for meaning, place in places.items()}
        try:
            record = self._record(cell, line)
            if len(cells) < len(padded):
                raise EntryError(f"it has {len(cells)} cells, and the header has more")
            if width is not None and any(each.strip() for each in cells[width:]):
                raise EntryError(f"it has {len(cells)} cells, and the header has {width}. Is a comma within a text?")
            if record is not None:
                self._add_object(record, cell, line)
        except EntryError as error:
            name = record.name if record else ""
            self.problems.append(Problem("entry", str(self.path), str(error), line, name, "left out"))
            if record is not None:
                record.lost += 1

    def _add_object(self, record, cell, line):
        sides = self.columns.sides
        told = cell.get("label", cell.get("number"))
        if sides:
            numbers = self.columns.numbers(cell)
            if not any(numbers.values()):
                self._add_nothing(told, line)
                return
            raw = [finite(text, side) for side, text in numbers.items()]
        else:
            shape = via.cell_of(cell["shape"], "region_shape_attributes")
            if not shape:  # an image without regions
                return
            raw = via.corners_of(shape)
            told = self._via_label(cell, line)
        label = told or self.only
        if not label:
            raise EntryError("it has no class. If all objects are of one, pass classes=['its name']")
        marks = {name: self._mark(cell.get(name), name, line) for name in MARKS}
        record.add(label, raw, line, **marks)
        self.inside[bool(sides) and max(raw) <= 1.5 and min(raw) >= -0.5] += 1

    def _add_nothing(self, label, line):
        """A line without a box: an image without objects, unless it names a class."""
        if label and fold(label) not in _NOTHING:
            raise EntryError("it has a class and no box")
        if label:
            self.assumed.add(f"{label!r} without a box is taken for an image without objects", self.path, line)

    def _via_label(self, cell, line):
        label, key = via.label_of(via.cell_of(cell["attributes"], "region_attributes"))
        if label is None:
            return None
        self.assumed.add(f"the region attribute {key!r} is taken for the class", self.path, line)
        return label

    def _mark(self, value, name, line):
        on, known = mark(value)
        if not known:
            self.assumed.add(f"{name} is {value[:40]!r}, taken for {int(on)}", self.path, line)
        return on

    def in_fractions(self):
        """Whether corners are fractions: all but the few that a mistake puts outside."""
        return self.inside[True] > 0 and self.inside[True] >= 9 * self.inside[False]

    def _record(self, cell, line):
        file = cell["image"]
        if not file:
            raise EntryError("it names no image")
        if file not in self.files:
            told = self.problems, self.assumed
            self.files[file] = self.images.path_of(file, lay.stem(file), (self.path, line), told)
        found = self.files[file]
        if found is not None and found not in self.records:
            size_hw = size_of(cell.get("height"), cell.get("width"))
            self.records[found] = Record(self._name(file, found), found, str(self.path), size_hw)
        return self.records.get(found)

    def _name(self, file, found):
        """The image's name in the file; if that is a path of another machine, the path that was found."""
        usable = not lay.leaves(file) and "\\" not in file and "%" not in file
        plain = file if usable else lay.below(found, self.path.parent)
        parts = (lay.stem(plain) if has_image_ending(plain) else plain).split("/")
        parts = [part for part in parts if part not in ("", ".")]
        return "/".join(parts[1:] if len(parts) > 1 and parts[0] in lay.IMAGE_FOLDERS else parts)


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes images/, classes.txt and SPLIT.csv; annotations.csv if there is one split without a name.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(WRITTEN)
        for annotation in data:
            image = target.place(annotation, f"images/{target.safe_name(annotation)}")
            start = [image, *annotation.size_hw[::-1]]
            for row, box in enumerate(annotation.boxes_xyxy):
                marks = [int(getattr(annotation, mark)[row]) for mark in WRITTEN[-3:]]
                rows.writerow([*start, *map(str, box), data.classes[annotation.class_ids[row]], *marks])
            if not len(annotation):
                rows.writerow([*start, *[""] * 8])
        target.text(f"{split or 'annotations'}.csv", text.getvalue())
        target.text("classes.txt", "".join(f"{name}\n" for name in data.classes))
