"""`label` writes what a detector finds as annotation tools import it, and picks the images to label next."""

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssd._version import __version__
from keras_ssd.calling import checked_arguments
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.problems import Problem, Problems
from keras_ssd.data.progress import tracked
from keras_ssd.data.writing import Guesses, check_target, write_folder
from keras_ssd.decoding import confidence_of
from keras_ssd.detecting import detect
from keras_ssd.detections import Detections
from keras_ssd.images import MAX_PIXELS
from keras_ssd.labelling.choosing import LOWEST, choose, uncertainty
from keras_ssd.labelling.features import features_of
from keras_ssd.labelling.files import without_labelled
from keras_ssd.models.wrapping import as_detector
from keras_ssd.names import unknown_name

FORMATS = ("coco", "yolo", "voc", "cvat", "labelstudio")
PICKED = "picked.json"
THIN = 1.0  # pixels: VOC cannot tell a box of this width or height from a click


@dataclasses.dataclass(frozen=True)
class Picked:
    """An image that is worth labelling.

    Args:
        image: its path.
        uncertainty: see `keras_ssd.labelling.uncertainty`.
        distance: to the nearest image that is labelled or was picked before, 0..2; infinity for the first.
        objects: boxes that were written.
    """

    image: str
    uncertainty: float
    distance: float
    objects: int


@dataclasses.dataclass(frozen=True)
class Labelled:
    """What `label` wrote.

    Args:
        path: the folder.
        format: its format.
        images, objects: how many.
        confidence: the lowest score that was written.
        picked: `Picked`, the most valuable first; empty where all images were written.
        known: how many images were left out because they are labelled already, or are copies of such.
        problems: `Problems`: boxes that were left out.
    """

    path: str
    format: str
    images: int
    objects: int
    confidence: float
    picked: tuple[Picked, ...] = ()
    known: int = 0
    problems: Problems = Problems()  # noqa: RUF009 - a tuple

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.images} images, {self.objects} boxes as {self.format.upper()}"]
        if self.known:
            lines.append(f"{self.known} images are labelled already, and are left out")
        if self.picked:
            lines.append("picked, the most worth labelling first:")
            lines.append("  uncertainty  distance  boxes  image")
        for each in self.picked:
            distance = "first" if np.isinf(each.distance) else f"{each.distance:.2f}"
            lines.append(f"  {each.uncertainty:11.2f}  {distance:>8}  {each.objects:5}  {each.image}")
        return "\n".join([*lines, *self.problems.text().splitlines()])


@checked_arguments(place="images")
def label(
    model: keras.Model,
    sources: Any,
    *,
    out: str | os.PathLike[str],
    format: str,
    pick: int | None = None,
    labelled: Dataset | None = None,
    confidence: float | None = None,
    classes: str | Sequence[str] | None = None,
    iou_threshold: float | None = None,
    images: str = "copy",
    batch_size: int = 8,
    recursive: bool = False,
    on_error: str | Callable[[Exception], Any] = "raise",
    max_pixels: int = MAX_PIXELS,
    model_version: str | None = None,
    progress: bool = False,
) -> Labelled:
    """Writes what a detector finds in images as pre-annotations, which people correct in their annotation tool.

    With `pick` only the images that are most worth labelling are written: those that the detector is least certain of,
    and that differ most from each other and from `labelled`; see `keras_ssd.labelling.choose`. What they look like are
    the means of the feature maps that the model's heads read.

    Args:
        model: see `keras_ssd.detect`.
        sources: image files, folders, glob patterns, or a list of these.
        out: a new folder; annotations that are there are never overwritten.
        format: "coco" (with scores), "yolo", "voc", "cvat" (CVAT for images 1.1) or "labelstudio" (predictions).
        pick: number of images to write; None for all, in their order.
        labelled: a `keras_ssd.data.Dataset` that is labelled already: its images and copies of them are left out.
        confidence: lowest score to write; None is the model's own, or else 0.5.
        classes, iou_threshold, batch_size, recursive, on_error, max_pixels: as of `keras_ssd.detect`.
        images: "copy" them into the folder, "link" to them, or "none".
        model_version: what Label Studio calls the predictions; None is the model's name and the package's version.
        progress: whether to show bars on a terminal.

    Returns:
        `Labelled`; `print` shows the picked images. The folder appears when it is whole.

    Raises:
        ValueError: the folder is in use, an argument is none of those named, or there is no image to label.
        ImageError: an image cannot be read, see `on_error`.

    Example:
        >>> keras_ssd.label(model, "photos", out="to_correct", format="cvat", pick=50)
    """
    _check(out, format, images, pick)
    found = without_labelled(sources, recursive, labelled)
    threshold = confidence_of(model).value if confidence is None else confidence
    lowest = threshold if pick is None else LOWEST * threshold
    options = {"classes": classes, "iou_threshold": iou_threshold, "batch_size": batch_size, "max_pixels": max_pixels}
    results = detect(model, found.paths, confidence=lowest, on_error=on_error, **options)
    seen = [each for each, _ in zip(results, tracked(found.paths, "detecting", progress), strict=False)]
    if not seen:
        raise ValueError(f"No image is left to label: {found.known} are labelled already, and none other can be read.")
    picked = [] if pick is None else _picked(model, seen, pick, (labelled, threshold, batch_size, progress))
    chosen = [seen[each.place] for each in picked] if picked else seen
    problems = []
    kept = [_kept(each.filter(confidence=threshold), problems) for each in chosen]
    names = [found.names[str(each.source)] for each in kept]
    rows = tuple(
        Picked(str(each.source), one.uncertainty, one.distance, len(each))
        for each, one in zip(kept, picked, strict=False)
    )
    guesses = Guesses(
        model_version or f"{model.name}, keras_ssd {__version__}",
        {name: each.scores for name, each in zip(names, kept, strict=True)},
        {PICKED: _told(rows, threshold)} if rows else {},
    )
    data = Dataset(Path(out).name, kept[0].class_names, [*map(_annotation, names, kept)])
    if classes is not None:
        data = data.with_classes([classes] if isinstance(classes, str) else [*classes], others="drop")
    written = write_folder(data, out, format, images=images, policy="drop", progress=progress, guesses=guesses)
    problems = Problems([*problems, *written.problems])
    return Labelled(str(out), format, len(kept), written.objects, float(threshold), rows, found.known, problems)


def _check(out, format, images, pick):
    if format not in FORMATS:
        raise ValueError(unknown_name("format", format, FORMATS))
    if pick is not None and pick < 1:
        raise ValueError(f"`pick` must be a whole number from 1 on. Received: pick={pick!r}")
    check_folder(out)
    check_target(Path(out), format, images)


def check_folder(out: str | os.PathLike[str]) -> None:
    """Refuses a folder that holds anything, before the images are looked at.

    Raises:
        ValueError: it does.
    """
    path = Path(out)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        what = "is there already, and may hold annotations that people made"
        raise ValueError(f"{path} {what}. Name a new folder, or remove it first.")


def _picked(model, seen, pick, how):
    """The `Chosen` of what was found."""
    labelled, threshold, batch_size, progress = how
    detector = as_detector(model)
    known = [] if labelled is None else [annotation.image for annotation in labelled]
    images = [*(each.source for each in seen), *known]
    features = features_of(detector, images, batch_size=batch_size, progress=progress)
    length = next(len(row) for row in features if row is not None)
    own = np.array([np.zeros(length, np.float32) if row is None else row for row in features[: len(seen)]])
    others = [row for row in features[len(seen) :] if row is not None]
    doubts = [uncertainty(each.scores, threshold) for each in seen]
    return choose(doubts, own, pick, np.array(others) if others else None)


def _kept(found: Detections, problems: list[Problem]) -> Detections:
    """The boxes that every format can hold."""
    sides = found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]
    wide = (sides > THIN).all(axis=1)
    if not wide.all():
        what = f"{int((~wide).sum())} boxes are at most a pixel wide or high"
        problems.append(Problem("no area", str(found.source), what, done="left out"))
    return found[wide]


def _annotation(name, found):
    return Annotation(name, found.source, found.boxes_xyxy, found.class_ids, found.size_hw)


def _told(rows, confidence):
    """What is known of the picked images, as JSON."""
    picked = [
        {
            "file": row.image,
            "uncertainty": round(row.uncertainty, 4),
            "distance": None if np.isinf(row.distance) else round(row.distance, 4),
            "boxes": row.objects,
        }
        for row in rows
    ]
    return json.dumps({"confidence": confidence, "picked": picked}, ensure_ascii=False, indent=1) + "\n"
