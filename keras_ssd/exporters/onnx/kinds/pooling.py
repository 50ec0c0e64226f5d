"""Padding and pooling."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.exporters.onnx.kinds.padding import pads_attribute, taken_padding, within_kernel
from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import LowestPadding2D, PaddedAveragePooling2D
from keras_ssd.layout import CHANNELS_FIRST
from keras_ssd.padding import keras_padding


def _padding(lowest):
    """Writes nothing: the padding waits for its reader."""

    def write(step, x):
        if x.padding is not None and x.padding.lowest != lowest:
            x = step.graph.settled(x)
        return x.padded(step.layer.padding, lowest)

    return write


def _attributes(layer, sides):
    return {
        "kernel_shape": list(layer.pool_size),
        "strides": list(layer.strides),
        "pads": pads_attribute(sides),
    }


def max_pooling2d(step: Step, x: Value) -> Value:
    layer = step.layer
    x, sides = taken_padding(step, x, lowest=True)
    sides = keras_padding(x.shape[1:3], layer.pool_size, layer.strides, padding=layer.padding, sides=sides)
    x, sides = within_kernel(step, x, sides, layer.pool_size, lowest=True)
    return x.like(step.node("MaxPool", x, **_attributes(layer, sides)), step.shape)


def average_pooling2d(step: Step, x: Value) -> Value:
    """Padding before the layer counts as zeros, the layer's own does not count."""
    layer = step.layer
    if layer.padding == "same":
        x = step.graph.maps(x)
        sides = keras_padding(x.shape[1:3], layer.pool_size, layer.strides)
    else:
        x, sides = taken_padding(step, x, lowest=False)
        x, sides = within_kernel(step, x, sides, layer.pool_size, lowest=False)
    counts = int(layer.padding != "same")
    return x.like(step.node("AveragePool", x, count_include_pad=counts, **_attributes(layer, sides)), step.shape)


def padded_average_pooling2d(step: Step, x: Value) -> Value:
    """Sums over whole windows, divided by the area that counts; the factor between them is a constant."""
    layer, x = step.layer, step.graph.maps(x)
    factors = layer.factors(x.shape)[None, :, :, None]
    x, sides = within_kernel(step, x, layer.pads(x.shape), layer.pool_size, lowest=False)
    all_whole = (factors == 1.0).all()
    attributes = {**_attributes(layer, sides), "count_include_pad": 1}
    stored = step.node("AveragePool", x, part=None if all_whole else "whole", **attributes)
    if not all_whole:
        stored = step.node("Mul", stored, step.constant(factors.transpose(CHANNELS_FIRST), "factors"))
    return x.like(stored, step.shape)


def _global(operator):
    """One value per channel, as a map of one cell or as a vector."""

    def write(step, x):
        x = step.graph.maps(x)
        if step.layer.keepdims:
            return x.like(step.node(operator, x), step.shape)
        stored = step.node(operator, step.graph.straight(x), part="map")
        return replace(
            x, name=step.reshape(stored, step.shape), shape=step.shape, order=(0, 1), channels_reversed=False
        )

    return write


def upsampling2d(step: Step, x: Value) -> Value:
    """Every cell repeated, or the cells between computed from their neighbours."""
    layer, x = step.layer, step.graph.maps(x)
    nearest = layer.interpolation == "nearest"
    attributes = (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if nearest
        else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    )
    scales = step.constant(np.asarray([1.0, 1.0, *layer.size], np.float32), "scales")
    return x.like(step.node("Resize", x, "", scales, **attributes), step.shape)


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.ZeroPadding2D: _padding(lowest=False),
    LowestPadding2D: _padding(lowest=True),
    keras.layers.MaxPooling2D: max_pooling2d,
    keras.layers.AveragePooling2D: average_pooling2d,
    PaddedAveragePooling2D: padded_average_pooling2d,
    keras.layers.GlobalAveragePooling2D: _global("GlobalAveragePool"),
    keras.layers.GlobalMaxPooling2D: _global("GlobalMaxPool"),
    keras.layers.UpSampling2D: upsampling2d,
}
