"""Pooling. Caffe rounds the number of windows up; windows that Keras does not have are cut off."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.kinds.convolution import checked
from keras_ssd.caffe.exporter.kinds.normalization import affine
from keras_ssd.caffe.exporter.padding import pair, pooling_of
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.layers import PaddedAveragePooling2D
from keras_ssd.padding import NO_SIDES, keras_padding

AXES = {1: "rows", 2: "columns"}


@writes(keras.layers.MaxPooling2D)
def max_pooling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Max pooling, with padding of the lowest number before it."""
    checked(step, layer)
    cells = NO_SIDES
    if x.padding is not None and x.padding.lowest:
        cells, x = x.padding.sides, replace(x, padding=None)
    x = step.maps(x)
    cells = keras_padding(x.shape[1:3], layer.pool_size, layer.strides, padding=layer.padding, sides=cells)
    return _pooled(step, layer, x, "MAX", cells)[0]


def _pooled(step, layer, x, method, cells):
    """Writes a Pooling and cuts off the windows that the Keras layer does not have; returns (blob, Caffe's padding)."""
    wanted = step.output_shape[1:3]
    axes = zip(x.shape[1:3], layer.pool_size, layer.strides, cells, wanted, strict=True)
    found = [plan for plan in (pooling_of(*numbers) for numbers in axes) if plan is not None]
    if len(found) < len(wanted):
        step.fail(
            f"Caffe's padding is smaller than the window. Received: padding={cells}, pool_size={tuple(layer.pool_size)}"
        )
    for axis, plan in enumerate(found, start=1):
        x = step.cut(x, axis, 0, plan.size, f"input_{AXES[axis]}")
    pads = tuple(plan.pad for plan in found)
    param = {
        "pool": method,
        **pair("kernel", layer.pool_size, "kernel_size", repeated=False),
        **pair("stride", layer.strides, repeated=False),
        **pair("pad", pads, repeated=False),
    }
    shape = (x.shape[0], *(plan.windows for plan in found), x.shape[-1])
    y = step.add("Pooling", [x], shape, params={"pooling_param": param})
    for axis, (plan, count) in enumerate(zip(found, wanted, strict=True), start=1):
        y = step.cut(y, axis, plan.first, plan.first + count, AXES[axis])
    return y, pads


@writes(keras.layers.AveragePooling2D)
def average_pooling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Average pooling. If Caffe's mean counts padding that Keras's does not, a factor per location corrects it."""
    checked(step, layer)
    x = step.maps(x)
    cells = keras_padding(x.shape[1:3], layer.pool_size, layer.strides, padding=layer.padding)
    y, pads = _pooled(step, layer, x, "AVE", cells)
    numbers = (x.shape[1:3], layer.pool_size, layer.strides, cells, pads, step.output_shape[1:3])
    factors = np.outer(*(_too_long(*axis) for axis in zip(*numbers, strict=True)))
    return y if (factors == 1).all() else affine(step, y, (1, 2), factors, suffix="areas")


def _too_long(size, kernel, stride, cells, pad, windows):
    """For each window on one axis: the length that Caffe divides by, over the length inside the map."""
    starts = np.arange(windows) * stride - cells[0]
    ends = starts + kernel
    return (np.minimum(ends, size + pad) - starts) / (np.minimum(ends, size) - np.maximum(starts, 0))


@writes(PaddedAveragePooling2D)
def padded_average_pooling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's own average pooling."""
    return _pooled(step, layer, step.maps(x), "AVE", tuple((pad, pad) for pad in layer.padding))[0]


@writes(keras.layers.GlobalAveragePooling2D)
def global_average_pooling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """The mean of each map."""
    return _global(step, layer, x, "AVE")


@writes(keras.layers.GlobalMaxPooling2D)
def global_max_pooling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """The maximum of each map."""
    return _global(step, layer, x, "MAX")


def _global(step, layer, x, method):
    checked(step, layer)
    x = step.maps(x)
    params = {"pooling_param": {"pool": method, "global_pooling": True}}
    y = step.add("Pooling", [x], (x.shape[0], 1, 1, x.shape[-1]), params=params)
    return y if layer.keepdims else replace(y, flat=True)
