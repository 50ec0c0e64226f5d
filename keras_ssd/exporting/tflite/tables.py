"""Flatbuffers written from plain values, without generated classes: tables by the places of their fields."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Number:
    """A number of a table; `kind` is "Int8", "Uint8", "Int32", "Uint32" or "Float32"."""

    kind: str
    value: float


@dataclass(frozen=True)
class Table:
    """A table: {place of a field in the schema: text, array, `Number`, `Table`, or a list of texts or `Table`s}."""

    fields: Mapping[int, Any]


def write_flatbuffer(root: Table, identifier: bytes) -> bytes:
    """A whole flatbuffer.

    Args:
        root: the root `Table`.
        identifier: four bytes that say what it is.
    """
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(_written(builder, root), file_identifier=identifier)
    return bytes(builder.Output())


def _written(builder, value):
    """The offset of a value; parts are written before what holds them, as the format wants."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, list):
        offsets = [_written(builder, one) for one in value]
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    numbers = {place: one for place, one in value.fields.items() if isinstance(one, Number)}
    offsets = {place: _written(builder, one) for place, one in value.fields.items() if place not in numbers}
    builder.StartObject(max(value.fields, default=-1) + 1)
    for place, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(place, offset, 0)
    for place, number in numbers.items():
        getattr(builder, f"Prepend{number.kind}Slot")(place, number.value, None)
    return builder.EndObject()
