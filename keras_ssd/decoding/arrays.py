"""Decoding of numpy arrays, for raw predictions of any origin and for eager PyTorch on the CPU.

Plain greedy suppression of one image and class after the other: the simplest form of what the graph version computes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.calling import checked_arguments
from keras_ssd.decoding.options import DecodeOptions

MOST_PAIRED = 1500  # candidates of a class; up to this number comparing all pairs is faster than going box by box


@checked_arguments
def decode_arrays(predictions: ArrayLike, options: DecodeOptions, *, from_logits: bool = True) -> np.ndarray:
    """Detections of raw predictions in a numpy array.

    Args:
        predictions: (B, N, C + 1 + 12), see `keras_ssd.box_coder.Predictions`.
        options: a `keras_ssd.decoding.DecodeOptions`.
        from_logits: False if the class columns are probabilities already.

    Returns:
        (B, K, 6) float32 rows [class id 0..C-1, score, xmin, ymin, xmax, ymax] by falling score, boxes as fractions
        of the image; unused rows have class -1.
    """
    parts = box_coder.Predictions.split(np.asarray(predictions, np.float32))
    return decode_parts(parts, options, from_logits=from_logits)


def decode_parts(parts: box_coder.Predictions, options: DecodeOptions, *, from_logits: bool = True) -> np.ndarray:
    """As `decode_arrays`, of the parts of predictions as float32 arrays.

    Args:
        parts: `keras_ssd.box_coder.Predictions`; anchors and variances may be those of one image, (N, 4).
        options, from_logits: see `decode_arrays`.
    """
    calibration, options = options.calibration, options.before_calibration if options.calibration else options
    kind = options.kind_of_scores(from_logits)
    least = options.least_lead(kind)
    batch, anchors, _ = parts.logits.shape
    shared = (np.broadcast_to(one, parts.offsets.shape) for one in (parts.anchors_cxcywh, parts.variances))
    images = zip(parts.logits, parts.offsets, *shared, strict=True)
    keep = options.sizes(anchors, parts.num_classes)[2]
    rows = np.zeros((batch, keep, 6), np.float32)
    rows[..., 0] = -1
    for place, columns in enumerate(images):
        near = None if least is None else _near(columns[0], kind, least)
        if near is not None and not len(near):
            continue
        one = box_coder.Predictions(*(column if near is None else column[near] for column in columns))
        found = detection_rows_arrays(SCORING[kind](one.logits), options.boxes(one), options)
        rows[place, : len(found)] = found
    if calibration:  # of what is kept, so that the order stays
        rows[..., 1] = calibration.apply(np.clip(rows[..., 1], 0, 1))
    return rows


def _near(logits, kind, least):
    """The anchors that can become candidates: most see background, and everything costs time for each anchor."""
    best = logits[:, 1:].max(axis=1)
    return np.flatnonzero((best - logits[:, 0] if kind == "softmax" else best) > least)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Sigmoid of each value."""
    small = np.exp(-np.abs(logits))  # never overflows
    return np.where(logits >= 0, 1, small) / (1 + small)


SCORING: dict[str, Callable[[Any], Any]] = {"softmax": softmax, "sigmoid": sigmoid, "probabilities": np.asarray}


def detection_rows_arrays(
    probabilities: np.ndarray, boxes_xyxy: np.ndarray, options: DecodeOptions, *, background: int = 0
) -> np.ndarray:
    """Detections of one image from class scores and decoded boxes.

    Args:
        probabilities: (N, S) scores of all S classes, the background included.
        boxes_xyxy: (N, 4), or (N, S, 4) where each class has its own boxes (Caffe's `share_location: false`).
        options: a `keras_ssd.decoding.DecodeOptions`.
        background: the column of the background; -1 if there is none.

    Returns:
        (K, 6) float32 rows as in `decode_arrays`. Class ids skip the background's column.

    Raises:
        ValueError: shapes that do not go together, or `class_agnostic` with boxes for each class.
    """
    probabilities = np.asarray(probabilities, np.float32)
    boxes_xyxy = np.asarray(boxes_xyxy, np.float32)
    count, slots = probabilities.shape
    if boxes_xyxy.shape not in ((count, 4), (count, slots, 4)):
        raise ValueError(
            f"`boxes_xyxy` must be ({count}, 4) or ({count}, {slots}, 4) for these probabilities. "
            f"Received: shape={boxes_xyxy.shape}"
        )
    if options.class_agnostic and boxes_xyxy.ndim == 3:
        raise ValueError("`class_agnostic` needs boxes that all classes share: (N, 4).")
    columns = [slot for slot in range(slots) if slot != background]
    _, per_class, keep = options.sizes(count, len(columns))
    winner = probabilities.argmax(axis=1)
    if options.class_agnostic:
        scores = np.where(winner != background, probabilities.max(axis=1), -1.0)
        groups = [(np.searchsorted(columns, winner), scores, boxes_xyxy)]
    else:
        shared = boxes_xyxy.ndim == 2
        groups = [
            (np.full(count, i), probabilities[:, slot], boxes_xyxy if shared else boxes_xyxy[:, slot])
            for i, slot in enumerate(columns)
        ]
    rows = np.concatenate([_one_suppression(*group, per_class, options) for group in groups])
    rows = rows[np.argsort(-rows[:, 1], kind="stable")[:keep]]
    if options.clip_boxes:
        rows[:, 2:] = np.clip(rows[:, 2:], 0, 1)
    padded = np.zeros((keep, 6), np.float32)
    padded[:, 0] = -1
    padded[: len(rows)] = rows
    return padded


def _one_suppression(ids, scores, boxes_xyxy, limit, options):
    """Rows (m, 6) of one class (or of all classes with one suppression), in descending order of score."""
    candidates = np.flatnonzero(scores > options.floor)
    order = candidates[np.argsort(-scores[candidates], kind="stable")][: options.top_k]
    boxes, scores, ids = boxes_xyxy[order], scores[order], ids[order]
    if options.is_plain and len(boxes) <= MOST_PAIRED:
        kept = _fixed_point(boxes, options.iou_threshold)[:limit]
        kept_boxes = boxes[kept]
    else:
        kept, kept_boxes = _greedy(boxes, scores, limit, options)
    return np.column_stack([ids[kept], scores[kept], kept_boxes]).astype(np.float32)


def _fixed_point(boxes, iou_threshold):
    """Indices that greedy suppression keeps, from all pairs at once; see `keras_ssd.nms.fixed_point_mask`."""
    blocks = bx.iou_matrix(boxes, boxes) > np.float32(iou_threshold)
    blocks = np.triu(blocks, 1).astype(np.float32)  # row blocks column
    kept = np.ones(len(boxes), np.float32)
    while True:
        following = (kept @ blocks < 0.5).astype(np.float32)
        if np.array_equal(following, kept):
            return np.flatnonzero(kept)
        kept = following


def _greedy(boxes, scores, limit, options):
    """Indices of the kept boxes, and their boxes; the input is in descending order of score."""
    overlap = np.zeros(len(boxes), np.float32)  # largest IoU with a kept box
    threshold = np.float32(options.iou_threshold)
    kept, kept_boxes, current = [], [], 0
    while current < len(boxes) and len(kept) < limit:
        # Boxes between the last kept one and this one were refused, and stay so: overlaps only grow.
        rest = slice(current + 1, None)
        against = bx.iou(boxes[current], boxes[rest])
        box = boxes[current]
        if options.average_boxes:
            member = (against > threshold) & (overlap[rest] <= threshold)
            weight = np.concatenate([scores[current : current + 1], scores[rest] * member])
            box = (boxes[current:] * weight[:, None]).sum(axis=0) / max(weight.sum(), 1e-12)
        kept.append(current)
        kept_boxes.append(box)
        np.maximum(overlap[rest], against, out=overlap[rest])
        if options.eta < 1 and threshold > 0.5:
            threshold = np.float32(threshold * options.eta)
        free = overlap[rest] <= threshold
        step = int(free.argmax()) if free.size else 0
        if not free.size or not free[step]:
            break
        current += 1 + step
    return np.asarray(kept, np.intp), np.asarray(kept_boxes, np.float32).reshape(-1, 4)
