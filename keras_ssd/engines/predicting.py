"""Images -> decoded rows with the network in an engine: the counterpart of `keras_ssd.predictor.Predictor`."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import DecodeOptions, decode_parts
from keras_ssd.engines.choosing import Choice
from keras_ssd.engines.compiling import Network, kept_for
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.layers import DecodeDetections

log: logging.Logger = logging.getLogger("keras_ssd")


class EnginePredictor:
    """A model whose network an engine computes, and whose predictions are decoded on numpy arrays.

    Args:
        model: a detector of raw predictions, or one that ends in a decoder, whose options stand.
        choice: `Choice` of an engine other than Keras.
        options: dictionary of `DecodeDetections` arguments, or such a layer, for a model of raw predictions.
        fallback: function that gives the predictor for an engine that fails though nothing spoke against it.

    Attributes:
        size_hw: the input's height and width.
        num_classes: without background; None for a model that ends in a decoder.
    """

    def __init__(
        self, model: Any, choice: Choice, options: Any = None, fallback: Callable[[], Any] | None = None
    ) -> None:
        detector = Detector.of(model)
        self._model, self.choice, self._fallback = model, choice, fallback  # alive as long as results are
        self._instead: Any = None
        self.size_hw: tuple[int, int] = tuple(model.inputs[0].shape[1:3])
        ends_in_decoder = any(isinstance(layer, DecodeDetections) for layer in model.layers)
        self.num_classes: int | None = (
            None if ends_in_decoder else Predictions.classes_in(detector.predictions.shape[-1])
        )
        if ends_in_decoder:
            self._options = dataclasses.replace(detector.options, scores=detector.kind_of_scores)
        elif isinstance(options, DecodeDetections):
            kind = options.options.kind_of_scores(options.from_logits)
            self._options = dataclasses.replace(options.options, scores=kind)
        else:
            self._options = DecodeOptions(**(options or {}))

    def begin(self) -> None:
        """To be called when a run begins: the weights are looked at, and the network is made where it must be."""
        self._network(again=True)

    def rows(self, images: Sequence[np.ndarray], batch: int) -> np.ndarray:
        """Decoded rows of some images.

        Args:
            images: list of at least one (H, W, 3) uint8 array of the input size.
            batch: of no meaning here, since no number of images needs another compilation.

        Returns:
            (len(images), K, 6) float32 array.
        """
        network = self._network()
        if network is None:
            return self._instead.rows(images, batch)
        return decode_parts(network(np.stack(images)), self._options)

    def _network(self, again: bool = False) -> Network | None:
        """The network; None where the fallback has to compute."""
        if self._instead is not None:
            return None
        try:
            return kept_for(self._model, self.choice).network(again)
        except Exception as error:
            if self._fallback is None or isinstance(error, MemoryError):
                raise
            said = " ".join(str(error).split())[:300]
            log.warning(
                "The engine %s failed on '%s', so Keras computes: %s", self.choice.engine.name, self._model.name, said
            )
            self._instead = self._fallback()
            return None
