"""Layers that move values, and layers that change the size of maps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.kinds.convolution import checked
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.caffe.layers.grayscale import Grayscale
from keras_ssd.layers import BilinearResize, LowestPadding2D, ShuffleChannels, SliceAxis
from keras_ssd.layers.class_columns import NEVER, ClassColumns
from keras_ssd.layers.reverse_channels import ReverseChannels
from keras_ssd.layout import CHANNELS_FIRST


@writes(keras.layers.ZeroPadding2D)
def zero_padding2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Zeros that the next convolution adds itself."""
    checked(step, layer)
    return step.padded(x, layer.padding)


@writes(LowestPadding2D)
def lowest_padding2d(step: Step, layer: Any, x: Blob) -> Blob:
    """Padding that the next max pooling adds itself."""
    return step.padded(x, layer.padding, lowest=True)


@writes(keras.layers.Cropping2D)
def cropping2d(step: Step, layer: Any, x: Blob) -> Blob:
    """A map without its border."""
    checked(step, layer)
    return cropped(step, step.settle(x), layer.cropping)


def cropped(step: Step, x: Blob, cropping: Sequence[Sequence[int]]) -> Blob:
    """The map without ((top, bottom), (left, right)) cells."""
    for axis, ((before, after), name) in enumerate(zip(cropping, ("rows", "columns"), strict=True), start=1):
        x = step.cut(x, axis, before, x.shape[axis] - after, name)
    return x


@writes(SliceAxis)
def slice_axis(step: Step, layer: Any, x: Blob) -> Blob:
    """A slice along an axis."""
    x = step.settle(x)
    axis = layer.axis % len(x.order)
    return step.cut(x, axis, layer.start, x.shape[axis] if layer.stop is None else layer.stop, None)


@writes(keras.layers.Permute)
def permute(step: Step, layer: Any, x: Blob) -> Blob:
    """Another order of the axes; nothing is moved until a later layer needs it."""
    x = step.settle(x)
    dims = (0, *layer.dims)  # axis i of the result was axis dims[i]
    return replace(x, shape=tuple(x.shape[axis] for axis in dims), order=x.renamed(dims))


@writes(keras.layers.Flatten)
def flatten(step: Step, layer: Any, x: Blob) -> Blob:
    """A map as a vector, which the next Dense reads in its stored order."""
    checked(step, layer)
    return _reshaped(step, x)


@writes(keras.layers.Reshape)
def reshape(step: Step, layer: Any, x: Blob) -> Blob:
    """The same values with another shape."""
    return _reshaped(step, x)


def _reshaped(step, x):
    if len(step.output_shape) == 2 and not x.flat and len(x.order) > 2:
        return replace(step.settle(x), flat=True)
    return step.reshaped(x, step.output_shape)


@writes(ShuffleChannels)
def shuffle_channels(step: Step, layer: Any, x: Blob) -> Blob:
    """The channel shuffle of ShuffleNet."""
    step.net.forks["ShuffleChannel"] += 1
    return step.add("ShuffleChannel", [step.maps(x)], params={"shuffle_channel_param": {"group": layer.groups}})


@writes(ReverseChannels)
def reverse_channels(step: Step, layer: Any, x: Blob) -> Blob:
    """The reverse channel order, which the next convolution absorbs."""
    if x.flat or x.order != CHANNELS_FIRST:
        x = step.maps(x)
    factors = None if x.factors is None else x.factors[::-1]
    return replace(x, channels_reversed=not x.channels_reversed, factors=factors)


@writes(Grayscale)
def grayscale(step: Step, layer: Any, x: Blob) -> Blob:
    """The net's user converts images to grey; only the first layer of a model can be written so."""
    step.fail("it must be the first layer of the model, since the net takes grey images.")


@writes(ClassColumns)
def class_columns(step: Step, layer: Any, x: Blob) -> Blob:
    """The background column first, by reordering the filters before it."""
    count, background = layer.num_columns, layer.background
    rest = [column for column in range(count) if column != background]
    columns = [background, *rest]
    boxes = range(x.shape[-1] // count)
    sources = [-1 if column < 0 else box * count + column for box in boxes for column in columns]
    return step.mapped(x, sources, [NEVER if source < 0 else 0.0 for source in sources])


@writes(BilinearResize)
def bilinear_resize(step: Step, layer: Any, x: Blob) -> Blob:
    """DeepLab's Interp."""
    step.net.forks["Interp"] += 1
    x = step.ordered(cropped(step, step.maps(x), layer.cropping), CHANNELS_FIRST)
    shape = (x.shape[0], layer.height, layer.width, x.shape[-1])
    return step.add("Interp", [x], shape, params={"interp_param": {"height": layer.height, "width": layer.width}})
