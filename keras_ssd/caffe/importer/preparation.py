"""Prepares a Caffe net for building: the right phase, the layers that are needed, merged pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_ssd.caffe.files import CaffeLayer, CaffeNet
from keras_ssd.caffe.importer.registry import BUILDERS, DATA, DETECTIONS, ENDS

PRIORS = ("PriorBox",)


@dataclass(frozen=True)
class Task:
    """A layer to build, with the layers merged into it."""

    layer: CaffeLayer
    merged: tuple[CaffeLayer, ...] = ()


def detecting_phase(net: CaffeNet) -> tuple[CaffeNet, CaffeLayer | None]:
    """(net of the phase that ends in detections, its last layer); the layer is None if the net is not a detector.

    A deploy net ends in DetectionOutput; a training net in MultiBoxLoss, which has the same settings of its heads.
    """
    for phase, kind in (("TEST", "DetectionOutput"), ("TRAIN", "MultiBoxLoss"), ("TEST", "MultiBoxLoss")):
        filtered = net.for_phase(phase)
        ends = [layer for layer in filtered.layers if layer.type == kind]
        if len(ends) > 1:
            raise ValueError(
                f"{net.path or net.name} has {len(ends)} layers of type {kind}, and one is expected: "
                f"{', '.join(layer.name for layer in ends)}. Keep one of them in the prototxt."
            )
        if ends:
            return filtered, ends[0]
    return net.for_phase("TEST"), None


def needed_layers(net: CaffeNet, wanted: Iterable[str]) -> tuple[list[CaffeLayer], set[str]]:
    """(the layers that these blobs depend on, in the net's order; the blobs that no layer makes).

    Names mean the blobs at the net's end.
    """
    wanted, needed = set(wanted), []
    for layer in reversed(net.layers):
        if layer.type in ENDS or not wanted & set(layer.tops):
            continue
        needed.append(layer)
        # A layer in place needs the earlier value of its blob, so the name stays wanted.
        wanted = (wanted - set(layer.tops)) | set(layer.bottoms)
    return needed[::-1], wanted


def last_blobs(net: CaffeNet) -> tuple[str, ...]:
    """Names of the blobs that no other layer reads: the net's results."""
    read = {name for layer in net.layers if layer.type not in ENDS for name in set(layer.bottoms) - set(layer.tops)}
    made = [top for layer in net.layers if layer.type not in (*DATA, *ENDS) for top in layer.tops]
    return tuple(name for name in dict.fromkeys(made) if name not in read) or tuple(dict.fromkeys(made))[-1:]


def unsupported(layers: Iterable[CaffeLayer], builders: Iterable[str]) -> dict[str, list[str]]:
    """{type: names} of layers without a builder."""
    known = {*builders, *DATA, *PRIORS, *DETECTIONS}
    found = {}
    for layer in layers:
        if layer.type not in known:
            found.setdefault(layer.type, []).append(layer.name)
    return found


def refuse_unsupported(net: CaffeNet, layers: Iterable[CaffeLayer], custom: Mapping[str, Any] | None) -> None:
    """Raises one ValueError that names every layer without a builder."""
    found = unsupported(layers, {**BUILDERS, **(custom or {})})
    if not found:
        return
    listed = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in found.items())
    raise ValueError(
        f"{net.path or net.name} has layers of {len(found)} types that this package does not support: {listed}. Write "
        "a function for each and pass it, as in from_caffe(..., layers={'"
        f"{next(iter(found))}': function}}); docs/caffe.md shows one."
    )


def tasks(layers: Sequence[CaffeLayer]) -> list[Task]:
    """Layers as tasks. A BatchNorm and the Scale that alone reads it are one task: Keras has one layer for both."""
    found, taken = [], set()
    for index, layer in enumerate(layers):
        if index in taken:
            continue
        partner = _scale_behind(layers, index) if layer.type == "BatchNorm" else None
        if partner is not None:
            taken.add(partner)
            found.append(Task(layer, (layers[partner],)))
        else:
            found.append(Task(layer))
    return found


def _scale_behind(layers, index):
    """The index of the Scale that is the only reader of a BatchNorm's blob, or None."""
    top = layers[index].tops[0]
    readers = []
    for place in range(index + 1, len(layers)):
        if top in layers[place].bottoms:
            readers.append(place)
        if top in layers[place].tops:
            break  # from here on, the name is another blob
    if len(readers) != 1:
        return None
    layer = layers[readers[0]]
    axis = layer.settings("scale_param")["axis"] if layer.type == "Scale" else None
    alone = layer.type == "Scale" and len(layer.bottoms) == 1 and axis in (1, -3)
    between = {name for other in layers[index + 1 : readers[0]] for name in (*other.bottoms, *other.tops)}
    mergeable = alone and not between & set(layer.tops) and layer.settings("scale_param")["num_axes"] == 1
    return readers[0] if mergeable else None
