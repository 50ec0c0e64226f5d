"""PASCAL VOC's average precision: the 11-point rule of 2007, and the area of 2010 and later.

The devkit counts a box of inclusive pixels as xmax - xmin + 1 wide. This package's readers convert VOC's boxes to edges
with the same width, so nothing is added here and the overlaps are the devkit's. `plus_one` is for tables with inclusive
pixels, as in VOC's files.

Source: VOCdevkit 2007 and 2012, VOCevaldet.m and VOCap.m.
"""

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.evaluation.metrics import curves as cv
from keras_ssd.evaluation.pairing import Pairing, pair_nearest
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

# As the devkit's 0:0.1:1 and numpy's arange: the fourth is 0.30000000000000004.
_RECALLS = np.arange(11) * 0.1


def eleven_points(curve: cv.Curve) -> float:
    """The mean of the highest precisions at recalls of at least 0, 0.1, ..., 1."""
    best = np.append(cv.best_from_here(curve.precision), 0)
    return float(best[np.searchsorted(curve.recall, _RECALLS)].sum() / 11)


def area(curve: cv.Curve) -> float:
    """The area under the curve, with precision made to decrease with recall."""
    steps = np.diff(curve.recall, prepend=0)
    return float((cv.best_from_here(curve.precision) * steps).sum())


def pairing(found: DetectionTable, truth: ObjectTable, iou_threshold: ArrayLike, plus_one: bool) -> Pairing:
    """`Pairing` by VOC's rule."""
    return pair_nearest(found, truth, iou_threshold, plus_one=plus_one)
