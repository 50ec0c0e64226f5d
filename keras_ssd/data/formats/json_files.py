"""Json files of annotations: reading one, and the formats of tools whose files name each image with its regions."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.finding import ImageFinder
from keras_ssd.data.formats.kinds import kind_of
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import tracked
from keras_ssd.data.records import BoxFormat, EntryError, Record, shortened
from keras_ssd.text_files import read_text

MAX_BYTES = 4 << 30
_FOLDERS = ("annotations", "Annotations", "labels", "json", "jsons", "labelme")


def load_json(path: str | os.PathLike[str]) -> Any:
    """The content of a json file.

    Raises:
        ValueError: the file is not json, or too deeply nested.
        OSError: it cannot be opened.
    """
    try:
        return json.loads(read_text(path, MAX_BYTES))
    except RecursionError:
        raise ValueError("it nests too deeply") from None


@dataclasses.dataclass(frozen=True)
class Named:
    """An image of a json file.

    Args:
        file: its name in the file.
        regions: its regions, unchanged; None for an image that nobody has annotated, which is left out.
        size_hw: (height, width), None if unknown.
    """

    file: str
    regions: Iterable[Any] | None
    size_hw: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True)
class JsonFormat:
    """A format whose json files name each image with its regions; it is only read.

    Args:
        NAME: of the format, also of its kind in `kinds`.
        boxes: `BoxFormat` of the numbers.
        images: function of a file's content and path that returns `Named`s. It raises EntryError for another format.
        region: function of a region that returns (label or None, four numbers, marks). It raises EntryError if it is
            not an object. The mark "assumed" describes an assumption in words.
        one_each: whether there is one file per image, with the image's name.
    """

    NAME: str
    boxes: BoxFormat
    images: Callable[[Any, Path], Iterable[Named]]
    region: Callable[..., Any]
    one_each: bool = False

    def find(self, path: str | os.PathLike[str]) -> lay.Layout | None:
        """The layout of a json file or of a folder with such files, or None."""
        path = Path(path)
        if path.is_file():
            is_one = path.suffix.lower() == ".json" and kind_of(path) == self.NAME
            return lay.Layout(self.NAME, path.parent, {path.stem: (path,)}) if is_one else None
        if not path.is_dir():
            return None
        files = self._files(path)
        if files:
            splits = {} if self.one_each or len(files) == 1 else {name: (f,) for name, f in _named(files).items()}
            return lay.Layout(self.NAME, path, splits, whole=None if splits else {"": files})
        parts = {part.name: found for part in lay.subfolders(path) if (found := self._files(part))}
        return lay.Layout(self.NAME, path, parts) if parts else None

    def _files(self, folder):
        for place in (folder, *(folder / name for name in _FOLDERS)):
            found = tuple(file for file in lay.files_ending(place, ".json") if kind_of(file) == self.NAME)
            if found:
                return found
        return ()

    def read(self, layout: lay.Layout, part: Sequence[Path], problems: list[Problem]) -> lay.Contents:
        """Reads the json files of a part."""
        records, finders, assumed = {}, {}, lay.Assumed()
        only = layout.classes[0] if layout.classes and len(layout.classes) == 1 else None
        for path in tracked(part, "reading annotations", layout.progress):
            if path.parent not in finders:
                finders[path.parent] = _finder(layout, path.parent)
            finder = finders[path.parent]
            try:
                images = list(self.images(load_json(path), path))
            except (OSError, ValueError) as error:
                what = f"it cannot be read: {lay.reason(error)}"
                problems.append(Problem("file", str(path), what, lay.line_of(error), done="left out"))
                continue
            for named in images:
                self._record(named, path, only, (records, finder, problems, assumed))
        problems += assumed.problems()
        classes = layout.classes or next(filter(None, map(lay.listed_classes, (layout.root, *finders))), None)
        return lay.Contents(list(records.values()), self.boxes, classes, classes_source=str(layout.root))

    def _record(self, named, path, only, told):
        """Adds the objects of an image to its record."""
        records, finder, problems, assumed = told
        if named.regions is None:
            assumed.add("an image has no annotation, and is left out", path, 0, "", named.file)
            return
        found = finder.find(named.file)
        if not found and self.one_each:
            found = finder.by_stem(path.name.removesuffix(path.suffix)) or found
        name = lay.stem(lay.below(found.path, path.parent) if found.path and lay.leaves(named.file) else named.file)
        finder.tell(found, named.file, name, (path, 0), (problems, assumed))
        if found.path is None:
            return
        record = records.setdefault(found.path, Record(name, found.path, str(path), named.size_hw))
        for number, region in enumerate(named.regions):
            try:
                label, raw, marks = self.region(region)
                if "assumed" in marks:
                    assumed.add(marks.pop("assumed"), path, 0, name)
                if not label and only is None:
                    raise EntryError("it has no class. If all objects are of one, pass classes=['its name']")
                record.add(label or only, raw, **marks)
            except EntryError as error:
                what = f"object {number} of {name}: {error}"
                problems.append(Problem("entry", str(path), what, image=name, done="left out"))
                record.lost += 1


def _named(files):
    """Names of splits: of the files, or of the parts in which their paths differ."""
    return {lay.stem(file.name).removesuffix(".createml").strip("_"): file for file in files}


def _finder(layout, folder):
    named = [layout.images] if layout.images else []
    bases = list(dict.fromkeys([folder, folder.parent if folder != layout.root else folder, layout.root]))
    inside = [base / name for base in bases for name in lay.IMAGE_FOLDERS]
    own = [base for base in bases if base != layout.root]
    return ImageFinder([*named, *bases, *inside], own, below=[*named, *bases])


def listed_of(value: Any, what: str) -> list[Any]:
    """A list of a json file; another value raises EntryError."""
    if not isinstance(value, list):
        raise EntryError(f"{what} must be a list, and is {shortened(value)}")
    return value


def table_of(value: Any, what: str) -> dict[Any, Any]:
    """An object of a json file as a dictionary; another value raises EntryError."""
    if not isinstance(value, dict):
        raise EntryError(f"{what} must be a json object, and is {shortened(value)}")
    return value


def file_of(value: Any) -> str:
    """The name of an image in a json file; another value raises EntryError."""
    if not isinstance(value, str) or not value.strip():
        raise EntryError(f"an image needs the name of its file, and has {shortened(value)}")
    return value
