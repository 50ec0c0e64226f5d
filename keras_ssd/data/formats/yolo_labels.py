"""The text file with the objects of each image of a YOLO dataset."""

import collections
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_ssd.data.problems import Problem
from keras_ssd.names import listed

_IMAGE_FOLDERS = ("images", "JPEGImages")  # for which Darknet and Ultralytics look in `labels`
LOOSELY = "a label file has its image's name in another case or Unicode form"


def label_file(image: str | os.PathLike[str]) -> Path:
    """The label file of an image: with `labels` for the last `images` of its path, or beside it.

    a.jpg.txt, which can only belong to a.jpg, comes before a.txt.
    """
    usual = _usual(image)
    places = [path for plain in usual for path in (Path(f"{plain}{Path(image).suffix}.txt"), Path(f"{plain}.txt"))]
    return next((path for path in places if path.is_file()), Path(f"{usual[0]}.txt"))


def _usual(image):
    """The path without ending in `labels`, and the one beside the image."""
    path = Path(image)
    beside = path.with_name(path.stem)
    places = [place for place, part in enumerate(path.parts[:-1]) if part in _IMAGE_FOLDERS]
    if not places:
        return [beside]
    return [Path(*path.parts[: places[-1]], "labels", *beside.parts[places[-1] + 1 :]), beside]


def label_files(images: Iterable[str], told: tuple[list[Problem], Any]) -> tuple[dict[str, Path], set[str]]:
    """(dictionary from an image to the path of its label file, set of the absolute paths that are in use).

    A label file may be missing. Images that would share one are left out. `told` is (list of `Problem`s, `Assumed`).
    """
    problems, assumed = told
    texts = {image: label_file(image) for image in dict.fromkeys(images)}
    owners = collections.defaultdict(list)
    for image, text in texts.items():
        owners[text].append(image)
    there = {text for text in owners if text.is_file()}
    taken = {os.path.abspath(text) for text in there}
    for image, text in _loosely([text for text in owners if text not in there], owners, taken):
        assumed.add(LOOSELY, text, example=f"{os.path.basename(text)} and {os.path.basename(image)}")
        texts[image] = text
        taken.add(os.path.abspath(text))
    for text in there:
        files = {os.path.realpath(image): image for image in owners[text]}
        if len(files) > 1:
            first = os.path.basename(owners[text][0])
            what = f"it may be of {listed([*files.values()], 3)}: call it {first}.txt where it is of {first}"
            problems.append(Problem("duplicate id", str(text), what, image=text.stem, done="left out"))
            for image in owners[text]:
                del texts[image]
    return texts, taken


def _loosely(missing, owners, taken):
    """(image, label file) that differ only in case or Unicode form, if nothing else matches."""
    wanted = collections.Counter(_folded(text) for text in missing)
    held = {}
    for folder in dict.fromkeys(text.parent for text in missing):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for path in (folder / name for name in names):
            if path.suffix.lower() == ".txt" and os.path.abspath(path) not in taken:
                held.setdefault(_folded(path), []).append(path)
    for text in missing:
        found = held.get(_folded(text), ())
        if len(found) == 1 and wanted[_folded(text)] == 1 and len(owners[text]) == 1:
            yield owners[text][0], found[0]


def _folded(path):
    return unicodedata.normalize("NFC", os.path.abspath(path)).casefold()
