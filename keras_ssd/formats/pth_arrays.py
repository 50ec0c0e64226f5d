"""State dicts of PyTorch projects as `NamedArrays`: known layouts, translated tensor by tensor."""

import functools
from collections.abc import Container
from os import PathLike
from pathlib import Path

import numpy as np

from keras_ssd.formats.named_arrays import NamedArrays, WeightFileError
from keras_ssd.formats.pth import read_state_dict
from keras_ssd.formats.torch_layouts import Layout, layouts

COUNTERS = "num_batches_tracked"  # of BatchNorm, for averages that are not used
SHOWN = 6


def read_pth(path: str | PathLike[str]) -> NamedArrays:
    """Reads an SSD of torchvision, amdegroot, lufficc or MMDetection from a `.pth` file.

    Returns:
        `NamedArrays` with the layer names of this package and the `origin` of the file. Tensors that the network of its
        layout does not have keep their names.

    Raises:
        WeightFileError: the file is damaged, contains code, or an unknown network.
    """
    path = Path(path)
    tensors = read_state_dict(path)
    layout = layout_of(tensors)
    if layout is None:
        names = ", ".join(list(tensors)[:SHOWN])
        raise WeightFileError(
            f"{path} is a PyTorch file of an unknown network: {len(tensors)} tensors, the first {names}. SSD300 and "
            "SSD512 on VGG16 of torchvision, amdegroot/ssd.pytorch, lufficc/SSD and MMDetection (2.14 and later) are "
            "known, and torchvision's SSDlite320 on MobileNetV3."
        )
    layers = {}
    with tensors.storages.held_open():
        for name in tensors:
            if name.rpartition(".")[2] != COUNTERS:
                layer, weight, array = _translated(layout, name, tensors[name], path)
                layers.setdefault(layer, {})[weight] = array
    if layout.background_last:
        layers = {layer: _background_first(layer, weights, layers) for layer, weights in layers.items()}
    return NamedArrays(layers, format="pth", path=path, class_names=tensors.class_names, origin=layout.origin)


@functools.cache
def _layouts():
    return layouts()


def layout_of(names: Container[str]) -> Layout | None:
    """The `Layout` of a state dict by its names, or None."""
    fitting = [layout for layout in _layouts() if all(mark in names for mark in layout.marks)]
    return fitting[0] if fitting else None


def _translated(layout, name, array, path):
    place = layout.places.get(name)
    if place is None:
        layer, _, weight = name.rpartition(".")
        return layer or name, weight, array
    if array.dtype.kind != "f" or array.ndim != (1 if place.axes is None else len(place.axes)):
        raise WeightFileError(
            f"{path}: tensor {name!r} must be a {'convolution' if place.axes else 'row'} of floating point numbers. "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    return place.layer, place.weight, np.ascontiguousarray(array.transpose(place.axes) if place.axes else array)


def _background_first(layer, weights, layers):
    """Class columns with the background moved from the end of each box to its beginning."""
    offsets = layers.get(layer.removesuffix("conf") + "loc", {}).get("bias")
    if not layer.endswith("_mbox_conf") or offsets is None:
        return weights
    boxes = max(len(offsets) // 4, 1)
    if any(array.shape[-1] % boxes for array in weights.values()):
        return weights  # heads that do not fit each other: for the porter to report
    return {name: _rolled(array, boxes) for name, array in weights.items()}


def _rolled(array, boxes):
    return np.roll(array.reshape(*array.shape[:-1], boxes, -1), 1, axis=-1).reshape(array.shape)
