"""Facts of a detector besides its layers, also if Keras has wrapped it in another model."""

from dataclasses import dataclass
from typing import Any

from keras_ssd.decoding import Confidence
from keras_ssd.layers import AnchorBoxes


@dataclass(frozen=True)
class Belongings:
    """The facts that `detect` needs of a model.

    Attributes:
        class_names: without background; None if unknown.
        decoding: options of `DecodeDetections`.
        confidence: `Confidence` or None.
    """

    class_names: tuple[str, ...] | None = None
    decoding: dict[str, Any] | None = None
    confidence: Confidence | None = None


def belongings_of(model: Any) -> Belongings:
    """The `Belongings` of a model, or of the detector that it was made from or contains.

    An object's attributes `class_names`, `decoding` and `confidence` come first. Keras passes only layers on to a model
    that wraps another one, so otherwise the layer `AnchorBoxes` has them.
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
