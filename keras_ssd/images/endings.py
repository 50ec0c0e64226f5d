"""File endings of images, from the decoder, for all folder listings."""

import functools
import os

# Pillow registers these endings and decodes neither: EPS needs another program, of MPEG it reads only the size.
_NOT_DECODED = ("EPS", "MPEG", "PDF", "PALM")


@functools.cache
def image_endings() -> tuple[str, ...]:
    """The endings of all image files that `read_image` decodes, in lower case and with their point, by name.

    Example:
        >>> {".jpg", ".jfif", ".png"} <= set(image_endings())
        True
    """
    from PIL import Image, ImageFile

    def decoded(kind):
        opener = Image.OPEN.get(kind, (None,))[0]
        stub = isinstance(opener, type) and issubclass(opener, ImageFile.StubImageFile)
        return kind not in _NOT_DECODED and not stub  # MPO has no opener: JPEG's opens it

    return tuple(sorted(ending for ending, kind in Image.registered_extensions().items() if decoded(kind)))


def has_image_ending(name: str | os.PathLike[str]) -> bool:
    """Whether a file of this name, or of this path, is an image by its ending."""
    return os.path.splitext(os.fspath(name))[1].lower() in image_endings()


def is_image_name(name: str | os.PathLike[str]) -> bool:
    """Whether a file in a folder is to be listed as an image: by its ending, hidden files left out.

    Example:
        >>> is_image_name("shots/a.JFIF"), is_image_name(".a.jpg"), is_image_name("notes.txt")
        (True, False, False)
    """
    return has_image_ending(name) and not os.path.basename(os.fspath(name)).startswith(".")
