"""The images that a user names, one by one: folders, patterns, URLs, arrays, or lists of these."""

import collections
import dataclasses
import glob
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_ssd.images.archives import images_in_archive, is_archive
from keras_ssd.images.endings import image_endings
from keras_ssd.images.errors import ImageError, ImagesBelowError, describe
from keras_ssd.images.folders import images_below, images_in
from keras_ssd.images.reading import bytes_of, is_url

log: logging.Logger = logging.getLogger("keras_ssd.images")


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """One image that has not been read yet.

    Attributes:
        image: what `read_image` takes: path, URL, PIL image or array.
        name: its path, its URL, or for images in memory "array 3" or "image 3", counted from 0 in the order
            given.
        relative: a file's path below the folder or pattern that named it; else only its last part, or None in
            memory.
    """

    image: Any
    name: str
    relative: str | None = None

    @property
    def in_memory(self) -> bool:
        """Whether the image exists only in memory, so that it cannot be read a second time by name."""
        return not isinstance(self.image, (str, os.PathLike))


def expand_sources(sources: Any, recursive: bool = False) -> Iterator[Source]:
    """Every image of the sources, lazily and in order.

    Args:
        sources: one of, or a list, tuple or iterator of: an image's path; a folder (its images by name, hidden files
            left out); a .zip archive of images; a glob pattern ("shots/**/*.png"); an http(s) URL; the bytes of an
            image file; an open binary file; a PIL image; an array of one image; a 4-D array (B, H, W, channels) as B
            images; a `Source`.
        recursive: whether a folder includes the images of folders below it. If not, a warning gives their number.

    Yields:
        `Source`. Files are not opened; unreadable images raise their error when they are read.

    Raises:
        ImageError: a folder has no image, or a pattern matches none.

    Example:
        >>> [source.name for source in expand_sources(["a.jpg", "b.png"])]
        ['a.jpg', 'b.png']
    """
    for part in split_sources(sources, recursive):
        yield from part()


def warn_of_images_below(folder: str, below: int) -> None:
    """Logs that images in folders below a folder are left out."""
    log.warning("%d images lie in folders below %s and are left out; recursive=True takes them too.", below, folder)


def split_sources(
    sources: Any, recursive: bool = False, tell_below: Callable[[str, int], None] = warn_of_images_below
) -> Iterator[Callable[[], Iterator[Source]]]:
    """The sources as functions, one for each item of the list, that return an iterator of its images.

    So whoever can go on after a bad item (an empty folder) calls them one by one and catches the error. `tell_below` is
    called with a folder and how many images below it are left out.
    """
    for index, item in enumerate(_as_items(sources)):
        yield lambda item=item, index=index: _expand(item, index, recursive, tell_below)


def _as_items(sources):
    if isinstance(sources, (str, os.PathLike)) or _looks_like_image(sources):
        return (sources,)
    try:
        return iter(sources)
    except TypeError:
        raise TypeError(
            "sources must be a path, a folder, a pattern, a URL, bytes, an open file, a PIL image, an array, or a list "
            "of these. "
            f"Received: {type(sources).__name__}"
        ) from None


def _looks_like_image(item):
    if isinstance(item, (bytes, bytearray, memoryview, Source)) or hasattr(item, "read"):
        return True
    return _is_pil(item) or (hasattr(item, "shape") and hasattr(item, "dtype"))


def _is_pil(item):
    return hasattr(item, "getbands")  # recognised by its attributes: asking for its array would decode it


def _expand(item, index, recursive, tell_below):
    if isinstance(item, Source):
        yield item
    elif not isinstance(item, (str, os.PathLike)):
        yield from _expand_memory(item, index)
    elif is_url(item):
        yield Source(item, str(item), _last_part_of_url(item))
    elif os.path.isdir(item):
        yield from _expand_folder(os.fspath(item), recursive, tell_below)
    elif is_archive(os.fspath(item)):
        path = os.fspath(item)
        for name, image in images_in_archive(path):
            yield Source(image, f"{path}/{name}", name)
    elif glob.has_magic(os.fspath(item)) and not os.path.exists(item):
        yield from _expand_pattern(os.fspath(item))
    else:
        path = os.fspath(item)
        yield Source(path, path, os.path.basename(path))


def _expand_memory(item, index):
    if _is_pil(item):
        filename = getattr(item, "filename", "")  # of an image that was opened from a file
        yield Source(item, filename or f"image {index}", os.path.basename(filename) or None)
    elif isinstance(item, (bytes, bytearray, memoryview)):
        yield Source(item, f"bytes {index}")
    elif hasattr(item, "read"):
        filename = getattr(item, "name", None)
        name = filename if isinstance(filename, str) and filename else f"file {index}"
        yield Source(bytes_of(item, name), name, os.path.basename(name))
    elif _looks_like_image(item):
        if len(item.shape) != 4:
            yield Source(item, f"array {index}")
        else:
            for row in range(item.shape[0]):
                yield Source(item[row], f"array {index}[{row}]")
    else:
        raise ImageError(
            f"number {index}",
            "expected a path, a folder, a pattern, a URL, bytes, an open file, a PIL image or an array. "
            f"Received: {describe(item)}",
        )


def _expand_folder(folder, recursive, tell_below):
    names = [*images_in(folder, recursive)]
    below = 0 if recursive else images_below(folder)
    if below and not names:
        raise ImagesBelowError(folder, below)
    if not names:
        raise ImageError(
            folder,
            f"the folder holds no image{' and none lies below' if recursive else ''}. Looked for names that end in "
            f".jpg, .png or another of the {len(image_endings())} endings that are read. It holds "
            f"{_endings_in(folder)}.",
        )
    if below:
        tell_below(folder, below)
    for name in names:
        yield Source(os.path.join(folder, name), os.path.join(folder, name), name)


def _endings_in(folder):
    """The commonest endings of the files in a folder without images."""
    files = [path for path in Path(folder).iterdir() if path.is_file()]
    counts = collections.Counter(path.suffix.lower() or "no ending" for path in files)
    told = ", ".join(f"{count} with {ending}" for ending, count in counts.most_common(4))
    return f"{len(files)} files ({told})" if files else "no files"


def _expand_pattern(pattern):
    found = sorted(path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path))
    if not found:
        raise ImageError(pattern, "there is no such file, and as a pattern it matches no file.")
    root = _fixed_part(pattern)
    for path in found:
        yield Source(path, path, os.path.relpath(path, root))


def _fixed_part(pattern):
    """The folder before a pattern's first wildcard."""
    folder = Path(pattern)
    while glob.has_magic(str(folder)):
        folder = folder.parent
    return folder


def _last_part_of_url(url):
    from urllib.parse import unquote, urlsplit

    try:
        path = urlsplit(url).path
    except ValueError as error:  # such as a bracket that opens an IPv6 address and never closes
        raise ImageError(url, f"it is not a URL ({error}).") from None
    return os.path.basename(unquote(path)) or "image"
