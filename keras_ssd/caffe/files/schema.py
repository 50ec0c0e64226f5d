"""The fields of caffe.proto: number, type, label, default. One table for text and binary files."""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from keras_ssd.caffe.files.messages import DETECTION_AND_DATA, ENUMS, LAYERS, NET

INTEGERS = {"int32": (-(1 << 31), (1 << 31) - 1), "uint32": (0, (1 << 32) - 1), "int64": (-(1 << 63), (1 << 63) - 1)}
SCALARS = (*INTEGERS, "float", "double", "bool", "string", "bytes")
ENTRY = re.compile(r"(\w+) (\d+|-) (\w+)(\*last|\*p|\*)?(?: = (\S+))?")


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Args:
        name: as in caffe.proto.
        number: the field's number in binary files, or None for a field of text files only.
        type: a name of `SCALARS`, "enum" or "message".
        repeated: whether it may occur more than once.
        packed: whether its values are stored together after one length.
        last_counts: whether forks repeat it although only the last value is used.
        default: the value of an absent field, or None.
        message: the message's name, for type "message".
        enum: {name: number}, for type "enum".
    """

    name: str
    number: int | None
    type: str
    repeated: bool = False
    packed: bool = False
    last_counts: bool = False
    default: Any = None
    message: str | None = None
    enum: MappingProxyType[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def enum_name(self, number: int) -> str | None:
        """The name of an enum's number, or None."""
        return next((name for name, value in self.enum.items() if value == number), None)


@lru_cache(maxsize=1)
def messages() -> dict[str, dict[str, Field]]:
    """{message: {field name: Field}} of every known message."""
    enums = {name: _enum(words) for name, words in _paragraphs(ENUMS)}
    tables = [_paragraphs(text) for text in (NET, LAYERS, DETECTION_AND_DATA)]
    return {
        name: {parsed.name: parsed for entry in entries.split(";") for parsed in [_field(entry.strip(), enums)]}
        for table in tables
        for name, entries in table
    }


@lru_cache(maxsize=1)
def _numbered():
    return {
        name: {known.number: known for known in fields.values() if known.number is not None}
        for name, fields in messages().items()
    }


def fields_by_name(message: str | None) -> dict[str, Field]:
    """{field name: Field} of a message; empty for an unknown one."""
    return messages().get(message or "", {})


def fields_by_number(message: str | None) -> dict[int, Field]:
    """{field number: Field} of a message; empty for an unknown one."""
    return _numbered().get(message or "", {})


def _paragraphs(text):
    """(name, rest) of each entry `Name: rest`; its further lines are indented."""
    joined = re.sub(r"\n +", " ", text.strip())
    return [tuple(part.strip() for part in line.split(":", 1)) for line in joined.splitlines()]


def _enum(words):
    words = words.split()
    return MappingProxyType({name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)})


def _field(entry, enums):
    match = ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError(f"The table of messages has an invalid entry. Received: {entry!r}")
    name, number, kind, label, default = match.groups()
    common = {
        "name": name,
        "number": None if number == "-" else int(number),
        "repeated": label in ("*", "*p"),
        "packed": label == "*p",
        "last_counts": label == "*last",
    }
    if kind in enums:
        return Field(**common, type="enum", default=default, enum=enums[kind])
    if kind not in SCALARS:
        return Field(**common, type="message", message=kind)
    return Field(**common, type=kind, default=_default(kind, default))


def _default(kind, text):
    if text is None:
        return None
    if kind == "bool":
        return text == "true"
    if kind in INTEGERS:
        return int(text)
    return float(text) if kind in ("float", "double") else text
