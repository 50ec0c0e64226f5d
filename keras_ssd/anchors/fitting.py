"""Fits anchors to the objects of a dataset."""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.anchors.fit_summary import FittedSpec, account_of
from keras_ssd.anchors.grids import Grids
from keras_ssd.anchors.kmeans import kmeans
from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.search import Goal, Search
from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name

METHODS = ("search", "kmeans")
GOALS = ("mean_iou", "matched")
REACH = (2.0, 5.0)
RESTARTS = 6  # from other clusters, because a search ends where no small change is a gain
MOST_OBJECTS = 10_000  # that the search looks at; more change a box by less than its rounding


@checked_arguments
def fit(
    dataset: Any,
    levels: Any,
    boxes_per_cell: int | Sequence[int] | None = None,
    *,
    image_size: Sequence[int] | None = None,
    method: str = "search",
    goal: str = "mean_iou",
    iou_threshold: float = 0.5,
    balance_classes: bool = False,
    reach: Sequence[float] = REACH,
    seed: int = 0,
) -> FittedSpec:
    """Chooses the boxes of each level so that they overlap the objects of a dataset best.

    Images count as warped to the input size. The search compares each object at its real position with the anchors
    at the positions of their cells. It starts from the boxes that the levels have and from k-means, changes one side
    at a time as long as this improves the result, and moves boxes that few objects need. It maximizes what matching
    looks at: the IoU of each object with its best anchor.

    Args:
        dataset: a `keras_ssd.data.Dataset`, a list of annotations or samples (augmented ones, for what a training will
            see), or an array (M, 4) of boxes in fractions of the image.
        levels: the grids and steps: a model, its `levels`, an `AnchorSpec`, an `AnchorRecipe`, a list of
            `AnchorLevel`s, or a list of grids (height, width).
        boxes_per_cell: one number, or one number per level; None keeps the numbers of the levels (6 for bare grids).
            The number of channels of a head depends on it, so trained heads keep their shapes with None.
        image_size: (height, width) of the input in pixels, if `levels` do not define it.
        method: "search", or "kmeans" for k-means with IoU distance alone, which assigns shapes to levels by size.
        goal: what "search" maximizes: "mean_iou" is the mean best IoU; "matched" is the share of objects that reach
            `iou_threshold`, and then the mean.
        iou_threshold: lowest IoU at which an anchor matches an object.
        balance_classes: whether each class counts the same, instead of each object.
        reach: (smallest, largest) size of the boxes of a level in steps of the level, where the size is the square
            root of the area. Boxes hardly larger than a step only match objects that happen to lie at a cell, and a
            cell sees about ten steps far, its centre less. The finest level may have smaller boxes and the coarsest
            level larger ones. (0, inf) sets no limits; k-means has none.
        seed: seed of all random numbers; the same seed gives the same anchors.

    Returns:
        `FittedSpec`: an `AnchorSpec` that every factory takes. `print` shows the gain, and `.recipe` adapts to other
        input sizes.

    Raises:
        ValueError: there are no objects, a name is unknown, or a number is out of range.
        TypeError: `dataset` is no dataset or `levels` are no levels.

    Example:
        >>> spec = keras_ssd.anchors.fit(train, levels=net.levels, boxes_per_cell=6)
        >>> print(spec)
        >>> model = keras_ssd.ssd_small(classes=train.classes, anchors=spec)
    """
    _check(method, goal, iou_threshold)
    reach = _pair(reach)
    grids = Grids.of(levels, image_size, boxes_per_cell)
    objects = Objects.of(dataset)
    some = _some_of(objects, seed)
    rng = np.random.default_rng(seed)
    level_of = np.repeat(np.arange(len(grids.levels)), grids.boxes_per_cell)
    weights = _weights(some, balance_classes)
    clusters = _clusters(some, grids, weights, rng)
    specs = {"before": grids.before, "k-means": grids.spec(clusters)}
    if method == "search":
        target = Goal(weights.astype(np.float32), None if goal == "mean_iou" else iou_threshold)
        search = Search(some, grids.image_size, grids.levels, target, reach)
        starts = _starts(grids, [clusters, *(_clusters(some, grids, weights, rng) for _ in range(RESTARTS))])
        specs["search"] = grids.spec(search.run(level_of, starts, rng))
    chosen = specs["search" if method == "search" else "k-means"]
    account = account_of({name: spec for name, spec in specs.items() if spec is not None}, objects, iou_threshold)
    facts = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(AnchorSpec)}
    return FittedSpec(**facts, account=account)


def _check(method, goal, iou_threshold):
    if method not in METHODS:
        raise ValueError(unknown_name("fitting method", method, METHODS))
    if goal not in GOALS:
        raise ValueError(unknown_name("goal", goal, GOALS))
    if not (isinstance(iou_threshold, numbers.Real) and 0 < float(iou_threshold) <= 1):
        raise ValueError(f"`iou_threshold` must be above 0 and at most 1. Received: iou_threshold={iou_threshold!r}")


def _pair(reach):
    values = tuple(reach) if isinstance(reach, (tuple, list)) else ()
    if (
        len(values) != 2
        or not all(isinstance(value, numbers.Real) for value in values)
        or not 0 <= values[0] < values[1]
    ):
        raise ValueError(f"`reach` must be (smallest, largest) in steps, smallest first. Received: reach={reach!r}")
    return values


def _some_of(objects, seed):
    """The objects, or a random choice of them where there are very many."""
    if len(objects) <= MOST_OBJECTS:
        return objects
    rows = np.sort(np.random.default_rng(seed).permutation(len(objects))[:MOST_OBJECTS])
    columns = {name: getattr(objects, name)[rows] for name in ("boxes_xyxy", "class_ids", "images")}
    return dataclasses.replace(objects, **columns)


def _weights(objects, balance_classes):
    """(M,) what each object counts, of sum 1."""
    if not balance_classes:
        return np.full(len(objects), 1 / len(objects))
    _, which, counts = np.unique(objects.class_ids, return_inverse=True, return_counts=True)
    return 1 / (len(counts) * counts[which])


def _clusters(objects, grids, weights, rng):
    return kmeans(objects.sizes_hw(grids.image_size), sum(grids.boxes_per_cell), weights, rng)


def _starts(grids, clusters):
    """Shapes (K, 2) to begin searches with: clusters by size, and what the levels have."""
    if grids.before is None or grids.before.boxes_per_cell != grids.boxes_per_cell:
        return clusters
    return [np.array([box for level in grids.before.levels for box in level.boxes_hw]), *clusters]
