"""Finds image files that are complete: each is decoded before it is used, and the result is remembered."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from typing import Any

from keras_ssd.data.annotation import Annotation
from keras_ssd.data.problems import Problem
from keras_ssd.data.progress import worked_ahead
from keras_ssd.data.sample import ImageSizeError
from keras_ssd.images import ImageError, ImageTooLargeError, check_image
from keras_ssd.zoo.cache import home

REMEMBERED_FROM = 1000  # images; fewer are decoded each time, in about a second
MOST_REMEMBERED = 2_000_000  # images, at about 100 bytes each


def only_whole(
    annotations: Sequence[Annotation],
    problems: list[Problem],
    progress: bool = False,
    known: dict[str, Any] | None = None,
) -> list[Annotation]:
    """The annotations whose images can be decoded and have the annotated size; the others become problems.

    `known` is a dictionary from path to result, which is filled; data with several splits share one.
    """
    known = {} if known is None else known
    paths = dict.fromkeys(a.image for a in annotations if isinstance(a.image, str) and a.image not in known)
    known |= _examined([*paths], progress)
    kept = []
    for annotation in annotations:
        problem = _problem(annotation, known.get(annotation.image) if isinstance(annotation.image, str) else None)
        if problem is None:
            kept.append(annotation)
        else:
            problems.append(problem)
    return kept


def unusable(annotation: Annotation, error: Exception) -> Problem:
    """The `Problem` of an annotation whose image cannot be read, or has another size."""
    file = annotation.image if isinstance(annotation.image, str) else annotation.name
    if isinstance(error, ImageSizeError):
        file, kind, what = annotation.source or file, "image size", error.reason
    else:
        kind, reason = "broken image", getattr(without_advice(error), "reason", str(error))
        what = f"the image cannot be read: {reason}"
    return Problem(kind, file, what, image=annotation.name, done="left out")


def without_advice(error: Exception) -> Exception:
    """A `ImageError` that names no argument: what reads whole datasets takes none for the limit."""
    if isinstance(error, ImageTooLargeError):
        return ImageTooLargeError(error.source, error.size, error.limit, option=None)
    return error


def _problem(annotation, found):
    if isinstance(found, ImageError):
        return unusable(annotation, found)
    if found is None or annotation.size_hw in (None, found):
        return None
    return unusable(annotation, ImageSizeError(annotation, found))


def _examined(paths, progress):
    """Dictionary from path to (height, width) or `ImageError`."""
    if len(paths) < REMEMBERED_FROM:
        return _decode(paths, progress, {})
    with _Memory() as memory:
        stamps = {path: stamp(path) for path in paths}
        found = memory.recall(stamps)
        fresh = {}
        try:
            _decode([path for path in paths if path not in found], progress, fresh)
        finally:  # what was done before an interruption is not done again
            memory.keep({path: (*stamps[path], *size) for path, size in fresh.items() if isinstance(size, tuple)})
    return found | fresh


def _decode(paths, progress, found):
    with worked_ahead(_size_or_error, paths, "decoding images", progress) as sizes:
        for path, future in sizes:
            found[path] = future.result()
    return found


def _size_or_error(path):
    try:
        return check_image(path)
    except ImageError as error:
        return error


def stamp(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(bytes, time of the last change) of a file, by which it is known again; -1 for one that is not there."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return (-1, -1)
    return (facts.st_size, facts.st_mtime_ns)


class _Memory:
    """The sizes of complete images, by path, bytes and time of the last change.

    It is in the package's cache folder. If that cannot be written, nothing is remembered and nothing fails.
    """

    def __init__(self) -> None:
        self._file = None

    def __enter__(self):
        with contextlib.suppress(OSError, sqlite3.Error):
            home().mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(home() / "images.sqlite", timeout=5)
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS whole "
                "(path TEXT PRIMARY KEY, bytes INT, modified INT, height INT, width INT)"
            )
        return self

    def __exit__(self, *_):
        if self._file is not None:
            self._file.close()

    def recall(self, stamps):
        """Dictionary from path to (height, width) of unchanged files; `stamps` is one from path to (bytes, time)."""
        found = {}
        if self._file is None:
            return found
        with contextlib.suppress(sqlite3.Error):
            for path, wanted in stamps.items():
                query = "SELECT bytes, modified, height, width FROM whole WHERE path = ?"
                row = self._file.execute(query, (os.path.abspath(path),)).fetchone()
                if row is not None and row[:2] == wanted:
                    found[path] = row[2:]
        return found

    def keep(self, rows):
        """Remembers images: a dictionary from path to (bytes, time, height, width)."""
        if self._file is None:
            return
        with contextlib.suppress(sqlite3.Error), self._file:
            self._file.executemany(
                "INSERT OR REPLACE INTO whole VALUES (?, ?, ?, ?, ?)",
                [(os.path.abspath(path), *row) for path, row in rows.items()],
            )
            self._file.execute(
                "DELETE FROM whole WHERE rowid <= (SELECT max(rowid) FROM whole) - ?", (MOST_REMEMBERED,)
            )
