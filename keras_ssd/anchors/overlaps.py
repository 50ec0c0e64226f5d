"""How much objects overlap the anchors of a spec, computed from the geometry of the grids."""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd.anchors.candidate_search import GridWindows, Pairs
from keras_ssd.anchors.nearest import nearest_best
from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.spec import AnchorSpec

_BLOCK = 1024  # objects that are compared at once
# IoUs at which the best clipped anchor is searched for. A lower IoU means more pairs.
_FIRST, *_LADDER = 0.5, 0.1, 0.01


class GridOverlaps:
    """Finds pairs of objects and anchors without comparing all of them.

    Args:
        spec: `AnchorSpec`.
    """

    def __init__(self, spec: AnchorSpec):
        self._spec = spec
        self._anchors = spec.anchors_xyxy()
        self._windows = GridWindows(self._anchors, spec.levels)

    def pairs(self, boxes_xyxy: np.ndarray, iou_threshold: float) -> Pairs:
        """(objects, anchors, IoU), each (P,), of all pairs with at least a positive IoU, by ascending object."""
        found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))]
        for start in range(0, len(boxes_xyxy), _BLOCK):
            block = boxes_xyxy[start : start + _BLOCK]
            objects, anchors = self._windows.pairs(block, iou_threshold)
            iou = bx.iou(block[objects], self._anchors[anchors])
            high = iou >= iou_threshold
            found.append((objects[high] + start, anchors[high], iou[high]))
        objects, anchors, iou = (np.concatenate(column) for column in zip(*found, strict=True))
        return objects, anchors, iou

    def best(self, objects: Objects, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """(best anchor, its IoU), each (M,), from the pairs of these objects; the IoU is 0 if no anchor overlaps."""
        boxes = objects.boxes_xyxy
        anchor, _ = nearest_best(self._spec, objects)
        best = bx.iou(boxes, self._anchors[anchor])
        rest = np.setdiff1d(np.arange(len(boxes)), self._take_best(anchor, best, pairs))
        if self._spec.clip:
            self._search(boxes, (anchor, best), rest)
        return anchor, best

    def _search(self, boxes, found, rest):
        """Writes the best anchors of objects without pairs, and their IoUs, into `found`, trying lower IoUs."""
        anchor, best = found
        for threshold in _LADDER:
            objects, anchors, iou = self.pairs(boxes[rest], threshold)
            rest = np.setdiff1d(rest, self._take_best(anchor, best, (rest[objects], anchors, iou)))
        for start in range(0, len(rest), 8):  # tiny objects, and those outside all anchors
            block = rest[start : start + 8]
            iou = bx.iou_matrix(boxes[block], self._anchors)
            anchor[block], best[block] = iou.argmax(axis=1), iou.max(axis=1)

    @staticmethod
    def _take_best(anchor, best, pairs):
        """Writes the best of the pairs, the first anchor of equals; returns the objects that have any."""
        objects, anchors, iou = pairs
        last = _last_of_each(objects, np.lexsort((-anchors, iou, objects)))
        anchor[objects[last]], best[objects[last]] = anchors[last], iou[last]
        return objects[last]


def best_iou(spec: AnchorSpec, boxes_xyxy: ArrayLike) -> np.ndarray:
    """(M,) IoU of each box, in fractions of the image, with the anchor that overlaps it most."""
    boxes = np.asarray(boxes_xyxy, np.float32)
    rows = np.arange(len(boxes))
    objects = Objects(boxes, rows, rows)
    overlaps = GridOverlaps(spec)
    return overlaps.best(objects, overlaps.pairs(objects.boxes_xyxy, _FIRST))[1]


def winners(objects: Objects, pairs: Pairs, num_anchors: int) -> np.ndarray:
    """Indices of the pairs that remain if each anchor takes the object of its image that it overlaps most.

    This is the second stage of SSD's matching. Of objects with equal IoU, the first one wins.
    """
    places, anchors, iou = pairs
    keys = objects.images[places] * np.int64(num_anchors) + anchors
    return _last_of_each(keys, np.lexsort((-places, iou, keys)))


def _last_of_each(keys, order):
    """The last index in `order` of each key; `order` sorts by key."""
    keys = keys[order]
    return order[np.flatnonzero(np.append(keys[1:] != keys[:-1], True)[: len(keys)])]


def concentric_iou(sizes_hw: np.ndarray, shapes_hw: np.ndarray) -> np.ndarray:
    """IoU (M, K) of each object with each shape, as if they had the same centre."""
    inter = np.minimum(sizes_hw[:, None], shapes_hw[None]).prod(axis=2)
    return inter / (sizes_hw.prod(axis=1)[:, None] + shapes_hw.prod(axis=1)[None] - inter)
