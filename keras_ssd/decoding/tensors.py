"""Decoding in graphs, on every backend: `keras.ops` with static shapes."""

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from keras_ssd import box_coder, fastpaths, nms
from keras_ssd.decoding.arrays import decode_arrays
from keras_ssd.decoding.options import DecodeOptions

SCORING: dict[str, Callable[[Any], Any]] = {
    "softmax": ops.softmax,
    "sigmoid": ops.sigmoid,
    "probabilities": ops.convert_to_tensor,
}
MAX_PAIRS = 50_000_000  # elements of a pair matrix for one image: 200 MB in float32


def detection_rows(probabilities: Any, boxes_xyxy: Any, options: DecodeOptions) -> Any:
    """Detections of each image, padded to a fixed number of rows; runs in graphs on every backend.

    Args:
        probabilities: (B, N, C + 1) float32, background first.
        boxes_xyxy: (B, N, 4) float32, fractions of the image.
        options: a `DecodeOptions`.

    Returns:
        (B, K, 6) float32 rows [class id 0..C-1, score, xmin, ymin, xmax, ymax] by descending score; the rows after the
        last detection have class -1 and zeros.
    """
    scores, classes_of_anchor = _candidate_scores(probabilities, options)
    _, num_classes, num_anchors = scores.shape
    num_anchors = num_anchors or options.top_k or 0  # unknown: at least top_k, see `_without_hopeless_anchors`
    candidates, per_class, keep = options.sizes(num_anchors, num_classes)
    boxes = boxes_xyxy[:, None]  # (B, 1, N, 4)
    if options.is_plain or candidates < (scores.shape[-1] or math.inf):
        scores, order = nms.top_k(scores, candidates)  # (B, C, K), sorted
        boxes = nms.gather(boxes, order)
        if classes_of_anchor is not None:
            classes_of_anchor = ops.take_along_axis(classes_of_anchor, order, axis=-1)
    kept = _kept_mask(scores, boxes, per_class, options)
    if kept is not None:
        scores = ops.where(kept, scores, nms.NO_SCORE)
    else:
        scores, boxes, index = nms.select_greedy(scores, boxes, per_class, options)
        if classes_of_anchor is not None:
            classes_of_anchor = ops.take_along_axis(classes_of_anchor, index, axis=-1)
    ids = ops.arange(num_classes, dtype="int32")[:, None] if classes_of_anchor is None else classes_of_anchor
    return _best_over_classes(ids, scores, boxes, keep, options)


def _kept_mask(scores, boxes, limit, options):
    """The mask of sorted candidates (B, C, K) that plain suppression keeps, or None if it must go box by box."""
    if not options.is_plain:
        return None
    valid = scores > nms.NO_SCORE
    # TensorFlow's operation turns boxes with swapped corners around; only the corner codes can predict those.
    if options.code_type == "center_size":
        kept = fastpaths.suppression_mask(boxes, valid, limit, options.iou_threshold)
        if kept is not None:
            return kept
    _, num_classes, count = scores.shape
    if num_classes * count * count > MAX_PAIRS:
        return None
    kept = nms.fixed_point_mask(boxes, valid, options.iou_threshold)
    if limit < count:
        kept = ops.logical_and(kept, ops.cumsum(ops.cast(kept, "int32"), axis=-1) <= limit)
    return kept


def _candidate_scores(probabilities, options):
    """Scores (B, C, N), `NO_SCORE` below the threshold; for `class_agnostic` C is 1 and (B, 1, N) classes follow."""
    if options.class_agnostic:
        best = ops.cast(ops.argmax(probabilities, axis=-1), "int32")  # (B, N)
        scores = ops.max(probabilities, axis=-1)
        wanted = ops.logical_and(best > 0, scores > options.floor)
        return ops.where(wanted, scores, nms.NO_SCORE)[:, None], (best - 1)[:, None]
    scores = ops.transpose(probabilities[..., 1:], (0, 2, 1))
    return ops.where(scores > options.floor, scores, nms.NO_SCORE), None


def _best_over_classes(ids, scores, boxes, keep, options):
    batch = ops.shape(scores)[0]
    width = scores.shape[1] * scores.shape[2]
    ids = ops.cast(ops.broadcast_to(ids, ops.shape(scores)), "float32")
    scores, best = nms.top_k(ops.reshape(scores, (batch, width)), keep)
    ids = ops.take_along_axis(ops.reshape(ids, (batch, width)), best, axis=-1)
    boxes = nms.gather(ops.reshape(boxes, (batch, width, 4)), best)
    return _rows(ids, scores, boxes, scores > nms.NO_SCORE, options)


def _rows(ids, scores, boxes, used, options):
    """The padded output (B, K, 6)."""
    if options.clip_boxes:
        boxes = ops.clip(boxes, 0.0, 1.0)
    rows = ops.concatenate([ids[..., None], scores[..., None], boxes], axis=-1)
    padding = ops.convert_to_tensor([-1.0, 0.0, 0.0, 0.0, 0.0, 0.0], "float32")
    return ops.where(used[..., None], rows, padding)


def decode_predictions(predictions: Any, options: DecodeOptions, *, from_logits: bool = True) -> Any:
    """Detections of a raw predictions tensor; what the layer `DecodeDetections` computes.

    Args:
        predictions: (B, N, C + 1 + 12) float32, see `keras_ssd.box_coder.Predictions`.
        options: a `DecodeOptions`.
        from_logits: False if the class columns are probabilities already.

    Returns:
        (B, K, 6) rows as in `detection_rows`.
    """
    if fastpaths.on_host():
        return _decoded_on_host(predictions, options, from_logits)
    calibration, options = options.calibration, options.before_calibration if options.calibration else options
    kind = options.kind_of_scores(from_logits)
    predictions, real = _without_hopeless_anchors(predictions, options, kind)
    parts = box_coder.Predictions.split(predictions)
    probabilities = SCORING[kind](parts.logits)
    if real is not None:
        probabilities = ops.where(real[..., None], probabilities, 0.0)
    boxes = options.boxes(parts, ops)
    rows = detection_rows(probabilities, boxes, options)
    if not calibration:
        return rows
    # Only what is kept is calibrated, so that the order stays.
    scores = calibration.apply(ops.clip(rows[..., 1:2], 0.0, 1.0))
    return ops.concatenate([rows[..., :1], scores, rows[..., 2:]], axis=-1)


def _decoded_on_host(predictions, options, from_logits):
    rows = decode_arrays(ops.convert_to_numpy(predictions), options, from_logits=from_logits)
    return ops.convert_to_tensor(rows, "float32")


def _without_hopeless_anchors(predictions, options, kind_of_scores):
    """Predictions without the anchors that cannot pass, padded, and a mask of the real ones (None: all)."""
    least = options.least_lead(kind_of_scores)
    if not options.top_k or least is None:
        return predictions, None
    classes = box_coder.Predictions.split(predictions).logits
    best = ops.max(classes[..., 1:], axis=-1)
    can_pass = best - (classes[..., 0] if kind_of_scores == "softmax" else 0.0) > least
    return fastpaths.drop_hopeless_rows(predictions, can_pass, options.top_k)
