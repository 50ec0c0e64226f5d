"""ByteTrack: identities for the boxes of a video (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating
Every Detection Box", ECCV 2022)."""

import dataclasses
import math
import numbers

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections
from keras_ssd.tracking.association import associate
from keras_ssd.tracking.motion import Motion

NO_TRACK = -1
_BUFFER_RATE = 30.0  # frames per second that `lost_track_buffer` counts in


class ByteTrack:
    """Gives every object of a video an identity that it keeps from frame to frame.

    A Kalman filter predicts the box of each track. Boxes with high scores are assigned to the tracks first, so that the
    sum of their overlaps is largest. Then boxes with low scores go to the tracks that are left: an object that is half
    hidden keeps its identity. Only boxes with high scores begin tracks. The arguments have the names and defaults of
    the library `trackers`, and the identities are the same.

    Args:
        track_activation_threshold: lowest score that begins a track, 0..1.
        high_conf_det_threshold: lowest score of the boxes that are assigned first, 0..1.
        lost_track_buffer: how long a track without boxes is remembered, in frames of a video with 30 frames per second;
            the duration is the same at other frame rates.
        minimum_consecutive_frames: a track gets its identity once it has boxes in so many frames in a row.
        minimum_iou_threshold: least overlap (IoU) of a box with the predicted one, 0..1.
        frame_rate: frames per second of the video.
        per_class: whether objects of different classes are never one track. By default a track may change its class,
            as it does where a detector wavers between "car" and "truck".

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> tracker = ByteTrack(minimum_consecutive_frames=1)
        >>> found = Detections([[10, 20, 30, 60]], [0.9], [0], ("cat",), size_hw=(100, 200))
        >>> tracker.update(found).track_ids.tolist(), tracker.update(found).track_ids.tolist()
        ([-1], [1])
    """

    @checked_arguments
    def __init__(
        self,
        *,
        track_activation_threshold: float = 0.7,
        high_conf_det_threshold: float = 0.6,
        lost_track_buffer: int = 30,
        minimum_consecutive_frames: int = 2,
        minimum_iou_threshold: float = 0.1,
        frame_rate: float = 30.0,
        per_class: bool = False,
    ) -> None:
        shares = {
            "track_activation_threshold": track_activation_threshold,
            "high_conf_det_threshold": high_conf_det_threshold,
            "minimum_iou_threshold": minimum_iou_threshold,
        }
        for name, value in shares.items():
            _check(name, value, 0, 1)
        _check("lost_track_buffer", lost_track_buffer, 0, math.inf)
        _check("minimum_consecutive_frames", minimum_consecutive_frames, 1, math.inf)
        _check("frame_rate", frame_rate, 1e-3, 1e6)
        self.track_activation_threshold = track_activation_threshold
        self.high_conf_det_threshold = high_conf_det_threshold
        self.minimum_iou_threshold = minimum_iou_threshold
        self.minimum_consecutive_frames = minimum_consecutive_frames
        self.lost_track_buffer = lost_track_buffer
        self.frame_rate = frame_rate
        self.per_class = per_class
        self.reset()

    def reset(self) -> None:
        """Forgets every track; identities begin at 1 again."""
        self._motion = Motion()
        self._ids: np.ndarray = np.zeros(0, int)  # of each track, NO_TRACK until it has boxes in enough frames
        self._classes: np.ndarray = np.zeros(0, int)
        self._runs: np.ndarray = np.zeros(0, int)  # frames in a row with a box, up to the last frame that had one
        self._missed: np.ndarray = np.zeros(0, int)  # frames since the last box
        self._missed_seconds: np.ndarray = np.zeros(0)
        self._next_id = 1
        self._time: float | None = None

    @property
    def _most_missed(self) -> int:
        if not self.lost_track_buffer:
            return 0
        return max(1, math.ceil(self.frame_rate / _BUFFER_RATE * self.lost_track_buffer))

    def update(self, detections: Detections, time: float | None = None) -> Detections:
        """The detections of the next frame with their tracks.

        Args:
            detections: `Detections` of one frame, those with low scores too (0.1 is usual).
            time: of the frame in seconds, if frames come at varying intervals; then tracks move on, and are forgotten,
                by the time that passed. All frames or none must have one. None means one frame after the other.

        Returns:
            The same `Detections` with `track_ids`; -1 for a box that belongs to no track, or to one that has too few
            boxes yet.

        Raises:
            ValueError: the time is not after that of the frame before.
        """
        boxes = detections.boxes_xyxy.astype(np.float64)
        ids = np.full(len(boxes), NO_TRACK)
        timed = self._move_on(time)
        if timed:  # by time, those that were lost too long cannot be continued; by frames, they can in the last one
            self._keep(self._missed_seconds <= self._most_seconds)
        high = detections.scores >= self.high_conf_det_threshold
        predicted, classes = self._motion.boxes_xyxy.copy(), self._classes
        tracks, found, free_tracks, free = self._associate(predicted, classes, boxes[high], detections.class_ids[high])
        first, free_first = np.flatnonzero(high)[found], np.flatnonzero(high)[free]
        self._continue(tracks, first, boxes, detections.class_ids, ids)
        tracks, found, _, _ = self._associate(
            predicted[free_tracks], classes[free_tracks], boxes[~high], detections.class_ids[~high]
        )
        self._continue(free_tracks[tracks], np.flatnonzero(~high)[found], boxes, detections.class_ids, ids)
        begin = free_first[detections.scores[free_first] >= self.track_activation_threshold]
        self._begin(boxes[begin], detections.class_ids[begin])
        self._forget(timed)
        return dataclasses.replace(detections, track_ids=ids)

    @property
    def _most_seconds(self) -> float:
        return self.lost_track_buffer / _BUFFER_RATE

    def _move_on(self, time):
        """Predicts every track's box; returns whether frames have times."""
        frames, seconds = 1.0, 0.0
        if time is not None:
            seconds = 1 / self.frame_rate if self._time is None else time - self._time
            if not seconds > 0:
                raise ValueError(
                    f"the time of a frame must be after that of the frame before, {self._time}. Received: time={time}"
                )
            frames = seconds * self.frame_rate
        self._time = time
        self._motion.predict(frames, self.frame_rate)
        self._runs[self._missed > 0] = 0
        self._missed += 1
        self._missed_seconds += seconds
        return time is not None

    def _associate(self, tracks, track_classes, boxes, classes):
        allowed = track_classes[:, None] == classes if self.per_class else None
        return associate(iou_matrix(tracks, boxes), self.minimum_iou_threshold, allowed)

    def _continue(self, tracks, found, boxes, classes, ids):
        """Tracks with the detections that continue them; writes into `ids`."""
        self._motion.update(tracks, boxes[found])
        self._classes[tracks] = classes[found]
        self._missed[tracks], self._missed_seconds[tracks] = 0, 0.0
        self._runs[tracks] += 1
        for track in tracks:  # in the order of the tracks
            if self._ids[track] == NO_TRACK and self._runs[track] >= self.minimum_consecutive_frames:
                self._ids[track] = self._next_id
                self._next_id += 1
        ids[found] = self._ids[tracks]

    def _begin(self, boxes, classes):
        count = len(boxes)
        self._motion.add(boxes)
        self._ids = np.append(self._ids, np.full(count, NO_TRACK))
        self._classes = np.append(self._classes, classes)
        self._runs = np.append(self._runs, np.ones(count, int))
        self._missed = np.append(self._missed, np.zeros(count, int))
        self._missed_seconds = np.append(self._missed_seconds, np.zeros(count))

    def _forget(self, timed):
        """Drops tracks that are lost too long, and those without an identity that are lost at all."""
        recent = self._missed_seconds <= self._most_seconds if timed else self._missed <= self._most_missed
        grown = (self._ids != NO_TRACK) | (self._runs >= self.minimum_consecutive_frames)
        self._keep(recent & (grown | (self._missed == 0)))

    def _keep(self, keep):
        rows = np.flatnonzero(keep)
        self._motion.keep(rows)
        for name in ("_ids", "_classes", "_runs", "_missed", "_missed_seconds"):
            setattr(self, name, getattr(self, name)[rows])


def _check(name, value, low, high):
    if not isinstance(value, numbers.Real) or not low <= value <= high:
        expected = f"a number from {low} on" if high == math.inf else f"a number in {low}..{high}"
        raise ValueError(f"{name} must be {expected}. Received: {name}={value!r}")
