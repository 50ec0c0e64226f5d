"""The loss of the box that each anchor predicts."""

import math
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.box_coder import Predictions
from keras_ssd.calling import checked_arguments

IOU_LOSSES = ("giou", "diou", "ciou")
LOCALIZATIONS = ("smooth_l1", "l1", "l2", *IOU_LOSSES)
# exp(10) anchors is wider than any image. Beyond these limits a box has no gradient, instead of an infinite area.
LARGEST_SHIFT, LARGEST_LOG_SIZE = 1000.0, 10.0
TINY = 1e-12


@checked_arguments
@dataclass(frozen=True)
class Coder:
    """How the offsets of a model become boxes, see `keras_ssd.box_coder.decode`.

    Raises:
        ValueError: an unknown code type.
    """

    code_type: str = "center_size"
    variance_encoded_in_target: bool = False

    def __post_init__(self) -> None:
        box_coder.check_code_type(self.code_type)

    def boxes(self, predictions: Predictions, offsets: Any) -> Any:
        """Boxes (B, N, 4) of offsets at the anchors of `predictions`; offsets are clipped so that areas stay finite."""
        anchors, variances = ops.stop_gradient(predictions.anchors_cxcywh), ops.stop_gradient(predictions.variances)
        size = LARGEST_LOG_SIZE if self.code_type == "center_size" else LARGEST_SHIFT
        limits = ops.convert_to_tensor([LARGEST_SHIFT, LARGEST_SHIFT, size, size], dtype=offsets.dtype)
        scaled = ops.clip(offsets if self.variance_encoded_in_target else offsets * variances, -limits, limits)
        return box_coder.decode(
            scaled, anchors, None, code_type=self.code_type, variance_encoded_in_target=True, xp=ops
        )


@checked_arguments
def localization_loss(kind: str, predictions: Predictions, offsets: Any, is_object: Any, coder: Coder) -> Any:
    """The loss of each anchor that is matched to an object; 0 for other anchors.

    Args:
        kind: "smooth_l1", "l1" or "l2" (half the square) of the offsets, summed over the four; or of the decoded
            boxes one minus "giou", "diou" (also the distance of the centres) or "ciou" (also the shape).
        predictions: `keras_ssd.box_coder.Predictions` of tensors.
        offsets: (B, N, 4) target offsets.
        is_object: (B, N) bool.
        coder: the `Coder` of the offsets; only the losses of boxes use it.

    Returns:
        (B, N).

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/smooth_L1_loss_layer.cpp; Rezatofighi et al. (2019); Zheng et
    al. (2020).
    """
    mask = is_object[..., None]
    predicted = ops.where(mask, predictions.offsets, 0.0)  # before any arithmetic: NaN * 0 is NaN
    wanted = ops.where(mask, offsets, 0.0)
    if kind not in IOU_LOSSES:
        return ops.sum(_of_distance(kind, predicted - wanted), axis=-1)
    predicted, wanted = (coder.boxes(predictions, x) for x in (predicted, wanted))
    return ops.where(is_object, _of_boxes(kind, predicted, wanted), 0.0)


def _of_distance(kind, distance):
    size = ops.abs(distance)
    if kind == "l1":
        return size
    if kind == "l2":
        return 0.5 * ops.square(distance)
    near = ops.minimum(size, 1.0)
    return near * (size - 0.5 * near)


def _of_boxes(kind, a_xyxy, b_xyxy):
    iou = bx.iou(a_xyxy, b_xyxy, ops)
    hull_low = ops.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    hull_size = ops.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - hull_low
    if kind == "giou":
        hull = hull_size[..., 0] * hull_size[..., 1]
        sides = ops.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - ops.maximum(a_xyxy[..., :2], b_xyxy[..., :2])
        sides = ops.maximum(sides, 0.0)
        union = bx.area(a_xyxy, ops) + bx.area(b_xyxy, ops) - sides[..., 0] * sides[..., 1]
        return 1 - iou + (hull - union) / ops.maximum(hull, TINY)
    a, b = bx.xyxy_to_cxcywh(a_xyxy, ops), bx.xyxy_to_cxcywh(b_xyxy, ops)
    distance = ops.sum(ops.square(a[..., :2] - b[..., :2]), axis=-1)
    loss = 1 - iou + distance / ops.maximum(ops.sum(ops.square(hull_size), axis=-1), TINY)
    return loss if kind == "diou" else loss + _difference_of_shape(a, b, iou)


def _difference_of_shape(a_cxcywh, b_cxcywh, iou):
    difference = ops.square(_angle(a_cxcywh) - _angle(b_cxcywh)) * (4 / math.pi**2)
    weight = ops.stop_gradient(difference / ops.maximum(1 - iou + difference, TINY))
    return weight * difference


def _angle(boxes_cxcywh):
    width, height = boxes_cxcywh[..., 2], boxes_cxcywh[..., 3]
    is_point = ops.logical_and(width == 0, height == 0)  # which has no angle, nor a gradient of it
    return ops.arctan2(width, ops.where(is_point, 1.0, height))
