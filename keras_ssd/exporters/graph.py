"""The layer calls of a functional model, in the order of computing."""

from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class Call:
    """One call of a layer in a functional model.

    Args:
        layer: the Keras layer.
        inputs: its symbolic input tensors, flat, in the order of its arguments.
        outputs: its symbolic output tensors.
    """

    layer: keras.layers.Layer
    inputs: tuple
    outputs: tuple


class ExportError(ValueError):
    """A model that the other program cannot express; the message names every layer that is in the way."""


def calls_of(model):
    """Every layer call between a functional model's inputs and its outputs, inputs left out.

    Args:
        model: a functional `keras.Model`, for example an `SSD`.

    Returns:
        List of `Call`.

    Raises:
        TypeError: not a functional model.
        ExportError: a model inside the model, or a bare operation of `keras.ops` that is no layer.
    """
    if not getattr(model, "_nodes_by_depth", None):
        raise TypeError(f"`model` must be a functional keras.Model. Received: {type(model).__name__}")
    calls = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            operation = node.operation
            if isinstance(operation, keras.Model) or not isinstance(operation, keras.layers.Layer):
                raise ExportError(
                    f"'{operation.name}' ({type(operation).__name__}) is no single layer. Build the model from layers "
                    "on the tensors of the inner one, as keras_ssd.ssd does with a backbone."
                )
            calls.append(Call(operation, tuple(node.input_tensors), tuple(node.output_tensors)))
    return calls


def readers_of(calls):
    """{id of a tensor: the calls that read it}."""
    readers = {}
    for call in calls:
        for tensor in call.inputs:
            readers.setdefault(id(tensor), []).append(call)
    return readers


def refuse_unknown(calls, known, program, advice):
    """Raises one ExportError that names every layer that `program` has no counterpart for.

    Args:
        calls: of the model.
        known: classes that can be written; subclasses count.
        program: its name.
        advice: what to do, a sentence.
    """
    unknown = [call.layer for call in calls if not isinstance(call.layer, tuple(known))]
    if unknown:
        listed = ", ".join(f"{layer.name} ({type(layer).__name__})" for layer in unknown)
        raise ExportError(f"{len(unknown)} layers cannot be written for {program}: {listed}. {advice}")
