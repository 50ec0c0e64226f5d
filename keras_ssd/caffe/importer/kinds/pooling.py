"""Pooling."""

import keras

from keras_ssd.backbones.blocks import max_pool
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step
from keras_ssd.caffe.importer.kinds.axes import image_like
from keras_ssd.caffe.importer.kinds.convolution import per_axis
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import PaddedAveragePooling2D
from keras_ssd.padding import caffe_padding


@builds("Pooling")
def pooling(step: Step, x: Blob) -> Blob:
    """Caffe's Pooling, MAX or AVE, which rounds the number of windows up."""
    s = step.settings("pooling_param")
    method = s["pool"]
    if method not in ("MAX", "AVE"):
        step.fail(f"only the methods MAX and AVE are supported. Received: pool={method}")
    if len(step.layer.tops) > 1:
        step.fail("the second output, with the places of the maxima, is not supported.")
    tensor = image_like(step, x)
    if s["global_pooling"]:
        kinds = {"MAX": keras.layers.GlobalMaxPooling2D, "AVE": keras.layers.GlobalAveragePooling2D}
        layer = kinds[method](data_format="channels_last", keepdims=True, name=step.label())
        return Blob.of_maps(step.apply(layer, tensor), channels_reversed=x.channels_reversed)
    kernel, stride, pad = per_axis(s, "kernel_size"), per_axis(s, "stride", (1, 1)), per_axis(s, "pad", (0, 0))
    if kernel is None or min((*kernel, *stride)) < 1 or any(p >= k for p, k in zip(pad, kernel, strict=True)):
        step.fail(
            "needs a kernel_size and a stride of at least 1, and a pad below the kernel_size. Received: "
            f"kernel_size={kernel}, stride={stride}, pad={pad}"
        )
    window = (kernel, stride, pad)
    y = _max(step, tensor, window, _rounds_up(s)) if method == "MAX" else _average(step, tensor, window, _rounds_up(s))
    return Blob.of_maps(y, channels_reversed=x.channels_reversed)


def _rounds_up(settings):
    """`round_mode` is newer Caffe's setting, `ceil_mode` that of some forks."""
    return settings.get("round_mode", "CEIL") != "FLOOR" and settings.get("ceil_mode", True) is not False


def _max(step, tensor, window, ceil_mode):
    name, (kernel, stride, pad) = step.label(), window
    return max_pool(tensor, name, kernel, stride, pad, ceil_mode=ceil_mode, padding_name=step.label("padding"))


def _average(step, tensor, window, ceil_mode):
    kernel, stride, pad = window
    padding = caffe_padding(tensor.shape[1:3], kernel, stride, pad, ceil_mode)
    if any(map(any, padding)):
        layer = PaddedAveragePooling2D(*window, ceil_mode=ceil_mode, name=step.label())
    else:
        layer = keras.layers.AveragePooling2D(kernel, stride, data_format="channels_last", name=step.label())
    return step.apply(layer, tensor)
