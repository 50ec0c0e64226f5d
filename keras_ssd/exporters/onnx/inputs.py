"""What an ONNX model takes: images in RGB or BGR, or what Caffe's nets took."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layer_calls import Call
from keras_ssd.layout import CHANNELS_FIRST
from keras_ssd.names import unknown_name

IMAGES, PREPROCESSING = "images", "preprocessing"


@dataclass(frozen=True)
class InputKind:
    """One of the inputs that a model can be written with.

    Args:
        channels_reversed: the channels are those of Keras in reverse: BGR.
        prepared: mean and scale are the caller's work.
    """

    channels_reversed: bool
    prepared: bool


INPUTS = {
    "rgb": InputKind(channels_reversed=False, prepared=False),
    "bgr": InputKind(channels_reversed=True, prepared=False),
    "blob": InputKind(channels_reversed=True, prepared=True),
    "rgb_blob": InputKind(channels_reversed=False, prepared=True),
}


def input_kind(name: str) -> InputKind:
    """The `InputKind` of a name.

    Raises:
        ValueError: an unknown name.
    """
    if name not in INPUTS:
        raise ValueError(unknown_name("input", name, INPUTS))
    return INPUTS[name]


def first_value(kind: InputKind, calls: Sequence[Call], model_input: Any) -> tuple[Any, Value, Sequence[Call]]:
    """Where the graph begins.

    Args:
        kind: an `InputKind`.
        calls: of the model.
        model_input: its symbolic input.

    Returns:
        (Keras tensor that the input stands for, its `Value`, the calls that are left).

    Raises:
        ExportError: the caller prepares the image, and the model has no layer that would do it.
    """
    tensor = model_input
    if kind.prepared:
        tensor, calls = _behind_preprocessing(calls)
    shape = (1, *tensor.shape[1:])
    return (
        tensor,
        Value(IMAGES, shape, order=CHANNELS_FIRST, channels_reversed=kind.channels_reversed and shape[-1] > 1),
        calls,
    )


def _behind_preprocessing(calls):
    """The output of the layer `preprocessing`, and the calls without it and those before it."""
    places = [place for place, call in enumerate(calls) if call.layer.name == PREPROCESSING]
    if not places:
        raise ExportError(
            f"The model has no layer '{PREPROCESSING}', so nothing tells where a blob would enter. "
            "Use input='rgb' or 'bgr', which take images in 0..255."
        )
    [place] = places
    wanted, dropped = {id(x) for x in calls[place].inputs}, {place}
    for before in range(place - 1, -1, -1):
        if any(id(x) in wanted for x in calls[before].outputs):
            dropped.add(before)
            wanted |= {id(x) for x in calls[before].inputs}
    return calls[place].outputs[0], [call for at, call in enumerate(calls) if at not in dropped]


def fed(kind: InputKind, prepare: Callable[[np.ndarray], np.ndarray], image: ArrayLike) -> np.ndarray:
    """The array (1, C, H, W) that a model of this kind takes for an image.

    Args:
        kind: an `InputKind`.
        prepare: function from images (1, H, W, 3) to the output of the layer `preprocessing`.
        image: (H, W, 3) RGB, 0..255.
    """
    x = np.asarray(image, np.float32)[None]
    x = prepare(x) if kind.prepared else x
    x = x[..., ::-1] if kind.channels_reversed else x
    return np.ascontiguousarray(x.transpose(CHANNELS_FIRST))
