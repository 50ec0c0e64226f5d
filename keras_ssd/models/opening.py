"""Opening what was saved: `.keras` files of this package, and weight files whose network can be told."""

import os
import zipfile
from pathlib import Path

import keras

from keras_ssd import zoo
from keras_ssd.models.model import SSD
from keras_ssd.models.ssd7_model import ssd7
from keras_ssd.models.vgg_ssd import ssd300, ssd512
from keras_ssd.models.weights import is_file, read_weights
from keras_ssd.names import unknown_name

FACTORIES = {"ssd300": ssd300, "ssd512": ssd512, "ssd7": ssd7}


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
        model = keras.saving.load_model(path, safe_mode=True)
    except Exception as error:
        raise ValueError(
            f"'{path}' cannot be loaded as a model: {error} Files from elsewhere must not contain code (Lambda "
            "layers); files of a newer Keras need that Keras."
        ) from error
    if not isinstance(model, SSD):
        raise ValueError(
            f"'{path}' holds a {type(model).__name__}, not a keras_ssd model. keras.saving.load_model opens it."
        )
    return model


def open_model(weights, model=None, class_names=None):
    """A detector from a catalogue name or any file that this package reads; the network is found out.

    Args:
        weights: "ssd300.voc07+12", or "voc07+12" with `model`, or the path of a .keras, .h5 or .npz file.
        model: "ssd300", "ssd512" or "ssd7"; None finds it out.
        class_names: names of the classes that a file was trained on, where it does not tell them.

    Returns:
        `SSD`.

    Raises:
        ValueError: unknown name or network, or a file that does not fit.
    """
    if model is not None and model not in FACTORIES:
        raise ValueError(unknown_name("model", model, FACTORIES))
    if is_file(weights):
        if Path(os.fspath(weights)).suffix.lower() == ".keras":
            return load(weights)
        kind = model or read_weights(weights).kind
        if kind not in FACTORIES:
            raise ValueError(
                f"The layer names in '{weights}' are those of {kind or 'no network that this package knows'}, which "
                f"is no detector. Name the network with `model` ({', '.join(FACTORIES)})."
            )
        return FACTORIES[kind](weights=weights, classes=class_names)
    entry = zoo.find(weights, model=model)
    if entry.model not in FACTORIES:
        raise ValueError(f"Weights '{entry.name}' are no detector that this version builds.")
    return FACTORIES[entry.model](weights=entry.tag)
