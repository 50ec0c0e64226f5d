"""ILSVRC DET's average precision, which needs less overlap for small objects.

A detection finds an object of w x h pixels if it overlaps it by at least min(0.5, wh / ((w + 10)(h + 10))), which
allows five pixels on each side. Each detection may take an object that is still free. The area under the curve is
VOC's. There are no difficult objects in ILSVRC; those of other data are ignored, as in VOC.

The devkit has a list of image and class pairs that do not count; leave them out of both tables.

Source: Russakovsky et al. 2015, "ImageNet Large Scale Visual Recognition Challenge", section 4.3; ILSVRC2014 devkit,
eval_detection.m.
"""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.evaluation.pairing import Pairing, pair_free
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

_TOLERANCE = 10  # pixels


def thresholds(boxes_xyxy: ArrayLike, most: float = 0.5, plus_one: bool = False) -> np.ndarray:
    """(M,) the overlap that each object needs.

    Args:
        boxes_xyxy: (M, 4) in pixels.
        most: the overlap that large objects need.
        plus_one: whether xmax and ymax are the last pixel of a box instead of its edge.
    """
    boxes = np.asarray(boxes_xyxy, float)
    width, height = (boxes[:, i + 2] - boxes[:, i] + plus_one for i in (0, 1))
    return np.minimum(most, width * height / ((width + _TOLERANCE) * (height + _TOLERANCE)))


def pairing(found: DetectionTable, truth: ObjectTable, iou_threshold: float, plus_one: bool) -> Pairing:
    """`Pairing` by ILSVRC's rule."""
    needed = thresholds(truth.boxes_xyxy, iou_threshold, plus_one)
    return pair_free(found, truth, needed, plus_one=plus_one)
