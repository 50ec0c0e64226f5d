"""The matching options, in one dataclass."""

import numbers
from dataclasses import dataclass

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name

METHODS = ("caffe", "ssd_keras", "torchvision")
# Caffe treats a smaller overlap as none (bbox_util.cpp, MatchBBox).
CAFFE_LEAST_IOU = 1e-6


@checked_arguments
@dataclass(frozen=True)
class MatchRules:
    """How objects are matched to anchors; the defaults are the original SSD's.

    Matching has two stages. First each object gets one anchor, however small their overlap, so that the network can
    learn every object; `method` defines how. Then each remaining anchor takes the object that it overlaps most, if the
    IoU is at least `iou_threshold`; of equals the first object.

    - `"caffe"`: the pair with the highest IoU is matched, then the highest pair of the remaining objects and anchors,
      and so on. Of equal pairs the one with the first anchor goes first, then the one with the first object. An object
      that no free anchor overlaps (IoU above 1e-6) gets none.
    - `"ssd_keras"`: the same, but if no free anchor overlaps an object, this object *and the first object of the image*
      are given anchor 0, which is matched to the last of them. Use it to compare with ssd_keras; `float64` repeats
      its ties exactly.
    - `"torchvision"`: each object takes the anchor that it overlaps most (anchor 0 if it overlaps none). If two objects
      want the same anchor, the last one gets it.

    Args:
        method: one of `METHODS`.
        iou_threshold: lowest IoU at which an anchor takes an object in the second stage; above 0, at most 1.
        neutral_iou: an unmatched anchor whose best IoU is at least this is neutral, neither object nor background
            (Caffe's `neg_overlap`, ssd_keras's `neg_iou_limit`, there 0.3 unless given); None for no neutral anchors.
        per_anchor: whether there is a second stage (Caffe's PER_PREDICTION, ssd_keras's `multi`) or not
            (BIPARTITE, `bipartite`).
        ignore_cross_boundary: anchors that reach beyond the image match nothing and are neutral (Caffe's
            `ignore_cross_boundary_bbox`).
        float64: compute IoUs in float64 and in the order of operations of ssd_keras, because rounding decides which
            anchor gets an object that lies inside several. Only for `"ssd_keras"`, and only on the host.

    Raises:
        ValueError: an unknown method, a number outside its range, or `float64` with another method.

    Source: weiliu89/caffe, branch ssd, src/caffe/util/bbox_util.cpp, MatchBBox; pierluigiferrari/ssd_keras,
    matching_utils.py; torchvision, models/detection/_utils.py, SSDMatcher.
    """

    method: str = "caffe"
    iou_threshold: float = 0.5
    neutral_iou: float | None = 0.5
    per_anchor: bool = True
    ignore_cross_boundary: bool = False
    float64: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(unknown_name("matching method", self.method, METHODS))
        for name in ("iou_threshold", "neutral_iou"):
            value = getattr(self, name)
            if value is None and name == "neutral_iou":
                continue
            number = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else 0.0
            if not 0 < number <= 1:
                raise ValueError(f"`{name}` must be above 0 and at most 1. Received: {name}={value!r}")
            object.__setattr__(self, name, number)
        if self.float64 and self.method != "ssd_keras":
            raise ValueError(
                "`float64` repeats ssd_keras's arithmetic; Caffe and torchvision match in float32. "
                f"Received: method={self.method!r}, float64={self.float64!r}"
            )

    @property
    def least_iou(self) -> float:
        """The IoU above which two boxes overlap in the first stage."""
        return CAFFE_LEAST_IOU if self.method == "caffe" else 0.0

    @property
    def lowest_iou(self) -> float:
        """The smallest IoU that the second stage and the neutral anchors use."""
        second_stage = self.iou_threshold if self.per_anchor else 2.0
        return second_stage if self.neutral_iou is None else min(second_stage, self.neutral_iou)

    def anchors_left_out(self, anchors_xyxy: np.ndarray) -> np.ndarray:
        """(N,) bool: anchors that match nothing because they reach beyond the image."""
        if not self.ignore_cross_boundary:
            return np.zeros(len(anchors_xyxy), bool)
        return np.any((anchors_xyxy < 0) | (anchors_xyxy > 1), axis=1)
