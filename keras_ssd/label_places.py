"""Where labels go on an image with boxes: near their box, off each other, and off small objects.

Greedy, first come first served, and without chance: the same boxes give the same places. Best placement is NP-hard
(Marks and Shieber 1991, "The Computational Complexity of Cartographic Label Placement"), and drawing must be fast.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

MOST_HIDDEN = 0.15  # of a box's area, by all labels together
FAR = (1.0, 2.2, 4.0)  # distances of a label that a line leads to, in its own heights
_RUNG_COST, _HIDING_COST, _TOUCHING_COST = 8.0, 10.0, 0.25


def _around():
    """Places of a label around its box, that touch it and that are away from it.

    Returns:
        Two (P, 2, 4): the upper left corner's x and y as factors of (low, high, length, height), where low and high are
        the box's bounds on that axis, length is the label's on that axis, and height is the label's.
    """
    low, high, before_low, before_high = (1, 0, 0, 0), (0, 1, 0, 0), (1, 0, -1, 0), (0, 1, -1, 0)
    middle = (0.5, 0.5, -0.5, 0)
    touching = [
        *((x, before_low) for x in (low, before_high)),  # above
        *((x, low) for x in (low, before_high)),  # inside
        *((x, high) for x in (low, before_high)),  # below
        *((x, before_high) for x in (low, before_high)),  # inside
        *((x, y) for y in (low, before_high) for x in (high, before_low)),  # beside
        (middle, before_low),
        (middle, high),
    ]
    away = []
    for gap in FAR:
        steps = ((1, 0, -1, -gap), (1, 0, -0.5, 0), middle, (0, 1, -0.5, 0), (0, 1, 0, gap))
        away += [(x, y) for i, x in enumerate(steps) for j, y in enumerate(steps) if i in (0, 4) or j in (0, 4)]
    return np.array(touching, np.float32), np.array(away, np.float32)


_TOUCHING, _AWAY = _around()
# Penalties: each later place is slightly less preferred.
_LIKED = np.arange(len(_TOUCHING) + len(_AWAY), dtype=np.float32) / 100
_ALONG = np.linspace(0.1, 1, 7, dtype=np.float32)[:, None]
_ALL = np.concatenate([_TOUCHING, _AWAY])


class Place(NamedTuple):
    """The place of a label.

    Attributes:
        rung: the index of its size.
        xyxy: four whole numbers of pixels.
        leader: ((x, y), (x, y)) of the line from label to box; None if they touch.
    """

    rung: int
    xyxy: tuple[int, ...]
    leader: tuple[tuple[float, float], tuple[float, float]] | None


class Placing:
    """Places labels one after the other.

    Args:
        boxes_xyxy: (K, 4) pixels of all boxes.
        size_hw: of the image.
    """

    def __init__(self, boxes_xyxy: ArrayLike, size_hw: Sequence[int]) -> None:
        self._limit = np.array([size_hw[1], size_hw[0]], np.float32)
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        self._boxes = np.clip(boxes, 0, np.tile(self._limit, 2))
        wide, high = (self._boxes[:, 2:] - self._boxes[:, :2]).T
        self._areas = np.maximum(wide * high, 1)
        self._hidden = np.zeros(len(boxes), np.float32)  # share of each box
        self._taken = np.zeros((4 * len(boxes) + 8, 4), np.float32)  # labels, and points of leaders
        self._count = 0

    def near(self, row: int, sizes_wh: Sequence[Sequence[int]]) -> Place | None:
        """The `Place` of a box's label, or None if there is no room for any size.

        Args:
            row: of the box.
            sizes_wh: (R, 2) whole numbers: possible sizes, the best first; width 0 for none.
        """
        sizes = [(rung, size) for rung, size in enumerate(sizes_wh) if self._fits(size)]
        offers = self._offers(row, sizes[:1], _TOUCHING)
        if not offers or offers[0][0] > 1:  # all others cost more than 1
            offers = self._offers(row, sizes, _ALL)
        for _, rung, place, gap in offers:
            leader = _leader(place, self._boxes[row].tolist()) if gap > 2 else None
            if leader is None or not self._crosses(leader):
                self._take(place, leader)
                return Place(rung, tuple(map(int, place)), leader)
        return None

    def at_the_rim(self, size_wh: Sequence[int]) -> tuple[int, ...] | None:
        """(xmin, ymin, xmax, ymax) of something without a box, where it covers least; None without room."""
        size = np.array(size_wh, np.float32)
        if not self._fits(size):
            return None
        along = np.linspace(0, 1, 9)
        shares = np.array([(x, y) for x in (0, 1) for y in along] + [(x, y) for y in (0, 1) for x in along])
        corners = np.round(shares * (self._limit - size)).astype(np.float32)
        places = np.hstack([corners, corners + size])
        cost, allowed = self._cost(places, -1)
        if not allowed.any():
            return None
        place = places[np.argmin(np.where(allowed, cost, np.inf))].tolist()
        self._take(place, None)
        return tuple(map(int, place))

    def _fits(self, size):
        return size[0] > 0 and size[0] <= self._limit[0] and size[1] <= self._limit[1]

    def _offers(self, row, sizes, where):
        """List of (cost, rung, place, gap to the box), cheapest first, of the places that are allowed."""
        if not sizes:
            return []
        box = self._boxes[row]
        xmin, ymin, xmax, ymax = box.tolist()
        facts = [((xmin, xmax, w, h), (ymin, ymax, h, h)) for _, (w, h) in sizes]
        corners = np.einsum("pak,rak->rpa", where, np.array(facts, np.float32))  # R, P, 2
        size = np.array([size for _, size in sizes], np.float32)[:, None]  # R, 1, 2
        moved = np.round(np.minimum(np.maximum(corners, 0), self._limit - size))
        shift = np.abs(moved - corners).sum(axis=2)
        places = np.concatenate([moved, moved + size], axis=2)
        gap = np.maximum(np.maximum(box[:2] - places[..., 2:], places[..., :2] - box[2:]), 0).sum(axis=2)
        cost = _RUNG_COST * np.array([[rung] for rung, _ in sizes], np.float32) + _LIKED[: len(where)]
        cost = (cost + (gap + 0.3 * shift) / size[..., 1]).ravel()
        places = places.reshape(-1, 4)
        hiding, allowed = self._cost(places, row)
        cost += hiding
        rows = np.flatnonzero(allowed)
        rows = rows[np.argsort(cost[rows], kind="stable")]
        rungs = np.repeat([rung for rung, _ in sizes], len(where))
        parts = (cost[rows], rungs[rows], places[rows], gap.ravel()[rows])
        return [*zip(*(part.tolist() for part in parts), strict=True)]

    def _cost(self, places, row):
        """(P,) what places would hide, and (P,) whether they may."""
        low, high = places[:, :2].min(axis=0), places[:, 2:].max(axis=0)
        taken = self._taken[: self._count]
        allowed = ~_shared(places, taken[_near(taken, low, high)]).any(axis=1)
        near = np.flatnonzero(_near(self._boxes, low, high))
        share = _shared(places, self._boxes[near]) / self._areas[near]
        touched = share > 0
        allowed &= ~(touched & (share > MOST_HIDDEN - self._hidden[near])).any(axis=1)
        cost = _HIDING_COST * share.sum(axis=1) + _TOUCHING_COST * (touched @ (near != row).astype(np.float32))
        return cost, allowed

    def _take(self, place, leader):
        self._hidden += _shared(np.array([place], np.float32), self._boxes)[0] / self._areas
        rows = [place]
        if leader is not None:  # later labels keep off the line
            (x, y), (to_x, to_y) = leader
            for part in (0.25, 0.5, 0.75):
                at_x, at_y = x + part * (to_x - x), y + part * (to_y - y)
                rows.append((at_x - 1, at_y - 1, at_x + 1, at_y + 1))
        self._taken[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def _crosses(self, leader):
        """Whether a line runs over something that is there already."""
        start, end = np.array(leader, np.float32)
        points = start + _ALONG * (end - start)
        taken = self._taken[: self._count]
        inside = (points[:, None] >= taken[None, :, :2]) & (points[:, None] <= taken[None, :, 2:])
        return bool((inside[..., 0] & inside[..., 1]).any())


def _near(rows, low, high):
    """Which rectangles overlap the one from low to high."""
    return (rows[:, 0] < high[0]) & (rows[:, 1] < high[1]) & (rows[:, 2] > low[0]) & (rows[:, 3] > low[1])


def _leader(place, box):
    """Two points on the edges of label and box, where they are nearest."""
    ends = []
    for axis in (0, 1):
        low, high = max(place[axis], box[axis]), min(place[axis + 2], box[axis + 2])
        if low <= high:
            ends.append(((low + high) / 2, (low + high) / 2))
        else:
            ends.append((high, low) if place[axis + 2] < box[axis] else (low, high))
    (x, to_x), (y, to_y) = ends
    return (x, y), (to_x, to_y)


def _shared(places, boxes):
    """(P, K) area that each place shares with each box."""
    wide = np.minimum(places[:, None, 2], boxes[:, 2]) - np.maximum(places[:, None, 0], boxes[:, 0])
    high = np.minimum(places[:, None, 3], boxes[:, 3]) - np.maximum(places[:, None, 1], boxes[:, 1])
    return np.maximum(wide, 0) * np.maximum(high, 0)
