"""Offsets <-> boxes, and the layout of the predictions tensor.

A network cannot predict where an object is, since the same filter is applied at every cell. It can only predict how far
the object is from an anchor, so boxes are coded as offsets from an anchor. `encode` and `decode` apply the variances; a
loss of boxes (`losses/localization.py`) applies them itself, since it clips offsets first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.names import unknown_name

NUM_BOX_COLUMNS = 12
NUM_TARGET_COLUMNS = 5
BACKGROUND, NEUTRAL = 0, -1
# The background's score in a model without one, such as a network of sigmoids. Its probability is 0 in float32.
NO_BACKGROUND = -1e4
NO_BACKGROUND_IN_BFLOAT16 = -9984.0  # -1e4 rounded to bfloat16
CODE_TYPES = ("center_size", "corner", "corner_size")


def check_code_type(code_type: str) -> None:
    """Raises ValueError unless `code_type` is one of `CODE_TYPES`."""
    if code_type not in CODE_TYPES:
        raise ValueError(unknown_name("code type", code_type, CODE_TYPES))


def decode(
    offsets: Any,
    anchors_cxcywh: Any,
    variances: Any,
    *,
    code_type: str = "center_size",
    variance_encoded_in_target: bool = False,
    xp: Any = np,
) -> Any:
    """Boxes from predicted offsets.

    Args:
        offsets: (..., N, 4).
        anchors_cxcywh: (..., N, 4), fractions of the image.
        variances: (..., N, 4); `encode` divides the offsets by them, `decode` multiplies.
        code_type: "center_size" (offsets of the centre in anchor sizes, logarithm of the size ratio), "corner"
            (offsets of the corners in fractions of the image) or "corner_size" (the same in anchor sizes).
        variance_encoded_in_target: if True, offsets are neither divided nor multiplied by the variances.
        xp: numpy or `keras.ops`.

    Returns:
        boxes_xyxy (..., N, 4), fractions of the image, not clipped.

    Source: weiliu89/caffe, branch ssd, src/caffe/util/bbox_util.cpp, DecodeBBox.
    """
    if not variance_encoded_in_target:
        offsets = offsets * variances
    if code_type == "center_size":
        sizes = anchors_cxcywh[..., 2:]
        centres = offsets[..., :2] * sizes + anchors_cxcywh[..., :2]
        sizes = xp.exp(offsets[..., 2:]) * sizes
        return xp.concatenate([centres - sizes / 2, centres + sizes / 2], axis=-1)
    if code_type == "corner_size":
        sizes = anchors_cxcywh[..., 2:]
        offsets = offsets * xp.concatenate([sizes, sizes], axis=-1)
    return bx.cxcywh_to_xyxy(anchors_cxcywh, xp) + offsets


def encode(
    boxes_xyxy: Any,
    anchors_cxcywh: Any,
    variances: Any,
    *,
    code_type: str = "center_size",
    variance_encoded_in_target: bool = False,
    xp: Any = np,
) -> Any:
    """Offsets that `decode` turns back into the boxes; arguments as there.

    Boxes must have a positive width and height for "center_size" (its logarithm); the caller checks that.
    """
    if code_type == "center_size":
        target, sizes = bx.xyxy_to_cxcywh(boxes_xyxy, xp), anchors_cxcywh[..., 2:]
        centres = (target[..., :2] - anchors_cxcywh[..., :2]) / sizes
        offsets = xp.concatenate([centres, xp.log(target[..., 2:] / sizes)], axis=-1)
    else:
        offsets = boxes_xyxy - bx.cxcywh_to_xyxy(anchors_cxcywh, xp)
        if code_type == "corner_size":
            sizes = anchors_cxcywh[..., 2:]
            offsets = offsets / xp.concatenate([sizes, sizes], axis=-1)
    return offsets if variance_encoded_in_target else offsets / variances


@dataclass(frozen=True)
class Predictions:
    """The parts of a predictions tensor (B, N, C + 1 + 12), for C classes and the background.

    Keras computes a separate loss for each output of a model. An IoU loss needs offsets, anchors and variances at
    once, and all terms share one normaliser, so the model has one output and one loss.
    The parts may be numpy arrays, backend tensors or symbolic ones.

    Args:
        logits: (B, N, C + 1) class scores, background first.
        offsets: (B, N, 4) coded boxes.
        anchors_cxcywh: (B, N, 4) fractions of the image.
        variances: (B, N, 4).
    """

    logits: Any
    offsets: Any
    anchors_cxcywh: Any
    variances: Any

    @classmethod
    def split(cls, predictions: Any) -> "Predictions":
        """The parts of a tensor (..., N, C + 1 + 12).

        Raises:
            ValueError: fewer columns than background, one class and the 12 of the boxes.
        """
        width = predictions.shape[-1]
        if width is None or width < NUM_BOX_COLUMNS + 2:
            raise ValueError(
                "A predictions tensor has C + 1 class columns (background first) and 12 box columns in its last "
                f"axis, so at least 14. Received: shape={tuple(predictions.shape)}"
            )
        columns = width - NUM_BOX_COLUMNS
        return cls(
            predictions[..., :columns],
            predictions[..., columns : columns + 4],
            predictions[..., columns + 4 : columns + 8],
            predictions[..., columns + 8 :],
        )

    def join(self, xp: Any = np) -> Any:
        """The tensor (..., N, C + 1 + 12) of these parts."""
        return xp.concatenate([self.logits, self.offsets, self.anchors_cxcywh, self.variances], axis=-1)

    @property
    def num_classes(self) -> int:
        """Classes without the background."""
        return self.logits.shape[-1] - 1

    @staticmethod
    def width(num_classes: int) -> int:
        """Columns of the tensor for this many classes (background not counted)."""
        return num_classes + 1 + NUM_BOX_COLUMNS

    @staticmethod
    def classes_in(width: int) -> int:
        """Classes (without background) of a tensor with this many columns; below 1 if it is not such a tensor."""
        return width - 1 - NUM_BOX_COLUMNS


@dataclass(frozen=True)
class Targets:
    """What each anchor should predict: the parts of a targets tensor (B, N, 1 + 4).

    It is compact: one-hot classes and a copy of the anchors would be 93 columns per anchor for COCO, 88 of them
    redundant. `split` reads those one-hot tensors of ssd_keras, too.

    Args:
        class_ids: (B, N), 1..C of the object that the anchor is matched to, `BACKGROUND` (0), or `NEUTRAL` (-1) for
            anchors that the loss ignores; in a tensor they have its float type.
        offsets: (B, N, 4) coded boxes; zero without object.
    """

    class_ids: Any
    offsets: Any

    @classmethod
    def split(cls, targets: Any, xp: Any = np) -> "Targets":
        """The parts of a tensor (..., N, 5), or of one-hot targets (..., N, C + 1 + 12), distinguished by their width.

        In one-hot targets an anchor whose class columns are all zero is neutral.

        Raises:
            ValueError: neither 5 columns, nor at least 14.
        """
        width = targets.shape[-1]
        if width == NUM_TARGET_COLUMNS:
            return cls(targets[..., 0], targets[..., 1:])
        if width is None or width < NUM_BOX_COLUMNS + 2:
            raise ValueError(
                "A targets tensor has 5 columns in its last axis (class id, 4 offsets), or as in ssd_keras C + 1 "
                "one-hot class columns (background first) and 12 box columns. "
                f"Received: shape={tuple(targets.shape)}"
            )
        columns = width - NUM_BOX_COLUMNS
        one_hot = targets[..., :columns]
        class_ids = xp.where(xp.any(one_hot > 0, axis=-1), xp.argmax(one_hot, axis=-1), NEUTRAL)
        return cls(class_ids, targets[..., columns : columns + 4])

    def join(self, xp: Any = np) -> Any:
        """The compact tensor (..., N, 5) of these parts."""
        dtype = self.offsets.dtype
        class_ids = self.class_ids.astype(dtype) if xp is np else xp.cast(self.class_ids, dtype)
        return xp.concatenate([class_ids[..., None], self.offsets], axis=-1)
