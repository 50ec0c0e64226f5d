"""Former name of `keras_ssd.images`."""

from typing import Any

from keras_ssd import images
from keras_ssd.calling import warn_of_former_name


def __getattr__(name: str) -> Any:
    new = name.replace("picture", "image").replace("Picture", "Image")
    if not hasattr(images, new):
        raise AttributeError(f"module 'keras_ssd.pictures' has no attribute {name!r}")
    warn_of_former_name(f"keras_ssd.pictures.{name}", f"`keras_ssd.images.{new}`")
    return getattr(images, new)
