"""The layer calls of a functional model, in the order of computing."""

from collections.abc import Callable
from dataclasses import dataclass

import keras


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
    inputs: tuple
    outputs: tuple
    arguments: Callable


def is_functional(model):
    """Whether `calls_of` can read a model."""
    return bool(getattr(model, "_nodes_by_depth", None))


def calls_of(model):
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
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]


def readers_of(calls):
    """{id of a tensor: the calls that read it}."""
    readers = {}
    for call in calls:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    return readers
