"""The net's input: size, channel order, mean and scale."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.blocks import check_input_size
from keras_ssd.caffe.files import CaffeLayer, CaffeNet
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.registry import DATA
from keras_ssd.caffe.layers.grayscale import Grayscale

CHANNEL_ORDERS = ("bgr", "rgb")


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of an image: (image - mean) * scale, channels in the net's order.

    Args:
        channels: 3, or 1 for a net of grey images.
        channel_order: "bgr" or "rgb".
        mean, scale: one value per channel.
        source: where they come from, for the report; None if the files do not state them.
    """

    channels: int
    channel_order: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    source: str | None

    def __str__(self) -> str:
        values = ", ".join(f"{v:g}" for v in self.mean), ", ".join(f"{v:g}" for v in self.scale)
        source = self.source or "no source: the files state none, and none was given"
        order = "grey" if self.channels == 1 else self.channel_order.upper()
        return f"({order} image - ({values[0]})) * ({values[1]}), from {source}"


@dataclass(frozen=True)
class ImageInput:
    """The blob of the image, and its size."""

    blob: str
    channels: int
    size_hw: tuple[int, int]
    layer: CaffeLayer


def image_input(layers: Iterable[CaffeLayer], input_size: Sequence[int] | None = None) -> ImageInput:
    """The net's image input, for `input_size` (height, width) or None for the net's own size.

    Raises:
        ValueError: no image, or its size is unknown.
    """
    candidates = [layer for layer in layers if layer.type in DATA]
    shapes = [(layer, name, _shape(layer, place)) for layer in candidates for place, name in enumerate(layer.tops)]
    images = [(layer, name, shape) for layer, name, shape in shapes if shape is not None and shape[0] in (1, 3)]
    if not images:
        raise ValueError(
            "The net needs an input of shape (batch, 1 or 3, height, width): a layer of type Input, or `input:` with "
            f"input_dim or input_shape. Received: {[(name, shape) for _, name, shape in shapes]}"
        )
    layer, name, (channels, height, width) = images[0]
    if input_size is None:
        if not height or not width:
            raise ValueError(
                f"Layer '{layer.name}' ({layer.type}) does not state the size of its images. Give "
                "input_size=(height, width)."
            )
        input_size = height, width
    return ImageInput(name, channels, check_input_size(input_size), layer)


def _shape(layer, place):
    """(channels, height, width) of a data layer's top, or None if it is not an image; sizes may be None."""
    if layer.type in ("Input", "DummyData"):
        s = layer.settings("input_param" if layer.type == "Input" else "dummy_data_param")
        shapes = s["shape"]
        if not shapes:
            return None
        dims = tuple(shapes[min(place, len(shapes) - 1)]["dim"])
        return tuple(int(d) for d in dims[1:]) if len(dims) == 4 else None
    if place:  # the second top of a data layer is the label
        return None
    s = layer.settings("transform_param")
    resize = s.get("resize_param")
    channels = 1 if s["force_gray"] else 3
    if layer.type == "MemoryData":
        memory = layer.settings("memory_data_param")
        return memory["channels"], memory["height"], memory["width"]
    if s["crop_size"]:
        return channels, s["crop_size"], s["crop_size"]
    return (channels, resize["height"], resize["width"]) if resize is not None else (channels, None, None)


def preprocessing_of(image: ImageInput, given: Mapping[str, Any], *nets: CaffeNet | None) -> Preprocessing:
    """Mean, scale and channel order: the user's, or those that a data layer states.

    Args:
        image: an `ImageInput`.
        given: the user's `mean`, `scale` and `channel_order`; None for those not given.
        *nets: `CaffeNet`s in order of preference. A .caffemodel that a solver wrote holds its training net, whose data
            layer states the mean that the deploy net lacks.
    """
    order = given["channel_order"] or "bgr"
    if order not in CHANNEL_ORDERS:
        raise ValueError(f"`channel_order` must be 'bgr' or 'rgb'. Received: channel_order={order!r}")
    mean, scale, source = (), None, None
    for net in nets:
        found = _stated(net, image.channels)
        if found is not None:
            mean, scale, source = found
            break
    else:
        source = next(filter(None, map(_used_none, nets)), None)
    if given["mean"] is not None or given["scale"] is not None:
        mean = mean if given["mean"] is None else given["mean"]
        scale = scale if given["scale"] is None else given["scale"]
        source = "what was given"
    return Preprocessing(
        image.channels,
        order,
        _values("mean", mean or 0.0, image.channels),
        _values("scale", 1.0 if scale is None else scale, image.channels),
        source,
    )


def _stated(net, channels):
    """(mean values, scale, source) of the first data layer that states any."""
    if net is None:
        return None
    for layer in net.layers:
        if layer.type not in DATA or "transform_param" not in layer.params:
            continue
        s = layer.settings("transform_param")
        mean, scale = tuple(s["mean_value"]), s["scale"]
        if s.has("mean_file") and s["mean_file"] and not mean:
            raise ValueError(
                f"Layer '{layer.name}' subtracts the mean image of the file {s['mean_file']!r}. Read it with "
                "keras_ssd.caffe.files.read_mean and give the mean of each channel as mean=(...)."
            )
        if (mean and len(mean) in (1, channels)) or s.has("scale"):
            return mean, scale, f"layer '{layer.name}' of {net.path.name if net.path else net.name}"
    return None


def _used_none(net):
    """The first data layer of a training that used its images unchanged, or None."""
    if net is None:
        return None
    for layer in net.layers:
        plain = not layer.settings("transform_param").has("mean_file")
        if plain and layer.type in ("Data", "AnnotatedData", "ImageData"):
            return f"layer '{layer.name}' of {net.path.name if net.path else net.name}, which used images unchanged"
    return None


def _values(name, given, channels):
    """One float per channel, from one number or one per channel."""
    try:
        values = tuple(float(v) for v in given) if hasattr(given, "__iter__") else (float(given),)
    except (TypeError, ValueError):
        values = ()
    values = values * channels if len(values) == 1 else values
    if len(values) != channels or any(v != v or abs(v) == float("inf") for v in values):
        raise ValueError(
            f"`{name}` must be one number, or one for each of the net's {channels} channels in the net's order. "
            f"Received: {name}={given!r}"
        )
    if name == "scale" and not all(values):
        raise ValueError(f"`scale` must not be zero. Received: scale={given!r}")
    return values


def image_blob(size_hw: Sequence[int], preprocessing: Preprocessing) -> tuple[Any, Blob]:
    """(the model's input (B, H, W, 3), RGB 0..255, the `Blob` of the net's input)."""
    inputs = keras.Input((*size_hw, 3), name="images", dtype="float32")
    x = Grayscale(dtype="float32", name="grayscale")(inputs) if preprocessing.channels == 1 else inputs
    channels_reversed = preprocessing.channels == 3 and preprocessing.channel_order == "bgr"
    step = -1 if channels_reversed else 1  # this layer works on RGB; the first kernel is reversed, not the image
    scale, mean = preprocessing.scale[::step], preprocessing.mean[::step]
    offset = [-m * s for m, s in zip(mean, scale, strict=True)]
    if len(set(scale)) == 1 and len(set(offset)) == 1:
        scale, offset = scale[0], offset[0]
    else:
        scale = scale[0] if len(set(scale)) == 1 else list(scale)
    x = keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")(x)
    return inputs, Blob.of_maps(x, channels_reversed=channels_reversed)
