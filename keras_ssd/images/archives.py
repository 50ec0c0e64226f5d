"""Images in a zip archive, read one by one without unpacking it."""

import os
import zipfile
import zlib
from collections.abc import Iterator

from keras_ssd.images.endings import is_image_name
from keras_ssd.images.errors import ImageError


class ArchivedImage:
    """An image file in a zip archive: like an open file, which opens the archive when it is read.

    Args:
        archive: path of the archive.
        member: name in it.
    """

    def __init__(self, archive: str, member: str) -> None:
        self._archive, self._member = archive, member

    def seekable(self) -> bool:
        """False: it begins anew each time."""
        return False

    def read(self, size: int = -1) -> bytes:
        """Its first bytes, all of them by default.

        Raises:
            OSError: it cannot be read.
        """
        try:
            with zipfile.ZipFile(self._archive) as archive, archive.open(self._member) as file:
                return file.read(size)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
            raise OSError(str(error)) from None  # a RuntimeError asks for a password


def is_archive(path: str) -> bool:
    """Whether a path is a zip file by its ending."""
    return path.lower().endswith(".zip") and os.path.isfile(path)


def images_in_archive(path: str) -> Iterator[tuple[str, ArchivedImage]]:
    """(name in the archive, image) of each image in a zip file, by name; hidden ones are left out.

    Raises:
        ImageError: it is no zip file, or holds no image.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    except (zipfile.BadZipFile, OSError) as error:
        raise ImageError(path, f"the archive cannot be read ({error}).") from None
    shown = [name for name in names if is_image_name(name) and not name.startswith("__MACOSX/")]
    if not shown:
        raise ImageError(path, f"the archive holds no image; it holds {len(names)} other files.")
    return ((name, ArchivedImage(path, name)) for name in shown)
