"""Pooling: Caffe rounds the number of windows up, so windows that Keras has not are cut off."""

from dataclasses import replace

import keras
import numpy as np

from keras_ssd.exporters.caffe.blobs import NO_PADDING
from keras_ssd.exporters.caffe.kinds.convolution import checked
from keras_ssd.exporters.caffe.kinds.normalization import affine
from keras_ssd.exporters.caffe.registry import writes
from keras_ssd.exporters.caffe.windows import caffe_windows, keras_padding, pair
from keras_ssd.layers import PaddedAveragePooling2D


@writes(keras.layers.MaxPooling2D)
def max_pooling2d(step, layer, x):
    """Max pooling, with the padding before it that never wins."""
    checked(step, layer)
    cells = NO_PADDING
    if x.padding is not None and x.padding.lowest:
        cells, x = x.padding.cells, replace(x, padding=None)
    x = step.maps(x)
    cells = keras_padding(x.shape[1:3], layer.pool_size, layer.strides, (1, 1), layer.padding, cells)
    pads = tuple(before for before, _ in cells)
    if any(max(pair_) >= size for pair_, size in zip(cells, layer.pool_size, strict=True)):
        step.fail(f"Caffe's padding is smaller than the window. Received: padding={cells}, pool_size={layer.pool_size}")
    return _pooled(step, layer, x, "MAX", pads)


def _pooled(step, layer, x, method, pads):
    """Writes a Pooling, and cuts off the windows that the Keras layer has not."""
    size_hw, made = x.shape[1:3], []
    for numbers in zip(size_hw, layer.pool_size, layer.strides, pads, strict=True):
        made.append(caffe_windows(*numbers, any(pads)))
    wanted = step.output_shape[1:3]
    if any(has < wants for has, wants in zip(made, wanted, strict=True)):
        step.fail(f"Caffe has {made} windows on a map of {size_hw} with this padding, the layer {tuple(wanted)}.")
    param = {
        "pool": method,
        **pair("kernel", layer.pool_size, "kernel_size", repeated=False),
        **pair("stride", layer.strides, repeated=False),
        **pair("pad", pads, repeated=False),
    }
    y = step.add("Pooling", [x], (x.shape[0], *made, x.shape[-1]), params={"pooling_param": param})
    return step.cut(step.cut(y, 1, 0, wanted[0], "rows"), 2, 0, wanted[1], "columns")


@writes(keras.layers.AveragePooling2D)
def average_pooling2d(step, layer, x):
    """Average pooling, where Caffe counts padding and Keras does not."""
    checked(step, layer)
    x = step.maps(x)
    cells = keras_padding(x.shape[1:3], layer.pool_size, layer.strides, (1, 1), layer.padding)
    y = _pooled(step, layer, x, "AVE", [before for before, _ in cells])
    areas = []
    for size, kernel, stride, (before, _), windows in zip(
        x.shape[1:3], layer.pool_size, layer.strides, cells, step.output_shape[1:3], strict=True
    ):
        starts = np.arange(windows) * stride - before
        ends = np.minimum(starts + kernel, size + before)
        areas.append((ends - starts) / (np.minimum(ends, size) - np.maximum(starts, 0)))
    factors = np.outer(*areas)
    return y if (factors == 1).all() else affine(step, y, (1, 2), factors, suffix="areas")


@writes(PaddedAveragePooling2D)
def padded_average_pooling2d(step, layer, x):
    """Caffe's own average pooling."""
    return _pooled(step, layer, step.maps(x), "AVE", layer.padding)


@writes(keras.layers.GlobalAveragePooling2D)
def global_average_pooling2d(step, layer, x):
    """The mean of each map."""
    return _global(step, layer, x, "AVE")


@writes(keras.layers.GlobalMaxPooling2D)
def global_max_pooling2d(step, layer, x):
    """The largest of each map."""
    return _global(step, layer, x, "MAX")


def _global(step, layer, x, method):
    checked(step, layer)
    x = step.maps(x)
    params = {"pooling_param": {"pool": method, "global_pooling": True}}
    y = step.add("Pooling", [x], (x.shape[0], 1, 1, x.shape[-1]), params=params)
    return y if layer.keepdims else replace(y, flat=True)
