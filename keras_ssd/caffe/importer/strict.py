"""Fields that a message of caffe.proto does not have: misspelt ones, or a fork's own."""

from collections.abc import Iterable, Mapping
from typing import Any

from keras_ssd.caffe.files import CaffeLayer, CaffeNet
from keras_ssd.caffe.files.schema import fields_by_name
from keras_ssd.caffe.importer.registry import DATA
from keras_ssd.names import nearest

TRAINING = (*DATA, "MultiBoxLoss")  # their settings for training are not built


def check_fields(net: CaffeNet, layers: Iterable[CaffeLayer], custom: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Refuses unknown fields of layers that are built; returns sentences on those of layers that only feed or train.

    Args:
        net: the `CaffeNet`, for its name.
        layers: the layers to check.
        custom: layer types that the user builds, whose messages may have any field.

    Raises:
        ValueError: all unknown fields of all layers in one error, with the fields of each message.
    """
    wrong, notes = [], []
    for layer in layers:
        if layer.type in (custom or {}):
            continue
        found = list(_unknown(layer.params, "LayerParameter", ""))
        if layer.type in TRAINING:
            notes += [f"layer '{layer.name}' {message}.{name}" for message, name, _ in found]
        else:
            wrong += [_sentence(layer, *row) for row in found]
            wrong += [
                f"layer '{layer.name}' ({layer.type}): {what}" for name, what in net.unknown if name == layer.name
            ]
    if wrong:
        raise ValueError(
            f"{net.path or net.name} has fields that this package does not know, and ignoring them could change the "
            "net's results:\n  " + "\n  ".join(wrong) + "\nCorrect them, or remove those that do not change results."
        )
    return (f"Ignored unknown fields of layers that only feed or train the net: {', '.join(notes)}.",) if notes else ()


def passed_over(weights: CaffeNet | None) -> tuple[str, ...]:
    """A sentence on the unknown fields of a caffemodel, whose weights alone are used; empty if it has none."""
    if weights is None or not weights.unknown:
        return ()
    listed = ", ".join(f"{what}{f' (layer {name!r})' if name else ''}" for name, what in weights.unknown[:10])
    more = ", ..." if len(weights.unknown) > 10 else ""
    source = weights.path.name if weights.path else weights.name
    return (
        f"Ignored in {source}, as fields of a fork's caffe.proto that this package does not know "
        f"({len(weights.unknown)}): {listed}{more}. The prototxt must state their settings.",
    )


def _unknown(values, message, place):
    """(place, field, known fields) of every field that its message does not have."""
    known = fields_by_name(message)
    for name, value in values.items():
        field = known.get(name)
        if field is None:
            # An unknown message belongs to a fork's own layer type; an unknown value does not.
            if known:
                yield place or "the layer", name, known
        elif field.type == "message":
            for part in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(part, Mapping):
                    yield from _unknown(part, field.message, f"{place}.{name}" if place else name)


def _sentence(layer, place, name, known):
    close = nearest(name, known, count=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    takes = f" It takes {', '.join(known)}." if place != "the layer" else ""
    return f"layer '{layer.name}' ({layer.type}): {place} has no field '{name}'.{meant}{takes}"
