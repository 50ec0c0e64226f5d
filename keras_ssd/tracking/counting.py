"""Counts of tracked objects: those that cross a line, and those in a polygon."""

from collections.abc import Sequence

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections


class CountLine:
    """Counts the objects that cross a line, in each direction.

    The middle of an object's box counts, and an object may cross more than once. Looking from `start` to `end`, `right`
    counts those that come to the right side, and `left` those that come to the left.

    Args:
        start, end: (x, y) in pixels.

    Attributes:
        left, right: number of crossings so far.

    Raises:
        ValueError: the two points are one.

    Example:
        >>> line = CountLine((0, 240), (640, 240))
        >>> for found in model.track("street.mp4"):
        ...     line.update(found)
        >>> print(line.left, line.right)
    """

    @checked_arguments
    def __init__(self, start: Sequence[float], end: Sequence[float]) -> None:
        self.start, self.end = _points("start and end", (start, end), 2)
        if self.start == self.end:
            raise ValueError(f"a line needs two different points. Received: {self.start} twice")
        self.left = self.right = 0
        self._last: dict[int, tuple[np.ndarray, float]] = {}  # track -> its last place, and its last side that is not 0

    def update(self, detections: Detections) -> None:
        """Counts the crossings since the frame before.

        Args:
            detections: `Detections` with `track_ids`, frame by frame.
        """
        start, end = np.array(self.start), np.array(self.end)
        for track, place in _places(detections):
            side = np.sign(_cross(end - start, place - start))
            before, last = self._last.get(track, (place, side))
            if side and last and side != last and _passes_between(before, place, start, end):
                self.right += int(side > 0)  # y points down
                self.left += int(side < 0)
            # A place beside the segment's ends is remembered too: who walks around it has not crossed.
            self._last[track] = (place if side else before, side or last)


class CountZone:
    """Counts the objects in a polygon: the middle of their box is in it.

    Args:
        corners: three or more (x, y) in pixels, in order.

    Attributes:
        now: how many are in it in the latest frame.
        total: how many different ones have been in it so far.

    Raises:
        ValueError: there are fewer than three corners.
    """

    @checked_arguments
    def __init__(self, corners: Sequence[Sequence[float]]) -> None:
        self.corners = _points("corners", corners, 3)
        self.now = 0
        self._seen: set[int] = set()

    @property
    def total(self) -> int:
        """How many different objects have been in it so far."""
        return len(self._seen)

    def update(self, detections: Detections) -> None:
        """Counts the objects of a frame.

        Args:
            detections: `Detections` with `track_ids`, frame by frame.
        """
        inside = {track for track, place in _places(detections) if self._holds(place)}
        self.now = len(inside)
        self._seen |= inside

    def _holds(self, place):
        """Whether a ray from the place to the right meets the outline an odd number of times."""
        x, y = place
        ends = np.array(self.corners)
        (x1, y1), (x2, y2) = ends.T, np.roll(ends, -1, axis=0).T
        meets = (y1 > y) != (y2 > y)
        rise = np.where(meets, y2 - y1, 1)
        return bool((meets & (x < x1 + (y - y1) * (x2 - x1) / rise)).sum() % 2)


def _places(detections):
    """(track, middle of its box) of each tracked object."""
    if detections.track_ids is None:
        raise ValueError("Counting needs track_ids. Take the Detections of model.track(...) or of ByteTrack.update.")
    boxes = detections.boxes_xyxy.astype(np.float64)
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    return [(track, middle) for track, middle in zip(detections.track_ids.tolist(), middles, strict=True) if track > 0]


def _passes_between(before, after, start, end):
    """Whether the way from `before` to `after`, which lie on both sides of the line, meets its segment."""
    way = after - before
    one, other = _cross(way, start - before), _cross(way, end - before)
    return one * other <= 0


def _cross(a, b):
    return float(a[0] * b[1] - a[1] * b[0])


def _points(name, points, least):
    points = [tuple(float(value) for value in point) for point in points]
    if len(points) < least or any(len(point) != 2 for point in points) or not np.isfinite(points).all():
        raise ValueError(f"{name} must be at least {least} points (x, y) in pixels. Received: {points}")
    return tuple(points)
