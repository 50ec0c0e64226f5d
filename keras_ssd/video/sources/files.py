"""Video files and GIFs, on disk or behind a URL."""

import os
from collections.abc import Callable, Generator
from typing import Any

from keras_ssd.video.errors import VideoError, load_av
from keras_ssd.video.sources.decoding import decoded, image_of, rate_of, video_stream
from keras_ssd.video.sources.video import RawFrame

TIMEOUT = 20.0  # seconds that a server may be silent


class FileReader:
    """The frames of a file; see `keras_ssd.video.sources.video.Reader`.

    Args:
        path: of the file, or its URL.

    Raises:
        VideoError: it cannot be read, or holds no video.
    """

    live: bool = False

    def __init__(self, path: str) -> None:
        self._path = path
        with self._opened() as container:
            stream = video_stream(container, path)
            self.frame_rate: float = rate_of(stream)
            self.origin: float = float((stream.start_time or 0) * stream.time_base)
            self._duration = _duration(container, stream)
            counted = round((self._duration or 0) * self.frame_rate)
            self.frames: int | None = stream.frames or counted or None
            self.audio: str | None = path if container.streams.audio else None

    def _opened(self) -> Any:
        av = load_av()
        if "://" not in self._path and not os.path.isfile(self._path):
            raise FileNotFoundError(f"{self._path}: there is no such file.")
        try:
            return av.open(self._path, timeout=TIMEOUT if "://" in self._path else None)
        except (av.error.FFmpegError, OSError) as error:
            raise VideoError(f"{self._path}: it cannot be read as a video: {_why(self._path, error)}") from None

    def read(self, start: float, told: Callable[[str], None]) -> Generator[RawFrame, None, None]:
        """Frames from the key frame before `start` on."""
        time = last = -1.0
        with self._opened() as container:
            stream = video_stream(container, self._path)
            number = _sought(container, stream, start, self.frame_rate)
            for frame in decoded(container, stream, told):
                time = self._time(frame, number or 0, time)
                if number is None:  # after a jump, the time tells which frame it is
                    number = round(time * self.frame_rate)
                yield RawFrame(number, time, lambda frame=frame: image_of(frame))
                number, last = number + 1, time
        end = last + 1 / self.frame_rate
        if last < 0:
            told("it holds no frame that can be decoded")
        elif self._duration and end < self._duration - max(0.5, 2 / self.frame_rate):
            told(
                f"it ends after {end:.2f} of {self._duration:.2f} seconds; the file was cut, or its copying ended early"
            )

    def _time(self, frame, number, before):
        """Seconds from the first frame; where a file says nothing or goes back, a frame after the one before."""
        time = number / self.frame_rate if frame.time is None else float(frame.time) - self.origin
        return time if time > before else before + 0.5 / self.frame_rate


def _duration(container, stream):
    """Seconds of the video; None where the file does not tell."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    told = stream.metadata.get("DURATION", "").split(":")
    if len(told) == 3:  # Matroska
        return int(told[0]) * 3600 + int(told[1]) * 60 + float(told[2])
    if container.duration and len(container.streams) == 1:  # else it may be the length of the sound
        return container.duration / 1e6
    return None


def _sought(container, stream, start, frame_rate):
    """Jumps to the last key frame before `start`; the number of the frame there, None if its time must tell."""
    if start <= 2:  # seconds; decoding is as quick
        return 0
    av = load_av()
    try:
        container.seek(round(start / stream.time_base) + (stream.start_time or 0), stream=stream, backward=True)
    except (av.error.FFmpegError, OSError):
        return 0
    return None


def _why(path, error):
    said = getattr(error, "strerror", None) or str(error)
    if "://" in path:
        return f"{said}."
    with open(path, "rb") as file:
        head = file.read(12)
    if not head:
        return "the file is empty."
    if head[4:8] == b"ftyp":
        return (
            f"{said}. It begins as an mp4 file, and its index is missing, so it was cut or its recording did not end "
            "as it should. Record anew, or repair it with a program such as untrunc."
        )
    return f"{said}."
