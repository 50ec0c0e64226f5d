"""PASCAL VOC: an xml file per image, with pixels counted from 1.

Three layouts are read: VOCdevkit/VOC2007 (Annotations, JPEGImages, ImageSets/Main), xml files beside the images, and
one folder of these per split. Source of the format: the VOC2007 development kit's documentation.
"""

import math
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.kinds import kind_of
from keras_ssd.data.formats.xml import XmlError, escaped, read_xml
from keras_ssd.data.outlines import TURNED, around_turned
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import tracked
from keras_ssd.data.records import VOC_BOXES, EntryError, Record, finite, mark, size_of
from keras_ssd.images import has_image_ending
from keras_ssd.text_files import beginning, read_text

NAME = "voc"
_FOLDERS = ("Annotations", "annotations", "xmls", "labels")
_CLASS_LIST = re.compile(r"\S+\s+(-1|0|1)\s*$")  # "000012 -1" in lists such as aeroplane_train.txt


def find(path: str | os.PathLike[str]) -> lay.Layout | None:
    """The layout of a folder with VOC's xml files, or None."""
    path = Path(path)
    if not path.is_dir():
        return None
    folder = _annotation_folder(path)
    if folder is None:
        folders, notes = lay.split_folders(path)
        found = {name: (_annotation_folder(part), None) for name, (part,) in folders.items()}
        parts = {name: part for name, part in found.items() if part[0]}
        return lay.Layout(NAME, path, parts, notes=notes) if parts else None
    lists = lay.files_ending(path / "ImageSets" / "Main", ".txt") or lay.files_ending(path / "ImageSets", ".txt")
    splits = {text.stem: (folder, text) for text in lists if not _is_class_list(text)}
    return lay.Layout(NAME, path, splits, whole={"": (folder, None)})


def _check_lists(layout, there, problems):
    """Reports what the lists of images name and the folder of xml files does not hold.

    A list without any xml file may be that of a test set whose annotations were never published: it is one note.
    """
    for split, (folder, listed) in layout.splits.items():
        own = []
        known = listed is None or _listed_names(folder, listed, own, there)
        missing = [problem for problem in own if problem.image]
        if missing and not known:
            what = f"none of the {len(missing)} images of the split {split!r} has an xml file"
            own = [Problem("absent split", str(listed), what)]
        problems += own


def _annotation_folder(path):
    for folder in (*(path / name for name in _FOLDERS), path):
        files = _all_names(folder) if folder.is_dir() else {}
        if files and not all(kind_of(file) for file in files.values()):
            return folder
    return None


def _is_class_list(path):
    with open(path, "rb") as file:
        return bool(_CLASS_LIST.match(beginning(file.read(4096)).partition("\n")[0]))


def read(layout: lay.Layout, part: Any, problems: list[Problem]) -> lay.Contents:
    """Reads the xml files of a part.

    Args:
        layout: what `find` gave.
        part: (folder of the xml files, list file or None).
        problems: list that takes `Problem`s.
    """
    folder, listed = part
    beside = [folder.parent / name for name in lay.IMAGE_FOLDERS]
    named = [layout.images] if layout.images else []
    inside = [*(folder / name for name in lay.IMAGE_FOLDERS), folder.parent]
    own = () if folder.parent == layout.root else (folder.parent,)
    images = ImageFinder([*named, *beside, folder, *inside], own, below=[*named, folder.parent, folder])
    there = _all_names(folder)
    paths = there if listed is None else _listed_names(folder, listed, problems, there)
    if listed is None:
        _check_lists(layout, there, problems)
    names = tracked([*paths], "reading annotations", layout.progress)
    files = _Files(images, problems)
    records = [record for name in names if (record := files.record(name, paths[name]))]
    problems += files.assumed.problems()
    for base in () if layout.classes else (layout.root, folder, folder.parent):
        classes = lay.listed_classes(base)
        if classes:
            return lay.Contents(records, VOC_BOXES, classes, classes_source=str(base))
    return lay.Contents(records, VOC_BOXES)


def _all_names(folder):
    """Dictionary from a name to its xml file."""
    deep = folder.name in _FOLDERS
    files = lay.files_below(folder, _is_xml) if deep else map(str, lay.files_ending(folder, ".xml"))
    return dict(sorted((lay.stem(lay.below(path, folder)), path) for path in files))


def _is_xml(name):
    return name.lower().endswith(".xml")


def _listed_names(folder, listed, problems, there):
    """The part of `there`, which `_all_names` gave, that a list names, in its order."""
    names = {}
    try:
        lines = read_text(listed).splitlines()
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(listed), what, lay.line_of(error), done="left out"))
        return names
    for line, text in enumerate(lines, 1):
        name = text.strip().replace("\\", "/")
        name = name if name in there or not has_image_ending(name) else lay.stem(name)
        if not name:
            continue
        if name in there:
            names[name] = there[name]
        elif not lay.leaves(name) and (folder / f"{name}.xml").is_file():
            names[name] = str(folder / f"{name}.xml")
        else:
            what = f"there is no annotation {folder / name}.xml"
            problems.append(Problem("file", str(listed), what, line, name, "left out"))
    return names


class _Files:
    """Reads xml files, and keeps what it takes for granted."""

    def __init__(self, images, problems) -> None:
        self.images, self.problems = images, problems
        self.assumed = lay.Assumed()

    def record(self, name, path):
        """The `Record` of a file, or None."""
        try:
            root = read_xml(path)
            if root.tag.lower() != "annotation":
                raise XmlError(f"expected <annotation>, and found <{root.tag[:40]}>", root.line)
        except (OSError, XmlError) as error:
            what = f"it cannot be read: {lay.reason(error)}"
            self.problems.append(Problem("file", path, what, lay.line_of(error), name, "left out"))
            return None
        image = self._image(name, path, root)
        if image is None:
            return None
        record = Record(name, image, path, size_of(root.get("size/height"), root.get("size/width")))
        for number, element in enumerate(root.all("object")):
            try:
                self._add_object(record, element)
            except EntryError as error:
                what = f"object {number}: {error}"
                self.problems.append(Problem("entry", path, what, element.line, name, "left out"))
                record.lost += 1
        return record

    def _image(self, name, path, root):
        """The image with the file's own name, or with the name in the file; of several, the one that both match."""
        told = [text for tag in ("filename", "path") if (text := root.get(tag))]
        found = self.images.by_stem(name)
        last = {os.path.basename(text.replace("\\", "/")).casefold() for text in told}
        both = [each for each in found.candidates if os.path.basename(each).casefold() in last]
        if len(both) == 1:
            return both[0]
        if not found:
            tries = [*map(self.images.find, told), self.images.find(name)]
            found = next((each for each in tries if each.path), None) or next(filter(None, tries), found)
        element = root.find("filename")
        place = path, element.line if element else 0
        self._tell_other_name(found, told, name, place)
        said = told[0] if told else f"{name}.jpg"
        self.images.tell(found, said, name, place, (self.problems, self.assumed))
        return found.path

    def _tell_other_name(self, found, told, name, place):
        """Notes a <filename> that names another image than the one that was found by the xml file's own name."""
        own = _plain(name)
        if not (found.exact and told and _plain(lay.stem(found.path)) == own) or own in {
            _plain(form) for text in told for form in (text, lay.stem(text))
        }:
            return
        other = self.images.find(told[0])
        if other.path is None or os.path.realpath(other.path) != os.path.realpath(found.path):
            there = "another image" if other else "an image that is not there"
            what = f"an xml file names {there}: the image of the xml file's own name is taken"
            file, line = place
            self.assumed.add(what, file, line, name, f"{found.path}, not {told[0]}")

    def _add_object(self, record, element):
        label = element.get("name")
        if not label:
            raise EntryError("it has no <name>")
        raw, line = _box(element)
        degrees = _degrees(element)
        if degrees:  # the box of the first and the last pixel is rotated
            first = around_turned([raw[0] - 1, raw[1] - 1, *raw[2:]], math.radians(degrees))
            raw = [first[0] + 1, first[1] + 1, *first[2:]]
            self.assumed.add(TURNED, record.source, line, record.name)
        marks = {}
        for name in ("difficult", "truncated", "crowd"):
            marks[name], known = mark(element.get(name))
            if not known:
                what = f"<{name}> is {element.get(name)[:40]!r}, taken for {int(marks[name])}"
                self.assumed.add(what, record.source, element.line, record.name)
        if element.find("bndbox") is None:
            self.assumed.add("an object has no <bndbox>: its outline's is taken", record.source, line, record.name)
        record.add(label, raw, line, **marks)


def _plain(path):
    """The last part of a path, in one Unicode form and without regard to case."""
    return unicodedata.normalize("NFC", path.replace("\\", "/").rpartition("/")[2]).casefold().strip()


def _box(element):
    """(xmin, ymin, xmax, ymax) of an object, or of its outline, and the line."""
    boxes = element.all("bndbox")
    if len(boxes) > 1:
        raise EntryError(f"it has {len(boxes)} <bndbox>")
    if boxes:
        return [finite(boxes[0].get(side), side) for side in VOC_BOXES.columns], boxes[0].line
    for tag, corners_of in (("polygon", _polygon), ("robndbox", _turned)):
        found = element.all(tag)
        if len(found) > 1:
            raise EntryError(f"it has no <bndbox> and {len(found)} <{tag}>")
        if found:
            return corners_of(found[0]), found[0].line
    raise EntryError("it has no <bndbox>")


def _polygon(element):
    """Around an outline: <x1>, <y1>, <x2> ... (Roboflow), or <pt> with <x> and <y> (LabelMe)."""
    points = element.all("pt") or element.all("point")
    pairs = [(point.get("x"), point.get("y")) for point in points]
    if not pairs:
        told = {child.tag.lower(): child.text for child in element.children}
        places = sorted({tag[1:] for tag in told if tag[:1] in ("x", "y")})
        pairs = [(told.get(f"x{place}"), told.get(f"y{place}")) for place in places]
    if len(pairs) < 2:
        raise EntryError("its <polygon> has fewer than two points")
    xs, ys = ([finite(pair[axis], "xy"[axis] + " of its <polygon>") for pair in pairs] for axis in (0, 1))
    return [min(xs), min(ys), max(xs), max(ys)]


def _turned(element):
    """Around a rotated box of roLabelImg: centre, sides, and an angle in radians."""
    x, y, width, height, angle = (finite(element.get(tag), tag) for tag in ("cx", "cy", "w", "h", "angle"))
    return around_turned([x - width / 2, y - height / 2, x + width / 2, y + height / 2], angle)


def _degrees(element):
    """The rotation of an object's box in CVAT: its attribute `rotation`."""
    attributes = element.find("attributes")
    for attribute in attributes.all("attribute") if attributes else ():
        if (attribute.get("name") or "").lower() == "rotation":
            return finite(attribute.get("value"), "rotation")
    return 0.0


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes Annotations, JPEGImages, classes.txt, and for named splits ImageSets/Main.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        for annotation in data:
            name = target.safe_name(annotation)
            image = target.place(annotation, f"JPEGImages/{name}")
            target.text(f"Annotations/{name}.xml", _xml(annotation, os.path.basename(image), data.classes))
        if split:
            names = "".join(f"{target.safe_name(annotation)}\n" for annotation in data)
            target.text(f"ImageSets/Main/{split}.txt", names)
        target.text("classes.txt", "".join(f"{name}\n" for name in data.classes))


def _xml(annotation, filename, classes):
    height, width = annotation.size_hw
    lines = ["<annotation>", f"\t<filename>{escaped(filename)}</filename>"]
    lines.append(f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>")
    raw = VOC_BOXES.from_pixels(annotation.boxes_xyxy, annotation.size_hw)
    for row, class_id in enumerate(annotation.class_ids):
        crowd = "<crowd>1</crowd>" if annotation.crowd[row] else ""
        sides = "".join(f"<{s}>{number_text(v)}</{s}>" for s, v in zip(VOC_BOXES.columns, raw[row], strict=True))
        lines.append(
            f"\t<object><name>{escaped(classes[class_id])}</name><truncated>{int(annotation.truncated[row])}</truncated>"
            f"<difficult>{int(annotation.difficult[row])}</difficult>{crowd}<bndbox>{sides}</bndbox></object>"
        )
    return "\n".join([*lines, "</annotation>", ""])


def number_text(value: float) -> str:
    """The shortest decimal that gives the same float64, whole numbers without a point."""
    return str(int(value)) if value == int(value) else repr(float(value))
