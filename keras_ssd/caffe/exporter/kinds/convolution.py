"""Convolutions and Dense layers."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.kinds.activations import activated
from keras_ssd.caffe.exporter.padding import deconvolution_of, pair, without_gaps
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.exporters.model_graph import array_of, depthwise_kernel
from keras_ssd.layers import Deconvolution2D
from keras_ssd.padding import NO_SIDES, keras_padding

FUSED = "activation"


def checked(step: Step, layer: Any) -> None:
    """Refuses layers with channels first."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        step.fail("its data_format must be 'channels_last'.")


def _bias(layer):
    return array_of(layer.bias) if layer.use_bias else None


def _convolved(step, layer, x, kernel, groups, bias, suffix=None):
    """A convolution with the strides, dilation and padding of a Keras layer.

    A kernel that reads all channels absorbs the image's channel order and factors. Its shape is
    (out, in / groups, height, width).
    """
    checked(step, layer)
    padding = x.padding if x.padding is not None and not x.padding.lowest else None
    x = x if padding is None else replace(x, padding=None)
    if groups == 1 and x.padding is None:
        if x.factors is not None:
            kernel = kernel * np.asarray(x.factors)[None, :, None, None]
        kernel = x.turned(kernel, 1)
        x = replace(x, channels_reversed=False, factors=None)
    x = step.maps(x)
    strides, dilation = tuple(layer.strides), tuple(layer.dilation_rate)
    sides = NO_SIDES if padding is None else padding.sides
    cells = keras_padding(x.shape[1:3], kernel.shape[2:], strides, dilation, layer.padding, sides)
    options = {"strides": strides, "dilation": dilation, "groups": groups, "cells": cells}
    return step.convolve(x, kernel, bias, suffix=suffix, **options)


@writes(keras.layers.Conv2D)
def conv2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's Convolution, and the fused activation."""
    y = _convolved(step, layer, x, array_of(layer.kernel).transpose(3, 2, 0, 1), layer.groups, _bias(layer))
    return activated(step, y, layer.activation, FUSED)


@writes(keras.layers.DepthwiseConv2D)
def depthwise_conv2d(step: Step, layer: Any, x: Blob) -> Blob:
    """A Convolution with one group per channel."""
    y = _convolved(step, layer, x, depthwise_kernel(layer.kernel), x.shape[-1], _bias(layer))
    return activated(step, y, layer.activation, FUSED)


@writes(keras.layers.SeparableConv2D)
def separable_conv2d(step: Step, layer: Any, x: Blob) -> Blob:
    """A depthwise Convolution and a 1x1 Convolution."""
    kernel = depthwise_kernel(layer.depthwise_kernel)
    y = _convolved(step, layer, x, kernel, x.shape[-1], None, "depthwise")
    y = step.convolve(y, array_of(layer.pointwise_kernel).transpose(3, 2, 0, 1), _bias(layer))
    return activated(step, y, layer.activation, FUSED)


@writes(Deconvolution2D)
def deconvolution2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's Deconvolution."""
    x = step.maps(x)
    kernel = without_gaps(array_of(layer.kernel), layer.dilation_rate)  # OpenCV knows no dilation here
    param = {
        **pair("kernel", kernel.shape[:2], "kernel_size"),
        **pair("pad", layer.padding),
        **pair("stride", layer.strides),
    }
    return _deconvolved(step, x, kernel, _bias(layer), layer.groups, param)


@writes(keras.layers.Conv2DTranspose)
def conv2d_transpose(step: Step, layer: Any, x: Blob) -> Blob:
    """A Deconvolution, whose kernel may be padded with zeros."""
    checked(step, layer)
    if layer.output_padding is not None or getattr(layer, "groups", 1) != 1:
        step.fail("it must have no output_padding and one group.")
    x = step.maps(x)
    kernel, param = deconvolution_of(x.shape[1:3], array_of(layer.kernel), layer)
    y = _deconvolved(step, x, kernel, _bias(layer), 1, param)
    return activated(step, y, layer.activation, FUSED)


def _deconvolved(step, x, kernel, bias, groups, param):
    """Writes a Deconvolution; the kernel is Keras's, (height, width, out / groups, in)."""
    kernel = kernel.transpose(3, 2, 0, 1)
    param = {"num_output": kernel.shape[1] * groups, "bias_term": bias is not None, **param}
    if groups > 1:
        param["group"] = groups
    blobs = [kernel] if bias is None else [kernel, bias]
    return step.add("Deconvolution", [x], step.output_shape, params={"convolution_param": param}, blobs=blobs)


@writes(keras.layers.UpSampling2D)
def up_sampling2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Nearest upsampling as a Deconvolution with ones, which every Caffe has."""
    checked(step, layer)
    if layer.interpolation != "nearest":
        step.fail(
            "only the interpolation 'nearest' is written; for bilinear resizing use keras_ssd.layers.BilinearResize. "
            f"Received: interpolation={layer.interpolation!r}"
        )
    x = step.maps(x)
    channels = x.shape[-1]
    param = {**pair("kernel", layer.size, "kernel_size"), **pair("stride", layer.size)}
    return _deconvolved(step, x, np.ones((*layer.size, 1, channels)), None, channels, param)


@writes(keras.layers.Dense)
def dense(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's InnerProduct. After a flattened map, the kernel's columns are reordered instead of the values."""
    kernel, bias, units = array_of(layer.kernel).T, _bias(layer), layer.units
    if x.flat:
        x = step.settle(replace(x, flat=False))
        kernel = kernel.reshape(units, *x.shape[1:]).transpose(0, *x.order[1:]).reshape(units, -1)
        axis = 1
    elif len(x.order) == 4:
        y = step.convolve(step.maps(x), kernel[:, :, None, None], bias)
        return activated(step, y, layer.activation, FUSED)
    else:
        x = step.plain(x)
        axis = len(x.order) - 1
    param = {"num_output": units, "bias_term": bias is not None}
    if axis != 1:
        param["axis"] = axis
    blobs = [kernel] if bias is None else [kernel, bias]
    params = {"inner_product_param": param}
    y = step.add("InnerProduct", [x], step.output_shape, params=params, blobs=blobs)
    return activated(step, y, layer.activation, FUSED)
