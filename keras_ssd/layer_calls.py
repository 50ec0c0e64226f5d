"""The layer calls of a functional model, in the order of computing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.keras_private import is_functional as is_functional
from keras_ssd.keras_private import nodes_of


@dataclass(frozen=True)
class Call:
    """One call of a layer in a functional model.

    Args:
        layer: what is called: a Keras layer, a model inside the model, or an operation of `keras.ops`.
        inputs: its symbolic input tensors, flat, in the order of its arguments.
        outputs: its symbolic output tensors.
        arguments: gives (args, kwargs) of the call, from a dictionary {id of a symbolic tensor: value}.
    """

    layer: keras.layers.Layer
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    arguments: Callable[..., Any]


def calls_of(model: Any) -> list[Call]:
    """Every call between a functional model's inputs and its outputs, inputs left out, in the order of computing.

    Args:
        model: a functional `keras.Model`, for example an `SSD`.

    Returns:
        List of `Call`.

    Raises:
        TypeError: not a functional model.
    """
    if not is_functional(model):
        raise TypeError(f"`model` must be a functional keras.Model. Received: {type(model).__name__}")
    return [
        Call(node.operation, tuple(node.input_tensors), tuple(node.output_tensors), node.arguments.fill_in)
        for node in nodes_of(model)
        if not node.is_input
    ]


def readers_of(calls: Iterable[Call]) -> dict[int, list[Call]]:
    """{id of a tensor: the calls that read it}."""
    readers = {}
    for call in calls:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    return readers
