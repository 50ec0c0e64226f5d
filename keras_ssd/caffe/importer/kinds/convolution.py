"""Convolution, deconvolution and dense layers."""

import math
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.caffe.files import Settings
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step, Stored
from keras_ssd.caffe.importer.kinds.axes import checked_axis
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import Deconvolution2D


def per_axis(settings: Settings, name: str, default: Any = None) -> Any:
    """(vertical, horizontal) of a setting such as `kernel_size`, which may also be given as `kernel_h` and `kernel_w`.

    `pad` and `stride` of old pooling settings are single values, those of convolutions are lists.
    """
    stem = name.removesuffix("_size")
    high, wide = settings.get(f"{stem}_h"), settings.get(f"{stem}_w")
    if high or wide:
        return int(high or 0), int(wide or 0)
    given = settings.get(name)
    values = tuple(given) if isinstance(given, (tuple, list)) else (() if given is None else (given,))
    if not values:
        return default
    return (int(values[0]), int(values[0])) if len(values) == 1 else (int(values[0]), int(values[1]))


@dataclass(frozen=True)
class Window:
    """The settings of a convolution, checked."""

    filters: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    use_bias: bool


def window_of(step: Step, x: Blob, depthwise: bool = False) -> Window:
    """The `Window` of a layer; with `depthwise`, each channel is a group, and the layer's own `group` is ignored."""
    s = step.settings("convolution_param")
    if len(x.shape) != 4 or s.get("axis", 1) not in (1, -3) or len(s.get("kernel_size") or ()) > 2:
        step.fail(f"only convolutions over height and width of a map are supported. Received: shape={x.shape}")
    channels = x.shape[1]
    groups = channels if depthwise else s["group"]
    filters = s.get("num_output") or (channels if depthwise else 0)
    kernel, stride = per_axis(s, "kernel_size"), per_axis(s, "stride", (1, 1))
    pad, dilation = per_axis(s, "pad", (0, 0)), per_axis(s, "dilation", (1, 1))
    if kernel is None or min((*kernel, *stride, *dilation, filters, groups)) < 1 or min(pad) < 0:
        return step.fail(
            f"needs num_output, kernel_size, stride, dilation and group of at least 1. Received: num_output={filters}, "
            f"kernel_size={kernel}, stride={stride}, dilation={dilation}, group={groups}, pad={pad}"
        )
    if channels % groups or filters % groups:
        step.fail(
            f"group must divide the channels of the input and num_output. Received: group={groups}, "
            f"{channels} channels, num_output={filters}"
        )
    return Window(filters, groups, kernel, stride, pad, dilation, bool(s["bias_term"]))


@builds("Convolution")
def convolution(step: Step, x: Blob) -> Blob:
    """Caffe's Convolution as Conv2D, or as DepthwiseConv2D if every channel is a group."""
    return _convolution(step, x, window_of(step, x))


@builds("ConvolutionDepthwise", "ConvolutionDepthWise", "DepthwiseConvolution", "DepthWiseConvolution")
def depthwise_convolution(step: Step, x: Blob) -> Blob:
    """The depthwise layers of Caffe's forks: a Convolution with one group per channel."""
    return _convolution(step, x, window_of(step, x, depthwise=True))


def _convolution(step, x, window):
    numbers = (x.shape[2:], window.kernel, window.pad, window.dilation)
    reach = [size + 2 * p - d * (k - 1) for size, k, p, d in zip(*numbers, strict=True)]
    if min(reach) < 1:
        step.fail(
            f"the map of {x.shape[2:]} is too small for the kernel {window.kernel} with the padding {window.pad} and "
            f"the dilation {window.dilation}. Use a larger image."
        )
    image = x if window.groups == 1 and x.channels_reversed else Blob.of_maps(x.maps())
    tensor, padding = _padded(step, image.tensor, window)
    # Keras does not support a stride together with dilation: every cell is computed, and most are dropped.
    sparse = max(window.stride) > 1 and max(window.dilation) > 1
    channels = x.shape[1]
    options = {
        "strides": 1 if sparse else window.stride,
        "padding": padding,
        "dilation_rate": window.dilation,
        "use_bias": window.use_bias,
        "data_format": "channels_last",
        "name": step.label(),
    }
    shape = (window.filters, channels // window.groups, *window.kernel)
    if 1 < window.groups == channels and (sparse or window.stride[0] == window.stride[1]):
        each = window.filters // channels
        layer = keras.layers.DepthwiseConv2D(window.kernel, depth_multiplier=each, **options)
        convert = _depthwise_kernel(channels, each)
    else:
        layer = keras.layers.Conv2D(window.filters, window.kernel, groups=window.groups, **options)
        # If the image's channels are reversed, the kernel's channels are reversed instead of the image's.
        convert = lambda a: image.turned(a, 1).transpose(2, 3, 1, 0)  # noqa: E731
    weights = {"kernel": Stored(0, shape, convert)}
    if window.use_bias:
        weights["bias"] = Stored(1, (window.filters,))
    y = step.apply(layer, tensor, weights=weights)
    if sparse:
        every = keras.layers.MaxPooling2D(
            1, strides=window.stride, data_format="channels_last", name=step.label("stride")
        )
        y = step.apply(every, y)
    return Blob.of_maps(y)


def _depthwise_kernel(channels, each):
    """(C * each, 1, h, w) -> (h, w, C, each)."""
    return lambda a: a.reshape(channels, each, *a.shape[2:]).transpose(2, 3, 0, 1)


def _padded(step, tensor, window):
    """(tensor, Keras's `padding`); the tensor is padded here unless Keras's padding equals Caffe's symmetric one."""
    reach = [d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True)]
    if window.stride == (1, 1) and [2 * p for p in window.pad] == reach:
        return tensor, "same"
    if any(window.pad):
        layer = keras.layers.ZeroPadding2D(window.pad, data_format="channels_last", name=step.label("padding"))
        tensor = step.apply(layer, tensor)
    return tensor, "valid"


@builds("Deconvolution")
def deconvolution(step: Step, x: Blob) -> Blob:
    """Caffe's Deconvolution, including bilinear upsampling with one group per channel."""
    return _deconvolution(step, x, depthwise=False)


@builds("DeconvolutionDepthwise", "DepthwiseDeconvolution")
def depthwise_deconvolution(step: Step, x: Blob) -> Blob:
    """The depthwise deconvolutions of Caffe's forks."""
    return _deconvolution(step, x, depthwise=True)


def _deconvolution(step, x, depthwise):
    channels = x.shape[1]
    window = window_of(step, x, depthwise)
    numbers = (window.filters, window.kernel, window.stride, window.pad, window.dilation, window.groups)
    layer = Deconvolution2D(*numbers, window.use_bias, name=step.label())
    shape = (channels, window.filters // window.groups, *window.kernel)
    weights = {"kernel": Stored(0, shape, lambda a: a.transpose(2, 3, 1, 0))}
    if window.use_bias:
        weights["bias"] = Stored(1, (window.filters,))
    return Blob.of_maps(step.apply(layer, x.maps(), weights=weights))


@builds("InnerProduct")
def inner_product(step: Step, x: Blob) -> Blob:
    """Caffe's InnerProduct as Dense.

    A map is read in Keras's order, and the rows of the kernel are reordered instead.
    """
    s = step.settings("inner_product_param")
    axis = checked_axis(step, x, s["axis"])
    filters, transposed, use_bias = s.get("num_output"), s["transpose"], s["bias_term"]
    if not filters:
        step.fail(f"needs num_output of at least 1. Received: num_output={filters}")
    if axis > 1:
        x = Blob.of_plain(x.plain())
    inner = x.shape[axis:]
    size = math.prod(inner)
    kept = x.shape[1:axis]
    places = [caffe_axis - axis for caffe_axis in x.order[axis:]]

    def kernel(a):
        a = (a.T if transposed else a).reshape(filters, *inner)
        a = x.turned(a, 1)
        return a.transpose(*(place + 1 for place in places), 0).reshape(size, filters)

    tensor = x.tensor
    if len(inner) > 1:
        tensor = step.apply(keras.layers.Reshape((*kept, size), name=step.label("flatten")), tensor)
    weights = {"kernel": Stored(0, (size, filters) if transposed else (filters, size), kernel)}
    if use_bias:
        weights["bias"] = Stored(1, (filters,))
    layer = keras.layers.Dense(filters, use_bias=bool(use_bias), name=step.label())
    return Blob.of_plain(step.apply(layer, tensor, weights=weights))
