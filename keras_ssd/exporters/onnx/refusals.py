"""Collects every layer that cannot be exported into one error."""

from collections.abc import Iterable

import keras

from keras_ssd.exporters.model_graph import ExportError, writer_of
from keras_ssd.exporters.onnx.kinds import WRITERS
from keras_ssd.exporters.onnx.kinds.activations import FUNCTIONS
from keras_ssd.layer_calls import Call

ADVICE = (
    "keras_ssd.export(model, 'model.keras') and, on TensorFlow, a SavedModel hold any layer; Keras's own "
    "model.export(..., format='onnx') may know these, without suppression."
)


def refuse_what_cannot_be_written(calls: Iterable[Call]) -> None:
    """Raises one ExportError that names every layer that cannot be written, and why.

    Args:
        calls: of the model, as `keras_ssd.exporters.model_graph.calls_of` gives them.
    """
    found = {}
    for call in calls:
        reason = _reason(call)
        if reason is not None:
            found.setdefault(call.layer.name, f"{call.layer.name} ({type(call.layer).__name__}{reason})")
    if found:
        count = "1 layer" if len(found) == 1 else f"{len(found)} layers"
        raise ExportError(f"{count} cannot be written as ONNX: {', '.join(found.values())}. {ADVICE}")


def _reason(call):
    """What is wrong with a call beside the layer's class, as words behind that; None if nothing is."""
    layer = call.layer
    if writer_of(layer, WRITERS) is None:
        return ""
    if any(None in tensor.shape[1:] for tensor in (*call.inputs, *call.outputs)):
        return " with sizes that are not fixed"
    if getattr(layer, "data_format", None) == "channels_first":
        return " with data_format='channels_first'"
    if getattr(layer, "quantization_mode", None):
        return f" quantized to {layer.quantization_mode}"
    activation = getattr(layer, "activation", None)
    if activation not in (None, keras.activations.linear, *FUNCTIONS):
        return f" with activation {getattr(activation, '__name__', activation)}"
    if isinstance(layer, keras.layers.ReLU) and layer.threshold:
        return f" with threshold={layer.threshold}"
    if isinstance(layer, keras.layers.UpSampling2D) and layer.interpolation not in ("nearest", "bilinear"):
        return f" with interpolation={layer.interpolation!r}"
    if isinstance(layer, keras.layers.Softmax) and not isinstance(layer.axis, int):
        return f" with axis={layer.axis}"
    return None
