"""`prune`: a smaller detector, from one with channels to spare."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector
from keras_ssd.names import listed
from keras_ssd.pruning.choosing import Widths, chosen, flops_of
from keras_ssd.pruning.gradients import products_of
from keras_ssd.pruning.importance import by_gradients, by_weights
from keras_ssd.pruning.shrinking import without_channels
from keras_ssd.pruning.tracing import trace

LISTED = 12


@dataclass(frozen=True)
class PruningReport:
    """What became of a network; `str()` tells it.

    Args:
        flops_before, flops: of one image, two for a multiplication with an addition.
        parameters_before, parameters: numbers of weights.
        widths: {layer: (channels before, now)} of the layers that lost some.
        left: layers that could not be followed, so that their channels stayed.
        measure: how the channels were compared, in words.
    """

    flops_before: int
    flops: int
    parameters_before: int
    parameters: int
    widths: dict[str, tuple[int, int]]
    left: tuple[str, ...]
    measure: str

    def __str__(self) -> str:
        lines = [
            f"FLOPs: {self.flops_before / 1e9:.3f} G before, {self.flops / 1e9:.3f} G now "
            f"({self.flops / self.flops_before:.1%}), parameters: {self.parameters_before:,} before, "
            f"{self.parameters:,} now",
            f"{len(self.widths)} layers have fewer channels, chosen by {self.measure}",
        ]
        if self.left:
            names = listed(self.left, LISTED)
            lines.append(f"left as they are, with the channels that they read and make: {names}")
        return "\n".join(lines)


@checked_arguments
def prune(
    model: SSD,
    flops: float = 0.5,
    *,
    dataset: Dataset | None = None,
    batches: int = 16,
    batch_size: int = 8,
    multiple_of: int = 8,
    min_channels: int = 8,
) -> SSD:
    """A smaller copy of a detector: the channels that matter least are removed, and so is their work.

    Channels that only go together, through sums, products and depthwise convolutions, are removed together.
    Classes, anchors, preprocessing, decoding, confidence and calibration stay. The copy detects worse at first: train
    it, as any other model. `keras-ssd prune` does both.

    Args:
        model: `SSD` of raw predictions.
        flops: share of the FLOPs that is left at most, above 0 and up to 1.
        dataset: annotated images of the model's classes. With them a channel's importance is what the loss tells
            (first-order Taylor); without, the norm of its weights, batch normalisation included.
        batches: of the dataset that are looked at, at most.
        batch_size: images in each.
        multiple_of: a layer that loses channels keeps a multiple of this number.
        min_channels: a layer keeps at least so many, or all that it has.

    Returns:
        A new `SSD`; its `weights_report` is a `PruningReport`. The given model is unchanged.

    Raises:
        ValueError: a number out of range; a model with a decoder; nothing to prune; a budget that cannot be reached.

    Example:
        >>> smaller = keras_ssd.prune(model, flops=0.5, dataset=train_set)
        >>> print(smaller.weights_report)
        >>> keras_ssd.train(smaller, train_set, validation_set, out="runs/smaller", epochs=60)
    """
    model = as_detector(model)
    _check(model, flops, multiple_of, min_channels, batches, batch_size)
    traced = trace(model)
    if not traced.makers:
        raise ValueError(_nothing(model, traced))
    before = flops_of(traced)
    alive = np.ones(traced.num_groups, bool)
    measure = "the norm of their weights" if dataset is None else f"Taylor importance on images of {dataset.name}"
    if flops < 1:
        importance = _importance(model, traced, dataset, batches, batch_size)
        # Shares of a layer's mean say nothing of the cost; changes of the loss do.
        per_flop = dataset is not None
        alive = chosen(traced, importance, flops * before, Widths(multiple_of, min_channels), per_flop)
        left = flops_of(traced, alive)
        if left > flops * before:
            least = math.ceil(1000 * left / before) / 1000
            raise ValueError(
                f"A share of {flops:g} of the FLOPs cannot be reached: with at least {min_channels} channels a layer, "
                f"in multiples of {multiple_of}, model '{model.name}' keeps {least:g}. "
                "Give a larger share, or fewer channels in `min_channels` and `multiple_of`."
            )
    smaller = without_channels(model, traced, alive)
    widths = {name: (len(groups), int(alive[groups].sum())) for name, groups in traced.makers.items()}
    smaller.weights_report = PruningReport(
        before,
        flops_of(traced, alive),
        model.count_params(),
        smaller.count_params(),
        {name: (was, now) for name, (was, now) in widths.items() if now < was},
        traced.left,
        measure,
    )
    return smaller


def _importance(model, traced, dataset, batches, batch_size):
    if dataset is None:
        return by_weights(model, traced)
    if tuple(dataset.classes) != model.class_names:
        raise ValueError(
            f"The dataset has the classes {listed(dataset.classes, LISTED)}, the model "
            f"{listed(model.class_names, LISTED)}. Use dataset.with_classes(...)."
        )
    if not dataset.num_objects:
        raise ValueError(f"The dataset {dataset.name} has no objects, which the loss needs to say what matters.")
    return by_gradients(traced, products_of(model, dataset, batches, batch_size))


def _check(model: SSD, flops: Any, multiple_of: Any, min_channels: Any, batches: Any, batch_size: Any) -> None:
    if model.has_decoder:
        raise ValueError(
            f"`model` must give raw predictions, and '{model.name}' ends in a decoder. Prune the model that "
            "`with_decoder` was given, and put a decoder on the smaller one."
        )
    if isinstance(flops, bool) or not isinstance(flops, (int, float)) or not 0 < flops <= 1:
        raise ValueError(
            f"`flops` must be the share of the FLOPs that is left, above 0 and up to 1. Received: flops={flops!r}"
        )
    for name, value in (
        ("multiple_of", multiple_of),
        ("min_channels", min_channels),
        ("batches", batches),
        ("batch_size", batch_size),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"`{name}` must be a whole number from 1 on. Received: {name}={value!r}")


def _nothing(model, traced):
    why = f" These layers cannot be followed: {listed(traced.left, LISTED)}." if traced.left else ""
    return (
        f"Model '{model.name}' has nothing to prune: no channels of a convolution or dense layer can be removed.{why} "
        "A model inside the model has to be built from its layers, as keras_ssd.ssd does with a backbone."
    )
