"""The images of a folder, and of the folders below it."""

import itertools
import os

from keras_ssd.images.endings import is_image_name

MOST_COUNTED = 100_000  # images below a folder that are counted for a message


def images_in(folder, recursive=False):
    """Paths of a folder's images relative to it: its own by name, then those of each folder below if wanted.

    Hidden files and folders are left out. Linked folders are followed, and each folder is gone through once, so that
    links in a circle end.

    Args:
        folder: its path.
        recursive: whether to go into the folders below.

    Yields:
        Relative paths.
    """
    yield from _walk(folder, "", recursive, set())


def images_below(folder):
    """How many images lie in the folders below a folder, its own not counted; at most `MOST_COUNTED`."""
    deep = (path for path in images_in(folder, recursive=True) if os.sep in path)
    return sum(1 for _ in itertools.islice(deep, MOST_COUNTED))


def _walk(root, below, recursive, seen):
    folder = os.path.join(root, below)
    facts = os.stat(folder)
    if (facts.st_dev, facts.st_ino) in seen:
        return
    seen.add((facts.st_dev, facts.st_ino))
    with os.scandir(folder) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    for entry in entries:
        if is_image_name(entry.name) and entry.is_file():
            yield os.path.join(below, entry.name)
    for entry in entries if recursive else ():
        if entry.is_dir() and not entry.name.startswith("."):
            try:
                yield from _walk(root, os.path.join(below, entry.name), recursive, seen)
            except PermissionError:
                continue
