"""The size of an image file without decoding it, and a hash of what an image looks like."""

import hashlib
import os

import numpy as np

from keras_ssd.images import MAX_PIXELS, ImageError, ImageTooLargeError
from keras_ssd.images.reading import not_an_image, shown_size

_HEAD = 1 << 14


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """(height, width) in pixels as viewers show the image, from the head of its file.

    Raises:
        ImageError: the file is missing or not an image.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file:
            try:
                with Image.open(file) as image:
                    height, width = shown_size(image)
            except UnidentifiedImageError:
                raise ImageError(path, not_an_image(file, os.fspath(path))) from None
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(path, "there is no such file.") from None
    except Exception as error:  # on hostile bytes Pillow's readers raise anything
        raise ImageError(path, f"the file is damaged or incomplete ({error}).") from error
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(path, f"{width} x {height}", MAX_PIXELS)
    return height, width


def may_be_turned(path: str | os.PathLike[str]) -> bool:
    """Whether, by the head of a file, viewers may rotate the image; for most files it shows that they do not.

    Raises:
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\xff\xd8"):
        return b"Exif\0" in head
    if head.startswith(b"\x89PNG"):
        return b"eXIf" in head or b"Raw profile type exif" in head
    if head.startswith(b"RIFF"):
        return head[12:16] == b"VP8X"
    return not head.startswith((b"BM", b"GIF8"))


def file_digest(path: str | os.PathLike[str]) -> str:
    """A checksum of a file's bytes: equal for copies."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def look(image: np.ndarray) -> int | None:
    """64 bits that stay equal when an image is resized or compressed again: which of two neighbours is brighter.

    Returns an int for a (H, W, 3) uint8 image; None for an image without contrast.

    Source: the "difference hash", N. Krawetz, hackerfactor.com, "Kind of like that" (2013).
    """
    from PIL import Image

    small = Image.fromarray(image).convert("L").resize((9, 8), Image.Resampling.BOX)
    grey = np.asarray(small, np.int16)
    steps = np.diff(grey, axis=1)
    if np.count_nonzero(np.abs(steps) > 2) < 16:
        return None
    return int.from_bytes(np.packbits(steps > 0).tobytes(), "big")
