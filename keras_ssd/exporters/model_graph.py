"""What both exporters ask of a model's graph."""

import keras

from keras_ssd import layer_calls


class ExportError(ValueError):
    """A model that the other program cannot express; the message names every layer that is in the way."""


def calls_of(model):
    """The calls of a functional model that is made of layers alone.

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
