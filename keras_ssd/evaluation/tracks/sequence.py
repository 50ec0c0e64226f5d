"""A video's true tracks beside those that were found, frame by frame, with their overlaps."""

import dataclasses
import itertools
from collections.abc import Iterable

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.detections import Detections


@dataclasses.dataclass(frozen=True)
class Frame:
    """Tracks in one frame.

    Args:
        truth: (M,) places of the true tracks among all of the video's.
        found: (K,) places of the found tracks.
        overlaps: (M, K) IoU of their boxes.
    """

    truth: np.ndarray
    found: np.ndarray
    overlaps: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sequence:
    """The frames of one video.

    Args:
        frames: list of `Frame`.
        num_truth, num_found: how many tracks there are.
    """

    frames: list[Frame]
    num_truth: int
    num_found: int

    @classmethod
    def of(cls, truth: Iterable[Detections], found: Iterable[Detections]) -> "Sequence":
        """The frames of both sides, by their number; where they have none, by their order."""
        sides = [_by_frame(truth, "truth"), _by_frame(found, "found")]
        ids = [np.unique(np.concatenate([[], *(one for one, _ in side.values())])) for side in sides]
        frames = []
        nothing = np.zeros(0, int), np.zeros((0, 4))
        for number in sorted(sides[0].keys() | sides[1].keys()):
            (true_ids, true_boxes), (found_ids, found_boxes) = (side.get(number, nothing) for side in sides)
            places = np.searchsorted(ids[0], true_ids), np.searchsorted(ids[1], found_ids)
            frames.append(Frame(*places, iou_matrix(true_boxes, found_boxes)))
        return cls(frames, len(ids[0]), len(ids[1]))


def _by_frame(detections, name):
    """{number: (track ids, boxes)} of the objects with a track."""
    frames = {}
    for place, one in enumerate(itertools.chain(detections)):
        if one.track_ids is None:
            raise ValueError(
                f"{name} must be Detections with track_ids, as model.track(...) and read_mot(...) give them. "
                f"Received: {one!r} without track_ids"
            )
        number = place if one.frame is None else one.frame
        tracked = one.track_ids > 0
        ids = one.track_ids[tracked]
        if number in frames:
            raise ValueError(f"{name} has two Detections of frame {number}.")
        if len(np.unique(ids)) != len(ids):
            raise ValueError(f"{name}: frame {number} has two boxes of one track. Received: track_ids={ids.tolist()}")
        frames[number] = ids, one.boxes_xyxy[tracked].astype(np.float64)
    return frames
