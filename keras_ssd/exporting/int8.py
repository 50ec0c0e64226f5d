"""What files in whole numbers have in common, whatever writes them: the images, and the search for what stays in float.

A writer offers `Trials`: files of one network, each with other operations left in float.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from keras_ssd.boxes import iou
from keras_ssd.exporting.images import read_for
from keras_ssd.exporting.options import ExportOptions

INT8 = "int8"
CALIBRATED_ON = 100  # images at most: more change the ranges little
ENOUGH = 0.05  # ssd_small.cells has 0.02, and loses no average precision
TRIAL_IMAGES = 4
CANDIDATES = 200  # anchors of an image that are compared: those with the highest scores
MOST_IN_FLOAT = 12  # layers


@dataclass(frozen=True)
class Quantized:
    """A file in whole numbers.

    Args:
        data: the file.
        in_float: names of the layers that were left in float.
        loss: how far boxes and scores are from those of the file in float, see `loss_of`.
        left: places of the operations that were left in float.
    """

    data: bytes
    in_float: tuple[str, ...]
    loss: float
    left: tuple[int, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should read."""
        if not self.in_float:
            return ("every layer is in whole numbers",)
        return (f"left in float, because they would lose too much: {', '.join(self.in_float)}",)


class Trials(Protocol):
    """Files in whole numbers, each with other operations left in float."""

    @property
    def operations(self) -> Sequence[str]:
        """Their names, in the order of the network; that of a layer stands in the names of its operations."""
        ...

    def without(self, places: Sequence[int]) -> bytes:
        """The file with the operations at these places in float."""
        ...

    def worst_first(self) -> list[int]:
        """Places of the operations by what each costs alone, the others in float."""
        ...

    def loss(self, data: bytes) -> float:
        """How far a file is from the one in float, see `loss_of`."""
        ...


@dataclass(frozen=True)
class _Trial:
    data: bytes
    loss: float
    left: tuple[int, ...]


def search(trials: Trials, layers: Sequence[str], enough: float = ENOUGH) -> Quantized:
    """The file in whole numbers that loses little, with as few operations in float as that takes.

    Args:
        trials: the `Trials`.
        layers: names of the model's layers, to name those that stay in float.
        enough: the loss up to which nothing is left in float.
    """
    whole = trials.without(())
    found = _Trial(whole, trials.loss(whole), ())
    if found.loss > enough:
        found = _with_worst_in_float(trials, found, enough)
    left = tuple(sorted(found.left))
    names = [_layer_of(trials.operations[place], layers) for place in left]
    return Quantized(found.data, tuple(dict.fromkeys(names)), found.loss, left)


def _with_worst_in_float(trials, best, enough):
    """The trial with the fewest operations in float whose loss is small enough, or else with the smallest loss.

    A map is only spared when both who makes it and who reads it stay in float, so operations are left one after the
    other even where one alone gains nothing; who turns out not to matter goes back.
    """

    def tried(places):
        data = trials.without(places)
        return _Trial(data, trials.loss(data), tuple(places))

    left = ()
    for place in trials.worst_first()[:MOST_IN_FLOAT]:
        left = (*left, place)
        trial = tried(left)
        best = min(best, trial, key=lambda one: one.loss)
        if trial.loss <= enough:
            break
    allowed = max(enough, best.loss)
    for place in best.left:
        trial = tried([other for other in best.left if other != place])
        if trial.loss <= allowed:
            best = trial
    return best


def some_of(images: Sequence[Any]) -> Sequence[Any]:
    """The images, of those for the calibration, that trials are compared on."""
    return images[:: max(len(images) // TRIAL_IMAGES, 1)][:TRIAL_IMAGES]


def loss_of(boxes: np.ndarray, scores: np.ndarray, other_boxes: np.ndarray, other_scores: np.ndarray) -> float:
    """How far boxes and scores are from others, over the anchors with the highest scores of an image.

    Args:
        boxes: (N, 4) as [xmin, ymin, xmax, ymax].
        scores: (N, C).
        other_boxes, other_scores: the same of the other file.

    Returns:
        The mean of the largest difference of an anchor's scores, plus the mean of 1 - IoU of its boxes; anchors count
        by their scores.
    """
    best = np.maximum(scores.max(axis=1), other_scores.max(axis=1))
    order = np.argsort(-best, kind="stable")[:CANDIDATES]
    weights = best[order] / max(best[order].sum(), 1e-9)
    differences = np.abs(scores[order] - other_scores[order]).max(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        overlaps = np.nan_to_num(iou(boxes[order], other_boxes[order]))
    return float((weights * (differences + 1 - overlaps)).sum())


def calibration_images(model: Any, options: ExportOptions) -> Sequence[np.ndarray]:
    """Images (H, W, 3) uint8 RGB of the model's size, to calibrate on.

    Raises:
        ValueError: `calibrate` names none.
        ImageError: an image cannot be read.
    """
    if options.calibrate is None:
        raise ValueError(
            "int8 is calibrated on images like those that the detector will see: `calibrate` must name some, a folder "
            "of a hundred for example. Received: calibrate=None"
        )
    return read_for(options.calibrate, model.input_size, CALIBRATED_ON)


def _layer_of(operation, layers):
    """The layer that an operation belongs to, by the names of its outputs; the operation's own name if none is."""
    found = [name for name in layers if re.search(rf"(^|/){re.escape(name)}(_\d+)?(/|$)", operation)]
    return max(found, key=len, default=operation)
