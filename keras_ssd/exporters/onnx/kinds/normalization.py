"""Normalization, and the image's preprocessing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.caffe.layers.grayscale import WEIGHTS, Grayscale
from keras_ssd.exporters.model_graph import array_of
from keras_ssd.exporters.onnx.kinds.arithmetic import linear
from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import ChannelAffine, L2Normalization, LocalResponseNormalization, MeanVarianceNormalization


def _spread(array, rank, axes):
    """An array of some axes, with axes of length one for all others."""
    sizes = [1] * rank
    for axis, size in zip(axes, np.shape(array), strict=True):
        sizes[axis] = size
    return np.reshape(array, sizes)


def batch_normalization(step: Step, x: Value) -> Value:
    layer = step.layer
    axis, count = layer.axis % x.rank, x.shape[layer.axis]
    parts: dict[str, np.ndarray] = {"gamma": np.ones(count), "beta": np.zeros(count)}
    for name, used in (("gamma", layer.scale), ("beta", layer.center)):
        parts[name] = array_of(getattr(layer, name)) if used else parts[name]
    parts |= {name: array_of(getattr(layer, name)) for name in ("moving_mean", "moving_variance")}
    if x.axis(axis) == 1:
        constants = [step.constant(x.turned(array), name) for name, array in parts.items()]
        return x.like(step.node("BatchNormalization", x, *constants, epsilon=float(layer.epsilon)))
    scale = parts["gamma"].astype("float64") / np.sqrt(parts["moving_variance"].astype("float64") + layer.epsilon)
    offset = parts["beta"] - parts["moving_mean"] * scale
    return x.like(linear(step, x, _spread(scale, x.rank, [axis]), _spread(offset, x.rank, [axis])))


def channel_affine(step: Step, x: Value) -> Value:
    layer = step.layer
    axes = () if layer.shared else sorted({axis % x.rank for axis in layer.axis})

    def spread(variable):
        array = array_of(variable)
        return array.reshape(()) if layer.shared else _spread(array, x.rank, axes)

    scale = spread(layer.gamma) if layer.scale else 1.0
    offset = spread(layer.beta) if layer.bias else 0.0
    return x.like(linear(step, x, scale, offset))


def rescaling(step: Step, x: Value) -> Value:
    given = (np.asarray(number, np.float32) for number in (step.layer.scale, step.layer.offset))
    scale, offset = (_to_rank(number, x.rank) for number in given)
    return x.like(linear(step, x, scale, offset))


def normalization(step: Step, x: Value) -> Value:
    """Keras's Normalization by fixed means and variances."""
    layer = step.layer
    mean, deviation = array_of(layer.mean), np.maximum(np.sqrt(array_of(layer.variance)), keras.config.epsilon())
    if layer.invert:
        return x.like(linear(step, x, deviation, mean))
    return x.like(linear(step, x, 1.0 / deviation, -mean / deviation))


def _to_rank(array, rank):
    return array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim else array


def l2_normalization(step: Step, x: Value) -> Value:
    layer = step.layer
    axes = (1, 2, 3) if layer.across_spatial else (3,)
    squares = step.node("Mul", x, x, part="squares")
    total = _sum(step, squares, sorted(x.axis(axis) for axis in axes))
    total = step.node("Add", total, step.constant(layer.epsilon, "epsilon"), part="add")
    y = step.node("Div", x, step.node("Sqrt", total, part="length"), part="normalized")
    gamma = array_of(layer.gamma)
    gamma = gamma.reshape(()) if layer.channel_shared else gamma.reshape(1, 1, 1, -1)
    return x.like(step.node("Mul", y, step.factors(x, gamma, "gamma")))


def _sum(step, stored, axes, part="sum"):
    axes = step.constant(np.asarray(axes, np.int64), f"{part}_axes")
    return step.node("ReduceSum", stored, axes, part=part, keepdims=1)


def local_response_normalization(step: Step, x: Value) -> Value:
    layer = step.layer
    x = step.graph.maps(x)
    if not layer.within_channel:
        return x.like(step.node("LRN", x, size=layer.size, alpha=layer.alpha, beta=layer.beta, bias=layer.k))
    reach = (layer.size - 1) // 2
    squares = step.node("Mul", x, x, part="squares")
    window = {"kernel_shape": [layer.size] * 2, "strides": [1, 1], "pads": [reach] * 4, "count_include_pad": 1}
    y = step.node("AveragePool", squares, part="means", **window)
    y = step.node("Mul", y, step.constant(layer.alpha, "alpha"), part="scaled")
    y = step.node("Add", y, step.constant(layer.k, "k"), part="add")
    y = step.node("Pow", y, step.constant(layer.beta, "beta"), part="power")
    return x.like(step.node("Div", x, y))


def mean_variance_normalization(step: Step, x: Value) -> Value:
    layer = step.layer
    x = step.graph.maps(x)
    axes = [1, 2, 3] if layer.across_channels else [2, 3]
    mean = step.node("ReduceMean", x, part="mean", axes=axes, keepdims=1)
    if not layer.normalize_variance:
        return x.like(step.node("Sub", x, mean))
    centred = step.node("Sub", x, mean, part="centred")
    squares = step.node("Mul", centred, centred, part="squares")
    variance = step.node("ReduceMean", squares, part="variance", axes=axes, keepdims=1)
    deviation = step.node("Sqrt", variance, part="deviation")
    deviation = step.node("Add", deviation, step.constant(layer.epsilon, "epsilon"), part="add")
    return x.like(step.node("Div", centred, deviation))


def grayscale(step: Step, x: Value) -> Value:
    """The same sum in the same order as Keras's, since a grey level depends on the last bit where it is rounded."""
    weights = step.factors(x, np.reshape(WEIGHTS, (1, 1, 1, 3)), "weights")
    y = step.node("Mul", x, weights, part="weighted")
    planes = []
    for index, colour in enumerate(("red", "green", "blue")):
        place = 2 - index if x.channels_reversed else index
        inputs = [step.constant(np.asarray([number]), f"{colour}_{name}") for name, number in _piece(x, place)]
        planes.append(step.node("Slice", y, *inputs, part=colour))
    grey = step.node("Add", step.node("Add", *planes[:2], part="red_green"), planes[2], part="sum")
    stored = step.node("Round", grey)
    return replace(x, name=stored, shape=step.shape, channels_reversed=False)


def _piece(x, place):
    return (("start", place), ("stop", place + 1), ("axis", x.axis(-1)))


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.BatchNormalization: batch_normalization,
    keras.layers.Rescaling: rescaling,
    keras.layers.Normalization: normalization,
    ChannelAffine: channel_affine,
    L2Normalization: l2_normalization,
    LocalResponseNormalization: local_response_normalization,
    MeanVarianceNormalization: mean_variance_normalization,
    Grayscale: grayscale,
}
