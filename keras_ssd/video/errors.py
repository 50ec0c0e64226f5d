"""The error of videos, and of a decoder that is not there."""

import importlib
from typing import Any


class VideoError(ValueError):
    """A video that cannot be read or written; the text names it and says what to do."""


def load_av() -> Any:
    """PyAV, which has FFmpeg's decoders and encoders in its wheel.

    Raises:
        ImportError: it is not installed; the text names the extra.
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise ImportError(
            "Reading a video needs the package `av` (PyAV), which is not installed: pip install 'keras-ssd[video]'"
        ) from error
