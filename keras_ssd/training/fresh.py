"""The output folder of a training, which stays only if it holds something to keep."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def fresh_folder(path: str | os.PathLike[str], kept: Callable[[], Any]) -> Iterator[None]:
    """Makes a folder, and removes what the block wrote there if the block fails and nothing is to be kept.

    Files and folders that were there before stay.

    Args:
        path: of the folder.
        kept: function without arguments that is called when the block has failed; whether there is something to keep.
    """
    path = Path(path)
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    before = set() if missing else {entry.name for entry in path.iterdir()}
    path.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if not kept():
            _take_back(path, before, missing)
        raise


def _take_back(path, before, missing):
    for entry in path.iterdir():
        if entry.name in before:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    for folder in missing:
        with contextlib.suppress(OSError):  # something else was put there meanwhile
            folder.rmdir()
