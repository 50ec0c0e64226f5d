"""Folders and patterns of images as the frames of a video."""

import re
from collections.abc import Callable, Generator, Sequence
from typing import Any

from keras_ssd.images import ImageError, expand_sources, read_image
from keras_ssd.video.errors import VideoError
from keras_ssd.video.sources.video import RawFrame

FRAME_RATE = 30.0  # if nobody tells


class FolderReader:
    """Images in the order of their numbers, so that frame_2 is before frame_10.

    Args:
        source: a folder, a pattern, or a list of paths.
        frame_rate: frames per second; None for 30.

    Raises:
        VideoError: there is no image.
    """

    live: bool = False
    audio: str | None = None
    origin: float = 0.0

    def __init__(self, source: Any, frame_rate: float | None = None) -> None:
        try:
            found = [*expand_sources(source)]
        except ImageError as error:
            raise VideoError(str(error)) from None
        if not isinstance(source, Sequence) or isinstance(source, str):
            found.sort(key=lambda one: natural(one.name))
        self._sources = found
        self.frame_rate: float = frame_rate or FRAME_RATE
        self.frames: int | None = len(found)

    def read(self, start: float, told: Callable[[str], None]) -> Generator[RawFrame, None, None]:
        """Frames from `start` on."""
        first = max(0, int(start * self.frame_rate) - 1)
        for number, source in enumerate(self._sources[first:], first):
            yield RawFrame(number, number / self.frame_rate, lambda source=source: _image(source, told))


def _image(source, told):
    try:
        return read_image(source.image, name=source.name)
    except ImageError as error:
        told(f"{error}; the frame is left out")
        return None


def natural(name: str) -> list[tuple[bool, int, str]]:
    """A key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
