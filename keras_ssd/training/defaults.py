"""What a training decides by itself from the data: input size, anchors, epochs, patience.

docs/training_defaults.md has the trials that these numbers come from.
"""

import dataclasses
import math

import numpy as np

from keras_ssd import anchors
from keras_ssd.data.dataset import Dataset
from keras_ssd.models.model import SSD

AREA, MOST_AREA = 240 * 320, 2 * 240 * 320  # pixels of the input
GRID = 16  # pixels; the coarsest map, of steps of 32, may have a half cell at its edge
ASPECTS = (0.5, 2.0)  # width / height, at most
SMALL_SIDE = 16.0  # wanted side of an object (10th percentile) in input pixels; the finest map has steps of 8
STEPS, EPOCHS = 1600, (20, 150)
PATIENCE = 0.4  # of the epochs
STARTED_SHARE, NEW_CLASSES_SHARE, KEPT_CLASSES_SHARE = 0.1, 0.5, 0.01  # of the recipe's learning rate
TESTED_SHARES = ("ssd_mobilenet_v1",)  # networks for which the shares of new and of kept classes were tested
ENOUGH = 0.97  # share of the objects with an anchor of IoU 0.5, from which fitted anchors do not help
FITTED_BOXES = (4, 5, 6)  # boxes per cell on the maps of `ssd_small`, finest first
FITTED_REACH = (2.0, 3.75)  # sides in steps of a map: its cells see enough around such objects


def input_size(dataset: Dataset) -> tuple[int, ...]:
    """(height, width) of the input for `ssd_small`: the images' shape, larger where objects are small.

    Args:
        dataset: `Dataset`.

    Returns:
        Multiples of 16 pixels.
    """
    sizes = np.array([annotation.size_hw for annotation in dataset if annotation.size_hw], float).reshape(-1, 2)
    if not len(sizes):
        return 240, 320
    aspect = float(np.clip(np.median(sizes[:, 1] / sizes[:, 0]), *ASPECTS))
    area = AREA
    boxes = [a.boxes_fraction for a in dataset if a.size_hw and len(a)]
    if boxes:
        boxes = np.concatenate(boxes)
        shares = np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, 1), axis=1)
        share = float(np.quantile(shares[shares > 0], 0.1)) if (shares > 0).any() else 1.0
        area = float(np.clip(SMALL_SIDE**2 / share, AREA, MOST_AREA))
    # No larger than the images: that only costs time.
    area = min(area, max(float(np.median(np.prod(sizes, axis=1))), AREA / 2))
    height = math.sqrt(area / aspect)
    return tuple(max(2 * GRID, GRID * round(side / GRID)) for side in (height, height * aspect))


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Anchors for a dataset.

    Args:
        spec: `AnchorSpec`, or None to keep the model's own anchors.
        why: the reason, as text.
    """

    spec: anchors.AnchorSpec | None
    why: str


def anchors_for(dataset: Dataset, model: SSD, fit: bool | None = None) -> Chosen:
    """The model's own anchors where they match the objects of a dataset, else fitted ones.

    Args:
        dataset: `Dataset` to train on.
        model: whose grids and anchors they are.
        fit: True to fit them in any case.

    Returns:
        `Chosen`.
    """
    if not dataset.num_objects:
        return Chosen(None, "as they come: there are no objects to fit them to")
    own = anchors.report(model, dataset).recall
    if own >= ENOUGH and not fit:
        return Chosen(None, f"as they come, which match {own:.1%} of the objects")
    spec = anchors.fit(dataset, model, FITTED_BOXES, balance_classes=True, reach=FITTED_REACH)
    matched = anchors.report(spec, dataset).recall
    return Chosen(spec, f"fitted to the training images, match {matched:.1%} of the objects, the usual ones {own:.1%}")


def epochs(steps: int) -> int:
    """Number of epochs, given the steps per epoch."""
    return int(min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1]))


def share_of_rate(model: SSD) -> float:
    """The share of a recipe's learning rate for a training that starts from trained weights.

    For networks that were tested: 0.5 when all classes are new, and 0.01 when the weights know all of them. Otherwise
    0.1.

    Args:
        model: `SSD` with its `weights_report`.
    """
    report = model.weights_report
    classes = getattr(report, "classes", report)  # after a change of classes, `weights_report` is that part alone
    kept, new = bool(getattr(classes, "kept", ())), bool(getattr(classes, "initialised", ()))
    if model.name not in TESTED_SHARES or kept == new:
        return STARTED_SHARE
    return KEPT_CLASSES_SHARE if kept else NEW_CLASSES_SHARE


def patience(epochs: int) -> int:
    """Number of epochs in a row that are all worse than the one to keep, after which a training ends."""
    return max(10, math.ceil(PATIENCE * epochs))
