"""CSV: a header, then a line an object; the header says what the columns mean.

Known headers are those of ssd_keras, of TensorFlow's detection tutorials, of VoTT, of Open Images, of the VGG Image
Annotator, and what `write` writes; a file without header is taken for keras-retinanet's if it looks like one. A line
whose box is empty is an image without objects.
"""

import collections
import csv
import dataclasses
import io
from pathlib import Path

from keras_ssd.calling import checked_arguments
from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats import via
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.table_classes import name_machine_ids, name_numbers
from keras_ssd.data.formats.table_columns import CORNERS, EXAMPLE, MARKS, RETINANET, columns_of
from keras_ssd.data.formats.table_rows import is_table, rows_of
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import COCO_BOXES, CORNER_BOXES, CORNER_FRACTIONS, EntryError, Record, finite, mark, size_of
from keras_ssd.images import has_image_ending

NAME = "csv"
SSD_KERAS_COLUMNS = ("image_name", "xmin", "xmax", "ymin", "ymax", "class_id")
WRITTEN = (*EXAMPLE.split(","), *MARKS)
_ENDINGS = (".csv", ".tsv")


@checked_arguments
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
    if path.suffix.lower() in _ENDINGS and path.is_file():
        return lay.Layout(NAME, path.parent, {path.stem: path})
    if not path.is_dir():
        return None
    for folders in ((path,), lay.subfolders(path)):
        files = [file for folder in folders for file in lay.files_ending(folder, *_ENDINGS)]
        if files:
            tables = [file for file in files if is_table(file)]
            what = "its first line names no image, box and class: it was not taken for annotation"
            notes = [Problem("unused", str(file), what) for file in files if tables and file not in tables]
            return lay.Layout(NAME, path, _splits(tables or files, path), notes=tuple(notes))
    return None


def _splits(files, root):
    """Names of splits: of the files, or of their folders where all are called alike, as Roboflow's."""
    for names in ([file.stem for file in files], [file.parent.name for file in files]):
        if len(set(names)) == len(names):
            return dict(zip(names, files, strict=True))
    return {lay.stem(lay.below(file, root)): file for file in files}


def read(layout, part, problems):
    """Reads a CSV file.

    Args:
        layout: what `find` gave; its options are a `CsvLayout`.
        part: path of the file.
        problems: list that takes `Problem`s.

    Returns:
        `Contents`.

    Raises:
        ValueError: the file has no header, or one that does not say where image, box and class are.
    """
    options = layout.options or CsvLayout()
    try:
        rows = rows_of(part)
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(part), what, lay.line_of(error), done="left out"))
        return lay.Contents([], CORNER_BOXES)
    columns = columns_of(rows[0][1] if rows else (), part, options.columns)
    table = _Table(layout, part, columns, problems)
    if columns.headless:
        table.assumed.add(f"it has no header: taken for {','.join(RETINANET)}", part, 1)
    elif not options.columns:
        rows.pop(0)
    for line, cells in rows:
        table.add(line, cells)
    classes = layout.classes or lay.listed_classes(part.parent) or lay.listed_classes(layout.root)
    if "number" in columns.places and "label" not in columns.places:
        name_numbers(table, classes, options.first_label, problems)
    boxes = COCO_BOXES if "x" in columns.places else CORNER_FRACTIONS if table.in_fractions() else CORNER_BOXES
    if boxes is CORNER_FRACTIONS:
        table.assumed.add("its boxes are taken for fractions of their images", part)
    name_machine_ids(table, (part.parent, layout.root, layout.root / "metadata", part.parent / "metadata"))
    problems += table.assumed.problems()
    return lay.Contents(list(table.records.values()), boxes, classes, classes_source=str(part.parent / "classes.txt"))


class _Table:
    """Gathers the lines of a file into records, one an image."""

    def __init__(self, layout, path, columns, problems):
        named = [layout.images] if layout.images else []
        bases = (path.parent, layout.root)
        inside = [base / name for base in bases for name in (*lay.IMAGE_FOLDERS, path.stem)]
        own = () if path.parent == layout.root else (path.parent,)
        self.images = ImageFinder([*named, *bases, *inside], own, below=[*named, *bases])
        self.path, self.columns, self.problems = path, columns, problems
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
        if sides and not any(cell[side] for side in sides):
            if cell.get("label", cell.get("number")):
                raise EntryError("it has a class and no box")
            return
        shape = {} if sides else via.cell_of(cell["shape"], "region_shape_attributes")
        if not sides and not shape:  # an image without regions
            return
        raw = [finite(cell[side], side) for side in sides] if sides else via.corners_of(shape)
        label = cell.get("label", cell.get("number")) if sides else self._via_label(cell, line)
        if not label:
            raise EntryError("it has no class")
        marks = {name: self._mark(cell.get(name), name, line) for name in MARKS}
        record.add(label, raw, line, **marks)
        self.inside[sides == CORNERS and max(raw) <= 1.5 and min(raw) >= -0.5] += 1

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
        """The image's name: as the file has it, or, where that is a path of another machine, its path beside it."""
        usable = not lay.leaves(file) and "\\" not in file and "%" not in file
        plain = file if usable else lay.below(found, self.path.parent)
        parts = (lay.stem(plain) if has_image_ending(plain) else plain).split("/")
        parts = [part for part in parts if part not in ("", ".")]
        return "/".join(parts[1:] if len(parts) > 1 and parts[0] in lay.IMAGE_FOLDERS else parts)


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
            image = target.place(annotation, f"images/{target.safe_name(annotation)}")
            start = [image, *annotation.size_hw[::-1]]
            for row, box in enumerate(annotation.boxes_xyxy):
                marks = [int(getattr(annotation, mark)[row]) for mark in WRITTEN[-3:]]
                rows.writerow([*start, *map(str, box), data.classes[annotation.class_ids[row]], *marks])
            if not len(annotation):
                rows.writerow([*start, *[""] * 8])
        target.text(f"{split or 'annotations'}.csv", text.getvalue())
        target.text("classes.txt", "".join(f"{name}\n" for name in data.classes))
