"""`Video`: frames with their times, chosen by stride, start and end."""

import dataclasses
import itertools
import logging
import math
from collections.abc import Callable, Generator
from typing import Any, Protocol

import numpy as np

log: logging.Logger = logging.getLogger("keras_ssd")

MOST_TOLD = 5  # problems of a video that are told one by one; then their number


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright.
        number: place in the video, from 0; of a live stream, how many frames came before, those left out included.
        time: seconds from the start of the video.
    """

    image: np.ndarray
    number: int
    time: float


@dataclasses.dataclass(frozen=True, eq=False)
class RawFrame:
    """A frame before it is converted.

    Attributes:
        number, time: as of `Frame`.
        image: function that gives the image, or None where it turns out to be unreadable.
    """

    number: int
    time: float
    image: Callable[[], np.ndarray | None]


class Reader(Protocol):
    """What gives the frames of a kind of source.

    Attributes:
        frame_rate: frames per second, as far as it is known.
        frames: how many there are; None if unknown.
        live: whether frames are lost if nobody takes them.
        audio: path or URL of a file whose audio belongs to the frames; None if there is none.
        origin: what its clock shows at the first frame, in seconds.
    """

    frame_rate: float
    frames: int | None
    live: bool
    audio: str | None
    origin: float

    def read(self, start: float, told: Callable[[str], None]) -> Generator[RawFrame, None, None]:
        """Frames from about `start` seconds on; `told` gets what is wrong with some of them."""
        ...


class Video:
    """The frames of a video, read when they are asked for.

    A loop gives `Frame`s; leaving it closes the source. A second loop over a file reads it again. What is wrong with
    frames, or with the end of a file, is logged as a warning and kept in `problems`; the other frames are given.

    Attributes:
        name: of the source.
        frame_rate: frames per second that come out, so that of the source divided by the stride.
        frames: about how many frames come out; None if unknown.
        live: whether it is a camera or stream: then a loop gets the newest frame, and frames in between are left out.
        audio: path or URL of the file whose audio belongs to the frames; None if there is none.
        origin: what the source's clock shows at time 0, in seconds.
        problems: list of str.
    """

    def __init__(
        self, name: str, reader: Any, stride: int = 1, start: float | None = None, end: float | None = None
    ) -> None:
        self.name, self._reader = name, reader
        self._stride, self._start, self._end = stride, start or 0.0, math.inf if end is None else end
        self.frame_rate: float = reader.frame_rate / stride
        self.live: bool = reader.live
        self.audio: str | None = reader.audio
        self.origin: float = reader.origin
        self.problems: list[str] = []

    @property
    def frames(self) -> int | None:
        """About how many frames come out; None if unknown."""
        if self._reader.frames is None:
            return None
        rate = self._reader.frame_rate
        last = min(self._reader.frames, math.ceil(self._end * rate) if self._end < math.inf else self._reader.frames)
        return max(0, math.ceil((last - math.floor(self._start * rate)) / self._stride))

    def __iter__(self) -> Generator[Frame, None, None]:
        self.problems = []
        raw = self._reader.read(self._start, self._tell)
        try:
            wanted = (frame for frame in raw if frame.time >= self._start - 1e-6)
            wanted = itertools.takewhile(lambda frame: frame.time < self._end, wanted)
            for frame in itertools.islice(wanted, 0, None, self._stride):
                image = frame.image()
                if image is not None:
                    yield Frame(image, frame.number, frame.time)
        finally:
            raw.close()
            if len(self.problems) > MOST_TOLD:
                log.warning("%s: %d problems in all", self.name, len(self.problems))

    def _tell(self, problem: str) -> None:
        self.problems.append(problem)
        if len(self.problems) <= MOST_TOLD:
            log.warning("%s: %s", self.name, problem)

    def __repr__(self) -> str:
        count = "" if self.frames is None else f", about {self.frames} frames"
        return f"<Video {self.name}: {self.frame_rate:.6g} frames per second{count}>"
