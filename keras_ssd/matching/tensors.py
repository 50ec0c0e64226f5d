"""Matching in graph: `keras.ops` with static shapes, for `tf.data`, compiled functions and the GPU."""

from typing import Any

import numpy as np
from keras import ops

from keras_ssd import boxes as bx
from keras_ssd.matching.rules import MatchRules


def match_in_graph(
    boxes_xyxy: Any, valid: Any, anchors_xyxy: np.ndarray, rules: MatchRules | None = None
) -> tuple[Any, Any]:
    """Matches a batch as `keras_ssd.matching.match` does image by image.

    The IoU of all pairs is in memory at once: a few times 4 * B * M * N bytes.

    Args:
        boxes_xyxy: (B, M, 4) float32, fractions of the image.
        valid: (B, M) bool, false where a row is padding.
        anchors_xyxy: (N, 4) numpy array.
        rules: `MatchRules`; None for the original SSD's.

    Returns:
        object_of_anchor (B, N) int32, -1 for none, and neutral (B, N) bool.

    Raises:
        ValueError: rules of float64, which not every backend and device has.
    """
    rules = rules or MatchRules()
    if rules.float64:
        raise ValueError("Matching in float64 works on the host only. Encode there, or leave out `float64`.")
    left_out = ops.convert_to_tensor(rules.anchors_left_out(anchors_xyxy), "bool")
    boxes_xyxy = ops.where(valid[..., None], boxes_xyxy, 0.0)  # padding may be anything, NaN too
    overlaps = bx.iou_matrix(boxes_xyxy, ops.convert_to_tensor(anchors_xyxy, "float32")[None], ops)  # (B, M, N)
    overlaps = ops.where(ops.logical_and(valid[..., None], ops.logical_not(left_out)), overlaps, 0.0)
    best_iou = ops.max(overlaps, axis=1)  # (B, N)
    no_object = ops.full_like(ops.cast(best_iou, "int32"), -1)
    owner = no_object
    if rules.per_anchor:
        first_best = ops.cast(ops.argmax(overlaps, axis=1), "int32")
        owner = ops.where(best_iou >= rules.iou_threshold, first_best, no_object)
    own = _own_anchors(overlaps, valid, rules)  # (B, M)
    forced = ops.max(ops.where(_one_hot(own, overlaps), _places(overlaps, 1), -1), axis=1)  # the last of several
    owner = ops.where(forced >= 0, forced, owner)
    neutral = ops.broadcast_to(left_out[None], ops.shape(owner))
    if rules.neutral_iou is not None:
        neutral = ops.logical_or(neutral, best_iou >= rules.neutral_iou)
    return owner, ops.logical_and(neutral, owner < 0)


def _places(overlaps, axis):
    """0, 1, 2, ... along one axis of (B, M, N), to broadcast with it."""
    shape = [1, 1, 1]
    shape[axis] = overlaps.shape[axis]
    return ops.convert_to_tensor(np.arange(overlaps.shape[axis], dtype=np.int32).reshape(shape), "int32")


def _one_hot(anchors, overlaps):
    """(B, M, N) bool: the anchor of each object; none for -1."""
    return ops.equal(anchors[..., None], _places(overlaps, 2))


def _own_anchors(overlaps, valid, rules):
    """(B, M) the anchor that each object gets for itself, -1 for none."""
    if rules.method == "torchvision":
        return ops.where(valid, ops.cast(ops.argmax(overlaps, axis=2), "int32"), -1)
    own = _greedy(overlaps, rules.least_iou)
    if rules.method == "ssd_keras":
        unserved = ops.logical_and(valid, own < 0)
        first = ops.logical_and(valid, ops.equal(ops.cumsum(ops.cast(valid, "int32"), axis=1), 1))
        first = ops.logical_and(first, ops.any(unserved, axis=1, keepdims=True))
        own = ops.where(ops.logical_or(unserved, first), 0, own)
    return own


def _greedy(overlaps, least_iou):
    """Caffe's global greedy matching in few rounds.

    A pair that is the best of its object and of its anchor, among those still free, is chosen by the greedy order in
    any case. So each round takes all such pairs at once; two or three rounds suffice for most images.
    """
    count = overlaps.shape[1]
    earlier = ops.convert_to_tensor(np.tri(count, k=-1, dtype=bool).T, "bool")  # [rival, object]: the rival comes first

    def take(own, free, waiting):
        # few passes over (B, M, N), which cost most of the time
        anchor = ops.cast(ops.argmax(ops.where(free[:, None, :], overlaps, 0.0), axis=2), "int32")
        wanted = ops.repeat(anchor[:, None, :], count, axis=1)
        rivals = ops.take_along_axis(overlaps, wanted, axis=2)  # (B, rival, object) IoU with each object's anchor
        iou = ops.sum(ops.where(ops.eye(count, dtype="bool"), rivals, 0.0), axis=1)
        free_there = ops.take_along_axis(free, anchor, axis=1)  # not if every anchor is taken
        waiting = ops.logical_and(waiting, ops.logical_and(free_there, iou > least_iou))
        iou = iou[:, None, :]
        better = ops.logical_or(rivals > iou, ops.logical_and(ops.equal(rivals, iou), earlier))
        better = ops.logical_and(better, waiting[..., None])
        won = ops.logical_and(waiting, ops.logical_not(ops.any(better, axis=1)))
        own = ops.where(won, anchor, own)
        taken = ops.any(_one_hot(ops.where(won, anchor, -1), overlaps), axis=1)
        free = ops.logical_and(free, ops.logical_not(taken))
        return own, free, ops.logical_and(waiting, ops.logical_not(won))

    none = ops.cast(overlaps[:, :, 0] * 0, "int32") - 1
    start = (none, ops.ones_like(overlaps[:, 0, :], dtype="bool"), none < 0)
    own, _, _ = ops.while_loop(lambda own, free, waiting: ops.any(waiting), take, start, maximum_iterations=count + 1)
    return own
