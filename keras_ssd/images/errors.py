"""The errors of this package, and the names it calls images by."""

import os
from typing import Any


class ImageError(ValueError):
    """An image that cannot be read.

    Attributes:
        source: the image's path, URL or description.
        reason: what is wrong with it, without the name.
    """

    def __init__(self, source: Any, reason: str) -> None:
        super().__init__(f"Cannot read image {source or repr(source)}: {reason}")
        self.source: str = str(source)
        self.reason: str = reason

    # The arguments do not follow from `args`, which pickling between processes would use.
    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.reason)


class ImageTooLargeError(ImageError):
    """An image with too many pixels.

    Attributes:
        size: its size, in words.
        limit: largest number of pixels.

    Args:
        option: the option that raises the limit; None if there is none.
    """

    def __init__(self, source: Any, size: str, limit: int | None, option: str | None = "max_pixels") -> None:
        advice = f" Pass a larger {option} if you trust it." if option else ""
        super().__init__(
            source,
            f"it has {size} pixels and at most {limit} are accepted, since a small file may unpack into all of the "
            f"memory.{advice}",
        )
        self.size: str = size
        self.limit: int | None = limit

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source, self.size, self.limit)


class ImagesBelowError(ImageError):
    """A folder without images that has folders with images below it.

    Attributes:
        folder: its path.
        below: number of images there.
    """

    def __init__(self, folder: str, below: int, option: str = "recursive=True") -> None:
        super().__init__(
            folder, f"the folder holds no image itself, and {below} lie in folders below. {option} takes those."
        )
        self.folder: str = folder
        self.below: int = below

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.folder, self.below)


def describe(source: Any) -> str:
    """A short name of a source for messages: the path or URL itself, or what kind of object it is."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"{len(source)} bytes"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    shape = getattr(source, "shape", None)
    if shape is not None:
        return f"{type(source).__name__} of shape {tuple(shape)}"
    size = getattr(source, "size", None)
    return f"{type(source).__name__} of size {size}" if size is not None else type(source).__name__
