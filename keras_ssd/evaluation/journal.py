"""The detections of a run so far, in a file that is only appended to: a killed run loses at most one image."""

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd.detections import Detections

ROW = np.dtype([("class_id", "<i4"), ("score", "<f4"), ("box_xyxy", "<f4", 4)])
_HEAD = struct.Struct("<IIII")  # place of the image, its height and width, number of rows
_SUM = struct.Struct("<I")
_FORMAT = "keras_ssd detections in progress"
_VERSION = 1
_START = json.dumps({"format": _FORMAT}).encode()[:-1]
_MOST_HEADER = 1 << 20
UNREAD = (0, 0)  # instead of the size, for an image that could not be read


def journal_path(save: str | os.PathLike[str]) -> Path:
    """The path of a run's journal, beside the file of its detections."""
    save = Path(save)
    return save.with_name(f"{save.name}.part")


class Journal:
    """Detections of images in a fixed order, appended image by image.

    Each record has a checksum. When the file is opened again, the complete records at its start are kept, and the rest
    is cut off.

    Args:
        path: of the file; created if it is missing.
        run: dictionary of plain values that must be equal for a run to continue.

    Raises:
        ValueError: the file is of another run, or not a journal.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], run: Mapping[str, Any]) -> None:
        self.path: Path = Path(path)
        self._run = json.loads(json.dumps(run))  # as it will be read: lists instead of tuples
        self._records = []  # (size_hw, rows, start of the next record)
        if self.path.exists():
            self._file = open(self.path, "r+b", buffering=0)  # noqa: SIM115
            try:
                self._read()
            except BaseException:
                self._file.close()
                raise
        else:
            self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115
            self._begin()

    def found(self, class_names: tuple[str, ...]) -> Iterator[Detections | None]:
        """The `Detections` in the file, in order; None for an image that could not be read."""
        for size_hw, rows, _ in self._records:
            yield (
                None
                if size_hw == UNREAD
                else Detections(rows["box_xyxy"], rows["score"], rows["class_id"], class_names, size_hw)
            )

    def keep(self, count: int) -> None:
        """Drops all but the first `count` images."""
        if count < len(self._records):
            self._file.seek(self._records[count - 1][2] if count else self._first)
            self._file.truncate()
            del self._records[count:]
            self._done = count

    def __len__(self) -> int:
        return self._done

    def add(self, found: Detections | None) -> None:
        """Appends the detections of the next image, or None if it could not be read."""
        rows = np.empty(0 if found is None else len(found), ROW)
        if found is not None:
            rows["class_id"], rows["score"], rows["box_xyxy"] = found.class_ids, found.scores, found.boxes_xyxy
        data = _HEAD.pack(self._done, *(UNREAD if found is None else found.size_hw), len(rows)) + rows.tobytes()
        self._file.write(data + _SUM.pack(zlib.crc32(data)))
        self._done += 1

    def close(self) -> None:
        """Closes the file and keeps it for a later run."""
        self._file.close()

    def remove(self) -> None:
        """Closes and deletes the file, when a run is complete."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _begin(self):
        self._done = 0
        header = {"format": _FORMAT, "version": _VERSION, "run": self._run}
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(header).encode() + b"\n")

    def _read(self):
        data = self._file.read()
        start = min(len(data), len(_START))
        if b"\n" not in data[:_MOST_HEADER] and data[:start] == _START[:start]:
            self._begin()  # killed while the header was written
            return
        end = self._first = data.find(b"\n", 0, _MOST_HEADER) + 1
        self._check_header(data[:end])
        while record := self._record_at(data, end):
            self._records.append(record)
            end = record[2]
        self._done = len(self._records)
        self._file.seek(end)
        self._file.truncate()

    def _record_at(self, data, start):
        """(size_hw, rows, end) of the record at this place; None if it is not complete."""
        rows_at = start + _HEAD.size
        if rows_at > len(data):
            return None
        place, height, width, count = _HEAD.unpack_from(data, start)
        sum_at = rows_at + count * ROW.itemsize
        if place != len(self._records) or sum_at + _SUM.size > len(data):
            return None
        if zlib.crc32(data[start:sum_at]) != _SUM.unpack_from(data, sum_at)[0]:
            return None
        return (height, width), np.frombuffer(data, ROW, count, rows_at), sum_at + _SUM.size

    def _check_header(self, line):
        header = {}
        with contextlib.suppress(ValueError):
            header = json.loads(line)
        if not isinstance(header, dict) or header.get("format") != _FORMAT or header.get("version") != _VERSION:
            raise ValueError(
                f"{self.path} exists and does not hold the detections of an interrupted run. Remove it, or save under "
                "another name."
            )
        before = header.get("run") or {}
        other = [name for name in {**self._run, **before} if before.get(name) != self._run.get(name)]
        if other:
            changes = "; ".join(
                f"{name} was {_told(before.get(name))}, now {_told(self._run.get(name))}" for name in other
            )
            raise ValueError(
                f"{self.path} is from another run: {changes}. Remove it to start again, or save under another name."
            )


def _told(value):
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
