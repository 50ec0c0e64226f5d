"""The output folder of a training, which is there only when there is something in it to keep."""

import contextlib
import shutil
from pathlib import Path


@contextlib.contextmanager
def fresh_folder(path, kept):
    """Makes a folder, and takes back all that was written there if the block fails with nothing to keep.

    What was there before stays, the folder itself and folders above it too.

    Args:
        path: of the folder.
        kept: function without arguments: whether there is something to keep, asked when the block has failed.
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
