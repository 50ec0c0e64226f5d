"""YOLO: a text file per image, a line per object: class number, centre and size as fractions of the image.

A line with more numbers is an outline (segmentation, rotated boxes); the box around it is used. An image without a text
file has no objects. `yolo_layout` finds the files.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats import yolo_layout
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.yaml import quoted
from keras_ssd.data.formats.yolo_labels import label_file, label_files
from keras_ssd.data.formats.yolo_layout import find as find
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import tracked
from keras_ssd.data.records import YOLO_BOXES, EntryError, Record, finite
from keras_ssd.images import has_image_ending, is_image_name
from keras_ssd.names import listed
from keras_ssd.text_files import beginning, read_text

NAME = yolo_layout.NAME


def read(layout: lay.Layout, part: Sequence[Path], problems: list[Problem]) -> lay.Contents:
    """Reads the label files of the images of a part.

    Args:
        layout: of `find`.
        part: tuple of folders of images and lists of images.
        problems: list that takes `Problem`s.

    Raises:
        ValueError: the names of the classes are unknown.
    """
    options = layout.options or (yolo_layout.YoloOptions() if layout.classes else _listed(layout, part))
    if layout.classes:
        options = dataclasses.replace(options, classes=dict(enumerate(layout.classes)), source="classes=")
    if options.classes is None:
        raise ValueError(
            f"{layout.root}: nothing names the classes of the numbers in YOLO's files. Expected a data.yaml with "
            "`names`, or a classes.txt with one name per line; or pass classes=[...]."
        )
    lay.unique_names(options.classes, options.source)
    assumed = lay.Assumed()
    found = [item for place in part for item in _images(place, layout, (problems, assumed))]
    texts, taken = label_files([image for _, image in found], (problems, assumed))
    if texts and not taken:
        problems.append(_no_labels(layout, part, texts))
        found = []
    found = [(name, image, texts[image]) for name, image in found if image in texts]
    records = [_record(*item, options, problems) for item in tracked(found, "reading labels", layout.progress)]
    _name_orphans(part, taken, problems)
    problems += assumed.problems()
    records = [record for record in records if record]
    return lay.Contents(records, YOLO_BOXES, tuple(options.classes.values()), classes_source=options.source)


def _no_labels(layout, part, texts):
    """The problem of a split without any label file: they are elsewhere, or in another format."""
    image, text = next(iter(texts.items()))
    what = f"none of its {len(texts)} images has a label file: {text} would be that of {os.path.basename(image)}"
    stem = os.path.basename(lay.stem(image))
    texts = lay.files_below(layout.root, lambda name: name.lower().endswith((".txt", ".json", ".xml")))
    same = [path for path in texts if lay.stem(os.path.basename(path)) == stem]
    what += f". There is {listed(same, 3)}" if same else ""
    return Problem("no labels", str(part[0]), what, done="left out")


def _listed(layout, part):
    for base in (layout.root, layout.root / "labels", *(place for place in part if place.is_dir())):
        classes = lay.listed_classes(base)
        if classes is not None:
            return yolo_layout.YoloOptions(dict(enumerate(classes)), str(base / "classes.txt"))
    return yolo_layout.YoloOptions()


def _images(place, layout, told):
    """(name, path) of each image of a folder or list."""
    if place.is_dir():
        for path in lay.files_below(place, is_image_name):
            yield lay.stem(lay.below(path, place)), path
        return
    try:
        lines = read_text(place).splitlines()
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        told[0].append(Problem("file", str(place), what, lay.line_of(error), done="left out"))
        return
    bases = (layout.root, place.parent)
    finder = ImageFinder(bases)
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        direct = (base / line.replace("\\", "/") for base in bases)
        path = next((str(each) for each in direct if lay.exists(each) and each.is_file()), None)
        path = path or finder.path_of(line, lay.stem(line), (place, number), told)
        if path is not None:
            yield _listed_name(path, layout.root), path


def _listed_name(path, root):
    parts = lay.stem(lay.below(path, root)).split("/")
    place = len(parts) - parts[::-1].index("images") if "images" in parts else 0
    return "/".join(parts[place:])


def _name_orphans(part, known, problems):
    """Names label files without an image: their objects would be lost in silence."""
    places = [place for place in part if place.is_dir()]
    folders = {folder: place for place in places for folder in (place, label_file(place / "a.jpg").parent)}
    for folder, place in folders.items():
        for path in lay.files_below(folder, lambda name: name.lower().endswith(".txt")):
            if os.path.abspath(path) not in known and _holds_labels(path):
                known.add(os.path.abspath(path))
                name = lay.stem(lay.below(path, folder))
                image = name if has_image_ending(name) else f"{name}.jpg, or of another ending"
                problems.append(lay.missing_image(name, path, image + _there_instead(place / name)))


def _there_instead(image):
    """A file with an image's name that is not read as one, such as a HEIC file, and advice."""
    try:
        names = sorted(name for name in os.listdir(image.parent) if image.name in (name, lay.stem(name)))
    except OSError:
        return ""
    files = [image.parent / name for name in names if not name.lower().endswith((".txt", ".xml", ".json"))]
    if not files:
        return ""
    if files[0].is_dir():
        return f". {files[0]} is a folder"
    return f". There is {files[0]}, which its ending does not show to be an image: make a JPEG or PNG file of it"


def _holds_labels(path):
    """Whether a text begins with a line of YOLO's, rather than with class names or prose."""
    with open(path, "rb") as file:
        lines = beginning(file.read(4096)).splitlines()
    words = next((line.split() for line in lines if line.strip()), [])
    try:
        return len(words) >= 5 and all(finite(word, "") is not None for word in words)
    except EntryError:
        return False


def _record(name, image, path, options, problems):
    record = Record(name, image, str(path))
    if not path.is_file():
        return record
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(path), what, lay.line_of(error), name, "left out"))
        return None
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                _add_object(record, line.split(), number, options)
        except EntryError as error:
            kind = "label" if str(error).startswith("class") else "entry"
            problems.append(Problem(kind, str(path), str(error), number, name, "left out"))
            record.lost += 1
    return record


def _add_object(record, words, number, options):
    count = len(words) - 1
    posed = options.keypoints and count > 4 and (count - 4) % options.keypoints == 0
    if count != 4 and not posed and (count < 6 or count % 2):
        hint = " The sixth may be a score: these would be predictions." if count == 5 else ""
        hint = " Put spaces between the numbers, no commas." if any("," in word for word in words) else hint
        raise EntryError(f"expected a class and four numbers (or an outline), and found {len(words)} words.{hint}")
    classes = options.classes
    try:
        label = finite(words[0], "class")
    except EntryError as error:
        known = words[0] in classes.values()
        raise EntryError(f"{error}. Write its number in the list of names" if known else str(error)) from None
    if label not in classes:
        known = f"0..{len(classes) - 1}" if [*classes] == [*range(len(classes))] else ", ".join(map(str, classes))
        raise EntryError(f"class {words[0]} is none of {known[:80]} ({', '.join([*classes.values()][:5])}...)")
    if count == 4 or posed:
        raw = [finite(word, name) for word, name in zip(words[1:5], YOLO_BOXES.columns, strict=True)]
    else:
        numbers = [finite(word, "outline") for word in words[1:]]
        left, top, right, bottom = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
        raw = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    record.add(classes[int(label)], raw, number)


def write(splits: Mapping[str, Any], target: Any) -> None:
    """Writes images/SPLIT, labels/SPLIT and data.yaml.

    Args:
        splits: dictionary from a split's name ("" for none) to its dataset.
        target: `keras_ssd.data.writing.Target`.
    """
    for split, data in splits.items():
        folder = f"{split}/" if split else ""
        for annotation in data:
            name = folder + target.safe_name(annotation)
            target.place(annotation, f"images/{name}")
            target.text(f"labels/{name}.txt", _lines(annotation))
    classes = next(iter(splits.values())).classes
    lines = [f"{split or 'train'}: images{'/' if split else ''}{split}" for split in splits]
    names = [f"  {place}: {quoted(name)}" for place, name in enumerate(classes)]
    target.text("data.yaml", "\n".join([*lines, f"nc: {len(classes)}", "names:", *names, ""]))


def _lines(annotation):
    raw = YOLO_BOXES.from_pixels(annotation.boxes_xyxy, annotation.size_hw)
    lines = zip(annotation.class_ids, raw, annotation.boxes_xyxy, strict=True)
    return "".join(f"{class_id} {_numbers(row, box, annotation.size_hw)}\n" for class_id, row, box in lines)


def _numbers(row, box, size_hw):
    """The fewest decimals, at least six, that give the same float32 corners when they are read."""
    words = []
    for digits in range(6, 18):
        words = [f"{value:.{digits}f}" for value in row]
        read = YOLO_BOXES.to_pixels(np.array([words], np.float64), size_hw)
        if np.array_equal(read[0].astype(np.float32), box):
            break
    return " ".join(words)
