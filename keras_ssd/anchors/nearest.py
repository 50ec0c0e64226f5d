"""IoU of objects with the nearest anchors of a grid, without making the anchors.

Of the anchors of one level and one shape, the one whose centre is nearest on each axis has the highest IoU with an
object, because the overlap of two intervals shrinks with the distance between their centres. So each object needs to be
compared with only one anchor per shape instead of with a grid of them. Clipped anchors are an exception: their shapes
differ at the edge of the image, so another one can be slightly better than the nearest.
"""

from typing import Any

import numpy as np

from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.spec import AnchorSpec


def nearest_cells(
    level: AnchorLevel, centres_yx: np.ndarray, place: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(cells, distances), each (M, 2) as (y, x): the nearest cell of each object, and the distance of its centre.

    Centres are (M, 2) pixels of the input. `place` is the index of a box whose centre is used; None is the cell's
    centre.
    """
    step, offset = np.array(level.step_hw), np.array(level.offset_hw)
    if place is not None and level.shifts_hw:
        offset = offset + np.array(level.shifts_hw[place]) / step
    cells = np.clip(np.rint(centres_yx / step - offset), 0, np.array(level.grid_hw) - 1)
    return cells.astype(np.int64), np.abs((cells + offset) * step - centres_yx)


def iou_at(sizes_hw: Any, distances: Any, shapes_hw: Any) -> np.ndarray:
    """IoU of boxes whose centres have given distances in y and x. Each argument is a pair of arrays; they broadcast."""
    shared = []
    for size, distance, shape in zip(sizes_hw, distances, shapes_hw, strict=True):
        common = np.minimum(size, shape)
        np.minimum(common, (size + shape) / 2 - distance, out=common)
        shared.append(np.maximum(common, 0, out=common))
    inter = np.multiply(*shared, out=shared[0])
    union = sizes_hw[0] * sizes_hw[1] + shapes_hw[0] * shapes_hw[1] - inter
    return np.divide(inter, union, out=union)


def nearest_best(spec: AnchorSpec, objects: Objects) -> tuple[np.ndarray, np.ndarray]:
    """(anchor, IoU), each (M,): the best of the anchors nearest to each object, without clipping."""
    best, anchor = np.full(len(objects), -1.0), np.zeros(len(objects), np.int64)
    sizes, centres = objects.sizes_hw(spec.image_size), objects.centres_yx(spec.image_size)
    start = 0
    for level in spec.levels:
        cells, distances = nearest_cells(level, centres)
        for place, shape in enumerate(level.boxes_hw):
            if level.shifts_hw:
                cells, distances = nearest_cells(level, centres, place)
            first = start + (cells[:, 0] * level.grid_hw[1] + cells[:, 1]) * level.boxes_per_cell
            iou = iou_at(sizes.T, distances.T, shape)
            better = iou > best
            best[better], anchor[better] = iou[better], first[better] + place
        start += level.num_anchors
    return anchor, best
