"""Reads datasets of every format, which it recognises by their files."""

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.data import assembling
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.formats import coco, createml, cvat, labelme, labelstudio, table, via, voc, yolo
from keras_ssd.data.formats.kinds import refusal
from keras_ssd.data.formats.table import CsvLayout
from keras_ssd.data.problems import DEFAULT_POLICY, DataError, Problem, Problems, check_policy
from keras_ssd.data.turned import as_shown
from keras_ssd.data.whole import only_whole
from keras_ssd.names import check_class_names, files_nearby

WRITTEN: dict[str, Any] = {module.NAME: module for module in (voc, coco, yolo, table, cvat, labelstudio)}
FORMATS: dict[str, Any] = {**WRITTEN, **{each.NAME: each for each in (labelme.FORMAT, createml.FORMAT, via.FORMAT)}}
ADVICE = (
    "Correct them, or pass policy='drop' to leave them out, or policy='clip' to cut boxes to their images and to "
    "leave out the rest."
)
NO_IMAGES = (
    "No image is there. Export the annotations with their images, or pass images='folder' where those lie elsewhere."
)
FRACTIONS = "its boxes are taken for fractions of their images"


@checked_arguments(class_names="classes")
def read(
    path: str | os.PathLike[str],
    split: str | None = None,
    *,
    format: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    policy: str = DEFAULT_POLICY,
    csv: CsvLayout | None = None,
    decode: bool = True,
    progress: bool = False,
) -> Dataset:
    """Reads a dataset of any known format.

    Args:
        path: a folder of VOC, COCO, YOLO, CSV, CVAT or Label Studio data, or its data.yaml, json, xml or CSV file.
        split: name of a split, such as "train"; None for all images.
        format: "voc", "coco", "yolo", "csv", "cvat", "labelstudio", "labelme", "createml" or "via", if a folder has
            several.
        classes: names of the classes in the order of their ids, if the files do not state them, or in another order. A
            label that is not among them is a fault. By default the order of the files' own list (COCO's categories,
            data.yaml, classes.txt), or alphabetical order.
        images: folder of the images, if they are not beside their annotations.
        policy: how faults are handled: "error" refuses the data and names all faults; "drop" leaves out images that
            cannot be read or have a faulty object, which would otherwise be trained as background (of a box without
            area, only the box is removed, if its image has others); "clip" clips boxes to their images, swaps swapped
            corners back, and handles the rest like "drop". `Dataset.problems` lists each.
        csv: `CsvLayout` for CSV files without header or with class numbers.
        decode: whether to decode every image too, in threads, so that broken ones are found now and not during a
            training. It takes 1 or 2 ms per image. With 1000 images or more, the result is remembered until a file
            changes. Use False to work with boxes alone.
        progress: whether to show progress bars on a terminal.

    Returns:
        `Dataset`; `print` shows a summary.

    Raises:
        DataError: the data have faults and the policy is "error", or none of them can be used.
        ValueError: no known format, several formats, or no such split.
        FileNotFoundError: there is no such path.

    Example:
        >>> train = keras_ssd.data.read("BCCD", "train", policy="drop")
        >>> print(train)
    """
    layout = _layout(path, format, classes, images, csv, progress)
    chosen = layout.chosen(split)
    check_policy(policy)
    reading = _Reading(layout, policy, decode)
    return reading.dataset(split, chosen)


@checked_arguments(class_names="classes")
def read_splits(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    classes: Sequence[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    policy: str = DEFAULT_POLICY,
    csv: CsvLayout | None = None,
    decode: bool = True,
    progress: bool = False,
) -> dict[str, Dataset]:
    """Reads each split of a dataset: a dictionary from name to `Dataset`, all with the same classes.

    Data without splits are one split with the name "".

    Args:
        path, format, classes, images, policy, csv, decode, progress: as in `read`.

    Raises:
        DataError, ValueError, FileNotFoundError: as in `read`; one `DataError` for all splits.

    Example:
        >>> splits = keras_ssd.data.read_splits("BCCD", policy="drop")
        >>> train, test = splits["train"], splits["test"]
    """
    check_policy(policy)
    return _every_split(_Reading(_layout(path, format, classes, images, csv, progress), policy, decode))


def read_to_check(
    path: str | os.PathLike[str],
    *,
    format: str | None,
    classes: Sequence[str] | None,
    images: str | os.PathLike[str] | None,
    csv: CsvLayout | None,
    progress: bool,
) -> tuple[dict[str, Dataset], Dataset]:
    """All data that can be read, including images with faulty objects: (`read_splits`' dictionary, `read`'s dataset).

    Raises:
        DataError, ValueError, FileNotFoundError: as `read_splits`.
    """
    reading = _Reading(_layout(path, format, classes, images, csv, progress), "drop", False, keep_incomplete=True)
    splits = _every_split(reading)
    return splits, reading.dataset(None, reading.layout.chosen(None)) if [*splits] != [""] else splits[""]


def _every_split(reading):
    layout, policy = reading.layout, reading.policy
    splits = layout.splits or layout.chosen(None)
    found, problems, empty, advice = {}, [], [], ADVICE
    for split in splits:
        try:
            found[split] = reading.dataset(split, {split: splits[split]})
        except DataError as error:
            advice = error.advice if error.advice == NO_IMAGES else ADVICE
            (problems if error.problems.faults.counts().keys() - {"empty split"} else empty).extend(error.problems)
    if problems or not found or (empty and policy == "error"):
        problems += [problem for data in found.values() for problem in data.problems]
        raise DataError(Problems(dict.fromkeys([*empty, *problems])), advice)
    if empty:  # such as the empty test folder of a template
        first = next(iter(found))
        found[first] = dataclasses.replace(found[first], problems=(*found[first].problems, *empty))
    return found


def _layout(path, format, classes, images, csv, progress):
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(_no_such_path(path))
    if format is not None and format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(map(repr, FORMATS))}. Received: format={format!r}")
    if csv is not None and not isinstance(csv, table.CsvLayout):
        raise TypeError(f"csv must be a CsvLayout. Received: csv={csv!r}")
    tried = [FORMATS[format]] if format else FORMATS.values()
    layouts = [layout for module in tried if (layout := module.find(path))]
    if not layouts:
        raise ValueError((None if format else refusal(path)) or _nothing_found(path, format))
    if len(layouts) > 1:
        kinds = " and ".join(layout.format for layout in layouts)
        raise ValueError(f"{path} holds data of several formats: {kinds}. Say which with format={layouts[0].format!r}.")
    [layout] = layouts
    more: dict[str, Any] = {"images": Path(images)} if images is not None else {}
    more["notes"] = (*layout.notes, *(_others(path, format) if format else ()))
    if images is not None and not Path(images).is_dir():
        raise FileNotFoundError(f"There is no folder {images} for the images.")
    more |= {"options": csv} if csv else {}
    more |= {"classes": check_class_names("classes", classes)} if classes is not None else {}
    return dataclasses.replace(layout, progress=progress, **more)


def _alike(names, root):
    """A note for each class whose name another one has in another case: one of them may be a mistake."""
    first = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            what = f"the classes {other!r} and {name!r} differ only in case, and are two classes"
            yield Problem("assumed", str(root), what)


def _others(path, format):
    """A note for each other format of which the folder has data."""
    for other in FORMATS.values():
        with contextlib.suppress(OSError, ValueError):
            if format != other.NAME and other.find(path):
                what = f"the folder holds data of the format {other.NAME} too, which are not read"
                yield Problem("unused", str(path), what)


def _no_such_path(path):
    return f"There is no file or folder {path} to read data from.{files_nearby(path)}"


def _nothing_found(path, format):
    inside = ", ".join(sorted(os.listdir(path))[:8]) if path.is_dir() else ""
    parts = [part.name for part in path.iterdir() if part.is_dir()] if path.is_dir() and format is None else []
    deeper = [name for name in parts if any(module.find(path / name) for module in FORMATS.values())]
    hint = f" There are data in {', '.join(str(path / name) for name in sorted(deeper)[:4])}." if deeper else ""
    return (
        f"{path} holds no data{' of the format ' + format if format else ''} that can be read. Expected VOC xml files "
        "(in Annotations), a COCO json, a YOLO data.yaml (or images and labels), or a CSV file with a header."
        f"{hint} It holds: {inside or 'no such file'}"
    )


class _Reading:
    """Reads the parts of a layout, each once."""

    def __init__(self, layout, policy, decode=True, keep_incomplete=False) -> None:
        self.layout, self.policy, self.decode, self.keep_incomplete = layout, policy, decode, keep_incomplete
        self.module = FORMATS[layout.format]
        self._parts = {}
        self._names = None
        self._images = {}  # facts about each image file

    def dataset(self, split, parts):
        """The dataset of these parts."""
        problems = [*self.layout.absent.values(), *self.layout.notes]
        contents = {name: self._contents(part, problems, name) for name, part in parts.items()}
        names, ids = self._classes(contents)
        if not names:
            raise self._refused(problems)
        problems += _alike(names, self.layout.root)
        found = {}
        for name, part in contents.items():
            records = as_shown(part.records, part.boxes, problems, self.layout.progress)
            records = assembling.add_sizes(records, problems, self.layout.progress)
            found[name] = assembling.annotations_of(
                records, part.boxes, names, self.policy, problems, keep_incomplete=self.keep_incomplete
            )
            if self.decode:
                found[name] = only_whole(found[name], problems, self.layout.progress, self._images)
        annotations = assembling.with_unique_names(found, problems)
        if annotations and not any(len(annotation) for annotation in annotations):
            what = f"none of its {len(annotations)} images has an object"
            problems.append(Problem("no objects", str(self.layout.root), what))
        problems = Problems(problems)
        if problems.faults and (self.policy == "error" or not annotations):
            raise self._refused(problems)
        title = self.layout.root.resolve().name
        title = f"{title}/{split}" if split else title
        splits = tuple(name for name in self.layout.splits if name)
        return Dataset(title, names, annotations, self.layout.format, problems, ids, splits, self.policy)

    def _contents(self, part, problems, name=""):
        key = str(part)
        if key not in self._parts:
            own = []
            contents = self.module.read(self.layout, part, own)
            if not contents.records and not Problems(own).faults:
                what = f"the split {name!r} holds no images" if name else "there are no images"
                own.append(Problem("empty split", str(self.layout.images or self.layout.root), what, done="left out"))
            if assembling.in_fractions(contents.records, contents.boxes):
                contents.boxes = dataclasses.replace(contents.boxes, fractions=True, inclusive=False)
                for record in contents.records:
                    record.areas = None
                source = next(record.source for record in contents.records if record.raw)
                own.append(Problem("assumed", source, FRACTIONS))
            self._parts[key] = contents, own
        contents, own = self._parts[key]
        problems += own
        return contents

    def _classes(self, contents):
        """Names and ids of all classes of the data: a split in which a class has no objects must not lack it."""
        if self._names is None:
            given = self.layout.classes
            every = list(contents.values())
            if given is None and not all(part.classes for part in every):
                every = [self._contents(part, []) for part in self.layout.chosen(None).values()]
            self._names = assembling.class_names(given, every)
        return self._names

    def _refused(self, problems):
        problems = Problems(problems)
        if problems.faults:
            advice = ADVICE if self.policy == "error" else "Nothing is left that could be used."
            lost = {problem.kind for problem in problems.faults} == {"missing image"} and not self._images
            return DataError(problems, NO_IMAGES if lost else advice)
        return ValueError(f"{self.layout.root} holds no images with objects, so that there are no classes.")
