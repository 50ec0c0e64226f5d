"""Layers that move values and compute nothing, or only between neighbours."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.exporters.onnx.kinds.arithmetic import aligned
from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import BilinearResize, ShuffleChannels, SliceAxis
from keras_ssd.layers.reverse_channels import ReverseChannels


def same(step: Step, x: Value) -> Value:
    """Nothing: what only happens in training."""
    return x


def reverse_channels(step: Step, x: Value) -> Value:
    """Nothing moves before a later layer asks for it."""
    return replace(x, channels_reversed=not x.channels_reversed)


def permute(step: Step, x: Value) -> Value:
    """Nothing moves: the axes are only called otherwise."""
    x = step.graph.straight(x)
    dims = (0, *step.layer.dims)
    return replace(x, shape=step.shape, order=x.renamed(dims))


def reshape(step: Step, x: Value) -> Value:
    """Flatten and Reshape."""
    if x.shape == step.shape:
        return x
    x = step.graph.straight(x) if x.in_value_order else step.graph.plain(x)
    return Value.plain(step.reshape(x, step.shape), step.shape)


def concatenate(step: Step, *values: Value) -> Value:
    axis = step.layer.axis % values[0].rank
    if axis == values[0].rank - 1:
        values = tuple(step.graph.straight(value) for value in values)
    values = tuple(aligned(step, values))
    if len(values) == 1:
        return values[0]
    return values[0].like(step.node("Concat", *values, axis=values[0].axis(axis)), step.shape)


def sliced(step: Step, x: Value, bounds: Mapping[int, Sequence[int]], part: str | None = None) -> str:
    """The name of a piece of a tensor.

    Args:
        step: the layer.
        x: the `Value`.
        bounds: {Keras's axis: (start, stop)}.
        part: the part that the operation is; None if it is the layer's last.
    """
    rows = [(*ends, x.axis(axis)) for axis, ends in bounds.items()]
    names = ("starts", "stops", "axes")
    inputs = [
        step.constant(np.asarray(column), name) for column, name in zip(zip(*rows, strict=True), names, strict=True)
    ]
    return step.node("Slice", x, *inputs, part=part)


def slice_axis(step: Step, x: Value) -> Value:
    layer = step.layer
    axis = layer.axis % x.rank
    if axis == x.rank - 1:
        x = step.graph.straight(x)
    stop = x.shape[axis] if layer.stop is None else layer.stop
    return x.like(sliced(step, x, {axis: (layer.start, stop)}), step.shape)


def cropping2d(step: Step, x: Value) -> Value:
    sides = zip((1, 2), step.layer.cropping, strict=True)
    bounds = {axis: (before, x.shape[axis] - after) for axis, (before, after) in sides}
    return x.like(sliced(step, x, bounds), step.shape)


def shuffle_channels(step: Step, x: Value) -> Value:
    """The channels as a table, read column by column."""
    x = step.graph.straight(x)
    at, stored, groups = x.axis(-1), x.stored_shape, step.layer.groups
    table = (*stored[:at], groups, stored[at] // groups, *stored[at + 1 :])
    axes = list(range(len(table)))
    axes[at : at + 2] = at + 1, at
    y = step.node("Transpose", step.reshape(x, table, part="table"), part="turned_table", perm=axes)
    return x.like(step.reshape(y, stored))


def bilinear_resize(step: Step, x: Value) -> Value:
    layer, x = step.layer, step.graph.maps(x)
    sides = zip((1, 2), layer.cropping, strict=True)
    bounds = {axis: (before, x.shape[axis] - after) for axis, (before, after) in sides}
    if any(map(any, layer.cropping)):
        x = x.like(sliced(step, x, bounds, part="cropped"))
    sizes = step.graph.sizes((1, x.shape[3], layer.height, layer.width), f"{layer.name}/sizes")
    attributes = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    return x.like(step.node("Resize", x, "", "", sizes, **attributes), step.shape)


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.Identity: same,
    keras.layers.Dropout: same,
    keras.layers.SpatialDropout2D: same,
    keras.layers.GaussianNoise: same,
    keras.layers.ActivityRegularization: same,
    ReverseChannels: reverse_channels,
    keras.layers.Permute: permute,
    keras.layers.Flatten: reshape,
    keras.layers.Reshape: reshape,
    keras.layers.Concatenate: concatenate,
    keras.layers.Cropping2D: cropping2d,
    SliceAxis: slice_axis,
    ShuffleChannels: shuffle_channels,
    BilinearResize: bilinear_resize,
}
