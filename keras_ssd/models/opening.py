"""Opens trained detectors whose network a factory builds: by catalogue name, or from a file that identifies it."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_ssd import zoo
from keras_ssd.formats.keras_h5 import holds_own_model
from keras_ssd.models.mobilenet_ssd import mobilenet_ssd
from keras_ssd.models.model import SSD
from keras_ssd.models.saved import load
from keras_ssd.models.ssd7_model import ssd7
from keras_ssd.models.ssd_mobilenet import ssd_mobilenet_v1
from keras_ssd.models.ssd_small import ssd_small
from keras_ssd.models.ssdlite import ssdlite320
from keras_ssd.models.vgg_ssd import ssd300, ssd512
from keras_ssd.models.weights import check_count, find_entry, is_file, read_weights
from keras_ssd.names import unknown_name
from keras_ssd.zoo.label_fitting import fitted_columns, fitted_names, listed_names

FACTORIES: dict[str, Callable[..., SSD]] = {
    "mobilenet_ssd": mobilenet_ssd,
    "ssd300": ssd300,
    "ssd512": ssd512,
    "ssd7": ssd7,
    "ssd_mobilenet_v1": ssd_mobilenet_v1,
    "ssd_small": ssd_small,
    "ssdlite320": ssdlite320,
}

log: logging.Logger = logging.getLogger("keras_ssd")


def open_built(
    weights: str | os.PathLike[str], model: str | None = None, class_names: Sequence[str] | None = None
) -> SSD:
    """A detector whose network one of `FACTORIES` builds; arguments and errors of `keras_ssd.open_model`."""
    if model is not None and model not in FACTORIES:
        raise ValueError(unknown_name("model", model, FACTORIES))
    if class_names is not None:
        class_names = listed_names("class_names", class_names)
        fitted_columns("class_names", class_names, None)  # refuses what no model could have
    if is_file(weights) and (Path(os.fspath(weights)).suffix.lower() == ".keras" or holds_own_model(Path(weights))):
        return _with_names(load(weights), weights, class_names)
    if not is_file(weights):
        entry = _catalogued(weights, model)
        model, weights = entry.model, entry.tag
    trained = read_weights(weights, model=model)
    kind = model or trained.kind
    if kind not in FACTORIES:
        raise ValueError(
            f"The layer names in '{weights}' are those of {kind or 'no network that this package knows'}, which "
            f"is no detector. If it is one of {', '.join(FACTORIES)} nevertheless, name that as the model."
        )
    if class_names is not None and trained.classes is not None:
        tell_unused(trained.arrays.source, class_names, trained.classes)
        class_names = None
    return FACTORIES[kind](weights=trained, weights_classes=class_names)


def _catalogued(name, model):
    """The catalogue's detector of this name; a tag without a network means SSD300, if SSD300 has it."""
    if model is None and any(entry.tag == name for entry in zoo.entries(model="ssd300")):
        model = "ssd300"
    entry = find_entry(name, model)
    if entry.model not in FACTORIES:
        raise ValueError(f"Weights '{entry.name}' are not a detector that this version builds.")
    return entry


def _with_names(model, path, class_names):
    """A loaded model with the given class names, if its file has none."""
    if class_names is not None:
        if model.names_classes:
            tell_unused(path, class_names, model.class_names)
        else:
            names = fitted_names("class_names", class_names, model.num_classes)
            check_count(path, model.num_classes, names or class_names)
            model.class_names = names
    return model


def tell_unused(source: Any, given: Sequence[str], told: Sequence[str]) -> None:
    """Warns where names were given for classes that the weights name themselves."""
    if fitted_names("class_names", given, len(told)) != tuple(told):
        log.warning("%s names its %d classes itself; the names that were given are not used.", source, len(told))
