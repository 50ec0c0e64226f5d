"""Flatbuffers, read field by field with every offset checked.

A flatbuffer is one block of bytes. A table is a position in it, and its vtable a second one with the offset of each
field. All numbers are little-endian. Nothing is copied before its bounds are known.

Source: the format's own description, "FlatBuffers internals".
"""

import struct
from typing import Any

import numpy as np

MOST_ITEMS = 1 << 16  # of a vector of tables; a network has some hundreds
MOST_TEXT = 1 << 12  # bytes per name


class FlatbufferError(ValueError):
    """The bytes are not a flatbuffer of the expected form."""


class Flatbuffer:
    """The bytes, with reads that stay within them.

    Args:
        data: all of them.
    """

    def __init__(self, data: Any):
        self.data: memoryview = memoryview(data)

    def root(self) -> "Table":
        """The root `Table`."""
        return Table(self, self.follow(0))

    def number(self, form: str, at: int) -> Any:
        """The number of a `struct` format at a position."""
        size = struct.calcsize(form)
        if not 0 <= at <= len(self.data) - size:
            raise FlatbufferError(f"a position leads out of the file's {len(self.data):,} bytes: {at:,}")
        return struct.unpack_from(form, self.data, at)[0]

    def follow(self, at: int) -> int:
        """Where the offset at a position leads."""
        return at + self.number("<I", at)

    def items(self, at: int, size: int) -> tuple[int, int]:
        """(position, count) of the vector that the offset at a position leads to, its items `size` bytes each."""
        at = self.follow(at)
        count = self.number("<I", at)
        if count * size > len(self.data) - at - 4:
            raise FlatbufferError(f"a list of {count:,} items is longer than the file")
        return at + 4, count


class Table:
    """A table: numbers, texts, lists and further tables, by their place in the schema.

    A field that the file leaves out has its default, as the format has it.
    """

    def __init__(self, buffer: Flatbuffer, at: int):
        self._buffer = buffer
        self._at = at
        self._fields = at - buffer.number("<i", at)  # the vtable
        self._count = (buffer.number("<H", self._fields) - 4) // 2

    def _place(self, field):
        if field >= self._count:
            return None
        offset = self._buffer.number("<H", self._fields + 4 + 2 * field)
        return self._at + offset if offset else None

    def number(self, field: int, form: str, default: Any = 0) -> Any:
        """A number; `form` is a `struct` format such as "<i"."""
        place = self._place(field)
        return default if place is None else self._buffer.number(form, place)

    def table(self, field: int) -> "Table | None":
        """The `Table` of a field, or None."""
        place = self._place(field)
        return None if place is None else Table(self._buffer, self._buffer.follow(place))

    def text(self, field: int) -> str:
        """A text; "" if the file does not have it."""
        return bytes(self._vector(field, 1, MOST_TEXT)).decode("utf-8", "replace")

    def array(self, field: int, dtype: Any) -> np.ndarray:
        """A read-only numpy array that shares the file's bytes; empty if the file does not have it."""
        dtype = np.dtype(dtype).newbyteorder("<")
        return np.frombuffer(self._vector(field, dtype.itemsize), dtype)

    def tables(self, field: int) -> list["Table"]:
        """The `Table`s of a list."""
        place = self._place(field)
        if place is None or not len(self._vector(field, 4, MOST_ITEMS)):
            return []
        start, count = self._buffer.items(place, 4)
        return [Table(self._buffer, self._buffer.follow(start + 4 * i)) for i in range(count)]

    def _vector(self, field, size, most=None):
        place = self._place(field)
        if place is None:
            return self._buffer.data[:0]
        start, count = self._buffer.items(place, size)
        if most is not None and count > most:
            raise FlatbufferError(f"a list of {count:,} items is longer than any real file has, {most:,}")
        return self._buffer.data[start : start + count * size]
