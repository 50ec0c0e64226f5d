"""`open_video`: the reader that a source needs."""

import glob
import numbers
import os
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.images import image_endings
from keras_ssd.video.errors import VideoError
from keras_ssd.video.kinds import camera_of, is_stream
from keras_ssd.video.sources.files import FileReader
from keras_ssd.video.sources.folders import FolderReader
from keras_ssd.video.sources.live import LiveReader, camera, stream
from keras_ssd.video.sources.video import Video

_MOVING = (".gif", ".png", ".apng", ".webp")  # image formats that may hold several frames


@checked_arguments
def open_video(
    source: Any,
    *,
    stride: int = 1,
    start: float | None = None,
    end: float | None = None,
    frame_rate: float | None = None,
    reconnect: int = 5,
) -> Video:
    """Opens a video, without reading its frames yet.

    Args:
        source: path or URL of a video file or GIF; a folder or pattern of frames, or a list of their paths; "camera:0"
            and so on; a URL of a stream, such as rtsp://.
        stride: take every so many frames.
        start, end: seconds from the start of the video; frames from `start` on and before `end`. After a jump to
            `start`, frame numbers follow from the time and the average frame rate.
        frame_rate: frames per second of a folder of frames; None for 30.
        reconnect: how many new connections in a row are tried when a live stream ends or stalls for 10 seconds.

    Returns:
        `Video`.

    Raises:
        VideoError: the source cannot be read as a video.
        ImportError: PyAV is not installed.

    Example:
        >>> for frame in open_video("street.mp4", stride=5):
        ...     print(frame.number, frame.time, frame.image.shape)
    """
    if not isinstance(stride, numbers.Integral) or stride < 1:
        raise ValueError(f"stride must be a whole number from 1 on. Received: stride={stride!r}")
    if not isinstance(reconnect, numbers.Integral) or reconnect < 0:
        raise ValueError(f"reconnect must be a whole number from 0 on. Received: reconnect={reconnect!r}")
    if (start or 0) < 0 or (end is not None and end <= (start or 0)):
        raise ValueError(f"start must be 0 or more, and end after it. Received: start={start}, end={end}")
    if frame_rate is not None and not 0 < frame_rate <= 1000:
        raise ValueError(f"frame_rate must be above 0 and at most 1000. Received: frame_rate={frame_rate}")
    name, reader = _reader(source, frame_rate, int(reconnect))
    return Video(name, reader, int(stride), start, end)


def _reader(source, frame_rate, reconnect):
    if isinstance(source, (list, tuple)):
        return f"{len(source)} frames", FolderReader(source, frame_rate)
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            "a video is a path, a folder, a pattern, a URL, 'camera:0', or a list of paths of frames. "
            f"Received: {type(source).__name__}"
        )
    name = os.fspath(source)
    device = camera_of(name)
    if device:
        return name, LiveReader(name, camera(device), reconnect)
    if is_stream(name):
        return name, LiveReader(name, stream(name), reconnect)
    if "://" in name:
        return name, FileReader(name)
    if os.path.isdir(name) or (glob.has_magic(name) and not os.path.exists(name)):
        return name, FolderReader(name, frame_rate)
    ending = os.path.splitext(name)[1].lower()
    if ending in image_endings() and ending not in _MOVING:
        raise VideoError(f"{name}: it is an image. A video is a file of several frames, or a folder of them.")
    return name, FileReader(name)
