"""What was found in overlapping views of an image becomes one box for each object.

A box that ends at the border of its tile may be a part of an object. It gives way to a whole box that holds most of it,
seen by a neighbouring tile or in the whole image. Two parts that continue each other across a border are joined.
"""

import numpy as np

from keras_ssd.boxes import area, iou_matrix

_NEAR = 0.02  # a box ends at a tile's border if it comes so near, in shares of the tile
_HELD = 0.6  # share of a part in a whole box from which it belongs to it
_ALONG = 0.5  # overlap, along the border, of two parts of one object


def merged(rows: np.ndarray, views: np.ndarray, size_hw: tuple[int, int], iou_threshold: float) -> np.ndarray:
    """One row for each object.

    Args:
        rows: (K, 6) class id, score, xmin, ymin, xmax, ymax in pixels of the image.
        views: (K, 4) xmin, ymin, xmax, ymax of the view that each was found in.
        size_hw: of the image.
        iou_threshold: boxes of one class that overlap more are one object.

    Returns:
        (M, 6) rows, best first.
    """
    cut = _cut_sides(rows[:, 2:], views, size_hw)
    done = [
        _of_class(rows[rows[:, 0] == kind], cut[rows[:, 0] == kind], iou_threshold) for kind in np.unique(rows[:, 0])
    ]
    found = np.concatenate([np.zeros((0, 6)), *done])
    return found[np.argsort(-found[:, 1], kind="stable")]


def _cut_sides(boxes, views, size_hw):
    """(K, 4) which sides of a box lie at a border of its view that is none of the image."""
    height, width = size_hw
    edges = np.array([0, 0, width, height])
    near = _NEAR * np.tile(views[:, 2:] - views[:, :2], 2)
    return (np.abs(boxes - views) <= near) & (views != edges)


def _of_class(rows, cut, iou_threshold):
    parts = cut.any(axis=1)
    whole = _suppressed(rows[~parts], iou_threshold)
    rows, cut = rows[parts], cut[parts]
    if len(rows) and len(whole):
        free = ~(_held(rows[:, 2:], whole[:, 2:]) > _HELD).any(axis=1)
        rows, cut = rows[free], cut[free]
    rows = _suppressed(_joined(rows, cut), iou_threshold, _HELD)
    return _suppressed(np.concatenate([whole, rows]), iou_threshold)


def _suppressed(rows, iou_threshold, held=None):
    """Greedy suppression from high to low scores; with `held` also of boxes that lie in a better one."""
    rows = rows[np.argsort(-rows[:, 1], kind="stable")]
    keep, left = [], np.arange(len(rows))
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        same = iou_matrix(rows[best : best + 1, 2:], rows[left, 2:])[0] > iou_threshold
        if held is not None:
            same |= _held(rows[left, 2:], rows[best : best + 1, 2:])[:, 0] > held
        left = left[~same]
    return rows[keep]


def _held(parts, wholes):
    """(P, W) share of each part that lies in each whole box."""
    low = np.maximum(parts[:, None, :2], wholes[None, :, :2])
    high = np.minimum(parts[:, None, 2:], wholes[None, :, 2:])
    inter = np.prod(np.maximum(high - low, 0), axis=2)
    return inter / np.maximum(area(parts), 1e-9)[:, None]


def _joined(rows, cut):
    """Parts that continue each other become one, the best first; others stay."""
    order = np.argsort(-rows[:, 1], kind="stable")
    rows, cut = rows[order].copy(), cut[order].copy()
    gone = np.zeros(len(rows), bool)
    for one in range(len(rows)):
        other = None if gone[one] else _continuation(rows, cut, gone, one)
        while other is not None:
            low, high = np.minimum(rows[one, 2:4], rows[other, 2:4]), np.maximum(rows[one, 4:], rows[other, 4:])
            # A side of the union is cut if it is the cut side of a part that reaches that far.
            sides = np.concatenate([low, high])
            ends = np.stack([rows[one, 2:], rows[other, 2:]]) == sides
            cut[one] = (ends & cut[[one, other]]).any(axis=0)
            rows[one, 2:] = sides
            gone[other] = True
            other = _continuation(rows, cut, gone, one)
    return rows[~gone]


def _continuation(rows, cut, gone, one):
    """The best part that goes on where a cut side of `one` ends; None if there is none."""
    boxes, box = rows[:, 2:], rows[one, 2:]
    fits = np.zeros(len(rows), bool)
    for side in range(4):
        if not cut[one, side]:
            continue
        axis, opposite = side % 2, (side + 2) % 4
        across = 1 - axis
        reaches = boxes[:, side] < box[side] if side < 2 else boxes[:, side] > box[side]
        meets = boxes[:, opposite] >= box[side] if side < 2 else boxes[:, opposite] <= box[side]
        begins = (boxes[:, opposite] <= box[opposite]) if side < 2 else (boxes[:, opposite] >= box[opposite])
        shared = np.minimum(boxes[:, across + 2], box[across + 2]) - np.maximum(boxes[:, across], box[across])
        both = np.maximum(boxes[:, across + 2], box[across + 2]) - np.minimum(boxes[:, across], box[across])
        fits |= cut[:, opposite] & reaches & meets & begins & (shared > _ALONG * both)
    fits &= ~gone
    fits[one] = False
    return int(np.argmax(fits)) if fits.any() else None
