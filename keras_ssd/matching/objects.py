"""Checks of the objects that a caller gives for matching."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.anchors.objects import LARGEST_FRACTION

PADDING = -1  # class id of rows that fill up a batch


def checked_objects(
    boxes_xyxy: ArrayLike, class_ids: ArrayLike, num_classes: int, dtype: Any, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Objects as arrays: boxes (M, 4) of `dtype`, class ids (M,) of whole numbers.

    Args:
        boxes_xyxy, class_ids: the arguments of `TargetEncoder.encode`.
        num_classes: classes without background.
        dtype: of the boxes.
        where: start of the error message, such as the index of the image.

    Raises:
        ValueError: arrays that do not fit together, a box without area or not of finite numbers, a class id outside its
            range, boxes in pixels. Padding is not checked.
        TypeError: class ids that are not numbers.
    """
    boxes, class_ids = np.asarray(boxes_xyxy, dtype), np.asarray(class_ids)
    if boxes.size == 0 and class_ids.size == 0:
        return np.zeros((0, 4), dtype), np.zeros(0, np.int64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or class_ids.shape != boxes.shape[:1]:
        raise ValueError(
            f"{where}boxes_xyxy must have the shape (M, 4) and class_ids (M,). "
            f"Received: boxes_xyxy={boxes.shape}, class_ids={class_ids.shape}"
        )
    if class_ids.dtype.kind not in "iuf":
        raise TypeError(
            f"{where}class ids must be numbers, the places of the class names: "
            f"[names.index(name) for name in ...]. Received: class_ids of dtype {class_ids.dtype}"
        )
    with np.errstate(invalid="ignore"):  # NaN is found below
        whole = class_ids.astype(np.int64)
    wrong = np.flatnonzero((whole != class_ids) | (whole < PADDING) | (whole >= num_classes))
    if wrong.size:
        raise ValueError(
            f"{where}class ids must be whole numbers in 0..{num_classes - 1}, background not counted, or {PADDING} for "
            f"padding. Received: class_ids[{wrong[0]}]={class_ids[wrong[0]]!r}{_more(wrong)}"
        )
    objects = whole != PADDING
    # `not (a < b)` finds NaN, too
    wrong = np.flatnonzero(objects & ~((boxes[:, :2] < boxes[:, 2:]).all(axis=1) & np.isfinite(boxes).all(axis=1)))
    if wrong.size:
        raise ValueError(
            f"{where}each box must be (xmin, ymin, xmax, ymax) in finite numbers with xmin < xmax and ymin < ymax. "
            f"Received: boxes_xyxy[{wrong[0]}]={boxes[wrong[0]].tolist()}{_more(wrong)}. "
            "Drop such objects, or mend them, before encoding."
        )
    wrong = np.flatnonzero(objects & (np.abs(boxes).max(axis=1) > LARGEST_FRACTION))
    if wrong.size:
        raise ValueError(
            f"{where}boxes must be fractions of the image, 0 to 1; these look like pixels. Divide x by the width and "
            f"y by the height. Received: boxes_xyxy[{wrong[0]}]={boxes[wrong[0]].tolist()}"
        )
    return boxes, whole


def _more(wrong):
    return f" and {wrong.size - 1} more such" if wrong.size > 1 else ""
