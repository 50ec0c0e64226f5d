"""Files that are never half written: made under another name, which becomes their own when they are whole."""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

_FULL = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG") if hasattr(errno, name)}


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], tag: str | None = None) -> Iterator[Path]:
    """A temporary path beside `path`, with its ending, which replaces it if the block succeeds and else is deleted.

    Args:
        path: the file; at any moment it has its old content or the complete new one.
        tag: in the temporary name; None is a random one. With a fixed one, the next run overwrites the file that a
            killed process left.

    Raises:
        OSError: the disk is full; the message names `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{tag or uuid.uuid4().hex[:8]}-{path.name}")
    try:
        with naming_full_disks(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_full_disks(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the error of a full disk into one that names the file and says that nothing is broken."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.errno not in _FULL:
            raise
        what = f"{os.strerror(error.errno)}; nothing was written, and what was there before stays"
        raise OSError(error.errno, what, os.fspath(path)) from error
