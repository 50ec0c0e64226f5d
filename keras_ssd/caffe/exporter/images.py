"""The net's input: channel order, mean and scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from keras_ssd.caffe.exporter.blobs import Blob, float32
from keras_ssd.caffe.exporter.kinds.arithmetic import line_of
from keras_ssd.caffe.exporter.writing import Net, Step
from keras_ssd.caffe.files import CaffeLayer
from keras_ssd.caffe.layers.grayscale import Grayscale
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.layer_calls import Call
from keras_ssd.layout import CHANNELS_FIRST

CHANNEL_ORDERS = ("bgr", "rgb")
LINES: tuple[Any, ...] = (keras.layers.Rescaling, keras.layers.Normalization)


@dataclass(frozen=True)
class Image:
    """The net's input: (image - mean) * scale, 0..255, channels in the net's order.

    Args:
        name: of the net's input.
        blob: the net's form of `tensor`.
        tensor: the model's tensor after its preprocessing.
        skipped: the calls of the preprocessing layers.
        channel_order: "bgr", "rgb" or "grey".
        mean: one value per channel of the net.
        scale: one value.
    """

    name: str
    blob: Blob
    tensor: Any
    skipped: tuple[Call, ...]
    channel_order: str
    mean: tuple[float, ...]
    scale: float

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the net's input."""
        return self.blob.stored_shape[1:]


def write_image(
    net: Net, model: Any, readers: Mapping[int, Sequence[Call]], channel_order: str, mean_inside: bool
) -> Image:
    """Writes the Input layer, and the part of the model's preprocessing that `transform_param` cannot express."""
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f"`channel_order` must be 'bgr' or 'rgb'. Received: channel_order={channel_order!r}")
    tensor = _input_of(model)
    shape, skipped = tensor.shape, []
    scale, offset = np.ones(shape[-1]), np.zeros(shape[-1])
    while True:
        calls = readers.get(id(tensor), [])
        layer = calls[0].layer if len(calls) == 1 and not any(tensor is x for x in model.outputs) else None
        if isinstance(layer, Grayscale) and not skipped:
            shape, scale, offset = (*shape[:-1], 1), np.ones(1), np.zeros(1)
        elif isinstance(layer, LINES) and type(layer) in LINES:
            more, summand = line_of(Step(net, layer, tensor.shape), layer, shape[-1])
            scale, offset = scale * more, offset * more + summand
        else:
            break
        skipped.append(calls[0])
        tensor = calls[0].outputs[0]
    grey = shape[-1] == 1
    channels_reversed = shape[-1] == 3 and channel_order == "bgr"
    order = "grey" if grey else channel_order
    if not scale.all():
        raise ExportError(f"Model '{model.name}' multiplies its images by 0. Received: scale={scale}")
    name = net.unique("data")
    blob = Blob(name, tuple(shape), order=CHANNELS_FIRST, channels_reversed=channels_reversed, shared=True)
    step = -1 if channels_reversed else 1
    if mean_inside:
        given = (0.0,) * len(scale), 1.0
    else:
        uniform = float(scale[0]) if len(set(scale)) == 1 else 1.0
        given = tuple(float(v) for v in (-offset / scale)[::step] + 0.0), uniform
        if len(set(scale)) > 1:
            blob = replace(blob, factors=tuple(scale.tolist()))
            net.note("The first convolution contains the scale of each channel, since transform_param has one for all.")
    transform: dict[str, Any] = {"scale": given[1]}
    if any(given[0]):
        transform["mean_value"] = list(given[0])
    dims = {"shape": [{"dim": [1, *blob.stored_shape[1:]]}]}
    net.append(CaffeLayer(name, "Input", (), (name,), {"input_param": dims, "transform_param": transform}))
    if mean_inside and ((scale != 1).any() or offset.any()):
        blobs = tuple(float32(values[::step]) for values in (scale, offset))
        top = net.unique("preprocessing")
        net.append(CaffeLayer(top, "Scale", (name,), (top,), {"scale_param": {"bias_term": True}}, blobs))
        blob = replace(blob, name=top)
    return Image(name, blob, tensor, tuple(skipped), order, *given)


def _input_of(model):
    """The one input tensor."""
    shapes = [tuple(x.shape) for x in model.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or None in shapes[0][1:] or shapes[0][3] not in (1, 3):
        raise ExportError(
            f"Model '{model.name}' must have one input: images (B, H, W, 3) or (B, H, W, 1) of fixed size. "
            f"Received: inputs {shapes}"
        )
    return model.inputs[0]
