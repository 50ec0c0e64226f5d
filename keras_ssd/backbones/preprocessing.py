"""The preprocessing of images by the families of `keras.applications`."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ssd.layer_calls import calls_of, readers_of
from keras_ssd.layers import LowestPadding2D, ReverseChannels
from keras_ssd.names import unknown_name

# keras.applications.imagenet_utils.preprocess_input
_CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
_TORCH_MEAN, _TORCH_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_PADDINGS = (keras.layers.ZeroPadding2D, LowestPadding2D)


def _caffe(x):
    x = keras.layers.Rescaling(1.0, [-v for v in _CAFFE_MEAN_RGB], dtype="float32", name="preprocessing")(x)
    return ReverseChannels(name="rgb_to_bgr")(x)


def _line(scale, offset):
    return lambda x: keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")(x)


def _torch(x):
    mean = [255 * v for v in _TORCH_MEAN]
    variance = [(255 * v) ** 2 for v in _TORCH_DEVIATION]
    return keras.layers.Normalization(-1, mean, variance, dtype="float32", name="preprocessing")(x)


MODES: dict[str, Callable[[Any], Any]] = {
    "caffe": _caffe,
    "tf": _line(1 / 127.5, -1.0),
    "torch": _torch,
    "unit": _line(1 / 128, -1.0),
    "none": lambda x: x,
}


def check_mode(mode: str) -> str:
    """The mode, if it is one.

    Raises:
        ValueError: unknown mode.
    """
    if mode not in MODES:
        raise ValueError(
            unknown_name("preprocessing", mode, MODES)
            + " 'auto' takes that of the backbone's family; for your own, put layers before the backbone."
        )
    return mode


def preprocessed(x: Any, mode: str) -> Any:
    """RGB images 0..255 (B, H, W, 3), preprocessed for the backbone.

    `mode` has Keras's names: "caffe" (BGR minus mean), "tf" (-1 to 1), "torch" (mean and deviation of ImageNet), "unit"
    (divided by 128, minus 1), "none".
    """
    return MODES[check_mode(mode)](x)


def takes_raw_images(model: Any) -> bool:
    """Whether the first layer with a kernel reads the input directly, so that the model has no preprocessing."""
    calls = calls_of(model)
    readers = readers_of(calls)
    tensor = model.inputs[0]
    while True:
        found = readers.get(id(tensor), [])
        if len(found) == 1 and isinstance(found[0].layer, _PADDINGS):
            tensor = found[0].outputs[0]
            continue
        return bool(found) and all(_has_kernel(call.layer) for call in found)


def _has_kernel(layer):
    if isinstance(layer, keras.Sequential):
        return bool(layer.layers) and _has_kernel(layer.layers[0])
    return hasattr(layer, "kernel_size")
