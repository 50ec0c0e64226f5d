"""`.keras` files of this package: opened without `custom_objects`, and never by running what they hold."""

import os
import warnings
import zipfile
from pathlib import Path
from typing import Any, cast

import keras

from keras_ssd import _environment
from keras_ssd.calling import checked_arguments
from keras_ssd.engines.files import ENDINGS, FileDetector
from keras_ssd.formats.keras_h5 import holds_own_model
from keras_ssd.map_limits import checked_limit, map_limit
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector, detectors_in
from keras_ssd.names import files_nearby

# Keras does not compress its files; one that unpacks to many times its size is made to fill the memory.
MOST_UNPACKED, MOST_GROWTH = 1 << 30, 100


@checked_arguments
def load(path: str | os.PathLike[str], max_map_bytes: int | None = None) -> SSD:
    """Loads a model that was saved with `model.save("name.keras")` or `.h5`, bit for bit and without `custom_objects`.

    A file that `keras_ssd.export` wrote for another runtime (.onnx, .xml of OpenVINO, .tflite) opens as a
    `keras_ssd.engines.files.FileDetector`, which detects and is measured as a model is, and cannot be trained.

    Code in the file (Lambda layers, pickles) is never run. `keras.saving.load_model` works as well once keras_ssd is
    imported; this function has clearer errors.

    Args:
        path: a `.keras` or `.h5` file of a whole model, written on any backend.
        max_map_bytes: the largest feature map of one image that is built, see `keras_ssd.map_limit`.

    Returns:
        `SSD`, compiled if it was; or a `FileDetector`.

    Raises:
        FileNotFoundError: there is no such file, or it is a folder.
        ValueError: the file is not a `.keras` file, is damaged, contains code, or has another kind of model.

    Example:
        >>> model = keras_ssd.load("mine.keras")
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"`path` must be the path of a .keras or .h5 file; write other data to a file first. Received: "
            f"{type(path).__name__}"
        )
    path = Path(os.fspath(path))
    if path.suffix.lower() in ENDINGS and path.is_file():
        return cast(Any, FileDetector(path))
    checked_limit(max_map_bytes)
    if not path.is_file():
        if path.is_dir():
            raise FileNotFoundError(f"'{path}' is a folder, and a model is one file. Give the path of a .keras file.")
        raise FileNotFoundError(f"No model file at '{path}'.{files_nearby(path)}")
    own_h5 = holds_own_model(path)
    if not own_h5 and not zipfile.is_zipfile(path):
        raise ValueError(
            f"'{path}' is not a .keras file (a zip archive), or is truncated. Expected what `model.save('x.keras')` "
            f"writes. For other files use keras_ssd.open_model({str(path)!r}), or give weights to a factory, such as "
            "ssd300(weights=...)."
        )
    if not own_h5 and path.suffix != ".keras" and _holds_model(path):
        raise ValueError(
            f"'{path}' is a .keras file under a name without that ending, and Keras opens it by its ending. Rename it "
            f"to '{path.name}.keras'."
        )
    _environment.register_classes()  # the command imports only what it uses
    try:
        if not own_h5:
            _check_size(path)
        # Warnings only lead up to the error, if there is one.
        with map_limit(max_map_bytes), warnings.catch_warnings(record=True) as told:
            model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        raise ValueError(f"'{path}' cannot be loaded as a model: {_why(error)}") from error
    for warning in told:
        warnings.warn(warning.message, stacklevel=2)
    for names in [] if isinstance(model, SSD) else detectors_in(model):
        way = "".join(f".get_layer('{name}')" for name in names)
        raise ValueError(
            f"'{path}' holds a {type(model).__name__} that has a detector inside, not a detector. Reach it by "
            f"keras.saving.load_model({str(path)!r}){way}."
        )
    try:
        return as_detector(model)
    except TypeError:
        raise ValueError(
            f"'{path}' holds a {type(model).__name__}, not a keras_ssd model. keras.saving.load_model opens it."
        ) from None


def _holds_model(path):
    """Whether a zip archive has what Keras puts into a .keras file."""
    with zipfile.ZipFile(path) as archive:
        return {"config.json", "metadata.json"} <= set(archive.namelist())


def _check_size(path):
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > MOST_UNPACKED and unpacked > MOST_GROWTH * path.stat().st_size:
        raise ValueError(f"its {path.stat().st_size:,} bytes unpack to {unpacked:,}, as no honest model's do.")


def _why(error):
    """Keras's message, shortened, and what to do."""
    said = " ".join(str(error).split()) or type(error).__name__
    said = said.rpartition("Exception encountered: ")[2]  # Keras puts the whole configuration before it
    if "arbitrary code" in said or "safe_mode" in said:
        return (
            "it holds Python code (a Lambda layer, or a lambda as its loss), which is not run. Files from elsewhere "
            "must not contain code; if you trust this one, open it with keras.saving.load_model(..., safe_mode=False) "
            "and save its weights."
        )
    return (
        f"{said[:300]}{' ...' if len(said) > 300 else ''} The file is damaged, or another program or a newer version "
        "of Keras or keras_ssd wrote it."
    )
