"""YOLO: a text file a picture, a line an object: class number, centre and size as fractions of the picture.

Read through a data.yaml, or as folders `images` and `labels` (or text files beside the pictures) with a classes.txt. A
line with more numbers is the outline of an object (segmentation, turned boxes), of which the box around it is taken.
A picture without a text file has no objects.
"""

import os
from pathlib import Path

import numpy as np

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.yaml import YamlError, quoted, read_yaml
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import tracked
from keras_ssd.data.records import YOLO_BOXES, EntryError, Record, finite
from keras_ssd.pictures import PICTURE_ENDINGS

NAME = "yolo"
SPLITS = ("train", "val", "valid", "test")
NO_SPLITS = ("path", "names", "nc", "download")  # other keys are splits if what they name exists


def find(path):
    """The layout of a data.yaml, or of a folder with one or with labels as YOLO has them; else None."""
    path = Path(path)
    if path.suffix.lower() in (".yaml", ".yml") and path.is_file():
        return _yaml_layout(path)
    if not path.is_dir():
        return None
    for file in lay.files_ending(path, ".yaml", ".yml"):
        if "names" in _load(file):
            return _yaml_layout(file)
    if (path / "images").is_dir() and (path / "labels").is_dir():
        parts = {part.name: (part,) for part in lay.subfolders(path / "images")}
        return lay.Layout(NAME, path, parts, whole=None if parts else {"": (path / "images",)})
    texts = {text.stem for text in lay.files_ending(path, ".txt")}
    beside = any(picture.stem in texts for picture in lay.files_ending(path, *PICTURE_ENDINGS))
    return lay.Layout(NAME, path, {}, whole={"": (path,)}) if beside else None


def _load(path):
    try:
        return read_yaml(lay.read_text(path))
    except (OSError, ValueError) as error:
        line = f":{error.line}" if isinstance(error, YamlError) else ""
        raise ValueError(f"{path}{line}: it cannot be read: {lay.reason(error)}") from None


def _yaml_layout(path):
    data = _load(path)
    base = path.parent / data["path"] if isinstance(data.get("path"), str) else path.parent
    base = base if base.is_dir() else path.parent
    splits = {}
    for split, given in data.items():
        places = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        places = [place for place in places if place]
        known = split in SPLITS
        if places and (known or (split not in NO_SPLITS and all((base / place).exists() for place in places))):
            splits[split] = tuple(_place(base, place, path) for place in places)
    if not splits:
        raise ValueError(
            f"{path}: it names no pictures. Expected train, val or test, with a folder or a list of pictures."
        )
    return lay.Layout(NAME, base, splits, options=_class_names(data, path))


def _place(base, place, path):
    """A folder or list of pictures; Roboflow's files say ../train/images for train/images."""
    inside = place
    while inside.startswith("../"):
        inside = inside[3:]
    candidates = [base / place, path.parent / place, base / inside, path.parent / inside]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        raise ValueError(f"{path}: there is no folder or list {place!r} (looked in {base}).")
    return found


def _class_names(data, path):
    names = data.get("names")
    if isinstance(names, dict):
        places = [str(place) for place in range(len(names))]
        if sorted(names) != sorted(places):
            raise ValueError(f"{path}: names must be numbered 0..{len(names) - 1}. Received: {', '.join(names)}")
        names = [names[place] for place in places]
    if not isinstance(names, list) or not names or not all(names):
        raise ValueError(f"{path}: it has no `names`. Expected a list of class names.")
    count = data.get("nc")
    if isinstance(count, str) and count != str(len(names)):
        raise ValueError(f"{path}: nc is {count}, and names has {len(names)}.")
    return tuple(names), str(path)


def read(layout, part, problems):
    """Reads the label files of the pictures of a part.

    Args:
        layout: what `find` gave.
        part: tuple of folders of pictures and lists of pictures.
        problems: list that takes `Problem`s.

    Returns:
        `Contents`.

    Raises:
        ValueError: nothing tells the names of the classes.
    """
    classes, source = layout.options or (None, "")
    if layout.classes:
        classes, source = layout.classes, "classes="
    for base in (layout.root, layout.root / "labels"):
        if classes is None:
            classes, source = lay.listed_classes(base), str(base / "classes.txt")
    if classes is None:
        raise ValueError(
            f"{layout.root}: nothing names the classes of the numbers in YOLO's files. Expected a data.yaml with "
            "`names`, or a classes.txt with a name a line; or pass classes=[...]."
        )
    found = [item for place in part for item in _pictures(place, layout, problems)]
    records = [_record(*item, classes, problems) for item in tracked(found, "reading labels", layout.progress)]
    return lay.Contents([record for record in records if record], YOLO_BOXES, classes, classes_source=source)


def _pictures(place, layout, problems):
    """(name, path) of each picture of a folder or list."""
    if place.is_dir():
        for folder, inner, files in os.walk(place):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            for file in sorted(files):
                if os.path.splitext(file)[1].lower() in PICTURE_ENDINGS and not file.startswith("."):
                    path = os.path.join(folder, file)
                    yield lay.stem(lay.below(path, place)), path
        return
    try:
        lines = lay.read_text(place).splitlines()
    except (OSError, ValueError) as error:
        problems.append(Problem("file", str(place), f"it cannot be read: {lay.reason(error)}", done="left out"))
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        candidates = (layout.root / line.strip(), place.parent / line.strip())
        path = next((str(c) for c in candidates if c.is_file()), None)
        if path is None:
            problems.append(lay.missing_picture(lay.stem(line.strip()), place, line.strip(), number))
            continue
        yield _listed_name(path, layout.root), path


def _listed_name(path, root):
    parts = lay.stem(lay.below(path, root)).split("/")
    place = len(parts) - parts[::-1].index("images") if "images" in parts else 0
    return "/".join(parts[place:])


def label_file(picture):
    """Where the objects of a picture are written: `labels` for the last `images` of its path, or beside it."""
    parts = Path(picture).parts
    text = Path(picture).with_suffix(".txt")
    if "images" in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index("images")
        elsewhere = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
        return elsewhere if elsewhere.is_file() or not text.is_file() else text
    return text


def _record(name, picture, classes, problems):
    path = label_file(picture)
    record = Record(name, picture, str(path))
    if not path.is_file():
        return record
    try:
        lines = lay.read_text(path).splitlines()
    except (OSError, ValueError) as error:
        what = f"it cannot be read: {lay.reason(error)}"
        problems.append(Problem("file", str(path), what, picture=name, done="left out"))
        return None
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                _add_object(record, line.split(), number, classes)
        except EntryError as error:
            kind = "label" if str(error).startswith("class") else "entry"
            problems.append(Problem(kind, str(path), str(error), number, name, "left out"))
    return record


def _add_object(record, words, number, classes):
    count = len(words) - 1
    if count != 4 and (count < 6 or count % 2):
        hint = " The sixth may be a score: these would be predictions." if count == 5 else ""
        raise EntryError(f"expected a class and four numbers (or an outline), and found {len(words)} words.{hint}")
    label = finite(words[0], "class")
    if label != int(label) or not 0 <= label < len(classes):
        raise EntryError(f"class {words[0]} is none of 0..{len(classes) - 1} ({', '.join(classes[:5])}...)")
    if count == 4:
        raw = [finite(word, name) for word, name in zip(words[1:], YOLO_BOXES.columns, strict=True)]
    else:
        numbers = [finite(word, "outline") for word in words[1:]]
        left, top, right, bottom = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
        raw = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    record.add(classes[int(label)], raw, number)


def write(splits, target):
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
    for digits in range(6, 18):
        words = [f"{value:.{digits}f}" for value in row]
        read = YOLO_BOXES.to_pixels(np.array([words], np.float64), size_hw)
        if np.array_equal(read[0].astype(np.float32), box):
            break
    return " ".join(words)
