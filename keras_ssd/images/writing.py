"""Writing images: whole or not at all."""

import io
import os
from pathlib import Path
from typing import Any

from keras_ssd.replacing import replacing

_QUALITY = {"JPEG": 92, "WEBP": 92}


def write_image(image: Any, path: str | os.PathLike[str]) -> None:
    """Writes a PIL image to a file, which is replaced when the new one is complete.

    It is encoded in memory first: on a full disk, Pillow itself leaves a truncated JPEG without an error.

    Args:
        image: the PIL image.
        path: of the file; its ending chooses the format, such as .png or .jpg.

    Raises:
        ValueError: an ending that is not an image's.
        OSError: the file cannot be written; nothing is left behind.
    """
    from PIL import Image

    path = Path(path)
    form = Image.registered_extensions().get(path.suffix.lower())
    if form not in Image.SAVE:
        raise ValueError(f"The ending must be that of an image, such as .png or .jpg. Received: path='{path}'")
    encoded = io.BytesIO()
    image.save(encoded, form, **({"quality": _QUALITY[form]} if form in _QUALITY else {}))
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())
