"""CSV: a header, then a line an object; the header says what the columns mean.

Known headers are those of ssd_keras, of TensorFlow's detection tutorials, of Open Images, and what `write` writes. A
line whose box is empty is a picture without objects.
"""

import csv
import dataclasses
import io
import os
from pathlib import Path

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import COCO_BOXES, CORNER_BOXES, CORNER_FRACTIONS, EntryError, Record, finite, flag, size_of
from keras_ssd.pictures import has_image_ending

NAME = "csv"
SSD_KERAS_COLUMNS = ("image_name", "xmin", "xmax", "ymin", "ymax", "class_id")
WRITTEN = ("image", "width", "height", "xmin", "ymin", "xmax", "ymax", "class", "difficult", "truncated", "crowd")
MAX_BYTES = 1 << 30

# What columns are called, in lower case and without spaces and underscores.
_MEANINGS = {
    "picture": ("image", "imagename", "filename", "frame", "picture", "path", "imagepath", "imageid", "img", "file"),
    "label": ("class", "classname", "label", "labelname", "name", "category"),
    "number": ("classid", "labelid", "categoryid"),
    "xmin": ("xmin", "x1", "left"),
    "ymin": ("ymin", "y1", "top"),
    "xmax": ("xmax", "x2", "right"),
    "ymax": ("ymax", "y2", "bottom"),
    "x": ("x",),
    "y": ("y",),
    "w": ("w", "boxwidth", "bboxwidth"),
    "h": ("h", "boxheight", "bboxheight"),
    "width": ("width", "imagewidth"),
    "height": ("height", "imageheight"),
    "difficult": ("difficult", "isdifficult"),
    "truncated": ("truncated", "istruncated"),
    "crowd": ("crowd", "iscrowd", "isgroupof"),
}


@dataclasses.dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is to be understood where its header does not tell.

    Args:
        columns: names of the columns of a file without header; each must have a meaning that `read` knows.
        first_label: number of the first class, where classes are numbers: 1 in the files of ssd_keras, in which 0 is
            the background, and 0 in others. None stands for 1.

    Example:
        >>> keras_ssd.data.read("boxes.csv", csv=CsvLayout(("image", "x1", "y1", "x2", "y2", "class")))
    """

    columns: tuple[str, ...] | None = None
    first_label: int | None = None


def find(path):
    """The layout of a CSV file or of a folder with such files, or None."""
    path = Path(path)
    if path.suffix.lower() in (".csv", ".tsv") and path.is_file():
        return lay.Layout(NAME, path.parent, {path.stem: path})
    if not path.is_dir():
        return None
    for folders in ((path,), lay.subfolders(path)):
        found = [file for folder in folders for file in lay.files_ending(folder, ".csv")]
        if found:
            stems = [file.stem for file in found]
            names = stems if len(set(stems)) == len(stems) else [lay.stem(lay.below(file, path)) for file in found]
            return lay.Layout(NAME, path, dict(zip(names, found, strict=True)))
    return None


def read(layout, part, problems):
    """Reads a CSV file.

    Args:
        layout: what `find` gave; its options are a `CsvLayout`.
        part: path of the file.
        problems: list that takes `Problem`s.

    Returns:
        `Contents`.

    Raises:
        ValueError: the file has no header, or one that does not say where picture, box and class are.
    """
    options = layout.options or CsvLayout()
    try:
        rows = _rows(part)
    except (OSError, ValueError) as error:
        problems.append(Problem("file", str(part), f"it cannot be read: {lay.reason(error)}", done="left out"))
        return lay.Contents([], CORNER_BOXES)
    header = options.columns or (rows.pop(0)[1] if rows else ())
    columns = _columns(header, part, given=options.columns is not None)
    table = _Table(layout, part, columns, problems)
    for line, cells in rows:
        table.add(line, cells)
    classes = layout.classes or lay.listed_classes(part.parent) or lay.listed_classes(layout.root)
    if "label" not in columns:
        classes = _name_numbers(table, classes, options.first_label, problems)
    boxes = COCO_BOXES if "x" in columns else CORNER_FRACTIONS if table.fractions else CORNER_BOXES
    return lay.Contents(list(table.records.values()), boxes, classes, classes_source=str(part.parent / "classes.txt"))


def _rows(path):
    """(line, cells) of each line that is not empty."""
    if os.path.getsize(path) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 30} GiB")
    with open(path, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no UTF-8 text ({error.reason} at byte {error.start})") from None
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None


def _columns(header, path, given):
    """Dictionary from a meaning to the place of its column."""
    plain = [name.strip().lower().replace(" ", "").replace("_", "") for name in header]
    columns = {}
    for meaning, names in _MEANINGS.items():
        places = [place for place, name in enumerate(plain) if name in names]
        if places:
            columns[meaning] = min(places, key=lambda place: names.index(plain[place]))
    if not {"xmin", "ymin", "xmax", "ymax"} <= columns.keys() and {"x", "y"} <= columns.keys():
        for short, long in (("w", "width"), ("h", "height")):  # x, y, width, height are a box
            if short not in columns and long in columns:
                columns[short] = columns.pop(long)
    corners = [name for name in ("xmin", "ymin", "xmax", "ymax") if name not in columns]
    sizes = [name for name in ("x", "y", "w", "h") if name not in columns]
    lost = [] if "picture" in columns else ["the picture (image)"]
    lost += [f"the box ({', '.join(corners)})"] if corners and sizes else []
    lost += [] if {"label", "number"} & columns.keys() else ["the class (class or class_id)"]
    if lost:
        what = "the columns given do" if given else "its first line does"
        advice = "" if given else " Pass csv=CsvLayout(columns=(...)) for a file without header."
        raise ValueError(
            f"{path}: {what} not say where to find {' and '.join(lost)}. "
            f"Expected a header such as {','.join(WRITTEN[:8])}. Received: {','.join(header)[:200]!r}.{advice}"
        )
    for name in ("x", "y", "w", "h") if not corners else ("xmin", "ymin", "xmax", "ymax"):
        columns.pop(name, None)
    return columns


class _Table:
    """Gathers the lines of a file into records, one a picture."""

    def __init__(self, layout, path, columns, problems):
        named = [layout.pictures] if layout.pictures else []
        bases = (path.parent, layout.root)
        inside = [base / name for base in bases for name in (*lay.PICTURE_FOLDERS, path.stem)]
        self.pictures = lay.PictureIndex([*named, *bases, *inside])
        self.path, self.columns, self.problems = path, columns, problems
        self.records, self.missing = {}, set()
        self.fractions = "xmin" in columns  # until a number above 1 is seen

    def add(self, line, cells):
        """Takes one line."""
        try:
            if len(cells) <= max(self.columns.values()):
                raise EntryError(f"it has {len(cells)} cells, and the header has more")
            cell = {meaning: cells[place].strip() for meaning, place in self.columns.items()}
            record = self._record(cell, line)
            sides = [name for name in ("xmin", "ymin", "xmax", "ymax", "x", "y", "w", "h") if name in cell]
            if record is None or not any(cell[side] for side in sides):
                return
            raw = [finite(cell[side], side) for side in sides]
            label = cell.get("label", cell.get("number"))
            if not label:
                raise EntryError("it has no class")
            marks = {name: flag(cell.get(name), name) for name in ("difficult", "truncated", "crowd")}
            record.add(label, raw, line, **marks)
            self.fractions &= max(raw) <= 1 and min(raw) >= 0
        except EntryError as error:
            self.problems.append(Problem("entry", str(self.path), str(error), line, done="left out"))

    def _record(self, cell, line):
        file = cell["picture"]
        if not file:
            raise EntryError("it names no picture")
        if file not in self.records and file not in self.missing:
            found = self._find(file)
            if found is None:
                self.missing.add(file)
                self.problems.append(lay.missing_picture(lay.stem(file), self.path, file, line))
                return None
            size_hw = size_of(cell.get("height"), cell.get("width"))
            self.records[file] = Record(self._name(file), found, str(self.path), size_hw)
        return self.records.get(file)

    def _find(self, file):
        if not has_image_ending(file):
            return self.pictures.by_stem(file)
        return self.pictures.by_path(file) or self.pictures.by_path(os.path.basename(file.replace("\\", "/")))

    def _name(self, file):
        plain = lay.below(file, self.path.parent) if os.path.isabs(file) else file.replace("\\", "/")
        known = has_image_ending(plain)
        parts = (lay.stem(plain) if known else plain).split("/")
        parts = [part for part in parts if part not in ("", ".", "..")]
        return "/".join(parts[1:] if len(parts) > 1 and parts[0] in lay.PICTURE_FOLDERS else parts)


def _name_numbers(table, classes, first_label, problems):
    """Turns the class numbers of all records into names; the names themselves, or None without a list of them."""
    first = 1 if first_label is None else first_label
    for record in table.records.values():
        names = [_class_of(label, first, classes) for label in record.labels]
        for row in reversed(range(len(names))):
            if isinstance(names[row], EntryError):
                what = Problem("label", record.source, str(names[row]), record.lines[row], record.name, "left out")
                problems.append(what)
                for column in (
                    record.labels,
                    record.raw,
                    record.lines,
                    record.difficult,
                    record.truncated,
                    record.crowd,
                ):
                    del column[row]
                del names[row]
        record.labels[:] = names
    return classes


def _class_of(label, first, classes):
    """The name of a class number, or the `EntryError` that says why it has none."""
    try:
        number = finite(label, "the class number")
    except EntryError as error:
        return error
    if number != int(number) or number < first:
        background = ": 0 is the background. Pass csv=CsvLayout(first_label=0) if it is a class" if number == 0 else ""
        return EntryError(f"class number {label} must be a whole number from {first} on{background}")
    if classes is None:
        return str(int(number))
    place = int(number) - first
    if place >= len(classes):
        return EntryError(f"class number {label} is beyond the {len(classes)} classes, which count from {first}")
    return classes[place]


def write(splits, target):
    """Writes images/, classes.txt and SPLIT.csv, or annotations.csv where there is one nameless split.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        text = io.StringIO(newline="")
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(WRITTEN)
        for annotation in data:
            picture = target.place(annotation, f"images/{target.safe_name(annotation)}")
            start = [picture, *annotation.size_hw[::-1]]
            for row, box in enumerate(annotation.boxes_xyxy):
                marks = [int(getattr(annotation, mark)[row]) for mark in WRITTEN[-3:]]
                rows.writerow([*start, *map(str, box), data.classes[annotation.class_ids[row]], *marks])
            if not len(annotation):
                rows.writerow([*start, *[""] * 8])
        target.text(f"{split or 'annotations'}.csv", text.getvalue())
        target.text("classes.txt", "".join(f"{name}\n" for name in data.classes))
