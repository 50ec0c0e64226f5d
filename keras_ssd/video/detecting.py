"""What is found in the frames of a video, and which of it is one object."""

import collections
import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.detecting import make_detecting
from keras_ssd.detections import Detections
from keras_ssd.images import MAX_PIXELS, ImageError, Source
from keras_ssd.pipeline import Detecting
from keras_ssd.reading_ahead import read_ahead
from keras_ssd.tracking import ByteTrack
from keras_ssd.video.sources import Video, open_video

LOWEST = 0.1  # score of the boxes that can continue a track
_BEGIN = 0.1  # how much more than the confidence begins a track, as in ByteTrack's own program
_AHEAD = 4  # frames decoded ahead


@checked_arguments
def track(
    model: Any,
    source: Any,
    *,
    tracker: ByteTrack | None = None,
    per_class: bool = False,
    confidence: float | None = None,
    classes: str | Sequence[str] | None = None,
    stride: int = 1,
    start: float | None = None,
    end: float | None = None,
    frame_rate: float | None = None,
    reconnect: int = 5,
    batch_size: int = 8,
    iou_threshold: float | None = None,
    keep_top_k: int | None = None,
    decoder: Any = None,
    class_names: Sequence[str] | None = None,
    workers: int | None = None,
    engine: str = "auto",
    precision: str = "float32",
    tiles: int | None = None,
    overlap: float = 0.2,
) -> Generator[Detections, None, None]:
    """Finds objects in a video and follows them from frame to frame.

    Frames are decoded, resized and computed at the same time, in batches. Frames of cameras and streams are computed
    one by one: always the newest, those in between are left out.

    Args:
        model: see `keras_ssd.detect`.
        source: path of a video file or GIF, a folder of frames, "camera:0", the URL of a stream, or a
            `keras_ssd.video.Video`.
        tracker: `keras_ssd.tracking.ByteTrack` with other settings; by default one for `confidence`.
        per_class: whether objects of different classes are never one track.
        confidence: lowest score that makes an object; one that is tracked already may fall below. None is the
            model's own.
        classes: report these classes alone; a name or several.
        stride, start, end, frame_rate, reconnect: see `keras_ssd.video.open_video`.
        batch_size, iou_threshold, keep_top_k, decoder, class_names, workers: see `keras_ssd.detect`.
        engine, precision, tiles, overlap: see `keras_ssd.detect`.

    Yields:
        `Detections` of each frame, with `track_ids`, `frame` and `time`. An object is reported from its second frame
        on. The frame itself is `found.image`.

    Raises:
        VideoError: the source cannot be read as a video.
        ImportError: PyAV or scipy is not installed.
        ValueError: as `keras_ssd.detect` and `open_video`.

    Example:
        >>> for found in track(model, "street.mp4", classes="person"):
        ...     print(found.frame, found.time, found.track_ids)
    """
    video = source
    if not isinstance(source, Video):
        video = open_video(source, stride=stride, start=start, end=end, frame_rate=frame_rate, reconnect=reconnect)
    computing = (batch_size, (iou_threshold, keep_top_k, decoder), class_names, workers, MAX_PIXELS)
    reporting = make_detecting(model, confidence, classes, *computing, (engine, precision), (tiles, overlap))
    if tracker is None:
        tracker = tracker_for(reporting.confidence, video.frame_rate, per_class)
    # Low scores continue tracks, so the network's threshold is lower than what is reported.
    lowest = min(LOWEST, tracker.high_conf_det_threshold / 2)
    detecting = make_detecting(model, lowest, classes, *computing, (engine, precision), (tiles, overlap))
    return tracked(detect_frames(detecting, video), tracker)


def tracker_for(confidence: float, frame_rate: float, per_class: bool = False) -> ByteTrack:
    """A tracker that reports objects of at least this confidence."""
    begin = min(confidence + _BEGIN, (1 + confidence) / 2)
    return ByteTrack(
        high_conf_det_threshold=confidence,
        track_activation_threshold=begin,
        frame_rate=frame_rate,
        per_class=per_class,
    )


def tracked(found: Generator[Detections, None, None], tracker: ByteTrack) -> Generator[Detections, None, None]:
    """The objects with an identity, of each frame."""
    with contextlib.closing(found):
        for detections in found:
            detections = tracker.update(detections, detections.time)
            yield detections[np.asarray(detections.track_ids) > 0]


def detect_frames(detecting: Detecting, video: Video) -> Generator[Detections, None, None]:
    """`Detections` of each frame of a video, with its number and time.

    Frames are decoded in a thread and computed in batches; those of live sources one by one, when they come.
    """
    if video.live:
        detecting = dataclasses.replace(detecting, batch_size=1)
    frames = contextlib.closing(iter(video) if video.live else read_ahead(video, _AHEAD))
    waiting = collections.deque()

    def jobs(frames):
        for frame in frames:
            waiting.append(frame)
            yield Source(frame.image, video.name)

    with frames as opened:
        ahead = 0 if video.live else detecting.batch_size
        with contextlib.closing(detecting.run(jobs(opened), ahead=ahead)) as run:
            for found in run:
                frame = waiting.popleft()
                if isinstance(found, ImageError):
                    raise found
                yield dataclasses.replace(found, frame=frame.number, time=frame.time)
