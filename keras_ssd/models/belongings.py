"""What belongs to a detector besides its layers, also where Keras wrapped it in another model."""

from dataclasses import dataclass
from typing import Any

from keras_ssd.decoding import Confidence
from keras_ssd.layers import AnchorBoxes


@dataclass(frozen=True)
class Belongings:
    """What `detect` asks a model for.

    Attributes:
        class_names: without background; None where nothing tells.
        decoding: options of `DecodeDetections`.
        confidence: `Confidence` or None.
    """

    class_names: tuple[str, ...] | None = None
    decoding: dict[str, Any] | None = None
    confidence: Confidence | None = None


def belongings_of(model: Any) -> Belongings:
    """What belongs to a model, or to the detector that it was made from or has inside.

    Any object with attributes `class_names`, `decoding` and `confidence` speaks for itself. Keras hands only layers on
    when a model is wrapped in another one, so else the layer `AnchorBoxes` tells.
    """
    if getattr(model, "class_names", None) is not None:
        return Belongings(model.class_names, getattr(model, "decoding", None), getattr(model, "confidence", None))
    for layer in _anchor_layers(model):
        confidence = layer.about.get("confidence")
        return Belongings(
            tuple(layer.about.get("class_names") or ()) or None,
            dict(layer.about.get("decoding") or {}),
            Confidence(**confidence) if confidence else None,
        )
    return Belongings()


def _anchor_layers(model: Any) -> list[AnchorBoxes]:
    found = []
    for layer in getattr(model, "layers", ()):
        found += [layer] if isinstance(layer, AnchorBoxes) else _anchor_layers(layer)
    return found
