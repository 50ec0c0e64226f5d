"""The model as a file holds it: with the decoder, or without; and its answers."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import DecodeOptions
from keras_ssd.decoding.tensors import SCORING
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.file_arrays import BOXES, SCORES
from keras_ssd.models import SSD, with_decoder
from keras_ssd.models.wrapping import as_detector


def raw(model: Any) -> SSD:
    """The model of raw predictions; one with a decoder keeps its options as the model's own."""
    model = as_detector(model)
    if not model.has_decoder:
        return model
    detector = Detector.of(model)
    decoding = {**vars(detector.options), "scores": detector.kind_of_scores}
    names = model.class_names if model.names_classes else ()
    made = SSD(
        model.inputs[0],
        detector.predictions,
        name=model.name.removesuffix("_detector"),
        class_names=names,
        sources=model.sources,
        decoding=decoding,
    )
    if model.confidence is not None:
        made.confidence = model.confidence
    return made


def decoded(model: Any) -> SSD:
    """The model with its decoder."""
    model = as_detector(model)
    return model if model.has_decoder else with_decoder(model)


def tables(model: Any) -> keras.Model:
    """A model with the outputs `boxes` (B, N, 4), decoded, and `scores` (B, N, C) without the background."""
    detector = Detector.of(model)
    parts = Predictions.split(ops.cast(detector.predictions, "float32"))
    scores = SCORING[detector.kind_of_scores](parts.logits)[..., 1:]
    if detector.options.calibration:
        scores = detector.options.calibration.apply(ops.clip(scores, 0.0, 1.0))
    return keras.Model(model.inputs[0], {BOXES: detector.options.boxes(parts, ops), SCORES: scores}, name=model.name)


def options_of(detector: SSD) -> DecodeOptions:
    """The options of the decoder that a model ends in."""
    return Detector.of(detector).options


def rows_of(detector: SSD, images: np.ndarray) -> np.ndarray:
    """Rows (B, K, 6) of a model with a decoder, image by image, so that any number of images needs little memory.

    Args:
        detector: as `decoded` gives it.
        images: (B, H, W, 3) float32 RGB in 0..255.
    """
    return np.concatenate([ops.convert_to_numpy(detector(image[None], training=False)) for image in images])
