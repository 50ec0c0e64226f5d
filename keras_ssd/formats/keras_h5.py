"""`.h5` files of Keras 2 and of ssd_keras: the weights-only layout and that of `model.save`.

A weight is at `/<layer>/<layer>/kernel:0`; in `model.save` files, below `/model_weights`. Names depend on the Keras
version and on other models of the same session (`/conv1_1/conv1_1_2/kernel:0`), so the outermost group is the layer,
and the last part without `:0` and without the layer's name is the weight.
"""

from os import PathLike
from pathlib import Path

import h5py

from keras_ssd.calling import checked_arguments
from keras_ssd.formats._hdf5 import child, datasets, opened, read_dataset, text_attribute
from keras_ssd.formats.model_config import parse_model_config
from keras_ssd.formats.named_arrays import Budget, NamedArrays, WeightFileError

# ssd_keras converts RGB to BGR in a Lambda of this name before its first convolution.
CHANNEL_SWAP = "input_channel_swap"
VGG_FIRST = "conv1_1"
MAX_NAMES_BYTES = 1 << 20


@checked_arguments
def read_keras_h5(path: str | PathLike[str]) -> NamedArrays:
    """Reads an `.h5` that Keras 2 or ssd_keras wrote (`save_weights` or `save`).

    Returns:
        `NamedArrays`; `config` is filled for files of `model.save`.

    Raises:
        WeightFileError: the file is damaged, hostile, or has another layout.
    """
    path = Path(path)
    with opened(path, path) as file:
        root = child(file, "model_weights", path)
        root = file if root is None else root
        if not isinstance(root, h5py.Group):
            raise WeightFileError(f"{path}: /model_weights must be a group.")
        layers, plain_names = _read_layers(root, path)
        text = text_attribute(file, "model_config", path)
        config = parse_model_config(text, path) if text is not None else None
        known = set(config.layer_names if config is not None else _layer_names(root))
    if not layers:
        raise WeightFileError(
            f"{path} is an HDF5 file without weights: expected datasets like /conv1_1/conv1_1/kernel:0, "
            "or the same below /model_weights."
        )
    return NamedArrays(
        layers,
        format="keras_h5",
        path=path,
        first_layer_channels=_first_layer_channels(layers, known, plain_names),
        config=config,
    )


def holds_own_model(path: Path) -> bool:
    """Whether an `.h5` of `model.save` holds layers of this package, so that Keras can open it as a whole."""
    if not h5py.is_hdf5(path):
        return False
    with opened(path, path) as file:
        text = text_attribute(file, "model_config", path)
    return text is not None and '"keras_ssd>' in text


def _read_layers(root, path):
    """{layer: {weight: array}}, and whether the weights are named without ":0"."""
    budget = Budget(path)
    groups = {}
    for names, dataset in datasets(root, path):
        if len(names) < 2:
            raise WeightFileError(
                f"{path}: dataset /{'/'.join(names)} lies outside any layer group; expected "
                "/<layer>/<layer>/<weight>:0. The file is not in the layout of Keras 2."
            )
        groups.setdefault(names[0], []).append((names, read_dataset(dataset, budget)))
    layers = {}
    for layer, found in groups.items():
        for name, weights in _weights_of_group(layer, found).items():
            if name in layers:
                raise WeightFileError(f"{path}: two groups hold weights for a layer named {name!r}.")
            layers[name] = weights
    plain_names = not any(":" in names[-1] for found in groups.values() for names, _ in found)
    return layers, plain_names


def _weights_of_group(layer, found):
    """{layer: {weight: array}} of one outermost group; more than one layer if the group is a nested model."""
    weights = {_weight_name(names): array for names, array in found}
    if len(weights) < len(found):  # a nested model: several layers below one group
        nested = {}
        for names, array in found:
            nested.setdefault(names[-2], {})[_weight_name(names)] = array
        return nested
    if len(weights) == 1 and layer.endswith("_norm"):
        # ssd_keras wrote the only vector of L2Normalization under several names.
        (array,) = weights.values()
        if array.ndim == 1:
            return {layer: {"gamma": array}}
    return {layer: weights}


def _weight_name(names):
    last = names[-1].split(":")[0]
    for owner in (names[-2], names[0]):
        last = last.removeprefix(f"{owner}_")
    return last


def _layer_names(root):
    """Every layer's name that the attribute `layer_names` gives, also those without weights.

    Keras 2 wrote an array of fixed-length texts. Anything else is not read: the HDF5 library handles damaged
    texts of variable length worst, and the names are only a hint.
    """
    if "layer_names" not in root.attrs:
        return ()
    stored = root.attrs.get_id("layer_names")
    if stored.dtype.kind != "S" or len(stored.shape) != 1 or stored.get_storage_size() > MAX_NAMES_BYTES:
        return ()
    return tuple(name.decode("utf-8", errors="replace") for name in root.attrs["layer_names"].tolist())


def _first_layer_channels(layers, known, plain_names):
    """Channel order of the first convolution: from a complete list of layers, else by convention.

    The published VGG files come from Caffe and expect BGR after the swap layer. A complete list of layers (one with
    layers without weights) shows whether the swap was there; the files of the Caffe converter list only layers with
    weights and were made for models with the swap. Keras 3 names weights plainly (`kernel`, not `kernel:0`), so such a
    file is not ssd_keras's.
    """
    if VGG_FIRST not in layers:
        return "bgr" if CHANNEL_SWAP in known else "rgb"
    if CHANNEL_SWAP in known:
        return "bgr"
    complete = bool(known - set(layers))
    return "rgb" if complete or plain_names else "bgr"
