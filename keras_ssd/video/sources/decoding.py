"""Frames out of a container that PyAV has opened."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_ssd.video.errors import VideoError, load_av


def video_stream(container: Any, name: str) -> Any:
    """The first stream of images in a container, to be decoded in several threads.

    Raises:
        VideoError: there is none.
    """
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise VideoError(f"{name}: there is no video in it. It holds: {kinds}")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(f"{name}: no decoder of this FFmpeg reads its video.")
    stream.thread_type = "AUTO"
    return stream


def _is_cover(stream):
    """Whether a stream is an image that belongs to a piece of music."""
    return "ATTACHED_PIC" in str(getattr(stream, "disposition", "")).upper()


def decoded(container: Any, stream: Any, told: Callable[[str], None]) -> Iterator[Any]:
    """The frames of a stream as PyAV gives them; what cannot be decoded is told and left out.

    Raises:
        VideoError: the first packets cannot be read, and there is no frame.
    """
    av = load_av()
    packets, given = container.demux(stream), 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.EOFError, EOFError):
            return
        except (av.error.FFmpegError, OSError) as error:
            told(f"reading ended after {given} frames: {_said(error)}")
            return
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, OSError) as error:
            if isinstance(error, EOFError):
                return
            # Decoders with several threads report a little later, so the time is not that of the frame itself.
            at = f" near {float(packet.pts * packet.time_base):.2f} s" if packet.pts is not None else ""
            told(f"a frame{at} cannot be decoded and is left out: {_said(error)}")
            continue
        for frame in frames:
            if frame.is_corrupt:
                told(f"the frame at {frame.time or 0:.2f} s is damaged")
            given += 1
            yield frame


def _said(error):
    return getattr(error, "strerror", None) or str(error)


def image_of(frame: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of PyAV's frame, turned upright as its rotation tag says."""
    image = frame.to_ndarray(format="rgb24")
    quarters = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, quarters)) if quarters else image


def rate_of(stream: Any) -> float:
    """Frames per second of a stream; 30 where it does not tell."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((float(rate) for rate in rates if rate and 0 < rate <= 1000), 30.0)
