"""Files that are made in a folder of their own and moved to their place when they are whole and checked."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from keras_ssd.replacing import naming_full_disks


@contextlib.contextmanager
def workshop(path: Path) -> Iterator[Path]:
    """A path of the same name in an empty folder beside `path`, which goes at the end with what is left in it.

    Raises:
        ValueError: `path` is to lie in a folder that does not exist.
        OSError: the disk is full; it names `path`.
    """
    if not path.absolute().parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write {path.name} into.")
    folder = path.absolute().parent / f".{uuid.uuid4().hex[:8]}-{path.name}"
    try:
        with naming_full_disks(path):
            folder.mkdir()
            yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def other_name(path: Path) -> Path:
    """The name under which a file that failed its check is kept."""
    return path.with_name(f"{path.stem}.differs{path.suffix}")


def place(made: Path, path: Path) -> tuple[Path, ...]:
    """Moves all that lies beside `made`, itself included, to `path` and files of the same stem beside it.

    Args:
        made: the path in the workshop.
        path: its place.

    Returns:
        The places, `path` first.
    """
    placed = []
    # The named file is the last, so that it never refers to a neighbour that is not there yet.
    for one in sorted(made.parent.iterdir(), key=lambda one: one == made):
        target = path if one == made else path.with_name(path.stem + one.name.removeprefix(made.stem))
        _replace(one, target)
        placed.append(target)
    return tuple(reversed(placed))


def _replace(made, target):
    if not target.is_dir():
        os.replace(made, target)
        return
    before = target.with_name(f".{uuid.uuid4().hex[:8]}-{target.name}")
    os.replace(target, before)
    os.replace(made, target)
    shutil.rmtree(before, ignore_errors=True)


def size_of(files: tuple[Path, ...]) -> int:
    """Bytes of files and of all that lies in folders."""
    inside = [below for one in files for below in (one.rglob("*") if one.is_dir() else (one,))]
    return sum(one.stat().st_size for one in inside if one.is_file())
