"""A `.keras` file, with or without the decoder."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssd.exporting import models
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import PREDICTIONS, ROWS, FileMetadata


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Saves the model, which holds what it must tell by itself."""
    model = models.decoded(model) if options.suppression else models.raw(model)
    model.save(path)
    output = ROWS if options.suppression else PREDICTIONS
    return Written(description_of(model, options, layout="NHWC", output=output))


class _Saved:
    """A saved model as a `Runner`."""

    def __init__(self, path: Path) -> None:
        self.runtime, self.batch = f"Keras {keras.__version__} on {keras.config.backend()}", None
        self._model = models.decoded(keras.saving.load_model(path, compile=False))

    def rows(self, images: np.ndarray) -> np.ndarray:
        return models.rows_of(self._model, images)


def open_file(path: Path, metadata: FileMetadata) -> _Saved:
    """The file in Keras."""
    return _Saved(path)
