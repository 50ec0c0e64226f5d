"""`VideoWriter`: frames with their times into an mp4 file or a GIF."""

import contextlib
import logging
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from keras_ssd.replacing import replacing
from keras_ssd.video.errors import VideoError, load_av
from keras_ssd.video.writing.sound import Sound

log: logging.Logger = logging.getLogger("keras_ssd")

TIME_BASE = Fraction(1, 60000)  # MPEG-4 Part 2 has 16 bits for it; 24, 25, 30 and 29.97 frames a second divide it
GIF_TIME_BASE = Fraction(1, 100)
# The first that the build of FFmpeg has: H.264 by x264, OpenH264 or the system, then MPEG-4, which most players read.
_ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")
_OPTIONS = {"libx264": {"crf": "23", "preset": "veryfast"}, "mpeg4": {"qscale": "4"}}
_BITS_PER_PIXEL = 0.12  # and frame, for encoders without a quality of their own


class VideoWriter:
    """Writes an .mp4 or .gif file, which gets its name when it is closed and whole.

    Frames keep their times, also where these vary. The first frame is at time 0 of the file. Frames of another size
    than the first are resized.

    Args:
        path: of the file; its ending says what it becomes.
        frame_rate: frames per second, on average; in the file it is what players are told, and how long the last frame
            stays.
        audio: file whose sound is copied, from the first frame's time on, if mp4 files can hold it; None for none.
        origin: seconds on the clock of that file that are time 0 of the frames, as `Video.origin` says.
        told: function of what went wrong with the sound; by default it is logged as a warning.

    Raises:
        VideoError: the ending is unknown, or no frame was written.

    Example:
        >>> video = keras_ssd.video.open_video("street.mp4")
        >>> with VideoWriter("drawn.mp4", frame_rate=video.frame_rate, audio=video.audio) as writer:
        ...     for found in model.track(video):
        ...         writer.write(found.draw(), found.time)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frame_rate: float,
        audio: str | None = None,
        origin: float = 0.0,
        told: Callable[[str], None] = log.warning,
    ) -> None:
        load_av()
        self._path = Path(path)
        self._is_gif = self._path.suffix.lower() == ".gif"
        if self._path.suffix.lower() not in (".mp4", ".gif"):
            raise VideoError(
                f"{path}: videos are written as .mp4 or .gif. Received: {self._path.suffix or 'no ending'}"
            )
        self._frame_rate, self._audio, self._origin, self._told = frame_rate, audio, origin, told
        self._base = GIF_TIME_BASE if self._is_gif else TIME_BASE
        self._stack = contextlib.ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._sound: Sound | None = None
        self._first, self._last = 0.0, -1
        self.count = 0  # frames written

    @property
    def codec(self) -> str | None:
        """Name of the encoder; None before the first frame."""
        return self._stream and self._stream.codec_context.codec.name

    def write(self, image: Any, time: float) -> None:
        """Writes a frame.

        Args:
            image: PIL image or (H, W, 3) uint8 RGB array.
            time: in seconds; later than that of the frame before.
        """
        av = load_av()
        image = np.asarray(image.convert("RGB") if hasattr(image, "convert") else image)
        container = self._container or self._begin(image.shape[:2], time)
        if self._sound is not None:
            self._sound.copy_until(time - self._first)
        frame = self._frame(av, image)
        self._last = max(self._last + 1, round((time - self._first) / self._base))
        frame.pts, frame.time_base = self._last, self._base
        container.mux(self._stream.encode(frame))
        self.count += 1

    def _begin(self, size_hw, time):
        av = load_av()
        temporary = self._stack.enter_context(replacing(self._path))
        options = {} if self._is_gif else {"movflags": "+faststart"}
        self._container = self._stack.enter_context(av.open(os.fspath(temporary), "w", options=options))
        self._first = time
        name = "gif" if self._is_gif else _encoder(av)
        rate = Fraction(self._frame_rate).limit_denominator(1001)
        self._stream = self._container.add_stream(name, rate=rate, options=_OPTIONS.get(name, {}))
        height, width = size_hw
        if not self._is_gif:  # half the resolution in colours, so both sides are even
            height, width = height + height % 2, width + width % 2
            if name not in _OPTIONS:
                self._stream.bit_rate = round(_BITS_PER_PIXEL * height * width * max(1.0, self._frame_rate))
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "pal8" if self._is_gif else "yuv420p"
        self._stream.codec_context.time_base = self._stream.time_base = self._base
        if self._audio and not self._is_gif:
            self._add_sound(av, time)
        return self._container

    def _add_sound(self, av, time):
        try:
            self._sound = Sound(self._audio or "", self._container, self._origin + time)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._told(f"{self._path.name}: the sound cannot be copied ({error})")
            return
        self._stack.callback(self._sound.close)
        if self._sound.left_out:
            names = ", ".join(self._sound.left_out)
            self._told(f"{self._path.name}: sound in {names} cannot be copied into an mp4 file and is left out")

    def _frame(self, av, image):
        height, width = self._stream.height, self._stream.width
        if image.shape[0] not in (height, height - 1) or image.shape[1] not in (width, width - 1):
            from PIL import Image

            image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
        if image.shape[:2] != (height, width):
            image = np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), "edge")
        return _paletted(av, image) if self._is_gif else av.VideoFrame.from_ndarray(image, format="rgb24")

    def close(self) -> None:
        """Ends the file and gives it its name.

        Raises:
            VideoError: no frame was written; then there is no file.
        """
        if self._container is None:
            raise VideoError(f"{self._path}: there is no frame to write.")
        with self._stack:
            if self._sound is not None:
                self._sound.copy_until(float(self._last * self._base) + 1 / self._frame_rate)
            self._container.mux(self._stream.encode())

    def discard(self) -> None:
        """Ends writing and leaves no file."""
        with contextlib.suppress(_Discarded), self._stack:
            raise _Discarded

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _encoder(av):
    """The best encoder that this FFmpeg has."""
    for name in _ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        return name
    raise VideoError(
        "this build of PyAV writes neither H.264 nor MPEG-4 videos. Install PyAV's own wheel: pip install av"
    )


def _paletted(av, image):
    """A frame with the 256 colours that suit it best."""
    from PIL import Image

    reduced = Image.fromarray(image).quantize(256, dither=Image.Dither.NONE)
    colours = np.zeros((256, 4), np.uint8)
    colours[:, 3] = 255
    palette = np.array(reduced.getpalette() or [], np.uint8).reshape(-1, 3)[:256]
    colours[: len(palette), :3] = palette
    frame = av.VideoFrame(image.shape[1], image.shape[0], "pal8")
    planes = frame.planes
    lines = np.zeros((image.shape[0], planes[0].line_size), np.uint8)
    lines[:, : image.shape[1]] = np.asarray(reduced)
    planes[0].update(lines.tobytes())
    planes[1].update(np.ascontiguousarray(colours[:, [2, 1, 0, 3]]).tobytes())  # BGRA in memory
    return frame


class _Discarded(Exception):
    """Ends the blocks of a file that is not to be kept."""
