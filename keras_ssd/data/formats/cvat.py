"""CVAT for images 1.1: one xml file with the labels and every image.

Source of the format: docs.cvat.ai, "XML annotation format".
"""

import math
import os
import re
from pathlib import Path
from typing import Any

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.cvat_writing import MARKS
from keras_ssd.data.formats.cvat_writing import write as write
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.kinds import CVAT, kind_of
from keras_ssd.data.formats.xml import XmlError, read_xml
from keras_ssd.data.outlines import TURNED, around_turned
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import tracked
from keras_ssd.data.records import CORNER_BOXES, EntryError, Record, finite, mark, size_of

NAME = CVAT
MAX_BYTES = 256 << 20
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_PARTS = ("version", "meta", "image")
_NO_OBJECTS = ("tag", "attribute")  # of the image itself
_SUBSET = re.compile(rb"""<image\b[^>]*?\ssubset=["']([^"']*)["']""")
_WITHOUT_SUBSET = ("", "default")


def find(path: str | os.PathLike[str]) -> lay.Layout | None:
    """The layout of an xml file of CVAT or of a folder with such files, or None."""
    path = Path(path)
    files = [path] if path.is_file() and path.suffix.lower() == ".xml" else []
    if path.is_dir():
        files = lay.files_ending(path, ".xml") or lay.files_ending(path / "annotations", ".xml")
    files = [file for file in files if kind_of(file) == CVAT]
    if not files:
        return None
    root = path if path.is_dir() else path.parent
    if len(files) > 1:
        return lay.Layout(NAME, root, {file.stem: (file, None) for file in files})
    subsets = _subsets(files[0])
    if set(subsets) <= set(_WITHOUT_SUBSET):
        return lay.Layout(NAME, root, {}, whole={"": (files[0], None)})
    return lay.Layout(NAME, root, {name.lower(): (files[0], name) for name in subsets})


def _subsets(file):
    """The names of the subsets of a file, in its order."""
    try:
        if file.stat().st_size > MAX_BYTES:
            return []
        return [*dict.fromkeys(hit.decode("utf-8", "replace") for hit in _SUBSET.findall(file.read_bytes()))]
    except OSError:
        return []


def read(layout: lay.Layout, part: Any, problems: list[Problem]) -> lay.Contents:
    """Reads an xml file.

    Args:
        layout: what `find` gave.
        part: (its path, name of the subset or None for all images).
        problems: list that takes `Problem`s.

    Returns:
        `Contents`.
    """
    path, subset = part
    try:
        root = read_xml(path, MAX_BYTES)
        if root.all("track"):
            raise XmlError(
                "it is of CVAT for video. In CVAT, export as CVAT for images 1.1, which has the boxes of each frame",
                root.all("track")[0].line,
            )
    except (OSError, XmlError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(path), what, lay.line_of(error), done="left out"))
        return lay.Contents([], CORNER_BOXES)
    images = [image for image in root.all("image") if subset is None or image.attributes.get("subset", "") == subset]
    reading = _Images(layout, path, subset, problems)
    for image in tracked(images, "reading annotations", layout.progress):
        reading.add(image)
    for other in root.children:
        if other.tag.lower() not in _PARTS:
            what = f"expected <image>, and found <{other.tag[:40]}>"
            problems.append(Problem("entry", str(path), what, other.line, done="left out"))
    problems += reading.assumed.problems()
    return lay.Contents([*reading.records.values()], CORNER_BOXES, _label_names(root), classes_source=str(path))


def _label_names(root):
    """The names of the labels in CVAT's order, None where the file does not say; parts of skeletons are none."""
    for kind in ("task", "project", "job"):
        labels = root.find(f"meta/{kind}/labels")
        names = [label.get("name") for label in labels.all("label") if not label.get("parent")] if labels else []
        if any(names):
            return lay.unique_names(tuple(filter(None, names)), "its list of labels")
    return None


class _Images:
    """Makes records of the images of a file."""

    def __init__(self, layout, path, subset, problems) -> None:
        named = [layout.images] if layout.images else []
        own = [path.parent / folder / subset for folder in ("images", ".")] if subset else []
        inside = [path.parent / name for name in lay.IMAGE_FOLDERS]
        self.finder = ImageFinder([*named, *own, *inside, path.parent, layout.root], own, below=named or [path.parent])
        self.root, self.path, self.problems = layout.root, path, problems
        self.assumed, self.records = lay.Assumed(), {}

    def add(self, image):
        """Takes an <image> and its objects."""
        told, line = image.attributes, image.line
        file = told.get("name", "").strip()
        if not file:
            what = f"image {told.get('id', '')} has no name"
            self.problems.append(Problem("entry", str(self.path), what, line, done="left out"))
            return
        found, name = self.finder.find(file), lay.stem(file)
        if found.path is not None and (not found.exact or lay.leaves(file)):
            name = lay.stem(lay.below(found.path, self.root))
        self.finder.tell(found, file, name, (self.path, line), (self.problems, self.assumed))
        if found.path is None:
            return
        if found.path in self.records:
            what = f"image {file} is {found.path}, and so is another one"
            self.problems.append(Problem("duplicate id", str(self.path), what, line, name, "left out"))
            return
        size_hw = size_of(told.get("height"), told.get("width"))
        record = self.records[found.path] = Record(name, found.path, str(self.path), size_hw)
        for number, element in enumerate(child for child in image.children if child.tag not in _NO_OBJECTS):
            try:
                self._add_object(record, element)
            except EntryError as error:
                what = f"object {number}: {error}"
                self.problems.append(Problem("entry", str(self.path), what, element.line, name, "left out"))
                record.lost += 1

    def _add_object(self, record, element):
        label = element.attributes.get("label", "").strip()
        if not label:
            raise EntryError("it has no label")
        if element.tag not in _SHAPES:
            what = f"its shape is {element.tag[:40]}, which marks no box"
            raise EntryError(f"{what}: draw a rectangle around the object, or remove it")
        box = _SHAPES[element.tag](element)
        degrees = finite(element.attributes.get("rotation", 0), "rotation")
        if degrees and element.tag == "box":
            box = around_turned(box, math.radians(degrees))
            self.assumed.add(TURNED, self.path, element.line, record.name)
        elif element.tag != "box":
            what = "an object is no rectangle: the box around it is taken"
            self.assumed.add(what, self.path, element.line, record.name, element.tag)
        marks = {}
        for child in element.all("attribute"):
            name = child.attributes.get("name", "").lower()
            if name in MARKS:
                marks[name] = mark(child.text)[0]
        record.add(label, box, element.line, **marks)


def _number(element, name):
    return finite(element.attributes.get(name), name)


def _box(element):
    return [_number(element, side) for side in _CORNERS]


def _outline(element):
    pairs = [point.split(",") for point in element.attributes.get("points", "").split(";")]
    if len(pairs) < 2 or any(len(pair) != 2 for pair in pairs):
        raise EntryError(f"points of a {element.tag} must be x,y;x,y ...")
    xs, ys = ([finite(pair[axis], "a point") for pair in pairs] for axis in (0, 1))
    return [min(xs), min(ys), max(xs), max(ys)]


def _ellipse(element):
    cx, cy, rx, ry = (_number(element, name) for name in ("cx", "cy", "rx", "ry"))
    angle = math.radians(finite(element.attributes.get("rotation", 0), "rotation"))
    across = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
    down = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
    return [cx - across, cy - down, cx + across, cy + down]


def _mask(element):
    left, top, width, height = (_number(element, name) for name in ("left", "top", "width", "height"))
    return [left, top, left + width, top + height]


def _cuboid(element):
    corners = [side + end + face for side in "tb" for end in "lr" for face in "12"]
    xs, ys = ([_number(element, axis + corner) for corner in corners] for axis in "xy")
    return [min(xs), min(ys), max(xs), max(ys)]


_SHAPES = {
    "box": _box,
    "polygon": _outline,
    "polyline": _outline,
    "ellipse": _ellipse,
    "mask": _mask,
    "cuboid": _cuboid,
}
