"""Matching on the host with numpy, object by object, without the IoU of all pairs in memory."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd.anchors.candidate_search import WINDOW_IOU, GridWindows
from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.matching.float64 import there_and_back
from keras_ssd.matching.rules import MatchRules

# Number of objects that are compared with all anchors at once: enough to save calls, few enough to fit the CPU cache.
BLOCK = 8


@dataclass(frozen=True, eq=False)
class Matches:
    """The matches between the anchors and the objects of one image.

    Args:
        object_of_anchor: (N,) int32, index of the object, -1 for none.
        neutral: (N,) bool, anchors without an object that do not count as background.
        best_iou: (M,) each object's highest IoU with any anchor.
    """

    object_of_anchor: np.ndarray
    neutral: np.ndarray
    best_iou: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """(M,) number of anchors matched to each object."""
        return np.bincount(self.object_of_anchor[self.object_of_anchor >= 0], minlength=len(self.best_iou))

    @property
    def unmatched(self) -> np.ndarray:
        """Indices of the objects without a matched anchor: a network cannot learn them."""
        return np.flatnonzero(self.counts == 0)

    @property
    def not_overlapped(self) -> np.ndarray:
        """Indices of the objects that no anchor overlaps. Some methods match them with an anchor nevertheless."""
        return np.flatnonzero(self.best_iou == 0)

    def anchors_of(self, index: int) -> np.ndarray:
        """Indices of the anchors that are matched to one object."""
        return np.flatnonzero(self.object_of_anchor == index)


class AnchorOverlaps:
    """IoU with a fixed set of anchors: bit for bit the result of `keras_ssd.boxes.iou`, in a third of its time.

    Args:
        anchors_xyxy: (N, 4) fractions of the image.
        rules: `MatchRules`. They may leave out anchors, whose IoU with every object is then 0.
        levels: the `AnchorLevel`s of the anchors, which save most comparisons; None if the anchors lie on no grid.
    """

    def __init__(self, anchors_xyxy: ArrayLike, rules: MatchRules, levels: Sequence[AnchorLevel] | None = None):
        anchors = np.array(anchors_xyxy, np.float64 if rules.float64 else np.float32)
        self.left_out: np.ndarray = rules.anchors_left_out(anchors)
        anchors[self.left_out] = 0
        areas = bx.area(anchors)
        # The divisor of an anchor without area does not matter, as long as it is not 0.
        self._areas = np.where(areas > 0, areas, areas.dtype.type(1))
        self._sides = np.ascontiguousarray(anchors.T)
        self.windows: GridWindows | None = None
        if levels is not None and GridWindows.fit(anchors, levels):
            self.windows = GridWindows(anchors, levels)

    def __len__(self) -> int:
        return len(self._areas)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the anchors and of the IoUs."""
        return self._areas.dtype

    def blocks(self, boxes_xyxy: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yields (first object, IoU (up to BLOCK, N)); the array is overwritten by the next block."""
        buffers = np.empty((3, min(BLOCK, len(boxes_xyxy)), len(self)), self.dtype)
        for start in range(0, len(boxes_xyxy), BLOCK):
            boxes = boxes_xyxy[start : start + BLOCK]
            sides, areas = boxes.T[:, :, None], bx.area(boxes)[:, None]  # (4, block, 1), (block, 1)
            yield start, _iou(self._sides, self._areas, sides, areas, buffers[:, : len(boxes)])

    def of_pairs(self, boxes_xyxy: np.ndarray, objects: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """IoU (P,) of single pairs, given by their indices."""
        inter, low, other = np.empty((3, len(anchors)), self.dtype)
        box = [side[objects] for side in np.ascontiguousarray(boxes_xyxy.T)]
        anchor = [side[anchors] for side in self._sides]
        return _iou(anchor, self._areas[anchors], box, bx.area(boxes_xyxy)[objects], (inter, low, other))


def _iou(a, area_a, b, area_b, buffers):
    """`keras_ssd.boxes.iou` of boxes given by side, into the first of three buffers; area_a is positive."""
    inter, low, other = buffers
    _shared_length(a[0], a[2], b[0], b[2], inter, low)
    _shared_length(a[1], a[3], b[1], b[3], other, low)
    np.multiply(inter, other, out=inter)
    np.add(area_a, area_b, out=other)
    np.subtract(other, inter, out=other)
    return np.divide(inter, other, out=inter)


def _shared_length(low_a, high_a, low_b, high_b, out, low):
    np.minimum(high_a, high_b, out=out)
    np.maximum(low_a, low_b, out=low)
    np.subtract(out, low, out=out)
    np.maximum(out, 0, out=out)


def match(boxes_xyxy: ArrayLike, anchors_xyxy: ArrayLike | AnchorOverlaps, rules: MatchRules | None = None) -> Matches:
    """Matches the objects of one image with anchors.

    Args:
        boxes_xyxy: (M, 4) objects in fractions of the image. An object without area overlaps nothing.
        anchors_xyxy: (N, 4) fractions of the image, or their `AnchorOverlaps`, which saves time when many images
            are matched.
        rules: `MatchRules`; None for the original SSD's.

    Example:
        >>> spec = keras_ssd.anchors.named_spec("ssd300_voc")
        >>> match([[0.1, 0.1, 0.6, 0.9]], spec.anchors_xyxy()).counts
        array([12])
    """
    rules = rules or MatchRules()
    overlaps = anchors_xyxy if isinstance(anchors_xyxy, AnchorOverlaps) else AnchorOverlaps(anchors_xyxy, rules)
    boxes = np.asarray(boxes_xyxy, overlaps.dtype).reshape(-1, 4)
    if rules.float64:
        boxes = there_and_back(boxes)
    best_anchor, best_iou, pairs = _compare(boxes, overlaps, rules.lowest_iou)
    owner = np.full(len(overlaps), -1, np.int32)
    if rules.per_anchor:
        _assign_by_iou(owner, pairs, rules.iou_threshold)
    _assign_own_anchors(owner, (boxes, best_anchor, best_iou), overlaps, rules)
    neutral = overlaps.left_out & (owner < 0)
    if rules.neutral_iou is not None:
        _, anchors, iou = pairs
        near = anchors[iou >= rules.neutral_iou]
        neutral[near[owner[near] < 0]] = True
    return Matches(owner, neutral, best_iou)


def _compare(boxes, overlaps, lowest_iou):
    """The best anchor of each object with its IoU, and all pairs (objects, anchors, IoU) of at least `lowest_iou`."""
    if overlaps.windows is None or not len(boxes):
        return _compare_all(boxes, overlaps, lowest_iou)
    enough = min(WINDOW_IOU, lowest_iou)
    objects, anchors = overlaps.windows.pairs(boxes, enough)
    iou = overlaps.of_pairs(boxes, objects, anchors)
    best_iou = np.zeros(len(boxes), overlaps.dtype)
    np.maximum.at(best_iou, objects, iou)
    best = np.flatnonzero(iou == best_iou[objects])
    best_anchor = np.full(len(boxes), len(overlaps))
    np.minimum.at(best_anchor, objects[best], anchors[best])  # the first of equals
    rest = np.flatnonzero(best_iou < enough)  # the best may lie outside their windows
    best_anchor[rest], best_iou[rest], _ = _compare_all(boxes[rest], overlaps, lowest_iou)
    high = np.flatnonzero(iou >= lowest_iou)
    return best_anchor, best_iou, (objects[high], anchors[high], iou[high])


def _compare_all(boxes, overlaps, lowest_iou):
    """The same by comparing each object with all anchors."""
    best_anchor = np.zeros(len(boxes), np.int64)
    best_iou = np.zeros(len(boxes), overlaps.dtype)
    pairs = []
    for start, iou in overlaps.blocks(boxes):
        best = iou.argmax(axis=1)  # the first of equals
        stop = start + len(best)
        best_anchor[start:stop] = best
        best_iou[start:stop] = iou[np.arange(len(best)), best]
        flat = np.flatnonzero(iou >= lowest_iou)
        objects, anchors = np.divmod(flat, len(overlaps))
        pairs.append((objects + start, anchors, iou.ravel()[flat]))
    if not pairs:
        return best_anchor, best_iou, (best_anchor, best_anchor, best_iou)
    return best_anchor, best_iou, tuple(np.concatenate(columns) for columns in zip(*pairs, strict=True))


def _assign_by_iou(owner, pairs, threshold):
    """Gives each anchor the object that it overlaps most, the first of equals."""
    objects, anchors, iou = pairs
    # Where an anchor occurs twice numpy keeps what is written last: the highest IoU, of equals the first object.
    order = np.lexsort((-objects, iou))
    order = order[iou[order] >= threshold]
    owner[anchors[order]] = objects[order]


def _assign_own_anchors(owner, objects, overlaps, rules):
    """Gives each object one anchor of its own, even if another object had it."""
    boxes, best_anchor, _ = objects
    if rules.method == "torchvision":
        owner[best_anchor] = np.arange(len(boxes))
        return
    own = _greedy(objects, overlaps, rules.least_iou)
    if rules.method == "ssd_keras" and (own < 0).any():
        own[own < 0] = 0
        own[0] = 0  # its search for the highest IoU ends at object 0 and anchor 0 once all are 0
    served = np.flatnonzero(own >= 0)
    owner[own[served]] = served


def _greedy(objects, overlaps, least_iou):
    """(M,) one anchor for each object, -1 for none. Highest IoU first; of equals the first anchor, then object."""
    boxes, best_anchor, best_iou = objects
    own = np.full(len(boxes), -1, np.int64)
    waiting = [
        (-iou, anchor, index)
        for index, (iou, anchor) in enumerate(zip(best_iou.tolist(), best_anchor.tolist(), strict=True))
        if iou > least_iou
    ]
    heapq.heapify(waiting)
    taken, choices = set(), {}
    while waiting:
        _, anchor, index = heapq.heappop(waiting)
        if anchor not in taken:
            taken.add(anchor)
            own[index] = anchor
            continue
        if index not in choices:
            choices[index] = _by_falling_iou(boxes[index : index + 1], overlaps, least_iou)
        following = next((choice for choice in choices[index] if choice[1] not in taken), None)
        if following is not None:
            heapq.heappush(waiting, (*following, index))
    return own


def _by_falling_iou(box, overlaps, least_iou):
    """Iterates over (-IoU, anchor) of the anchors that one object overlaps, best first."""
    [(_, [iou])] = overlaps.blocks(box)
    anchors = np.flatnonzero(iou > least_iou)
    anchors = anchors[np.argsort(-iou[anchors], kind="stable")]
    return zip((-iou[anchors]).tolist(), anchors.tolist(), strict=True)
