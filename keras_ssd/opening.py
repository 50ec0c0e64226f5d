"""`open_model`: any trained detector, whether a factory builds its network or the description that came with it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from keras_ssd import zoo
from keras_ssd.caffe.importer import from_caffe
from keras_ssd.calling import checked_arguments
from keras_ssd.engines.files import FileDetector, is_engine_file
from keras_ssd.map_limits import map_limit
from keras_ssd.models.model import SSD
from keras_ssd.models.opening import FACTORIES, open_built, tell_unused
from keras_ssd.models.weights import is_file
from keras_ssd.names import unknown_name


@checked_arguments
def open_model(
    weights: str | os.PathLike[str],
    model: str | None = None,
    class_names: Sequence[str] | None = None,
    max_map_bytes: int | None = None,
) -> SSD:
    """Opens a detector from a catalogue name or any file that this package reads; the network is detected.

    Args:
        weights: "ssd300.voc07+12", or its tag "voc07+12", which without `model` means SSD300 if SSD300 has it, or the
            path of a .keras, .h5, .npz, .caffemodel, .tflite or .pth file, or of a file that `keras_ssd.export`
            wrote for another runtime.
        model: "ssd300", "ssd512", "ssd7", "ssd_mobilenet_v1", "ssd_small" or "ssdlite320", or a network described in
            the catalogue's archive, "ssd500"; None detects it.
        class_names: names of the classes of the weights, in order, if these do not state them.
        max_map_bytes: the largest feature map of one image that is built, see `keras_ssd.map_limit`.

    Returns:
        `SSD`; or a `keras_ssd.engines.files.FileDetector` of a file for another runtime.

    Raises:
        FileNotFoundError: no such file.
        DownloadError: no source delivered the file.
        ValueError: unknown name or network, a file that does not fit, or a wrong number of class names.

    Example:
        >>> model = keras_ssd.open_model("voc07+12")
        >>> mine = keras_ssd.open_model("ssd7_traffic.h5", class_names=["car", "truck", "person", "bike", "light"])
    """
    known = (*FACTORIES, *dict.fromkeys(entry.model for entry in _described_entries()))
    if model is not None and model not in known:
        raise ValueError(unknown_name("model", model, known))
    if is_file(weights) and (is_engine_file(weights) or Path(weights).suffix.lower() in (".onnx", ".xml")):
        return cast(Any, _file_detector(weights, class_names))
    with map_limit(max_map_bytes):
        net = _described_net(weights, model)
        return open_built(weights, model, class_names) if net is None else _imported(*net, weights, class_names)


def _file_detector(path, class_names):
    """A file for another runtime, whose classes are its own."""
    detector = FileDetector(path)
    if class_names is not None:
        tell_unused(str(path), class_names, detector.class_names)
    return detector


def is_described(weights: Any, model: str | None = None) -> bool:
    """Whether `open_model` builds the network of these weights from the description that came with them."""
    return (_of_file(weights) if is_file(weights) else _named(weights, model)) is not None


def _described_entries():
    return [entry for entry in zoo.entries(readable=True) if entry.described]


def _described_net(weights, model):
    """(catalogue's row, prototxt, caffemodel) of weights that came with their network, or None."""
    if is_file(weights):
        entry, path = _of_file(weights), Path(weights)
        return None if entry is None else (entry, _beside(entry, path), path)
    entry = _named(weights, model)
    if entry is None:
        return None
    caffemodel = zoo.download(entry)
    return entry, zoo.network_of(caffemodel), caffemodel


def _named(name, model):
    """The row of this name; a tag alone is that of a network with a factory, unless `model` names another."""
    for entry in _described_entries():
        if name == entry.name or (name == entry.tag and model == entry.model):
            return entry
    return None


def _of_file(weights):
    """The row of a .caffemodel under its published name."""
    path = Path(os.fspath(weights))
    entry = zoo.by_file_name(path)
    return entry if path.suffix == ".caffemodel" and path.is_file() and entry in _described_entries() else None


def _beside(entry, path):
    """The description of the network beside its weights, as in the cache."""
    network = zoo.network_of(path)
    if not network.is_file():
        [member, *_] = [source.prototxt for source in entry.sources if source.prototxt]
        raise FileNotFoundError(
            f"'{path}' holds the weights of {entry.name}, whose network is described by {member} of the same archive. "
            f"Save that as '{network}'."
        )
    return network


def _imported(entry, prototxt, caffemodel, weights, class_names):
    """The model of a net that came with its description; classes and preprocessing are those of its row."""
    classes = zoo.labels(entry.classes) if entry.classes else class_names
    if class_names is not None and entry.classes:
        tell_unused(str(weights), class_names, classes)
    recipe, options = entry.preprocessing, {}
    if recipe is not None:
        mean = recipe.mean_rgb[::-1] if recipe.colour == "bgr" else recipe.mean_rgb
        options = {"mean": mean, "scale": recipe.scale, "channel_order": recipe.colour}
    name = entry.name.replace(".", "_")
    return from_caffe(prototxt, caffemodel, classes=classes, name=name, **options)
