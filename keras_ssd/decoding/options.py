"""The options of decoding."""

import math
import numbers
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from keras_ssd import box_coder
from keras_ssd.calling import checked_arguments
from keras_ssd.decoding.calibration import ScoreCalibration
from keras_ssd.names import unknown_name

SCORES = ("softmax", "sigmoid", "probabilities")


@checked_arguments
@dataclass(frozen=True)
class DecodeOptions:
    """The options of `DecodeDetections` and `decode_arrays`. The defaults are those of the original SSD.

    Args:
        confidence_threshold: candidates must have a larger score; 0..1, or None for no threshold.
        iou_threshold: a box is dropped if its IoU with a better kept one of its class is larger; 0..1.
        top_k: number of best candidates per class that enter suppression; None for all (ssd_keras).
        keep_top_k: number of best detections per image over all classes; None for all.
        max_per_class: maximum number of boxes per class that suppression keeps; None for no limit besides `top_k`
            (ssd_keras: 400 with `top_k=None`).
        eta: below 1 the IoU threshold shrinks by this factor after each kept box while it is above 0.5.
        class_agnostic: use only the best class of each anchor (none if it is the background), and one suppression for
            all classes (the fast decoder of ssd_keras).
        average_boxes: replace each kept box by the mean, weighted by score, of itself and the boxes that it
            suppresses.
        code_type: how offsets are coded, see `keras_ssd.box_coder.decode`.
        variance_encoded_in_target: the offsets already include the variances.
        clip_boxes: clamp boxes to the image: True at the end, "before" suppression (torchvision, and OpenCV where a
            Caffe net says `clip`).
        scores: how scores are computed from the class columns: "softmax" over them, "sigmoid" of each, or
            "probabilities" if they are probabilities already.
        temperature, score_shift: the calibration of the scores, see `keras_ssd.calibrate`; the defaults change nothing.
            Thresholds are of calibrated scores.

    Raises:
        ValueError: a value is outside its range.
    """

    confidence_threshold: float | None = 0.01
    iou_threshold: float = 0.45
    top_k: int | None = 400
    keep_top_k: int | None = 200
    max_per_class: int | None = None
    eta: float = 1.0
    class_agnostic: bool = False
    average_boxes: bool = False
    code_type: str = "center_size"
    variance_encoded_in_target: bool = False
    clip_boxes: bool | str = False
    scores: str = "softmax"
    temperature: float = 1.0
    score_shift: float = 0.0

    def __post_init__(self) -> None:
        for name in ("confidence_threshold", "iou_threshold"):
            value = getattr(self, name)
            optional = name == "confidence_threshold" and value is None
            if not optional and not (_is_number(value) and 0 <= float(value) <= 1):
                raise ValueError(f"`{name}` must be between 0 and 1. Received: {name}={value!r}")
        if not (_is_number(self.eta) and 0 < self.eta <= 1):
            raise ValueError(f"`eta` must be above 0 and at most 1. Received: eta={self.eta!r}")
        for name in ("top_k", "keep_top_k", "max_per_class"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1):
                raise ValueError(
                    f"`{name}` must be a positive integer, or None for no limit. Received: {name}={value!r}"
                )
        if self.clip_boxes not in (False, True, "before"):
            raise ValueError(f"`clip_boxes` must be False, True or 'before'. Received: clip_boxes={self.clip_boxes!r}")
        box_coder.check_code_type(self.code_type)
        if self.scores not in SCORES:
            raise ValueError(unknown_name("kind of scores", self.scores, SCORES))
        if not (_is_number(self.temperature) and self.temperature > 0):
            raise ValueError(f"`temperature` must be above 0. Received: temperature={self.temperature!r}")
        if not _is_number(self.score_shift):
            raise ValueError(f"`score_shift` must be a finite number. Received: score_shift={self.score_shift!r}")
        for name, value in vars(self).items():  # numpy's numbers would not go into a saved config
            if isinstance(value, np.number):
                object.__setattr__(self, name, value.item())

    @property
    def is_plain(self) -> bool:
        """Greedy suppression with one threshold, boxes as predicted."""
        return self.eta == 1.0 and not self.average_boxes

    @property
    def floor(self) -> float:
        """The score that candidates must exceed."""
        return -0.5 if self.confidence_threshold is None else self.confidence_threshold

    def least_lead(self, kind_of_scores: str) -> float | None:
        """What the best class of an anchor must exceed to become a candidate, short of rounding; None for no limit.

        With a softmax that is the lead of its logit over the background's: the probability p of a class exceeds t only
        if p / p_background exceeds t / (1 - t), because the background's probability is part of 1 - p. With a sigmoid
        it is the logit, with probabilities the probability itself.
        """
        if not 0 < self.floor < 1:
            return None
        if kind_of_scores == "probabilities":
            return self.floor
        return math.log(self.floor / (1 - self.floor)) - 1e-3  # room for rounding

    @property
    def calibration(self) -> ScoreCalibration:
        """The map of scores."""
        return ScoreCalibration(self.temperature, self.score_shift)

    @property
    def before_calibration(self) -> "DecodeOptions":
        """The same for scores that are not calibrated yet; what they let through is the same."""
        threshold = self.confidence_threshold
        if threshold is not None:
            threshold = self.calibration.undo(threshold)
        return replace(self, confidence_threshold=threshold, temperature=1.0, score_shift=0.0)

    def kind_of_scores(self, from_logits: bool) -> str:
        """`scores`, or "probabilities" if the class columns are not logits."""
        return self.scores if from_logits else "probabilities"

    def boxes(self, parts: box_coder.Predictions, xp: Any = np) -> Any:
        """Boxes (B, N, 4) of the parts of a predictions tensor, `keras_ssd.box_coder.Predictions`."""
        boxes = box_coder.decode(
            parts.offsets,
            parts.anchors_cxcywh,
            parts.variances,
            code_type=self.code_type,
            variance_encoded_in_target=self.variance_encoded_in_target,
            xp=xp,
        )
        return xp.clip(boxes, 0.0, 1.0) if self.clip_boxes == "before" else boxes

    def sizes(self, num_anchors: int, num_classes: int) -> tuple[int, int, int]:
        """Static sizes: candidates per class, kept boxes per class, and rows per image."""
        candidates = min(self.top_k or num_anchors, num_anchors)
        per_class = min(self.max_per_class or candidates, candidates)
        total = per_class * (1 if self.class_agnostic else num_classes)
        return candidates, per_class, min(self.keep_top_k or total, total)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
