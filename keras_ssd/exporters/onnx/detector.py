"""A model seen as a detector: its predictions, and how they are decoded."""

from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import DecodeOptions
from keras_ssd.decoding.arrays import SCORING
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.tied import Candidates
from keras_ssd.layers import AnchorBoxes, DecodeDetections


@dataclass(frozen=True)
class Detector:
    """A model of raw predictions, or of detections.

    Args:
        model: the `keras.Model`.
        predictions: its symbolic predictions (B, N, C + 1 + 12).
        options: `DecodeOptions`, of which only the coding and the kind of scores matter here.
        kind_of_scores: "softmax", "sigmoid" or "probabilities".
    """

    model: Any
    predictions: Any
    options: DecodeOptions
    kind_of_scores: str

    @classmethod
    def of(cls, model: Any) -> Self:
        """The detector that a model is.

        Raises:
            TypeError: not a functional `keras.Model`.
            ExportError: it does not end in predictions of this package, or its image has no fixed size.
        """
        if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
            raise TypeError(f"`model` must be a functional keras.Model. Received: {type(model).__name__}")
        shape = tuple(model.inputs[0].shape)
        if len(model.inputs) != 1 or len(shape) != 4 or None in shape[1:] or shape[3] != 3:
            raise ExportError(
                "The model needs one input (B, H, W, 3) of fixed size. "
                f"Received: {[tuple(x.shape) for x in model.inputs]}"
            )
        joining = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
        decoders = [layer for layer in model.layers if isinstance(layer, DecodeDetections)]
        last = (decoders or joining)[-1:]
        if len(joining) != 1 or len(decoders) > 1 or list(model.outputs) != [layer.output for layer in last]:
            raise ExportError(
                "The model must end in the predictions of one AnchorBoxes layer, or in a DecodeDetections layer on "
                f"them; others export with Keras's own model.export. Received: {model.name} with the outputs "
                f"{[x.name for x in model.outputs]}"
            )
        if decoders:
            options, from_logits = decoders[0].options, decoders[0].from_logits
        else:
            options, from_logits = DecodeOptions(**getattr(model, "final_decoding", {})), True
        return cls(model, joining[0].output, options, options.kind_of_scores(from_logits))

    @property
    def has_decoder(self) -> bool:
        """Whether the model gives detections."""
        return self.model.outputs[0] is not self.predictions

    def rows(self, images: Any) -> np.ndarray:
        """Detections (B, K, 6) of images (B, H, W, 3) as a numpy array, of a model with a decoder."""
        return ops.convert_to_numpy(self.model(images, training=False))

    def results(self, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """(boxes (B, N, 4), scores (B, N, C)) of images (B, H, W, 3), as numpy arrays; no suppression."""
        boxes, scores = self._before_suppression(images)
        return boxes, scores[..., 1:]

    def candidates(self, image: Any) -> Candidates:
        """What the decoder sees of an image (H, W, 3)."""
        [boxes], [scores] = self._before_suppression(image[None])
        return Candidates(boxes, scores[:, 1:], self.options, scores[:, 0])

    def _before_suppression(self, images):
        """Boxes (B, N, 4), and scores (B, N, C + 1) with the background."""
        raw = keras.Model(self.model.inputs[0], self.predictions)(images, training=False)
        parts = Predictions.split(ops.convert_to_numpy(raw))
        with np.errstate(over="ignore"):
            boxes = self.options.boxes(parts)
        scores = SCORING[self.kind_of_scores](parts.logits)
        if self.options.calibration:
            scores = self.options.calibration.apply(np.clip(scores, 0, 1))
        return boxes, scores

    def output_of(self, name: str, images: Any) -> np.ndarray:
        """The output of one layer for images, as a numpy array."""
        part = keras.Model(self.model.inputs[0], self.model.get_layer(name).output)
        return ops.convert_to_numpy(part(images, training=False))
