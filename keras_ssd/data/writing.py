"""Writing datasets in every format: whole or not at all."""

import dataclasses
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments, former_attributes
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.image_files import image_size
from keras_ssd.data.problems import DataError, Problem, Problems, check_policy
from keras_ssd.data.progress import tracked
from keras_ssd.data.reading import WRITTEN
from keras_ssd.images import read_image, write_image
from keras_ssd.replacing import naming_full_disks

IMAGES = ("copy", "link", "none")
WITHOUT_MARKS = ("yolo", "labelstudio")  # formats that hold no marks
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"|?*]')  # in names of files on one system or another


@former_attributes(pictures="images")
@dataclasses.dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        path: the folder.
        format: its format.
        images, objects: how many, over all splits.
        problems: `Problems`: what the format cannot hold.
    """

    path: str
    format: str
    images: int
    objects: int
    problems: Problems

    def __str__(self) -> str:
        text = f"{self.path}: {self.images} images, {self.objects} objects as {self.format.upper()}"
        return "\n".join([text, *self.problems.text().splitlines()])


@checked_arguments(place="images")
def write(
    data: Dataset | Mapping[str, Dataset],
    path: str | os.PathLike[str],
    format: str,
    *,
    images: str = "copy",
    policy: str = "error",
    progress: bool = False,
) -> Written:
    """Writes a dataset to a new folder; `read` and `read_splits` give it back equal.

    Every format holds boxes to the last bit of float32. VOC, COCO, CSV and CVAT files hold all marks (VOC with a
    <crowd> of its own, CVAT as attributes); those of YOLO and Label Studio hold none, and crowd regions are left out.

    Args:
        data: a `Dataset`, or a dictionary from names of splits to datasets of the same classes.
        path: of the folder; it must not exist, or be empty.
        format: "voc", "coco", "yolo", "csv", "cvat" or "labelstudio".
        images: "copy" them, "link" to them (hard links where the disk allows, else symbolic ones), or "none": boxes
            alone. Images in memory become PNG files.
        policy: "error", or "drop" to leave out boxes that the format cannot hold: VOC's pixels cannot tell a box
            of one pixel or less from a click.
        progress: whether to show a progress bar on a terminal.

    Returns:
        `Written`. The folder appears when it is whole.

    Raises:
        ValueError: the folder is in use, or an argument is none of those named. (`DataError`: see `policy`.)
        ImageError: an image cannot be read.
        OSError: nothing can be written, or the disk is full; nothing is left behind.

    Example:
        >>> keras_ssd.data.write({"train": train, "val": val}, "cells_yolo", "yolo")
    """
    return write_folder(data, path, format, images=images, policy=policy, progress=progress)


@dataclasses.dataclass(frozen=True)
class Guesses:
    """What makes boxes a model's guesses rather than annotations of people.

    Args:
        model_version: which model made them, in words.
        scores: {name of an annotation: (M,) score of each object}.
        files: {name: text} of further files that the folder gets.
    """

    model_version: str
    scores: Mapping[str, np.ndarray]
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)


def write_folder(
    data: Dataset | Mapping[str, Dataset],
    path: str | os.PathLike[str],
    format: str,
    *,
    images: str,
    policy: str,
    progress: bool,
    guesses: Guesses | None = None,
) -> Written:
    """As `write`, for annotations or for guesses, whose boxes have more than a pixel in width and height."""
    splits = _checked_splits(data)
    path = Path(path)
    check_target(path, format, images)
    check_policy(policy)
    problems = []
    splits = {split: _fitting(part, format, policy, problems) for split, part in splits.items()}
    faults = Problems(problems).faults
    if faults and policy == "error":
        raise DataError(faults, "Pass policy='drop' to leave them out, or write COCO.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    target = Target(part, images, _Bar(sum(map(len, splits.values())), progress), path.resolve().name, guesses)
    try:
        with naming_full_disks(path):
            part.mkdir()
            WRITTEN[format].write(splits, target)
            for name, text in guesses.files.items() if guesses is not None else ():
                target.text(name, text)
        target.bar.close()
        if path.is_dir():
            path.rmdir()  # it is empty, and not every system replaces it
        os.replace(part, path)
    finally:
        target.bar.close()
        shutil.rmtree(part, ignore_errors=True)
    objects = sum(part.num_objects for part in splits.values())
    return Written(str(path), format, len(target.placed), objects, Problems(problems))


def _checked_splits(data):
    splits = dict(data) if isinstance(data, Mapping) else {"": data}
    if not splits or not all(isinstance(part, Dataset) for part in splits.values()):
        raise TypeError(f"write takes a Dataset, or a dictionary of them. Received: {type(data).__name__}")
    if len({part.classes for part in splits.values()}) > 1:
        raise ValueError("The splits have different classes. `Dataset.with_classes` gives them the same.")
    bad = [split for split in splits if split and not re.fullmatch(r"\w[\w.-]*", str(split))]
    if bad:
        raise ValueError(f"Names of splits are letters, digits, '_', '-' and '.'. Received: {bad[0]!r}")
    return splits


def check_target(path: Path, format: str, images: str) -> None:
    """Refuses a folder that is in use, and what is no format or no way to place images.

    Raises:
        ValueError: one is.
    """
    if format not in WRITTEN:
        raise ValueError(f"format must be one of {', '.join(map(repr, WRITTEN))}. Received: format={format!r}")
    if images not in IMAGES:
        raise ValueError(f"images must be one of {', '.join(map(repr, IMAGES))}. Received: images={images!r}")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} is there already. Name a new folder, or remove it first.")


def _fitting(data, format, policy, problems):
    """The dataset with all sizes known, and without what the format cannot hold."""
    kept = []
    for annotation in data:
        if annotation.size_hw is None:
            annotation = dataclasses.replace(annotation, size_hw=_size(annotation))
        if format == "voc":
            annotation = _without_single_pixels(annotation, problems)
        kept.append(annotation)
    if format in WITHOUT_MARKS:
        problems += _lost_marks(data)
        kept = [annotation[~annotation.crowd] if annotation.crowd.any() else annotation for annotation in kept]
    return dataclasses.replace(data, annotations=kept)


def _lost_marks(data):
    """Notes on marks that are lost. Crowd regions are left out: as objects they would teach wrong boxes."""
    for mark, done in (("crowd", "left out"), ("difficult", "kept"), ("truncated", "kept")):
        count = sum(int(getattr(annotation, mark).sum()) for annotation in data)
        if count:
            what = f"{count} objects are marked as {mark}, and the format cannot store it"
            yield Problem("unused", data.name, what, done=f"objects {done}")


def _size(annotation):
    if isinstance(annotation.image, str):
        return image_size(annotation.image)
    return read_image(annotation.image, name=annotation.name).shape[:2]


def _without_single_pixels(annotation, problems):
    thin = (annotation.boxes_xyxy[:, 2:] - annotation.boxes_xyxy[:, :2] <= 1).any(axis=1)
    for row in np.flatnonzero(thin):
        box = ", ".join(f"{side:g}" for side in annotation.boxes_xyxy[row])
        what = f"VOC cannot hold boxes of one pixel or less in width or height: ({box})"
        file = annotation.source or annotation.name
        problems.append(Problem("no area", file, what, int(annotation.lines[row]), annotation.name, "left out"))
    return annotation[~thin] if thin.any() else annotation


class Target:
    """The folder that a format writes to; no name of an annotation leads out of it.

    Args:
        folder: a `Path`.
        images: one of `IMAGES`.
        bar: progress.
        name: what the folder is called when it is complete.
        guesses: `Guesses`, or None for annotations.
    """

    def __init__(self, folder: Path, images: str, bar: Any, name: str, guesses: Guesses | None = None) -> None:
        self.folder: Path = folder
        self.images: str = images
        self.bar: Any = bar
        self.name: str = name
        self.guesses: Guesses | None = guesses
        self.placed: dict[str, str] = {}
        self._names, self._taken = {}, set()

    def safe_name(self, annotation: Annotation) -> str:
        """The annotation's name as a path below the folder; the same for the same image, and else another."""
        key = annotation.image if isinstance(annotation.image, str) else id(annotation.image)
        if (key, annotation.name) not in self._names:
            parts = re.split(r"[\\/]+", _FORBIDDEN.sub("_", annotation.name))
            parts = [re.sub(r"^\.", "_", part) for part in parts if part not in ("", ".", "..")]
            wanted = name = "/".join(parts) or "image"
            count = 1
            while name.casefold() in self._taken:  # some disks do not tell A from a
                count += 1
                name = f"{wanted}_{count}"
            self._taken.add(name.casefold())
            self._names[key, annotation.name] = name
        return self._names[key, annotation.name]

    def place(self, annotation: Annotation, name: str) -> str:
        """Puts the image where the format wants it.

        Args:
            annotation: whose image.
            name: path below the folder, without ending.

        Returns:
            The same with ending.
        """
        self.bar.advance()
        image = annotation.image
        on_disk = isinstance(image, str)
        file = name + (os.path.splitext(image)[1] if on_disk else ".png")
        if name in self.placed:
            return self.placed[name]
        self.placed[name] = file
        if self.images == "none":
            return file
        path = self._path(file)
        if not on_disk:
            from PIL import Image

            write_image(Image.fromarray(read_image(image, name=annotation.name)), path)
        elif self.images == "copy":
            shutil.copyfile(image, path)
        else:
            _link(image, path)
        return file

    def text(self, name: str, text: str) -> None:
        """Writes a text file."""
        self._path(name).write_text(text, encoding="utf-8", newline="\n")

    def _path(self, name):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _link(image, path):
    try:
        os.link(os.path.realpath(image), path)
    except OSError:  # another disk, or one without links
        os.symlink(os.path.abspath(image), path)


class _Bar:
    def __init__(self, total, wanted) -> None:
        self._steps = tracked(range(total + 1), "writing", wanted)
        next(self._steps)

    def advance(self):
        next(self._steps, None)

    def close(self):
        self._steps.close()
