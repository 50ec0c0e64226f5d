"""Formulas on boxes, written once for numpy and for `keras.ops` (`xp`).

The format is in the name: `boxes_xyxy` are corners (xmin, ymin, xmax, ymax), `boxes_cxcywh` centre and size. The last
axis has the four numbers; any leading shape is allowed. Units are the caller's (fractions or pixels).
"""

from typing import Any

import numpy as np


def cxcywh_to_xyxy(boxes_cxcywh: Any, xp: Any = np) -> Any:
    """Corners from centre and size."""
    centres, halves = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return xp.concatenate([centres - halves, centres + halves], axis=-1)


def xyxy_to_cxcywh(boxes_xyxy: Any, xp: Any = np) -> Any:
    """Centre and size from corners."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return xp.concatenate([(low + high) / 2, high - low], axis=-1)


def xyxy_to_xywh(boxes_xyxy: Any, xp: Any = np) -> Any:
    """Upper left corner and size (COCO's format) from corners."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return xp.concatenate([low, high - low], axis=-1)


def xywh_to_xyxy(boxes_xywh: Any, xp: Any = np) -> Any:
    """Corners from upper left corner and size (COCO's format)."""
    low, size = boxes_xywh[..., :2], boxes_xywh[..., 2:]
    return xp.concatenate([low, low + size], axis=-1)


def swap_xy(boxes: Any, xp: Any = np) -> Any:
    """(x, y, x, y) to (y, x, y, x) and back; for (cx, cy, w, h) likewise."""
    return xp.concatenate([boxes[..., 1:2], boxes[..., 0:1], boxes[..., 3:4], boxes[..., 2:3]], axis=-1)


def area(boxes_xyxy: Any, xp: Any = np) -> Any:
    """Area; a box with xmax < xmin or ymax < ymin has none."""
    sides = boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]
    sides = xp.maximum(sides, 0)
    return sides[..., 0] * sides[..., 1]


def iou(boxes_a_xyxy: Any, boxes_b_xyxy: Any, xp: Any = np) -> Any:
    """Intersection over union of boxes that broadcast against each other; 0 where both have no area.

    The order of operations, inter / (area_a + area_b - inter), is Caffe's: in float32 its last bit decides ties.
    """
    left, top, right, bottom = ((boxes_a_xyxy[..., i], boxes_b_xyxy[..., i]) for i in range(4))
    width = xp.maximum(xp.minimum(*right) - xp.maximum(*left), 0)
    height = xp.maximum(xp.minimum(*bottom) - xp.maximum(*top), 0)
    inter = width * height
    union = area(boxes_a_xyxy, xp) + area(boxes_b_xyxy, xp) - inter
    return xp.where(inter > 0, inter / xp.where(inter > 0, union, 1), 0)


def iou_matrix(boxes_a_xyxy: Any, boxes_b_xyxy: Any, xp: Any = np) -> Any:
    """IoU of each of (..., M, 4) with each of (..., N, 4): (..., M, N)."""
    return iou(boxes_a_xyxy[..., :, None, :], boxes_b_xyxy[..., None, :, :], xp)


def clip(boxes_xyxy: Any, size_hw: Any, xp: Any = np) -> Any:
    """Corners moved into an image of this (height, width); (1, 1) for fractions."""
    height, width = size_hw
    limits = [width, height, width, height]
    columns = [xp.clip(boxes_xyxy[..., i : i + 1], 0, limit) for i, limit in enumerate(limits)]
    return xp.concatenate(columns, axis=-1)


def scale(boxes: Any, size_hw: Any, xp: Any = np) -> Any:
    """Fractions to pixels of an image of this (height, width)."""
    height, width = size_hw
    return boxes * xp.asarray([width, height, width, height], dtype=boxes.dtype)
