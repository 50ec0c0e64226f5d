"""Where YOLO's data lie: a data.yaml, Darknet's obj.data, or folders of images with their label files."""

import contextlib
import dataclasses
import os
import re
from pathlib import Path, PureWindowsPath

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.kinds import kind_of
from keras_ssd.data.formats.yaml import read_yaml
from keras_ssd.data.problems import Problem
from keras_ssd.images import has_image_ending, is_image_name
from keras_ssd.text_files import beginning, read_text

NAME = "yolo"
SPLITS = ("train", "val", "valid", "test")
NO_SPLITS = ("path", "names", "nc", "download", "classes", "backup")  # other keys are splits if what they name exists
_OTHERS = ("kitti", "dota", "mot")  # other formats of text files in `labels`
_LOOKED_AT = 10  # label files
_NAMES_KEY = re.compile(r"^\s*names\s*:", re.MULTILINE)
_DARKNET_LINE = re.compile(r"\s*([\w.]+)\s*=\s*(.*?)\s*$")


@dataclasses.dataclass(frozen=True)
class YoloOptions:
    """What the files say of all label files.

    Args:
        classes: dictionary from class number to name, None if nothing says it.
        source: the file that says it.
        keypoints: numbers of a keypoint where label lines end in keypoints; 0 for none.
    """

    classes: dict[int, str] | None = None
    source: str = ""
    keypoints: int = 0


def find(path: str | os.PathLike[str]) -> lay.Layout | None:
    """The layout of a data.yaml, an obj.data, or of a folder with one or with labels as YOLO has them; else None."""
    path = Path(path)
    if path.is_file():
        kinds = {".yaml": _yaml_layout, ".yml": _yaml_layout, ".data": _darknet_layout}
        return kinds[path.suffix.lower()](path) if path.suffix.lower() in kinds else None
    if not path.is_dir():
        return None
    files = sorted(lay.files_ending(path, ".yaml", ".yml"), key=lambda file: file.stem.lower() != "data")
    for place, file in enumerate(files):
        if "names" in _load(file, strict=False):
            layout = _yaml_layout(file)
            return dataclasses.replace(layout, notes=(*layout.notes, *_unused(files[place + 1 :], file)))
    for file in lay.files_ending(path, ".data"):
        if "names" in _darknet_keys(file):
            return _darknet_layout(file)
    return _bare_darknet(path) or _folders(path)


def _unused(files, taken):
    """Notes of the YAML files that name classes too, and are not read."""
    for file in files:
        with contextlib.suppress(ValueError):
            if "names" in _load(file):
                yield Problem("unused", str(file), f"it names classes too, and was not used: {taken} was")


def _folders(path):
    if (path / "images").is_dir() and (path / "labels").is_dir():
        files = [*lay.files_below(path / "labels", lambda name: True)]
        texts = [file for file in files if file.lower().endswith(".txt")]
        if files and all(kind_of(file) in _OTHERS for file in texts[:_LOOKED_AT]):
            return None
        parts, notes = lay.split_folders(path / "images")
        direct = any(is_image_name(name) for name in os.listdir(path / "images"))
        whole = {"": (path / "images",)} if direct or not parts else None
        return lay.Layout(NAME, path, parts, whole=whole, notes=notes)
    if _texts_beside(path):
        return lay.Layout(NAME, path, {}, whole={"": (path,)})
    folders, notes = lay.split_folders(path)
    parts = {name: (part,) for name, (part,) in folders.items() if _texts_beside(part) or _pair(part)}
    return lay.Layout(NAME, path, parts, notes=notes) if parts else None


def _pair(path):
    """Whether a split's folder has `images` and `labels`, as in a dataset without its data.yaml."""
    return (path / "images").is_dir() and bool(lay.files_ending(path / "labels", ".txt"))


def _texts_beside(path):
    texts = {text.stem for text in lay.files_ending(path, ".txt")}
    return bool(texts) and any(is_image_name(name) and lay.stem(name) in texts for name in os.listdir(path))


def _load(path, strict=True):
    """The keys of a YAML file. A broken one without `names` gives none, unless `strict`."""
    text = ""
    try:
        text = read_text(path)
        return read_yaml(text)
    except (OSError, ValueError) as error:
        text = text or _beginning_of(path)
        if not strict and not _NAMES_KEY.search(text):
            return {}
        line = f":{lay.line_of(error)}" if lay.line_of(error) else ""
        raise ValueError(f"{path}{line}: it cannot be read: {lay.reason(error)}") from None


def _beginning_of(path):
    try:
        with open(path, "rb") as file:
            return beginning(file.read(1 << 16))
    except OSError:
        return ""


def _yaml_layout(path):
    data = _load(path)
    named = data.get("path")
    bases = [path.parent]
    if isinstance(named, str) and named:
        bases = [
            base
            for base in (path.parent / _plain(named), *_tails(named, [path.parent]))
            if lay.exists(base) and base.is_dir()
        ][:1]
        bases = list(dict.fromkeys([*bases, path.parent]))
    options = YoloOptions(_class_names(data, path), str(path), _keypoints(data.get("kpt_shape")))
    return _layout(path, data, bases, options)


def _layout(path, data, bases, options):
    """The layout of a file whose keys name folders and lists of images."""
    splits, absent = {}, {}
    for split, given in data.items():
        places = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        places = [place for place in places if isinstance(place, str) and place]
        if not places or not isinstance(split, str) or split in ("", *NO_SPLITS):
            continue
        found = [_place(place, bases) for place in places]
        if None not in found:
            splits[split] = tuple(found)
        elif split in SPLITS:
            lost = next(place for place, there in zip(places, found, strict=True) if there is None)
            what = f"it names {lost!r} for the split {split!r}, and there is no such folder or list"
            absent[split] = Problem("absent split", str(path), what)
    if not splits:
        lost = "; ".join(problem.what for problem in absent.values())
        raise ValueError(
            f"{path}: it names no images that are there. Expected train, val or test, with a folder or a list of "
            f"images. Found: {lost or 'none of these'}."
        )
    return lay.Layout(
        NAME, bases[0], splits, options=options, absent=absent, notes=tuple(_unnamed(splits, path, bases[0]))
    )


def _unnamed(splits, path, root):
    """Folders of images beside those of the splits that no split names, as after a misspelt key."""
    named = {place.resolve() for places in splits.values() for place in places if place.is_dir()}
    beside = set()
    for place in named:
        if place.parent.name == "images":
            beside |= {*lay.subfolders(place.parent)}
        elif place.name == "images" and place.parent != root.resolve():
            beside |= {part / "images" for part in lay.subfolders(place.parent.parent) if (part / "images").is_dir()}
    for folder in sorted(beside):
        known = any(folder in (place, *place.parents) or place in folder.parents for place in named)
        if not known and any(is_image_name(name) for name in os.listdir(folder)):
            yield Problem("unused", str(folder), f"{path} names this folder of images for no split")


def _plain(place):
    return place.strip().replace("\\", "/")


def _place(place, bases):
    """A folder or list of images, found by the longest end of its name in a file; None if there is none.

    Roboflow's files have ../train/images for train/images, and others have paths of the machine that wrote them.
    """
    direct = [base / _plain(place) for base in bases]
    return next((each for each in [*direct, *_tails(place, bases)] if lay.exists(each)), None)


def _tails(place, bases):
    """The candidates for a path of another folder or machine, longest tail first."""
    plain = _plain(place)
    parts = [part for part in PureWindowsPath(plain).parts[bool(PureWindowsPath(plain).anchor) :] if part != "."]
    while parts and parts[0] == "..":
        parts.pop(0)
    if ".." in parts:
        return
    for start in range(len(parts)):
        tail = parts[start:]
        # `images` alone is in every dataset: /home/me/pets/test/images is none of it.
        if start and len(tail) == 1 and tail[0] in lay.IMAGE_FOLDERS and parts[start - 1] != bases[0].resolve().name:
            return
        yield from (base.joinpath(*tail) for base in bases)


def _class_names(data, path):
    """Dictionary from class number to name."""
    names = data.get("names")
    if isinstance(names, str) and names:  # a file of names, as Darknet has
        found = _place(names, [path.parent])
        names = list(lay.names_of(found)) if found and found.is_file() else names
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) and name for name in names.values()):
        raise ValueError(f"{path}: it has no `names` that are texts. Expected a list of class names.")
    numbers = {str(number).strip(): name for number, name in names.items()}
    wrong = [number for number in numbers if not number.isdecimal() or len(number) > 9]
    if wrong:
        raise ValueError(f"{path}: names must be numbered by whole numbers. Received: {', '.join(wrong)[:200]}")
    numbers = {int(number): name for number, name in numbers.items()}
    count = data.get("nc")
    if isinstance(count, str) and count.isdecimal() and int(count) not in (len(numbers), max(numbers) + 1):
        raise ValueError(f"{path}: nc is {count}, and names has {len(numbers)}.")
    return numbers


def _keypoints(shape):
    """Numbers of a keypoint from data.yaml's `kpt_shape`; 0 without it."""
    known = isinstance(shape, list) and len(shape) == 2 and shape[1] in ("2", "3")
    return int(shape[1]) if known else 0


def _darknet_keys(path):
    """The `key = value` lines of Darknet's obj.data."""
    try:
        lines = read_text(path).splitlines()
    except (OSError, ValueError):
        return {}
    hits = [_DARKNET_LINE.match(line) for line in lines if not line.lstrip().startswith("#")]
    return {hit[1]: hit[2] for hit in hits if hit and hit[2]}


def _darknet_layout(path):
    """Darknet's paths are relative to its working folder, above the data; they are found by their ends."""
    keys = _darknet_keys(path)
    if "names" not in keys:
        raise ValueError(f"{path}: it names no file of class names. Expected lines such as names = data/obj.names.")
    bases = [path.parent, path.parent.parent] if path.parent.name == "data" else [path.parent]
    source = _place(keys["names"], bases)
    if source is None:
        raise ValueError(f"{path}: there is no file {keys['names']!r} of class names (looked in {path.parent}).")
    options = YoloOptions(dict(enumerate(lay.names_of(source))), str(source))
    return _layout(path, keys, bases, options)


def _bare_darknet(path):
    """A folder with obj.names and lists of images, and without an obj.data, as FiftyOne writes it."""
    names = path / "obj.names"
    lists = {text.stem: (text,) for text in lay.files_ending(path, ".txt") if _lists_images(text)}
    if not names.is_file() or not lists:
        return None
    options = YoloOptions(dict(enumerate(lay.names_of(names))), str(names))
    alone = len(lists) == 1 and next(iter(lists)) not in SPLITS
    whole = {"": next(iter(lists.values()))} if alone else None
    return lay.Layout(NAME, path, {} if alone else lists, whole=whole, options=options)


def _lists_images(path):
    with open(path, "rb") as file:
        return has_image_ending(beginning(file.read(4096)).partition("\n")[0].strip())
