"""Non-maximum suppression with static shapes, in `keras.ops`: for graphs, jit and every backend.

Suppression is greedy: candidates are visited in descending order of score (ties: lower index first), and one is kept if
its IoU with every box kept before is at most the threshold. Two equivalent algorithms cover two cases:

- `fixed_point_mask` compares all pairs of K candidates at once and iterates to the greedy result. Best for the few
  hundred candidates that remain after a per-class top-k.
- `select_greedy` picks one box per step for all classes of the batch together. It needs no matrix of pairs, so it works
  without a limit on the candidates; it also supports adaptive thresholds and box averaging.
"""

from typing import Any

from keras import ops

from keras_ssd import boxes as bx
from keras_ssd import fastpaths

NO_SCORE = -1.0  # below every score, which are 0..1
CHOSEN = 2.0  # above every IoU: marks a candidate that has been kept


def top_k(scores: Any, k: int) -> Any:
    """The k largest along the last axis and their indices; equal scores: lower index first, on every backend."""
    return fastpaths.stable_top_k(scores, k)


def gather(values: Any, indices: Any) -> Any:
    """Rows of `values` (..., N, D) at `indices` (..., K): (..., K, D); leading axes of size 1 broadcast."""
    lead = ops.shape(indices)[:-1]
    target = (*lead, *ops.shape(values)[-2:])
    return ops.take_along_axis(ops.broadcast_to(values, target), indices[..., None], axis=-2)


def fixed_point_mask(boxes_xyxy: Any, valid: Any, iou_threshold: float) -> Any:
    """The candidates that greedy suppression keeps.

    A candidate is kept exactly if no kept one before it overlaps it too much. Iterating this rule from "all are kept"
    settles one link of each chain of overlaps per round and ends at the greedy result.

    Args:
        boxes_xyxy: (..., K, 4) in descending order of score.
        valid: (..., K) bool.
        iou_threshold: IoU above which the later box is dropped.

    Returns:
        (..., K) bool.
    """
    count = boxes_xyxy.shape[-2]
    earlier = ops.arange(count, dtype="int32")[:, None] < ops.arange(count, dtype="int32")[None, :]
    overlaps = bx.iou_matrix(boxes_xyxy, boxes_xyxy, ops) > iou_threshold
    blocks = ops.cast(ops.logical_and(overlaps, earlier), "float32")  # (..., K, K): row blocks column
    valid = ops.cast(valid, "float32")

    def changed(kept, before):
        return ops.any(kept != before)

    def settle(kept, _):
        blocked = ops.squeeze(ops.matmul(kept[..., None, :], blocks), axis=-2)
        return valid * ops.cast(blocked < 0.5, "float32"), kept

    kept, _ = ops.while_loop(changed, settle, (valid, ops.zeros_like(valid) - 1.0), maximum_iterations=count)
    return kept > 0.5


def select_greedy(scores: Any, boxes_xyxy: Any, limit: int, options: Any) -> Any:
    """Greedy suppression, one kept box per step, for all classes of the batch together.

    Args:
        scores: (B, C, N); `NO_SCORE` marks rows that are not candidates.
        boxes_xyxy: (B, 1 or C, N, 4).
        limit: maximum number of boxes kept per class.
        options: a `DecodeOptions`: `iou_threshold`, `eta` (Caffe: while the threshold is above 0.5 it is multiplied by
            `eta` after each kept box) and `average_boxes` (a kept box becomes the score-weighted mean of itself and the
            boxes that it suppresses).

    Returns:
        scores (B, C, limit), boxes (B, C, limit, 4) and candidate indices (B, C, limit), `NO_SCORE` after the last.
    """
    batch, classes, count = ops.shape(scores)
    boxes_xyxy = ops.broadcast_to(boxes_xyxy, (batch, classes, count, 4))
    slots = ops.arange(limit, dtype="int32")

    def open_scores(overlap, threshold):
        return ops.where(overlap <= threshold[..., None], scores, NO_SCORE)

    def more(step, overlap, threshold, *_):
        return ops.logical_and(step < limit, ops.any(open_scores(overlap, threshold) > NO_SCORE))

    def pick(step, overlap, threshold, kept_scores, kept_boxes, kept_index):
        free = open_scores(overlap, threshold)
        index = ops.cast(ops.argmax(free, axis=-1), "int32")  # (B, C); the first of equal scores
        score = ops.max(free, axis=-1)
        found = score > NO_SCORE
        box = gather(boxes_xyxy, index[..., None])  # (B, C, 1, 4)
        against = bx.iou(box, boxes_xyxy, ops)
        chosen = ops.arange(count, dtype="int32") == index[..., None]
        here = ops.logical_and(slots == step, found[..., None])  # (B, C, limit)
        if options.average_boxes:
            member = ops.logical_or(chosen, against > threshold[..., None])
            weight = ops.where(ops.logical_and(member, free > NO_SCORE), free, 0.0)
            total = ops.maximum(ops.sum(weight, axis=-1, keepdims=True), 1e-12)
            box = ops.sum(boxes_xyxy * (weight / total)[..., None], axis=-2, keepdims=True)
        overlap = ops.maximum(overlap, ops.where(chosen, CHOSEN, against))
        if options.eta < 1.0:
            shrinks = ops.logical_and(found, threshold > 0.5)
            threshold = ops.where(shrinks, threshold * options.eta, threshold)
        return (
            step + 1,
            ops.where(found[..., None], overlap, CHOSEN),
            threshold,
            ops.where(here, score[..., None], kept_scores),
            ops.where(here[..., None], box, kept_boxes),
            ops.where(here, index[..., None], kept_index),
        )

    state = (
        ops.convert_to_tensor(0, "int32"),
        ops.zeros_like(scores),
        ops.zeros_like(scores[..., 0]) + options.iou_threshold,
        ops.zeros((batch, classes, limit), scores.dtype) + NO_SCORE,
        ops.zeros((batch, classes, limit, 4), boxes_xyxy.dtype),
        ops.zeros((batch, classes, limit), "int32"),
    )
    _, _, _, kept_scores, kept_boxes, kept_index = ops.while_loop(more, pick, state)
    return kept_scores, kept_boxes, kept_index
