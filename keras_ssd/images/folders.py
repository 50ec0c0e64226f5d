"""The files of a folder, and of the folders below it."""

import collections
import itertools
import os
from collections.abc import Callable, Iterator

from keras_ssd.images.endings import is_image_name

MOST_COUNTED = 100_000  # images below a folder that are counted for a message


def files_below(
    folder: str | os.PathLike[str],
    wanted: Callable[[str], object],
    *,
    recursive: bool = True,
    most_folders: int | None = None,
) -> Iterator[str]:
    """Paths of the files of a folder by name, then those of the folders below it.

    Hidden files and folders are left out. Linked folders are followed after all others. Each folder is read once, even
    if many links lead to it, so circular links end.

    Args:
        folder: the first folder.
        wanted: function of a file's name: whether the file is listed.
        recursive: whether to include the folders below.
        most_folders: maximum number of folders to read; None for no limit.

    Yields:
        Paths that start with `folder`.

    Raises:
        OSError: `folder` itself cannot be listed. Folders below it that cannot be listed are left out.
        ValueError: there are more than `most_folders`.
    """
    seen = set()
    waiting, links = [os.fspath(folder)], collections.deque()
    while waiting or links:
        place = waiting.pop() if waiting else links.popleft()
        try:
            facts = os.stat(place)
            if (facts.st_dev, facts.st_ino) in seen:
                continue
            with os.scandir(place) as entries:
                entries = sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)
        except OSError:
            if not seen:
                raise
            continue
        seen.add((facts.st_dev, facts.st_ino))
        if most_folders is not None and len(seen) > most_folders:
            raise ValueError(f"{folder}: it has more than {most_folders:,} folders below it.")
        folders = [entry for entry in entries if entry.is_dir()]
        yield from (os.path.join(place, e.name) for e in entries if not e.is_dir() and wanted(e.name))
        if recursive:
            waiting += [entry.path for entry in reversed(folders) if not entry.is_symlink()]
            links += [entry.path for entry in folders if entry.is_symlink()]


def images_in(folder: str | os.PathLike[str], recursive: bool = False) -> Iterator[str]:
    """Paths of a folder's images relative to it, as `files_below` lists them."""
    start = len(os.path.join(folder, ""))
    return (path[start:] for path in files_below(folder, is_image_name, recursive=recursive))


def images_below(folder: str | os.PathLike[str]) -> int:
    """Number of images in the folders below a folder, without its own; at most `MOST_COUNTED`."""
    deep = (path for path in images_in(folder, recursive=True) if os.sep in path)
    return sum(1 for _ in itertools.islice(deep, MOST_COUNTED))
