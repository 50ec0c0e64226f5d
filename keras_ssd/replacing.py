"""Files that are never half written: made under another name, which becomes their own when they are whole."""

import contextlib
import os
import uuid
from pathlib import Path


@contextlib.contextmanager
def replacing(path, tag=None):
    """A temporary path beside `path`, with the same ending, that takes its place when the block ends well, else goes.

    Args:
        path: the file; it holds what it held before, or everything that is new, at any moment.
        tag: in the temporary name; None is another one each time. With one of its own, what a killed process left there
            is written over by the next.
    """
    path = Path(path)
    temporary = path.with_name(f".{tag or uuid.uuid4().hex[:8]}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
