"""Layers with several inputs, and sums and products with constants."""

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.kinds.activations import powered
from keras_ssd.caffe.exporter.kinds.normalization import affine
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.exporters.model_graph import array_of
from keras_ssd.layers import WeightedAdd
from keras_ssd.layout import plain_order, usual_order


@writes(keras.layers.Add)
def add(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """A sum; Caffe's Bias if one input is smaller."""
    return _eltwise(step, inputs, "SUM", spread_kind="Bias")


@writes(keras.layers.Subtract)
def subtract(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """A difference."""
    return _eltwise(step, inputs, "SUM", (1.0, -1.0))


@writes(keras.layers.Average)
def average(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """A mean."""
    return _eltwise(step, inputs, "SUM", (1.0 / len(inputs),) * len(inputs))


@writes(WeightedAdd)
def weighted_add(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """A sum with coefficients."""
    return _eltwise(step, inputs, "SUM", layer.coefficients)


@writes(keras.layers.Multiply)
def multiply(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """A product; Caffe's Scale if one input is smaller."""
    return _eltwise(step, inputs, "PROD", spread_kind="Scale")


@writes(keras.layers.Maximum)
def maximum(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """The elementwise maximum."""
    return _eltwise(step, inputs, "MAX")


def _eltwise(step, inputs, operation, coefficients=(), spread_kind=None):
    inputs = [step.settle(x) for x in inputs]
    if len(inputs) == 1 and not coefficients:
        return inputs[0]
    shapes = {x.shape[1:] for x in inputs}
    if len(shapes) > 1:
        if spread_kind is None or len(inputs) != 2:
            step.fail(f"its inputs must have one shape. Received: shapes={[x.shape for x in inputs]}")
        return _spread(step, inputs, spread_kind)
    inputs = step.aligned(inputs)
    if len(inputs) == 1:
        return powered(step, inputs[0], scale=coefficients[0])
    param = {} if operation == "SUM" else {"operation": operation}
    if coefficients:
        param["coeff"] = list(coefficients)
    return step.add("Eltwise", inputs, params={"eltwise_param": param} if param else {})


def _spread(step, inputs, kind):
    """A product or sum with a blob that is 1 wide where the other is larger, as in squeeze and excitation."""
    x, factor = sorted(inputs, key=lambda blob: -np.prod(blob.shape[1:]))
    rank = len(x.order)
    for order in (x.order, usual_order(rank), plain_order(rank)):
        if len(factor.order) != rank:
            break
        sizes = [factor.shape[axis] for axis in order[1:]]
        while len(sizes) > 1 and sizes[-1] == 1:
            sizes.pop()
        if sizes != [x.shape[axis] for axis in order[1 : 1 + len(sizes)]]:
            continue
        x, factor = step.ordered(x, order), step.ordered(factor, order)
        dims = {"reshape_param": {"shape": {"dim": [0, *sizes]}}}
        factor = step.add("Reshape", [factor], (None, *sizes), params=dims, suffix="factor")
        if kind == "Bias":
            step.net.note(f"OpenCV has no Bias layer with a second input, which Caffe has ('{step.name}').")
        return step.add(kind, [x, factor], x.shape, x.order, params={f"{kind.lower()}_param": {"axis": 0}})
    return step.fail(
        "of inputs of two shapes, one must have length 1 on the last axes, in the order B, C, H, W or B, H, W, C. "
        f"Received: shapes={[blob.shape for blob in inputs]}"
    )


@writes(keras.layers.Rescaling)
def rescaling(step: Step, layer: Any, x: Blob) -> Blob:
    """x * scale + offset, for all channels or per channel."""
    if np.size(layer.scale) == 1 and np.size(layer.offset) == 1:
        return powered(step, x, scale=float(np.ravel(layer.scale)[0]), shift=float(np.ravel(layer.offset)[0]))
    x = step.settle(x)
    return affine(step, x, (-1,), *(per_channel(given, x.shape[-1]) for given in (layer.scale, layer.offset)))


@writes(keras.layers.Normalization)
def normalization(step: Step, layer: Any, x: Blob) -> Blob:
    """(x - mean) / deviation, per channel."""
    x = step.settle(x)
    scale, offset = line_of(step, layer, x.shape[-1])
    return affine(step, x, (-1,), scale, offset)


def line_of(step: Step, layer: Any, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """(scale, offset) per channel of a Rescaling or Normalization."""
    if isinstance(layer, keras.layers.Rescaling):
        return per_channel(layer.scale, channels), per_channel(layer.offset, channels)
    mean, variance = (array_of(v).astype(np.float64) for v in (layer.mean, layer.variance))
    if mean.size not in (1, channels) or mean.shape[-1] != mean.size or layer.invert:
        step.fail("a Normalization must have one mean per channel, and invert=False.")
    scale = 1.0 / np.maximum(np.sqrt(per_channel(variance, channels)), keras.backend.epsilon())
    return scale, -per_channel(mean, channels) * scale


@writes(keras.layers.Concatenate)
def concatenate(step: Step, layer: Any, *inputs: Blob) -> Blob:
    """Joins blobs on an axis."""
    inputs = tuple(step.aligned(inputs))
    axis = layer.axis % len(inputs[0].order)
    if axis == 0:
        step.fail("the images of a batch cannot be joined.")
    if len(inputs) == 1:
        return inputs[0]
    first = inputs[0]
    shape = tuple(sum(x.shape[axis] for x in inputs) if i == axis else side for i, side in enumerate(first.shape))
    return step.add("Concat", inputs, shape, first.order, params={"concat_param": {"axis": first.axis(axis)}})


def per_channel(given: ArrayLike, channels: int) -> np.ndarray:
    """One float64 per channel, from one number or one per channel."""
    return np.broadcast_to(np.asarray(given, np.float64).ravel(), (channels,))
