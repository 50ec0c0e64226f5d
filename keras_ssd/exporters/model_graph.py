"""What both exporters need: the model's layer calls, the writer for a layer, weights as arrays."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_ssd import layer_calls


class ExportError(ValueError):
    """A model that the other program cannot express; the message names every layer that cannot be written."""


def calls_of(model: Any) -> list[layer_calls.Call]:
    """The calls of a functional model that consists only of layers.

    Args:
        model: a functional `keras.Model`, for example an `SSD`.

    Returns:
        List of `keras_ssd.layer_calls.Call`.

    Raises:
        TypeError: not a functional model.
        ExportError: a model inside the model, or a bare operation of `keras.ops` that is no layer.
    """
    calls = layer_calls.calls_of(model)
    for call in calls:
        if isinstance(call.layer, keras.Model) or not isinstance(call.layer, keras.layers.Layer):
            raise ExportError(
                f"'{call.layer.name}' ({type(call.layer).__name__}) is no single layer. Build the model from layers "
                "on the tensors of the inner one, as keras_ssd.ssd does with a backbone."
            )
    return calls


def writer_of(layer: Any, writers: Mapping[Any, Callable[..., Any]]) -> Any:
    """The function that writes a layer, or None.

    A subclass is written as its parent, unless it computes something of its own.

    Args:
        layer: a Keras layer.
        writers: {class: function}.
    """
    for kind in type(layer).__mro__:
        if kind in writers:
            return writers[kind]
        if "call" in vars(kind):
            return None
    return None


def array_of(variable: Any) -> np.ndarray:
    """A weight's values in float32."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def depthwise_kernel(variable: Any) -> np.ndarray:
    """A depthwise kernel (h, w, C, each) as that of a convolution with C groups: (C * each, 1, h, w)."""
    kernel = array_of(variable).transpose(2, 3, 0, 1)
    return kernel.reshape(-1, 1, *kernel.shape[2:])
