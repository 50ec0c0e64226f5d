"""Which sources are videos, by their names alone."""

import os
import re
from typing import Any
from urllib.parse import urlsplit

ENDINGS = frozenset(
    (
        *(".3g2", ".3gp", ".asf", ".avi", ".divx", ".flv", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m3u8", ".m4v"),
        *(".mj2", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpd", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv"),
        *(".qt", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
    )
)
_STREAMS = frozenset(["rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp", "mms"])
_LIVE_ENDINGS = (".m3u8", ".mjpg", ".mjpeg")  # under http
_CAMERA = re.compile(r"camera:(.+)", re.IGNORECASE)


def camera_of(source: Any) -> str | None:
    """What stands after "camera:": a number or a device's name; None if the source is no camera."""
    match = _CAMERA.fullmatch(source) if isinstance(source, str) else None
    return match and match[1]


def is_stream(source: Any) -> bool:
    """Whether a source is a URL of a live stream: rtsp and its likes, or http with a playlist or motion JPEG."""
    scheme, path = _url(source)
    return scheme in _STREAMS or (scheme in ("http", "https") and path.endswith(_LIVE_ENDINGS))


def is_video(source: Any) -> bool:
    """Whether a source is a video by its name: a file or URL with such an ending, a camera, or a stream.

    GIF files and folders are not: they are images too.

    Example:
        >>> is_video("street.mp4"), is_video("camera:0"), is_video("rtsp://host/live"), is_video("street.jpg")
        (True, True, True, False)
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    scheme, path = _url(source)
    if camera_of(source) or is_stream(source):
        return True
    name = path if scheme in ("http", "https") else os.fspath(source).lower()
    return os.path.splitext(name)[1] in ENDINGS and not os.path.isdir(source)


def _url(source):
    """(scheme, path) of a URL in small letters; ("", "") for what is none."""
    if not isinstance(source, str) or "://" not in source:
        return "", ""
    try:
        parts = urlsplit(source)
    except ValueError:
        return "", ""
    return parts.scheme.lower(), parts.path.lower()
