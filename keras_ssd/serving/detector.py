"""A detector that gets images one by one from many clients."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.decoding import confidence_of
from keras_ssd.detecting import decoder_threshold, prepared
from keras_ssd.detections import Detections, class_ids_of
from keras_ssd.images import Source
from keras_ssd.models.belongings import belongings_of
from keras_ssd.opening import open_model
from keras_ssd.pipeline import Detecting, padded_size
from keras_ssd.serving.settings import LOWEST_CONFIDENCE, Settings

NO_NAME = "the image"  # of a request, in errors


@dataclasses.dataclass(frozen=True)
class Loaded:
    """An image that was read.

    Args:
        source: `Source` with its name.
        image: (H, W, 3) uint8 of the network's input size.
        size_hw: the image's own height and width.
    """

    source: Source
    image: np.ndarray
    size_hw: tuple[int, int]


class ServedDetector:
    """The model of a server.

    Args:
        settings: `Settings`.

    Attributes:
        name: of the model.
        confidence: lowest score that is reported where a request names none.
        class_names: without background.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model = open_model(
            settings.weights, settings.model, settings.class_names, max_map_bytes=settings.max_map_bytes
        )
        self.name: str = self._model.name
        self.confidence: float = max(confidence_of(belongings_of(self._model)).value, LOWEST_CONFIDENCE)
        self._prepared: dict[float, Detecting] = {}  # threshold of the decoder -> what computes with it
        self._lock = threading.Lock()
        self._usual = self._at(self.confidence)
        self.class_names: tuple[str, ...] = self._usual.class_names

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        height, width = self._usual.predictor.size_hw
        return height, width

    @property
    def engine(self) -> str:
        """What computes the network, in words."""
        predictor = self._usual.predictor
        if hasattr(predictor, "choice"):
            return f"{predictor.choice.engine.name}, {predictor.choice.precision}"
        return getattr(self._model, "runtime", "keras")

    def _at(self, confidence) -> Detecting:
        threshold = decoder_threshold(confidence)
        with self._lock:
            if threshold not in self._prepared:
                one = self._settings
                self._prepared[threshold] = prepared(
                    self._model,
                    confidence,
                    batch_size=one.batch_size,
                    max_pixels=one.max_pixels,
                    engine=one.engine,
                    precision=one.precision,
                )
                self._prepared[threshold].predictor.begin()
            return self._prepared[threshold]

    def warm_up(self) -> None:
        """Computes an image of every batch that is compiled apart, so that no client waits for that."""
        grey = np.full((*self.input_size, 3), 127, np.uint8)
        sizes = {
            padded_size(count, self._settings.batch_size, True) for count in range(1, self._settings.batch_size + 1)
        }
        for size in sorted(sizes):
            self.rows([grey] * size, [self.confidence])

    def load(self, data: bytes, name: str | None) -> Loaded:
        """Reads an image.

        Raises:
            ImageError: it is none, it is damaged, or it has too many pixels.
        """
        source = Source(data, name or NO_NAME)
        [image], size_hw = self._usual.load(source)
        return Loaded(dataclasses.replace(source, image=None), image, size_hw)

    def rows(self, images: Sequence[np.ndarray], confidences: Sequence[float]) -> Sequence[np.ndarray]:
        """(K, 6) rows of each image, with all that have at least the lowest of the confidences."""
        detecting = self._at(min(confidences))
        return detecting.predictor.rows(images, padded_size(len(images), detecting.batch_size, True))

    def class_ids(self, classes: Sequence[str]) -> np.ndarray:
        """The ids of classes.

        Raises:
            ValueError: a name that is unknown.
        """
        return np.array(class_ids_of(classes, self.class_names), int)

    def detections(
        self, rows: Any, loaded: Loaded, confidence: float, class_ids: np.ndarray | None = None
    ) -> Detections:
        """What `detect` would give for the image."""
        detecting = dataclasses.replace(self._usual, confidence=confidence, class_ids=class_ids)
        found = detecting.detections([rows], loaded.source, loaded.size_hw)
        return dataclasses.replace(found, source=None if loaded.source.name == NO_NAME else loaded.source.name)
