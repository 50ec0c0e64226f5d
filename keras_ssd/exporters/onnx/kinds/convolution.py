"""Convolution and what is computed like it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras

from keras_ssd.exporters.model_graph import array_of, depthwise_kernel
from keras_ssd.exporters.onnx.kinds.activations import activated, part_before
from keras_ssd.exporters.onnx.kinds.padding import pads_attribute, taken_padding, within_kernel
from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import Deconvolution2D
from keras_ssd.layout import CHANNELS_FIRST
from keras_ssd.padding import keras_padding


def _window(step, x):
    """(map, attributes) of a convolution: its padding is Keras's own plus that of layers before it."""
    layer = step.layer
    x, sides = taken_padding(step, x, lowest=False)
    size_hw = x.shape[1:3]
    sides = keras_padding(size_hw, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, sides)
    # OpenCV 5.0 reads beyond the map where a kernel of one cell has padding.
    reach = [d * (k - 1) + 1 for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    x, sides = within_kernel(step, x, sides, reach, lowest=False)
    attributes = {
        "kernel_shape": list(layer.kernel_size),
        "strides": list(layer.strides),
        "dilations": list(layer.dilation_rate),
        "pads": pads_attribute(sides),
    }
    return x, attributes


def _weights(step, kernel):
    """Names of the kernel and, where there is one, the bias."""
    names = [step.constant(kernel, "kernel")]
    if step.layer.use_bias:
        names.append(step.constant(array_of(step.layer.bias), "bias"))
    return names


def _result(step, x, stored):
    """The layer's output, after its activation."""
    return activated(step, replace(x.like(stored, step.shape), channels_reversed=False))


def conv2d(step: Step, x: Value) -> Value:
    """A convolution; if the image's channels are reversed, the kernel is turned instead of the image."""
    layer = step.layer
    x, attributes = _window(step, x)
    kernel = array_of(layer.kernel).transpose(3, 2, 0, 1)  # (filters, C / groups, h, w)
    if x.channels_reversed and layer.groups == 1:
        kernel = x.turned(kernel, 1)
    else:
        x = step.graph.straight(x)
    inputs = [x, *_weights(step, kernel)]
    part = part_before(layer.activation)
    return _result(step, x, step.node("Conv", *inputs, part=part, group=int(layer.groups), **attributes))


def depthwise_conv2d(step: Step, x: Value) -> Value:
    layer = step.layer
    x, attributes = _window(step, x)
    x = step.graph.straight(x)
    inputs = [x, *_weights(step, depthwise_kernel(layer.kernel))]
    part = part_before(layer.activation)
    return _result(step, x, step.node("Conv", *inputs, part=part, group=x.shape[-1], **attributes))


def separable_conv2d(step: Step, x: Value) -> Value:
    """A depthwise convolution, and one over the channels of each cell."""
    layer = step.layer
    x, attributes = _window(step, x)
    x = step.graph.straight(x)
    depthwise = step.constant(depthwise_kernel(layer.depthwise_kernel), "depthwise_kernel")
    y = step.node("Conv", x, depthwise, part="depthwise", group=x.shape[-1], **attributes)
    inputs = [y, *_weights(step, array_of(layer.pointwise_kernel).transpose(3, 2, 0, 1))]
    return _result(step, x, step.node("Conv", *inputs, part=part_before(layer.activation), kernel_shape=[1, 1]))


def deconvolution2d(step: Step, x: Value) -> Value:
    layer = step.layer
    x = step.graph.straight(step.graph.maps(x))
    stored = step.node(
        "ConvTranspose",
        x,
        *_weights(step, array_of(layer.kernel).transpose(3, 2, 0, 1)),  # (C, filters / groups, h, w)
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=[*layer.padding, *layer.padding],
        group=layer.groups,
    )
    return x.like(stored, step.shape)


def dense(step: Step, x: Value) -> Value:
    """A Dense layer; on a map it is a convolution of single cells, so the map stays as it stands."""
    layer, part = step.layer, part_before(step.layer.activation)
    kernel = array_of(layer.kernel)
    if x.order == CHANNELS_FIRST:
        x = step.graph.straight(x)
        inputs = [x, *_weights(step, kernel.T[:, :, None, None])]
        return _result(step, x, step.node("Conv", *inputs, part=part, kernel_shape=[1, 1]))
    x = step.graph.plain(x)
    weights = _weights(step, kernel)
    if x.rank == 2:
        return _result(step, x, step.node("Gemm", x, *weights, part=part))
    if len(weights) == 1:
        return _result(step, x, step.node("MatMul", x, *weights, part=part))
    product = step.node("MatMul", x, weights[0], part="product")
    return _result(step, x, step.node("Add", product, weights[1], part=part))


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.Conv2D: conv2d,
    keras.layers.DepthwiseConv2D: depthwise_conv2d,
    keras.layers.SeparableConv2D: separable_conv2d,
    Deconvolution2D: deconvolution2d,
    keras.layers.Dense: dense,
}
