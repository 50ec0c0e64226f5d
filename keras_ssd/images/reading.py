"""Reads images from paths, URLs, PIL images and arrays.

Pillow decodes all files, so that the same file gives the same pixels in every environment.
"""

import contextlib
import io
import logging
import os
import re
import threading
import time
from typing import Any, BinaryIO

import numpy as np

from keras_ssd.images.arrays import array_to_rgb, over_white
from keras_ssd.images.errors import ImageError, ImageTooLargeError, describe
from keras_ssd.images.kinds import HEAD, what_it_is

MAX_PIXELS = 89_478_485  # a quarter of a GiB as RGB; Pillow warns from here on
MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
MAX_STREAM_BYTES = 1 << 30  # of an open file, which may be a pipe without end
CONNECT_TIMEOUT, READ_TIMEOUT, TOTAL_TIMEOUT = 10.0, 20.0, 60.0  # seconds

_ORIENTATION = 0x0112  # EXIF tag
_ON_THEIR_SIDE = (5, 6, 7, 8)  # its values that swap width and height
_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257  # tags
_NO_IMAGES = ("EPS", "MPEG")  # Pillow opens these, and would run another program for one and fails for the other
_pillow_limit = threading.Lock()
log: logging.Logger = logging.getLogger("keras_ssd.images")


def is_url(source: Any) -> bool:
    """Whether `source` is text that names an image on a web server."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def read_image(source: Any, *, name: str | None = None, max_pixels: int | None = MAX_PIXELS) -> np.ndarray:
    """Reads one image as RGB.

    Transparent pixels are blended with white. Of 16 bits the upper eight are kept, as in OpenCV and Pillow. The
    camera's EXIF orientation is applied. Of several frames or pages (GIF, TIFF), the first is used, which is logged as
    information.

    Args:
        source: a path, an http(s) URL, the bytes of an image file, an open binary file, a PIL image, or an array or
            CPU-readable tensor of shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in RGB(A) order. uint8 is used
            unchanged, uint16 as 16 bits deep; other integers and floats must be in 0..255 (floats are rounded; a float
            image in 0..1 is refused).
        name: of the image in errors; by default its path, URL or type.
        max_pixels: images with more pixels are refused before they are decoded, since a small file may fill the memory.
            None is no limit.

    Returns:
        (H, W, 3) uint8 array. It may share memory with a given array.

    Raises:
        ImageError: the image is missing, broken, too large (`ImageTooLargeError`), or of a kind that has
            no defined meaning here.

    Example:
        >>> read_image(np.zeros((2, 3), "uint8")).shape
        (2, 3, 3)
    """
    name = describe(source) if name is None else name
    if is_url(source):
        return _decode(_download(source, name), name, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source, name, max_pixels)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode_bytes(bytes(source), name, max_pixels)
    if hasattr(source, "read"):
        return _decode_bytes(bytes_of(source, name), name, max_pixels)
    if _is_pil(source):
        return _guarded(lambda: _pil_to_rgb(source, name, max_pixels), name, max_pixels)
    return array_to_rgb(source, name)


def shown_size(image: Any) -> tuple[int, int]:
    """(height, width) of an image of Pillow whose pixels are not loaded yet, as its EXIF orientation turns it."""
    width, height = image.size
    if image.format == "TIFF":  # of which Pillow may give the size after turning it
        width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_HEIGHT]
    return (width, height) if image.getexif().get(_ORIENTATION, 1) in _ON_THEIR_SIDE else (height, width)


def check_image(path: str | os.PathLike[str], *, max_pixels: int | None = MAX_PIXELS) -> tuple[int, int]:
    """Decodes an image file as `read_image` does, without keeping its pixels: whether it is whole, and its size.

    JPEGs are decoded at an eighth of their size, which reads every byte and takes a third of the time.

    Args:
        path: of the file.
        max_pixels: as `read_image` takes it.

    Returns:
        (height, width) in pixels as `read_image` would give them.

    Raises:
        ImageError: `read_image` would raise it too.
    """

    def size_of(image, name, max_pixels):
        size_hw = shown_size(image)
        _check_size(image, name, max_pixels)
        image.draft(image.mode, (1, 1))
        _pil_to_rgb(image, name, max_pixels)
        return size_hw

    height, width = _read_file(path, describe(path), max_pixels, size_of)
    return height, width


def _read_file(path, name, max_pixels, convert=None):
    try:
        with open(path, "rb") as file:
            return _decode(file, name, max_pixels, convert)
    except FileNotFoundError:
        raise ImageError(name, "there is no such file.") from None
    except IsADirectoryError:
        raise ImageError(name, "it is a folder.") from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # a ValueError is a path with a zero byte
        raise ImageError(name, f"{getattr(error, 'strerror', None) or error}.") from None


def _decode_bytes(data, name, max_pixels):
    if data and len(data) < 1024 and os.path.exists(data.rstrip(b"\0")) and b"\0" not in data:
        raise ImageError(name, f"its bytes are the name of a file. Give it as text: {os.fsdecode(data)!r}")
    return _decode(io.BytesIO(data), name, max_pixels)


def bytes_of(file: Any, name: str) -> bytes:
    """All bytes of an open file; its position is restored if possible.

    Raises:
        ImageError: it is closed, opened as text, or larger than an image file may be.
    """
    try:
        start = file.tell() if file.seekable() else None
        data = file.read(MAX_STREAM_BYTES + 1)
        if start is not None:
            file.seek(start)
    except UnicodeDecodeError:
        data = ""
    except (OSError, ValueError, AttributeError) as error:
        raise ImageError(name, f"the file cannot be read ({error}).") from None
    if not isinstance(data, bytes):
        raise ImageError(name, 'the file was opened as text. Open it with mode "rb".')
    if len(data) > MAX_STREAM_BYTES:
        raise ImageError(name, f"it is larger than {MAX_STREAM_BYTES >> 20} MiB.")
    return data


def _download(url, name):
    import requests

    deadline = time.monotonic() + TOTAL_TIMEOUT
    data = bytearray()
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response:
            if not response.ok:
                raise ImageError(name, f"the server answered {response.status_code} {response.reason}.")
            for chunk in response.iter_content(1 << 16):
                data += chunk
                if len(data) > MAX_DOWNLOAD_BYTES:
                    raise ImageError(name, f"it is larger than {MAX_DOWNLOAD_BYTES >> 20} MiB.")
                if time.monotonic() > deadline:
                    raise ImageError(name, f"it took longer than {TOTAL_TIMEOUT:.0f} seconds to download.")
            expected = response.headers.get("Content-Length")
            plain = "Content-Encoding" not in response.headers
    except requests.RequestException as error:
        cause = error.args[0] if error.args else error
        cause = getattr(cause, "reason", cause)  # urllib3 wraps what happened in what it tried
        raise ImageError(name, f"the download failed ({type(error).__name__}: {cause}).") from None
    if plain and expected is not None and expected.isdigit() and int(expected) != len(data):
        raise ImageError(name, f"the download broke off after {len(data)} of {expected} bytes.")
    return io.BytesIO(bytes(data))


def _decode(file, name, max_pixels, convert=None):
    from PIL import Image, UnidentifiedImageError

    convert = convert or _pil_to_rgb

    def work():
        with Image.open(file) as image:
            if image.format in _NO_IMAGES:
                raise UnidentifiedImageError
            pixels = convert(image, name, max_pixels)
            _tell_frames(image, name)
            return pixels

    if max_pixels is not None and max_pixels <= (Image.MAX_IMAGE_PIXELS or max_pixels):
        return _guarded(work, name, max_pixels, file)
    with _pillow_limit:  # Pillow has one limit for the whole process; it is raised only here
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return _guarded(work, name, max_pixels, file)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _guarded(work, name, max_pixels, file=None):
    """Runs Pillow and turns its failures into a ImageError: on hostile bytes its readers raise anything."""
    from PIL import Image, UnidentifiedImageError

    try:
        return work()
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        announced = re.search(r"\d+", str(error))
        raise ImageTooLargeError(name, announced[0] if announced else "too many", max_pixels) from None
    except UnidentifiedImageError as error:
        raise ImageError(name, str(error) if file is None else not_an_image(file, name)) from None
    except MemoryError:
        raise ImageError(name, "there is not enough memory to decode it.") from None
    except Exception as error:
        raise ImageError(name, f"the file is damaged or incomplete ({error}).") from error


def not_an_image(file: BinaryIO, name: str) -> str:
    """What an open file is that Pillow does not know, and what to do."""
    file.seek(0)
    head = file.read(HEAD)
    if not head:
        return "the file is empty (0 bytes)."
    return what_it_is(head, name) or (
        f"the file is no image of a kind that Pillow knows; it begins with {head[:16]!r}. It may be damaged."
    )


def _is_pil(source):
    from PIL import Image

    return isinstance(source, Image.Image)


def _tell_frames(image, name):
    """Logs that only the first of several frames is used; the previews in a phone's JPEG do not count."""
    with contextlib.suppress(Exception):  # the first frame may be whole and the second not
        if image.format != "MPO" and getattr(image, "is_animated", False):
            log.info("%s has several frames or pages; the first is used.", name)


def _check_size(image, name, max_pixels):
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise ImageTooLargeError(name, f"{width} x {height}", max_pixels)
    if not width or not height:
        raise ImageError(name, f"it has no pixels ({width} x {height}).")


def _pil_to_rgb(image, name, max_pixels):
    _check_size(image, name, max_pixels)
    image.load()
    if image.getexif().get(_ORIENTATION, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode == "F":
        raise ImageError(name, "its pixels are floats of unknown range. Convert it to 8 bits first.")
    if image.mode.startswith("I"):
        return array_to_rgb(_sixteen_bits(np.asarray(image), name), name)
    if image.has_transparency_data:
        return over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _sixteen_bits(values, name):
    if values.min() < 0 or values.max() > 0xFFFF:
        raise ImageError(name, "its pixels are 32-bit numbers beyond 0..65535. Convert it to 8 bits first.")
    return values.astype(np.uint16)
