"""A model made ready to detect: ends in a decoder, compiled once, and knows its input."""

import dataclasses
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.folding import FoldedNetwork
from keras_ssd.layer_calls import is_functional
from keras_ssd.layers.decode_detections import DecodeDetections

DECODED_COLUMNS = 6  # class id, score, four box sides
COMPILED_KINDS = 4  # how many decoders a model's compiled functions are kept for


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model from images to decoded rows, with what else must be known to use it.

    Attributes:
        model: keras.Model from (B, H, W, 3) RGB 0..255 to (B, K, 6).
        size_hw: its input's height and width.
        num_classes: without background; None where the output does not tell.
    """

    model: keras.Model
    size_hw: tuple[int, int]
    num_classes: int | None

    @classmethod
    def of(cls, model: keras.Model, options: Any = None, insist: bool = False) -> "Predictor":
        """The predictor of a model and decoder options; made and compiled once, then found again.

        Args:
            model: see `detect`.
            options: dictionary of `DecodeDetections` arguments, a `DecodeDetections`, or None for the
                defaults.
        """
        kept = _predictors.setdefault(model, {})
        key = tuple(sorted(options.items())) if isinstance(options, dict) else options
        if key not in kept:
            while len(kept) >= COMPILED_KINDS:
                kept.pop(next(iter(kept)))
            kept[key] = cls._compose(model, options)
        found = kept[key]
        if insist:
            check_options(found)
        return found

    @classmethod
    def _compose(cls, model, options):
        size_hw, columns = _input_size(model), _output_columns(model)
        if columns == DECODED_COLUMNS:
            return cls(_without_reference_to(model), size_hw, None)
        layer = options if isinstance(options, keras.layers.Layer) else DecodeDetections(**(options or {}))
        composed = _composed(model, layer)
        return cls(composed, size_hw, Predictions.classes_in(columns))

    def begin(self) -> None:
        """To be called when a run begins; Keras's own network always has the weights of the moment."""

    def rows(self, images: Sequence[np.ndarray], batch: int) -> np.ndarray:
        """Decoded rows of some images.

        Args:
            images: list of at least one (H, W, 3) uint8 array of the input size.
            batch: number of images to compute with; the missing ones are made up.

        Returns:
            (len(images), K, 6) float32 array.
        """
        filling = [images[0]] * (batch - len(images))
        return self.model.predict_on_batch(np.stack([*images, *filling]))[: len(images)]


def check_model(model: keras.Model) -> None:
    """Refuses a model that nothing can detect with.

    Raises:
        ValueError: its input has no fixed size or is no image, or its output is neither raw predictions nor rows.
    """
    _input_size(model)
    _output_columns(model)


def check_options(predictor: Any) -> None:
    """Refuses options of decoding for a model that ends in a decoder.

    Raises:
        ValueError: it does.
    """
    if predictor.num_classes is None:
        raise ValueError(
            "The model ends in a decoder already, whose options were set when it was made. Use the model "
            "of raw predictions to choose iou_threshold, keep_top_k or decoder."
        )


_predictors = weakref.WeakKeyDictionary()  # model -> {decoder options: Predictor}; ends with the model


def _composed(model, decoder):
    """The model and a decoder as one; batch normalisations are computed into the convolutions before them."""
    if not (is_functional(model) and FoldedNetwork.pays_for(model)):
        return keras.Model(model.inputs[0], decoder(model.outputs[0]), name="detector")
    network = FoldedNetwork(_without_reference_to(model))
    images = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype)
    return keras.Model(images, decoder(network(images)), name="detector")


def _without_reference_to(model):
    """The same graph as another object: the table above must not hold the model that is its key."""
    return keras.Model(model.inputs[0], model.outputs[0], name="detector")


def _input_size(model):
    shape = getattr(model, "input_shape", None) if getattr(model, "built", True) else None
    if shape is None:
        raise ValueError(
            f"Model '{model.name}' does not know its input size before it is called. Put "
            "keras.Input((height, width, 3)) first, or give the detector inside: model.get_layer(...). "
            f"Received: {type(model).__name__}"
        )
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else ()
    if len(shape) != 4 or shape[3] != 3 or None in shape[1:3]:
        raise ValueError(
            "Detecting needs a model with one input of shape (None, height, width, 3) of fixed size. "
            f"Received: input_shape={model.input_shape}"
        )
    return shape[1:3]


def _output_columns(model):
    shapes = [tuple(output.shape) for output in model.outputs]
    columns = shapes[0][-1] if len(shapes) == 1 and len(shapes[0]) == 3 else None
    if columns == DECODED_COLUMNS or (columns is not None and Predictions.classes_in(columns) >= 1):
        return columns
    raise ValueError(
        "Detecting needs a model with one output: raw predictions (None, N, C + 1 + 12) or, after "
        f"DecodeDetections, rows (None, K, 6). Received: output shapes {shapes}"
    )
