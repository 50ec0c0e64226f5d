"""Opening what was saved: `.keras` files of this package, and weight files whose network can be told."""

import logging
import os
import warnings
import zipfile
from pathlib import Path

import keras

from keras_ssd import zoo
from keras_ssd.models.model import SSD
from keras_ssd.models.ssd7_model import ssd7
from keras_ssd.models.vgg_ssd import ssd300, ssd512
from keras_ssd.models.weights import check_count, find_entry, is_file, read_weights
from keras_ssd.names import check_class_names, unknown_name

FACTORIES = {"ssd300": ssd300, "ssd512": ssd512, "ssd7": ssd7}

# An honest file is stored as it is; one that unpacks to many times its size is made to fill the memory.
MOST_UNPACKED, MOST_GROWTH = 1 << 30, 100

log = logging.getLogger("keras_ssd")


def load(path):
    """A model that was saved with `model.save("name.keras")`: no `custom_objects`, anchors bit for bit the same.

    Code in the file (Lambda layers, pickles) is never run. `keras.saving.load_model` does the same once keras_ssd is
    imported; this one has clearer errors.

    Args:
        path: a `.keras` file, written on any backend.

    Returns:
        `SSD`, compiled if it was.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no `.keras` file, one that is damaged or holds code, or one of another kind of model.

    Example:
        >>> model = keras_ssd.load("mine.keras")
    """
    path = Path(os.fspath(path))
    if not path.is_file():
        raise FileNotFoundError(f"No model file at '{path}'.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"'{path}' is no .keras file (a zip archive), or it is cut short. Expected what `model.save('x.keras')` "
            "writes; for .h5 and .npz weights use the factory, such as ssd300(weights=...)."
        )
    try:
        _check_size(path)
        with warnings.catch_warnings(record=True) as told:  # they only lead up to the error, if there is one
            model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        raise ValueError(f"'{path}' cannot be loaded as a model: {_why(error)}") from error
    for warning in told:
        warnings.warn(warning.message, stacklevel=2)
    if not isinstance(model, SSD):
        raise ValueError(
            f"'{path}' holds a {type(model).__name__}, not a keras_ssd model. keras.saving.load_model opens it."
        )
    return model


def _check_size(path):
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > MOST_UNPACKED and unpacked > MOST_GROWTH * path.stat().st_size:
        raise ValueError(f"its {path.stat().st_size:,} bytes unpack to {unpacked:,}, as no honest model's do.")


def _why(error):
    """What Keras says, in short, and what to do about it."""
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


def open_model(weights, model=None, class_names=None):
    """A detector from a catalogue name or any file that this package reads; the network is found out.

    Args:
        weights: "ssd300.voc07+12", or its tag "voc07+12", which without `model` means SSD300 where SSD300 has it, or
            the path of a .keras, .h5 or .npz file.
        model: "ssd300", "ssd512" or "ssd7"; None finds it out.
        class_names: names of the classes that the weights were trained on, in order, where these do not tell them.

    Returns:
        `SSD`.

    Raises:
        FileNotFoundError: no such file.
        DownloadError: no source delivered the file.
        ValueError: unknown name or network, a file that does not fit, or class names of another number.

    Example:
        >>> model = keras_ssd.open_model("voc07+12")
        >>> mine = keras_ssd.open_model("ssd7_traffic.h5", class_names=["car", "truck", "person", "bike", "light"])
    """
    if model is not None and model not in FACTORIES:
        raise ValueError(unknown_name("model", model, FACTORIES))
    if class_names is not None:
        class_names = check_class_names("class_names", class_names)
    if is_file(weights) and Path(os.fspath(weights)).suffix.lower() == ".keras":
        return _with_names(load(weights), weights, class_names)
    if not is_file(weights):
        entry = _catalogued(weights, model)
        model, weights = entry.model, entry.tag
    trained = read_weights(weights, model=model)
    kind = model or trained.kind
    if kind not in FACTORIES:
        raise ValueError(
            f"The layer names in '{weights}' are those of {kind or 'no network that this package knows'}, which "
            f"is no detector. If it is one of {', '.join(FACTORIES)} all the same, name that as the model."
        )
    if class_names is not None and trained.classes is not None:
        _tell_unused(trained.arrays.source, class_names, trained.classes)
        class_names = None
    return FACTORIES[kind](weights=trained, weights_classes=class_names)


def _catalogued(name, model):
    """The catalogue's detector of this name; a tag alone means SSD300 where SSD300 has it."""
    if model is None and any(entry.tag == name for entry in zoo.entries(model="ssd300")):
        model = "ssd300"
    entry = find_entry(name, model)
    if entry.model not in FACTORIES:
        raise ValueError(f"Weights '{entry.name}' are no detector that this version builds.")
    return entry


def _with_names(model, path, class_names):
    """A loaded model whose classes are named as asked, if its file did not name them."""
    if class_names is not None:
        if model.names_classes:
            _tell_unused(path, class_names, model.class_names)
        else:
            check_count(path, model.num_classes, class_names)
            model.class_names = class_names
    return model


def _tell_unused(source, given, told):
    if tuple(given) != tuple(told):
        log.warning("%s names its %d classes itself; the names that were given are not used.", source, len(told))
