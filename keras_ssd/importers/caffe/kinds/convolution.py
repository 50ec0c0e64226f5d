"""Convolution and what is computed like it."""

import keras

from keras_ssd.importers.caffe.blobs import Blob
from keras_ssd.importers.caffe.building import Stored
from keras_ssd.importers.caffe.registry import builds


def per_axis(settings, name, default=None):
    """(vertical, horizontal) of a setting such as `kernel_size`, which may also be given as `kernel_h` and `kernel_w`.

    `pad` and `stride` of old pooling settings are single values, those of convolutions repeated ones.
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


@builds("Convolution")
def convolution(step, x):
    """Caffe's Convolution as Conv2D, or as DepthwiseConv2D where every channel is a group of its own."""
    s = step.settings("convolution_param")
    filters, groups = s["num_output"], s["group"]
    kernel, stride = per_axis(s, "kernel_size"), per_axis(s, "stride", (1, 1))
    pad, dilation = per_axis(s, "pad", (0, 0)), per_axis(s, "dilation", (1, 1))
    if groups == 1 and x.turned:
        tensor, turn = x.tensor, (lambda a: a[:, ::-1])  # the kernel is turned instead of the picture
    else:
        tensor, turn = x.maps(), (lambda a: a)
    tensor, padding = _padded(step, tensor, kernel, stride, pad, dilation)
    layer = keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        dilation_rate=dilation,
        groups=groups,
        use_bias=s["bias_term"],
        data_format="channels_last",
        name=step.label(),
    )
    shape = (filters, x.shape[1] // groups, *kernel)
    weights = {"kernel": Stored(0, shape, lambda a: turn(a).transpose(2, 3, 1, 0))}
    if s["bias_term"]:
        weights["bias"] = Stored(1, (filters,))
    return Blob.of_maps(step.apply(layer, tensor, weights=weights))


def _padded(step, tensor, kernel, stride, pad, dilation):
    """The tensor, padded if Keras's own padding is not Caffe's symmetric one, and the padding that is left to Keras."""
    reach = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if stride == (1, 1) and [2 * p for p in pad] == reach:
        return tensor, "same"
    if any(pad):
        tensor = keras.layers.ZeroPadding2D(pad, data_format="channels_last", name=step.label("padding"))(tensor)
    return tensor, "valid"
