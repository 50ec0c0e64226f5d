"""Why no anchor matches an object."""

import numpy as np

from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.overlaps import concentric_iou
from keras_ssd.anchors.spec import AnchorSpec

MATCHED, SMALL, LARGE, WIDE, TALL, SHAPE, PLACE = range(7)
# (title, what it means), by the numbers above
REASONS = (
    ("matched", "an anchor overlaps it enough"),
    ("too small", "smaller than all anchors"),
    ("too large", "larger than all anchors"),
    ("too wide", "wider for its height than all anchors"),
    ("too tall", "taller for its width than all anchors"),
    ("between shapes", "its size and its shape exist, but no anchor has both"),
    ("between cells", "an anchor has its size and shape, but the nearest one is too far away"),
)
_BLOCK = 4096


def reasons(objects: Objects, spec: AnchorSpec, best_iou: np.ndarray, iou_threshold: float) -> np.ndarray:
    """(M,) indices into `REASONS`, from the IoU of each object with its best anchor.

    An object is "between cells" if an anchor would match it when centred on it. Otherwise its area or its ratio of
    sides, whichever deviates more, is outside the range of the anchors: the object is too small, too large, too wide or
    too tall. If both are within the range of the anchors, the object is "between shapes".
    """
    found = np.full(len(objects), MATCHED, np.int8)
    wanting = np.flatnonzero(best_iou < iou_threshold)
    sizes = objects.sizes_hw(spec.image_size)
    shapes = np.array([box for level in spec.levels for box in level.boxes_hw])
    for start in range(0, len(wanting), _BLOCK):
        block = wanting[start : start + _BLOCK]
        found[block] = _of_shape(sizes[block], shapes)
        found[block[concentric_iou(sizes[block], shapes).max(axis=1) >= iou_threshold]] = PLACE
    return found


def _of_shape(sizes, shapes):
    """(M,) why the shapes of the anchors do not fit."""
    area, ratio = np.log(sizes.prod(axis=1)), np.log(sizes[:, 1] / sizes[:, 0])
    areas, ratios = np.log(shapes.prod(axis=1)), np.log(shapes[:, 1] / shapes[:, 0])
    # The IoU of boxes that differ only in area is exp(-|difference|); only in ratio, s / (2 - s), s = exp(-|d| / 2).
    iou_of_area = np.exp(-np.abs(area[:, None] - areas).min(axis=1))
    shared = np.exp(-np.abs(ratio[:, None] - ratios).min(axis=1) / 2)
    by_area = np.where(area < areas.min(), SMALL, np.where(area > areas.max(), LARGE, SHAPE))
    by_ratio = np.where(ratio > ratios.max(), WIDE, np.where(ratio < ratios.min(), TALL, SHAPE))
    worse = np.where(iou_of_area <= shared / (2 - shared), by_area, by_ratio)
    other = np.where(iou_of_area <= shared / (2 - shared), by_ratio, by_area)
    return np.where(worse != SHAPE, worse, other)
