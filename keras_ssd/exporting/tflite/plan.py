"""What a TensorFlow Lite file computes, as plain data that another process can be given."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self

from keras_ssd.decoding import DecodeOptions

# The names of the converted network's outputs.
BOXES, SCORES = "boxes", "scores"
# Operations behind the heads have names that begin so.
ENDING = "ending"


@dataclass(frozen=True)
class Plan:
    """How a network is written.

    Args:
        decoding: fields of `DecodeOptions`.
        kind_of_scores: "softmax", "sigmoid" or "probabilities".
        coded: the boxes are offsets from the anchors, in the order y, x, h, w; else they are decoded.
        centred: decoded boxes are [y, x, h, w], of the sides the logarithm: offsets from an anchor that is the image.
        best_only: scores that are not above the background's take no part.
        top_k: only so many best scores of each class take part, or of all classes with `best_only`; None for all.
        unused: columns of scores that belong to no class, behind the first `keras_ssd.exporting.tflite.suppression`
            `NEVER_LOST` classes.
        batch: images at once.
        bgr: the channels of the input are reversed.
        half: weights in half precision.
    """

    decoding: dict[str, Any]
    kind_of_scores: str
    coded: bool = False
    centred: bool = False
    best_only: bool = False
    top_k: int | None = None
    unused: int = 0
    batch: int = 1
    bgr: bool = False
    half: bool = False

    @property
    def options(self) -> DecodeOptions:
        """`decoding` as `DecodeOptions`."""
        return DecodeOptions(**self.decoding)

    def to_json(self) -> str:
        """The plan as text."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote."""
        return cls(**json.loads(text))
