"""Reading pictures from paths, URLs, PIL images and arrays.

All files are decoded by Pillow alone, so that the same file gives the same pixels whatever else is installed.
"""

import io
import os
import re
import threading
import time

import numpy as np

from keras_ssd.pictures.arrays import array_to_rgb, over_white
from keras_ssd.pictures.errors import PictureError, PictureTooLargeError, describe

MAX_PIXELS = 89_478_485  # a quarter of a GiB as RGB; Pillow warns from here on
MAX_DOWNLOAD_BYTES = 64 * 1024 * 1024
CONNECT_TIMEOUT, READ_TIMEOUT, TOTAL_TIMEOUT = 10.0, 20.0, 60.0  # seconds

_ORIENTATION = 0x0112  # EXIF tag
_pillow_limit = threading.Lock()


def is_url(source):
    """Whether `source` is text that names a picture on a web server."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def read_picture(source, *, name=None, max_pixels=MAX_PIXELS):
    """Reads one picture as RGB.

    Transparent pixels are laid over white. Of sixteen bits the upper eight are kept, as OpenCV and Pillow do.
    The camera's EXIF orientation is applied. Of an animation the first frame is taken.

    Args:
        source: a path, an http(s) URL, a PIL image, or an array or CPU-readable tensor of shape (H, W), (H,
            W, 1), (H, W, 3) or (H, W, 4) in RGB(A) order. uint8 is taken as it is, uint16 as 16 bits deep,
            other integers and floats must lie in 0..255 (floats are rounded; a float picture in 0..1 is
            refused).
        name: what errors call the picture; by default its path, URL or type.
        max_pixels: pictures with more pixels are refused before they are decoded, since a small file may
            unpack into all of the memory. None lifts the limit.

    Returns:
        (H, W, 3) uint8 array. It may share memory with an array that was given.

    Raises:
        PictureError: the picture is missing, broken, too large (`PictureTooLargeError`), or of a kind that has
            no defined meaning here.

    Example:
        >>> read_picture(np.zeros((2, 3), "uint8")).shape
        (2, 3, 3)
    """
    name = describe(source) if name is None else name
    if is_url(source):
        return _decode(_download(source, name), name, max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source, name, max_pixels)
    if _is_pil(source):
        return _guarded(lambda: _pil_to_rgb(source, name, max_pixels), name, max_pixels)
    return array_to_rgb(source, name)


def _read_file(path, name, max_pixels):
    try:
        with open(path, "rb") as file:
            return _decode(file, name, max_pixels)
    except FileNotFoundError:
        raise PictureError(name, "there is no such file.") from None
    except IsADirectoryError:
        raise PictureError(name, "it is a folder.") from None
    except PictureError:
        raise
    except (OSError, ValueError) as error:  # a ValueError is a path that holds a zero byte
        raise PictureError(name, f"{getattr(error, 'strerror', None) or error}.") from None


def _download(url, name):
    import requests

    deadline = time.monotonic() + TOTAL_TIMEOUT
    data = bytearray()
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_TIMEOUT, READ_TIMEOUT)) as response:
            if not response.ok:
                raise PictureError(name, f"the server answered {response.status_code} {response.reason}.")
            for chunk in response.iter_content(1 << 16):
                data += chunk
                if len(data) > MAX_DOWNLOAD_BYTES:
                    raise PictureError(name, f"it is larger than {MAX_DOWNLOAD_BYTES >> 20} MiB.")
                if time.monotonic() > deadline:
                    raise PictureError(name, f"it took longer than {TOTAL_TIMEOUT:.0f} seconds to download.")
            expected = response.headers.get("Content-Length")
            plain = "Content-Encoding" not in response.headers
    except requests.RequestException as error:
        cause = error.args[0] if error.args else error
        cause = getattr(cause, "reason", cause)  # urllib3 wraps what happened in what it tried
        raise PictureError(name, f"the download failed ({type(error).__name__}: {cause}).") from None
    if plain and expected is not None and expected.isdigit() and int(expected) != len(data):
        raise PictureError(name, f"the download broke off after {len(data)} of {expected} bytes.")
    return io.BytesIO(bytes(data))


def _decode(file, name, max_pixels):
    from PIL import Image

    def work():
        with Image.open(file) as image:
            return _pil_to_rgb(image, name, max_pixels)

    if max_pixels is not None and max_pixels <= (Image.MAX_IMAGE_PIXELS or max_pixels):
        return _guarded(work, name, max_pixels, file)
    with _pillow_limit:  # Pillow knows one limit for the whole process; it is raised for as long as it is needed
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return _guarded(work, name, max_pixels, file)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _guarded(work, name, max_pixels, file=None):
    """Runs Pillow and turns its failures into a PictureError: on hostile bytes its readers raise anything."""
    from PIL import Image, UnidentifiedImageError

    try:
        return work()
    except PictureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        announced = re.search(r"\d+", str(error))
        raise PictureTooLargeError(name, announced[0] if announced else "too many", max_pixels) from None
    except UnidentifiedImageError:
        raise PictureError(name, _not_a_picture(file)) from None
    except MemoryError:
        raise PictureError(name, "there is not enough memory to decode it.") from None
    except Exception as error:
        raise PictureError(name, f"the file is damaged or incomplete ({error}).") from error


def _not_a_picture(file):
    file.seek(0)
    start = file.read(16)
    if not start:
        return "the file is empty (0 bytes)."
    return f"the file is no picture of a kind that Pillow knows; it begins with {start!r}."


def _is_pil(source):
    from PIL import Image

    return isinstance(source, Image.Image)


def _pil_to_rgb(image, name, max_pixels):
    width, height = image.size
    if max_pixels is not None and width * height > max_pixels:
        raise PictureTooLargeError(name, f"{width} x {height}", max_pixels)
    if not width or not height:
        raise PictureError(name, f"it has no pixels ({width} x {height}).")
    image.load()
    if image.getexif().get(_ORIENTATION, 1) != 1:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode == "F":
        raise PictureError(name, "its pixels are floats of unknown range. Convert it to 8 bits first.")
    if image.mode.startswith("I"):
        return array_to_rgb(_sixteen_bits(np.asarray(image), name), name)
    if image.has_transparency_data:
        return over_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _sixteen_bits(values, name):
    if values.min() < 0 or values.max() > 0xFFFF:
        raise PictureError(name, "its pixels are 32-bit numbers beyond 0..65535. Convert it to 8 bits first.")
    return values.astype(np.uint16)
