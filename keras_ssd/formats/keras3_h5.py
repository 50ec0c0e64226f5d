"""`.weights.h5` of Keras 3, and the same inside a `.keras` archive.

Keras 3 numbers the weights of a layer (`/layers/conv2d_3/vars/0`) and keeps the layer's own name in an
attribute of `vars`. The number of weights and their ranks tell which is which.
"""

import io
import json
import zipfile
from os import PathLike
from pathlib import Path

from keras_ssd.calling import checked_arguments
from keras_ssd.formats._hdf5 import child, datasets, opened, read_dataset, text_attribute
from keras_ssd.formats.named_arrays import MAX_TOTAL_BYTES, Budget, NamedArrays, WeightFileError

# The ranks of a layer's arrays, in the order in which Keras numbers them -> their names.
WEIGHT_NAMES: dict[tuple[int, ...], tuple[str, ...]] = {
    (4, 1): ("kernel", "bias"),
    (4,): ("kernel",),
    (2, 1): ("kernel", "bias"),
    (1,): ("gamma",),
    (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
}
CONFIG_BYTES = 16 << 20


@checked_arguments
def read_keras3_h5(path: str | PathLike[str]) -> NamedArrays:
    """Reads a file of Keras 3's `model.save_weights("name.weights.h5")`.

    Raises:
        WeightFileError: the file is damaged, or has layers that its names do not distinguish.
    """
    path = Path(path)
    return NamedArrays(_read_layers(path, path), format="keras3_h5", path=path)


@checked_arguments
def read_keras_archive(path: str | PathLike[str]) -> NamedArrays:
    """Reads the weights and, if stated, the class names of a `.keras` archive; it builds no layer.

    Raises:
        WeightFileError: the archive is damaged or has no weights.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            weights = _member(archive, "model.weights.h5", MAX_TOTAL_BYTES)
            config = json.loads(_member(archive, "config.json", CONFIG_BYTES))
    except (zipfile.BadZipFile, OSError, ValueError, LookupError, RuntimeError, EOFError, NotImplementedError) as error:
        raise WeightFileError(
            f"{path} is not a readable .keras archive (expected members config.json and model.weights.h5): {error}"
        ) from error
    layers = _read_layers(io.BytesIO(weights), path)
    return NamedArrays(layers, format="keras_archive", path=path, class_names=_class_names(config))


def _member(archive, name, limit):
    info = archive.getinfo(name)
    if info.file_size > limit:
        raise ValueError(f"{name} would unpack to {info.file_size:,} bytes; at most {limit:,} are read")
    return archive.read(info)


def _class_names(config):
    inner = config.get("config") if isinstance(config, dict) else None
    names = inner.get("class_names") if isinstance(inner, dict) else None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    return None


def _read_layers(source, path):
    budget = Budget(path)
    found = {}
    with opened(source, path) as file:
        root = child(file, "layers", path)
        for names, dataset in datasets(root, path) if root is not None else ():
            if len(names) < 2 or names[-2] != "vars" or any(n.startswith("seed_generator") for n in names):
                continue  # the state of random generators is no weight
            layer = text_attribute(dataset.parent, "name", path)
            if layer is None:
                raise WeightFileError(
                    f"{path}: {dataset.parent.name} does not name its layer; files of Keras before 3.4 do not. "
                    "Load it with model.load_weights into a model of the same architecture and save it again."
                )
            found.setdefault((names[:-1], layer), {})[names[-1]] = read_dataset(dataset, budget)
    layers = {}
    for (names, layer), arrays in found.items():
        if layer in layers:
            raise WeightFileError(f"{path}: two layers are named {layer!r} (the second at /layers/{'/'.join(names)}).")
        layers[layer] = _named(layer, arrays, path)
    if not layers:
        raise WeightFileError(f"{path} holds no weights: expected datasets like /layers/conv2d/vars/0.")
    return layers


def _named(layer, arrays, path):
    numbers = sorted(arrays, key=lambda n: (len(n), n))
    ranks = tuple(arrays[n].ndim for n in numbers)
    if ranks not in WEIGHT_NAMES:
        raise WeightFileError(
            f"{path}: layer {layer!r} has arrays of ranks {ranks}, which do not tell their names. "
            "Load the file with model.load_weights into a model of the same architecture."
        )
    return dict(zip(WEIGHT_NAMES[ranks], (arrays[n] for n in numbers), strict=True))
