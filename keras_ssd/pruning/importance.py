"""How much each group of channels matters: by its weights, or by what the loss says on images."""

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ssd.exporters.model_graph import array_of
from keras_ssd.folding import foldable_pairs
from keras_ssd.pruning.tracing import Traced


def by_weights(model: keras.Model, traced: Traced) -> np.ndarray:
    """The norm of the weights that make each channel, as a share of its layer's mean, over all layers of a group.

    A batch normalisation after a convolution is folded into it, so that the norm tells how large the channel is.

    Returns:
        (groups,) float64.
    """
    scales = {conv.name: _scale(norm) for conv, norm in foldable_pairs(model)}
    total, count = np.zeros(traced.num_groups), np.zeros(traced.num_groups)
    for layer, weights in traced.weights.items():
        kernels = [name for name in weights if name.endswith("kernel") and weights[name]]
        if not kernels:
            continue
        kernel = array_of(_weight(model, layer, kernels[-1])).astype(np.float64)
        axis, groups = list(weights[kernels[-1]].items())[-1]
        norms = np.sqrt(_over_others(np.square(kernel), axis))
        if layer in scales and len(scales[layer]) == len(norms):
            norms = norms * scales[layer]
        np.add.at(total, groups, norms / max(norms.mean(), 1e-30))
        np.add.at(count, groups, 1)
    return total / np.maximum(count, 1)


def by_gradients(traced: Traced, steps: Iterable[Mapping[tuple[str, str], Any]]) -> np.ndarray:
    """How much the loss changes without each channel, to first order: Taylor importance.

    Args:
        traced: the network's `Traced`.
        steps: of each batch {(layer, weight): weight times gradient}.

    Returns:
        (groups,) float64: the root of the mean, over the batches, of the squared change.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning" (arXiv 1906.10771).
    """
    squares, count = np.zeros(traced.num_groups), 0
    for products in steps:
        change = np.zeros(traced.num_groups)
        for layer, weights in traced.weights.items():
            for weight, axes in weights.items():
                if axes and (layer, weight) in products:
                    axis, groups = list(axes.items())[-1]
                    np.add.at(change, groups, _over_others(np.asarray(products[layer, weight], np.float64), axis))
        squares += np.square(change)
        count += 1
    return np.sqrt(squares / max(count, 1))


def _over_others(array, axis):
    return array.sum(axis=tuple(other for other in range(array.ndim) if other != axis))


def _weight(model, layer, name):
    return next(weight for weight in model.get_layer(layer).weights if weight.name == name)


def _scale(norm):
    variance = array_of(norm.moving_variance).astype(np.float64)
    gamma = 1.0 if norm.gamma is None else np.abs(array_of(norm.gamma).astype(np.float64))
    return gamma / np.sqrt(variance + norm.epsilon)
