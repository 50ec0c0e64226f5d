"""How each measure pairs detections with objects at one IoU, and what it makes of a curve."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_ssd.evaluation.measures import curves as cv
from keras_ssd.evaluation.measures import ilsvrc, voc
from keras_ssd.evaluation.pairing import pair_free
from keras_ssd.names import unknown_name

_COCO_RECALLS = np.linspace(0, 1, 101)


def _coco_pairing(found, truth, iou_threshold, plus_one):
    return pair_free(found, truth, iou_threshold, plus_one=plus_one, crowd_inside=True)


def _coco_points(curve):
    """The mean of the highest precisions at recalls of at least 0, 0.01, ..., 1 (cocoeval.py, accumulate)."""
    best = np.append(cv.best_from_here(curve.precision), 0)
    return float(best[np.searchsorted(curve.recall, _COCO_RECALLS)].mean())


@dataclasses.dataclass(frozen=True)
class Rule:
    """A measure at one IoU threshold.

    Args:
        pair: function of (found, truth, iou_threshold, plus_one) that gives a `Pairing`.
        value: function of a `Curve` that gives its average precision.
    """

    pair: Callable
    value: Callable

    def thresholds(self, truth, iou_threshold, plus_one):
        """(M,) the IoU from which a detection finds each object."""
        if self.pair is ilsvrc.pairing:
            return ilsvrc.thresholds(truth.boxes_xyxy, iou_threshold, plus_one)
        return np.full(len(truth), iou_threshold)


_RULES = {
    "voc07": Rule(voc.pairing, voc.eleven_points),
    "voc12": Rule(voc.pairing, voc.area),
    "coco": Rule(_coco_pairing, _coco_points),
    "ilsvrc": Rule(ilsvrc.pairing, voc.area),
}


def rule_of(result):
    """The `Rule` of a result's measure, its IoU threshold (COCO's first, 0.5), and whether a pixel is added."""
    if result.measure not in _RULES:
        raise ValueError(unknown_name("measure", result.measure, _RULES))
    threshold = 0.5 if result.measure == "coco" else result.settings.get("iou_threshold", 0.5)
    return _RULES[result.measure], float(threshold), bool(result.settings.get("plus_one", False))
