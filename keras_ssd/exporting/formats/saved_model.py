"""TensorFlow's SavedModel: a folder, with the description in `assets.extra`."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssd import file_arrays
from keras_ssd.exporting import models
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import KEY, ROWS, TABLES, FileMetadata

EXTRA = "assets.extra"  # TensorFlow's own place for what a program puts beside a model


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Writes the folder by Keras's own export."""
    output = ROWS if options.suppression else TABLES
    metadata = description_of(model, options, layout="NHWC", output=output)
    made = models.decoded(model) if options.suppression else models.tables(model)
    _to_saved_model(made, path, options.batch)
    (path / EXTRA).mkdir(exist_ok=True)
    (path / EXTRA / f"{KEY}.json").write_text(metadata.to_json(), encoding="utf-8")
    return Written(metadata)


def _to_saved_model(made, path, batch):
    if keras.config.backend() == "torch":
        raise ValueError(
            "Keras writes a SavedModel on the backends tensorflow and jax alone. Set KERAS_BACKEND=tensorflow, where "
            "keras_ssd.load opens the .keras file of any backend, or write another format."
        )
    signature = [keras.InputSpec(shape=(batch, *made.input_shape[1:]), dtype="float32", name=file_arrays.IMAGES)]
    made.export(str(path), format="tf_saved_model", verbose=False, input_signature=signature)


class _Loaded:
    """A folder in TensorFlow as a `Runner`."""

    def __init__(self, path: Path, metadata: FileMetadata) -> None:
        import tensorflow

        self.runtime, self.batch = f"TensorFlow {tensorflow.__version__}", metadata.batch
        self._metadata, self._loaded = metadata, tensorflow.saved_model.load(str(path))

    def rows(self, images: np.ndarray) -> np.ndarray:
        found = self._loaded.serve(file_arrays.fed(self._metadata, images))
        if self._metadata.output == ROWS:
            return np.asarray(found)
        return file_arrays.rows_of(self._metadata, {name: np.asarray(x) for name, x in found.items()})


def open_file(path: Path, metadata: FileMetadata) -> _Loaded | None:
    """The folder in TensorFlow."""
    return _Loaded(path, metadata)
