"""Protobuf's wire format: records of a field number and a value, each inside the bounds of its message."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.caffe.files.net import CaffeFileError

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
MAX_DEPTH = 32
# A net of 1,000 layers has about 30,000 records; 250,000 take half a second.
MAX_RECORDS = 250_000
RUN_ROWS = 1 << 20


@dataclass(frozen=True)
class Span:
    """Bytes `start` to `end` of the file: the content of one field."""

    start: int
    end: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


@dataclass(frozen=True)
class Run:
    """Contiguous values of fixed width, each after a tag of one byte.

    Args:
        start: offset of the first value, after its tag.
        count: number of values.
        width: 4 or 8 bytes per value.
    """

    start: int
    count: int
    width: int

    @property
    def step(self) -> int:
        """Bytes from one value to the next."""
        return self.width + 1

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.step


class CaffeLimitError(CaffeFileError):
    """A file beyond the limits that hold for all files."""


class Wire:
    """Reads records of a buffer; their number is limited for the whole file.

    Args:
        data: bytes-like, such as a memory map.
        source: the file, for messages.
    """

    records: int

    def __init__(self, data: Any, source: Any):
        self.data = data
        self.source = source
        self.records = 0

    def error(self, offset: int, expected: str, received: str) -> CaffeFileError:
        return CaffeFileError(self.text_of_error(offset, expected, received))

    def limit(self, offset: int, expected: str) -> CaffeLimitError:
        return CaffeLimitError(self.text_of_error(offset, expected, "more"))

    def text_of_error(self, offset: int, expected: str, received: str) -> str:
        return (
            f"{self.source}, byte {offset:,}: expected {expected}. Received: {received}. The file is damaged, cut "
            "short or of another format; copy it again."
        )

    def count(self, position: int) -> None:
        """Counts one more record at this position."""
        self.records += 1
        if self.records > MAX_RECORDS:
            raise self.limit(position, f"at most {MAX_RECORDS:,} records in a file")

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """(value, next position) of an unsigned integer of at most 64 bits."""
        value = shift = 0
        for at in range(position, min(end, position + 10)):
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & 0xFFFFFFFFFFFFFFFF, at + 1
            shift += 7
        received = "one of more than 10 bytes" if end - position >= 10 else "the end of its message"
        raise self.error(position, "an integer", received)

    def records_of(self, start: int, end: int) -> Iterator[tuple[int, int, Any]]:
        """Yields (field number, wire type, value) of the records from `start` to `end`.

        The value is an int for `VARINT`, a `Span` for `LENGTH`, and a `Run` for the fixed widths, with adjacent records
        of a field in one run. Groups are skipped, since caffe.proto has none.
        """
        position = start
        while position < end:
            self.count(position)
            tag, after = self.varint(position, end)
            number, kind = tag >> 3, tag & 7
            if number == 0 or number >= 1 << 29:
                raise self.error(position, "a field number from 1 to 536,870,911", f"{number:,}")
            if kind == VARINT:
                value, position = self.varint(after, end)
            elif kind == LENGTH:
                value = self.span(after, end)
                position = value.end
            elif kind in (FIXED32, FIXED64):
                value = self.run(position, after, end, 4 if kind == FIXED32 else 8)
                position = after + value.size - 1
            elif kind == GROUP:
                position = self.after_group(number, after, end)
                continue
            else:
                raise self.error(position, "a record of a known wire type", f"wire type {kind}")
            yield number, kind, value

    def span(self, position: int, end: int) -> Span:
        """The content after a length."""
        length, start = self.varint(position, end)
        if length > end - start:
            raise self.error(position, f"at most {end - start:,} bytes, the rest of the message", f"{length:,} bytes")
        return Span(start, start + length)

    def run(self, position: int, after: int, end: int, width: int) -> Run:
        """All adjacent values with the tag at `position`; a single one if the tag is longer than a byte."""
        if end - after < width:
            raise self.error(position, f"a value of {width} bytes", f"{end - after} bytes")
        count = 1
        if after - position == 1:
            count = self._run_length(position, (end - position) // (width + 1), width + 1)
        return Run(after, count, width)

    def _run_length(self, position, most, step):
        if most < 2 or self.data[position + step] != self.data[position]:
            return 1
        tags = np.ndarray(most, np.uint8, self.data, position, (step,))
        first, rows = 0, 8  # grows with the run, so that many short runs are as fast as a long one
        while first < most:
            other = tags[first : first + rows] != tags[0]
            if other.any():
                return first + int(other.argmax())
            first, rows = first + rows, min(2 * rows, RUN_ROWS)
        return most

    def after_group(self, number: int, position: int, end: int) -> int:
        """The position after a group, whose content is skipped."""
        open_groups = [number]
        while open_groups:
            self.count(position)
            if len(open_groups) > MAX_DEPTH:
                raise self.limit(position, f"groups nested at most {MAX_DEPTH} deep")
            tag, after = self.varint(position, end)
            number, kind = tag >> 3, tag & 7
            if kind == GROUP:
                open_groups.append(number)
                position = after
            elif kind == GROUP_END:
                if open_groups.pop() != number:
                    raise self.error(position, "the end of the group that is open", f"that of field {number}")
                position = after
            elif kind == VARINT:
                _, position = self.varint(after, end)
            elif kind == LENGTH:
                position = self.span(after, end).end
            elif kind in (FIXED32, FIXED64):
                position = after + (4 if kind == FIXED32 else 8)
                if position > end:
                    raise self.error(after, "a whole value", f"{end - after} bytes")
            else:
                raise self.error(position, "a record of a known wire type", f"wire type {kind}")
        return position
