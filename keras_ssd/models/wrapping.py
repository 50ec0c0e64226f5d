"""Detectors that were wrapped in other models of Keras, such as `keras.Model(m.inputs, m.outputs)`."""

from typing import Any

import keras

from keras_ssd.layers import AnchorBoxes
from keras_ssd.models.model import SSD


def as_detector(model: Any, kind: type[Exception] = TypeError) -> SSD:
    """The `SSD` that a Keras model is, or a new one of the same layers if it was made of a detector's tensors.

    Args:
        model: an `SSD`, or `keras.Model(m.inputs, m.outputs)` of one.
        kind: of the error.

    Raises:
        kind: not a detector; if one is inside, the message tells how to reach it.
    """
    if isinstance(model, SSD):
        return model
    layers = getattr(model, "layers", ()) if isinstance(model, keras.Model) else ()
    if any(isinstance(layer, AnchorBoxes) for layer in layers) and len(model.inputs) == len(model.outputs) == 1:
        return SSD(model.inputs[0], model.outputs[0], name=model.name)
    for path in detectors_in(model):
        way = "".join(f".get_layer('{name}')" for name in path)
        raise kind(
            f"`model` is a {type(model).__name__} with the detector '{path[-1]}' inside. Give that one: model{way}"
        )
    raise kind(f"`model` must be a keras_ssd model. Received: model={type(model).__name__}")


def detectors_in(model: Any) -> list[tuple[str, ...]]:
    """Paths of layer names to the `SSD`s inside a model."""
    found = []
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, SSD):
            found.append((layer.name,))
        else:
            found += [(layer.name, *path) for path in detectors_in(layer)]
    return found
