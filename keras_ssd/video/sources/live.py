"""Cameras and streams: a thread reads all that comes, and whoever asks gets the newest frame."""

import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from keras_ssd.video.errors import VideoError, load_av
from keras_ssd.video.sources.decoding import decoded, image_of, rate_of, video_stream
from keras_ssd.video.sources.video import RawFrame

TIMEOUT = 10.0  # seconds without data after which a stream counts as stalled
WAITS = (1, 2, 4, 8, 15)  # seconds before the first, second ... new connection; the last for all others
_OPTIONS = {"rtsp_transport": "tcp", "fflags": "nobuffer"}
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"), "win32": ("dshow", "video={}")}


class LiveReader:
    """The newest frame of a live source; frames in between are left out.

    Args:
        name: for messages.
        connect: function that gives an opened container of PyAV, or raises.
        reconnect: how many new connections in a row are tried when a stream ends or stalls.
        waits: seconds before them.

    Raises:
        VideoError: there is no connection at all.
    """

    audio: str | None = None
    frames: int | None = None
    live: bool = True
    origin: float = 0.0

    def __init__(self, name: str, connect: Callable[[], Any], reconnect: int, waits: tuple[float, ...] = WAITS) -> None:
        self._name, self._connect, self._reconnect, self._waits = name, connect, reconnect, waits
        self._container = self._connected()
        self.frame_rate: float = rate_of(video_stream(self._container, name))

    def _connected(self):
        av = load_av()
        try:
            return self._connect()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise VideoError(f"{self._name}: there is no connection: {said}") from None

    def read(self, start: float, told: Callable[[str], None]) -> Generator[RawFrame, None, None]:
        """The newest frame at each turn, until the stream is over."""
        newest = _Newest()
        thread = threading.Thread(target=self._receive, args=(newest, told), name="keras_ssd-live", daemon=True)
        thread.start()
        try:
            while (frame := newest.take()) is not None:
                yield frame
        finally:
            newest.stop.set()
            thread.join(timeout=2 * TIMEOUT)

    def _receive(self, newest, told):
        """Puts frames until the stream is over, or nobody wants them."""
        failures = number = 0
        begun: float | None = None
        while not newest.stop.is_set():
            try:
                container = self._container or self._connected()
                self._container = None
                with container:
                    for frame in decoded(container, video_stream(container, self._name), told):
                        now = time.monotonic()
                        begun = now if begun is None else begun
                        newest.put(RawFrame(number, now - begun, lambda frame=frame: image_of(frame)))
                        number, failures = number + 1, 0
                        if newest.stop.is_set():
                            return
                said = "the stream ended"
            except VideoError as error:
                said = str(error).removeprefix(f"{self._name}: ")
            except Exception as error:  # a thread must not end without a word
                said = f"{type(error).__name__}: {error}"
            failures += 1
            if failures > self._reconnect:
                told(f"{said}; given up after {self._reconnect} new connections")
                break
            told(f"{said}; connecting again ({failures} of {self._reconnect})")
            newest.stop.wait(self._waits[min(failures, len(self._waits)) - 1])
        newest.end()


class _Newest:
    """A place for one frame, between the thread that receives and the one that takes."""

    def __init__(self):
        self._changed, self._frame, self._ended = threading.Condition(), None, False
        self.stop = threading.Event()

    def put(self, frame):
        with self._changed:
            self._frame = frame
            self._changed.notify()

    def end(self):
        with self._changed:
            self._ended = True
            self._changed.notify()

    def take(self):
        """The newest frame that was not taken; waits for it. None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            return frame


def camera(device: str) -> Callable[[], Any]:
    """A function that opens a camera.

    Args:
        device: its number, or its name as the system has it.
    """

    def connect():
        av = load_av()
        if sys.platform not in _CAMERAS:
            raise VideoError(f"cameras are not known on this system ({sys.platform})")
        form, path = _CAMERAS[sys.platform]
        numbered = device.isdigit() or sys.platform != "linux"
        if form not in av.formats_available:
            raise VideoError(
                f"this build of PyAV has no {form}, which reads cameras. Send the camera as a stream, for example with "
                "`ffmpeg` or `v4l2rtspserver`, and give its URL"
            )
        return av.open(path.format(device) if numbered else device, format=form)

    return connect


def stream(url: str) -> Callable[[], Any]:
    """A function that opens a stream."""

    def connect():
        options = _OPTIONS if url.lower().startswith("rtsp") else {"fflags": "nobuffer"}
        return load_av().open(url, options=options, timeout=(TIMEOUT, TIMEOUT))

    return connect
