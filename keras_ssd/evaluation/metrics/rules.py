"""How each measure pairs detections with objects at one threshold, and computes average precision from a curve."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_ssd.evaluation.metrics import coco, ilsvrc, voc
from keras_ssd.evaluation.metrics.curves import Curve
from keras_ssd.evaluation.pairing import Pairing


def _same_for_all(boxes_xyxy, iou_threshold, plus_one):
    return np.full(len(boxes_xyxy), float(iou_threshold))


@dataclasses.dataclass(frozen=True)
class Rule:
    """A measure at one threshold.

    Args:
        pair: function of (found, truth, iou_threshold, plus_one) that returns a `Pairing`.
        value: function of a `Curve` that returns its average precision.
        thresholds: function of ((M, 4) boxes, iou_threshold, plus_one) that returns (M,) the overlap that each object
            needs.
    """

    pair: Callable[..., Pairing]
    value: Callable[[Curve], float]
    thresholds: Callable[..., np.ndarray] = _same_for_all


RULES = {
    "voc07": Rule(voc.pairing, voc.eleven_points),
    "voc12": Rule(voc.pairing, voc.area),
    "coco": Rule(coco.pairing, coco.hundred_points),
    "ilsvrc": Rule(ilsvrc.pairing, voc.area, ilsvrc.thresholds),
}
