"""The files of a dataset: which belong to which split, and where the images are."""

import collections
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from keras_ssd.data.problems import Problem
from keras_ssd.data.records import BoxFormat, Record
from keras_ssd.images import folders, is_image_name
from keras_ssd.names import unknown_name
from keras_ssd.text_files import TextError, read_text

IMAGE_FOLDERS = ("JPEGImages", "images", "Images", "imgs", "img", "data")
MAX_FOLDERS = 100_000


@dataclasses.dataclass(frozen=True)
class Layout:
    """The files of a dataset of one format.

    Args:
        format: its name.
        root: its folder; names of images are paths below it.
        splits: dictionary from a split's name to the format's data about it.
        whole: the format's data about all images, a dictionary of the same kind. By default all splits.
        images: folder of the images, if the caller named one.
        classes: class names, if the caller gave them.
        options: further facts of one format.
        absent: dictionary from a missing split that the data name to its `Problem`: a note, unless the split is asked
            for.
        notes: `Problem`s of the layout itself.
        progress: whether to show a progress bar.
    """

    format: str
    root: Path
    splits: dict[str, Any]
    whole: dict[str, Any] | None = None
    images: Path | None = None
    classes: tuple[str, ...] | None = None
    options: Any = None
    progress: bool = False
    absent: dict[str, Problem] = dataclasses.field(default_factory=dict)
    notes: tuple[Problem, ...] = ()

    def chosen(self, split: str | None) -> dict[str, Any]:
        """The data of a split, or all data if `split` is None: a dictionary.

        Raises:
            ValueError: there is no such split.
        """
        if split is None:
            return self.splits if self.whole is None else self.whole
        if split in self.absent:
            raise ValueError(str(self.absent[split]))
        if split not in self.splits:
            raise ValueError(f"{self.root}: " + unknown_name("split", split, self.splits))
        return {split: self.splits[split]}


@dataclasses.dataclass
class Contents:
    """The result of a reader: `Record`s, and facts that hold for all of them.

    Args:
        records: list of `keras_ssd.data.records.Record`.
        boxes: `BoxFormat` of their numbers.
        classes: class names in order, None if the files do not state them.
        category_ids: the files' own ids of the classes.
        classes_source: the file that names the classes, for messages.
    """

    records: list[Record]
    boxes: BoxFormat
    classes: tuple[str, ...] | None = None
    category_ids: tuple[Any, ...] | None = None
    classes_source: str = ""


class Assumed:
    """The assumptions of a reader. Each is counted, and reported once, at its first place."""

    def __init__(self) -> None:
        self._first, self._counts = {}, collections.Counter()

    def add(self, what: str, file: str | os.PathLike[str], line: int = 0, image: str = "", example: str = "") -> None:
        """Counts an assumption; its first example is reported."""
        self._first.setdefault(what, (str(file), line, image, example))
        self._counts[what] += 1

    def problems(self) -> Iterator[Problem]:
        """A `Problem` per assumption."""
        for what, (file, line, image, example) in self._first.items():
            times = f" ({self._counts[what]} times)" if self._counts[what] > 1 else ""
            such = f": {example}" if example else ""
            yield Problem("assumed", file, what + times + such, line, image)


class ImageIndex:
    """Finds images by path or by name without ending, with one look into each folder.

    Args:
        folders: where to look, the likeliest first.
    """

    def __init__(self, folders: Iterable[str | os.PathLike[str]]) -> None:
        self._folders = [Path(folder) for folder in dict.fromkeys(map(str, folders))]
        self._listed = {}

    def by_stem(self, stem: str) -> tuple[str, ...]:
        """The paths of the images `stem`.jpg or of another ending in the first folder that has any."""
        for folder in self._folders:
            found = self._stems(folder / os.path.dirname(stem)).get(os.path.basename(stem))
            if found:
                return tuple(found)
        return ()

    def by_path(self, path: str | os.PathLike[str]) -> str | None:
        """The path of an image given with its ending, None if there is none."""
        for folder in self._folders:
            whole = folder / path
            if whole.name in self._names(whole.parent):
                return str(whole)
        return None

    def _names(self, folder):
        return self._list(folder)[0]

    def _stems(self, folder):
        return self._list(folder)[1]

    def _list(self, folder):
        folder = str(folder)
        if folder not in self._listed:
            try:
                with os.scandir(folder) as entries:
                    names = {entry.name for entry in entries if not entry.is_dir()}
            except (OSError, ValueError):  # a ValueError is a path that no file system can have
                names = set()
            stems = collections.defaultdict(list)
            for name in sorted(filter(is_image_name, names)):
                stems[os.path.splitext(name)[0]].append(os.path.join(folder, name))
            self._listed[folder] = names, stems
        return self._listed[folder]


def leaves(path: str | os.PathLike[str]) -> bool:
    """Whether a path from an annotation file leaves the folder that it is to be looked up in."""
    plain = str(path).replace("\\", "/")
    return plain.startswith("/") or ":" in plain.split("/")[0] or ".." in plain.split("/") or "\0" in plain


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file or folder; of what no path can be, there is none."""
    try:
        return os.path.exists(path)
    except (OSError, ValueError):
        return False


def below(path: str | os.PathLike[str], root: str | os.PathLike[str]) -> str:
    """`path` relative to `root` with "/"; unchanged if it is elsewhere."""
    relative = os.path.relpath(path, root).replace(os.sep, "/")
    return Path(path).name if relative.startswith("../") else relative


def stem(path: str) -> str:
    """A path without its ending."""
    return os.path.splitext(path)[0]


def subfolders(folder: str | os.PathLike[str]) -> list[Path]:
    """Folders directly below, by name; hidden ones left out."""
    return sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))


def split_folders(folder: str | os.PathLike[str]) -> tuple[dict[str, tuple[Path]], tuple[Problem, ...]]:
    """The folders directly below that may be splits, each once, and notes about omitted links.

    A link to a folder that contains another one, or is inside it, would give the same images in two splits. A folder
    with the name of an image is not a split.
    """
    parts = [part for part in subfolders(folder) if not is_image_name(part.name)]
    places, notes = {}, []
    for part in sorted(parts, key=os.path.islink):
        place = part.resolve()
        again = [other for other in (Path(folder).resolve(), *places.values()) if _holds(place, other)]
        again += [other for other in places.values() if _holds(other, place)]
        if os.path.islink(part) and again:
            notes.append(Problem("unused", str(part), f"it is a link to {place}, whose images are read already"))
        else:
            places[part] = place
    return {part.name: (part,) for part in parts if part in places}, tuple(notes)


def _holds(folder, other):
    return folder == other or folder in other.parents


def files_ending(folder: str | os.PathLike[str], *endings: str) -> list[Path]:
    """Files directly in a folder with one of these endings, by name; hidden ones left out."""
    try:
        found = (path for path in Path(folder).iterdir() if path.suffix.lower() in endings and path.name[0] != ".")
        return sorted(path for path in found if path.is_file())
    except OSError:
        return []


def files_below(folder: str | os.PathLike[str], wanted: Callable[[str], object]) -> Iterator[str]:
    """The files of `keras_ssd.images.folders.files_below`; none for a missing folder.

    Raises:
        ValueError: there are more folders than any dataset has.
    """
    return folders.files_below(folder, wanted, most_folders=MAX_FOLDERS) if os.path.isdir(folder) else iter(())


def line_of(error: Exception) -> int:
    """The line of a file at which reading failed, 0 if unknown."""
    return getattr(error, "line", 0) or getattr(error, "lineno", 0)


def reason(error: Exception) -> str:
    """The message of an error in reading a file, without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def listed_classes(root: str | os.PathLike[str]) -> tuple[str, ...] | None:
    """Class names from a text file beside the data, None if there is none: `classes.txt`, one name per line."""
    for name in ("classes.txt", "_classes.txt", "obj.names", "labels.txt", "_darknet.labels"):
        path = Path(root) / name
        if path.is_file():
            return unique_names(names_of(path), path)
    return None


def names_of(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The class names of a text file, one per line.

    Raises:
        ValueError: there are none, or it is not text.
    """
    try:
        names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except TextError as error:
        raise ValueError(f"{path}{f':{error.line}' if error.line else ''}: it cannot be read: {error}") from None
    if not names:
        raise ValueError(f"{path} is empty. Expected one class name per line.")
    return tuple(names)


def unique_names(names: Any, source: str | os.PathLike[str]) -> Any:
    """The names of classes, in order or by number; a repeated name would silently join two classes.

    Raises:
        ValueError: a name occurs twice.
    """
    numbers = collections.defaultdict(list)
    for number, name in names.items() if isinstance(names, dict) else enumerate(names):
        numbers[name].append(str(number))
    twice = {name: where for name, where in numbers.items() if len(where) > 1}
    if twice:
        told = "; ".join(f"{name!r} is number {' and '.join(where)}" for name, where in twice.items())
        raise ValueError(
            f"{source}: each class needs a name of its own. Received: {told[:300]}. Rename one, or pass classes=[...]."
        )
    return names


def missing_image(
    record_name: str, source: str | os.PathLike[str], looked_for: str | os.PathLike[str], line: int = 0
) -> Problem:
    """The problem of an image that is not there."""
    return Problem("missing image", str(source), f"there is no image {looked_for}", line, record_name, "left out")
