"""Fused operations of single backends, for use where a test shows equal results.

Every function here has a counterpart in `keras.ops` for all other cases.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.keras_private import torch_device


def stable_top_k(x: Any, k: int) -> Any:
    """`ops.top_k` with lower indices first among equal values, which PyTorch's own does not promise."""
    if keras.backend.backend() != "torch":
        return ops.top_k(x, k)
    import torch

    values, indices = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :k], indices[..., :k].to(torch.int32)


def on_host() -> bool:
    """Whether tensors can be handed to numpy right now at no cost: PyTorch, eager, on the CPU."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    tracing = torch.compiler.is_compiling() or torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]: it is documented
    return not tracing and torch_device() == "cpu"


def computes_on_cpu() -> bool:
    """Whether Keras computes on the processor itself, rather than on a GPU or another accelerator."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return not (tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    if backend == "jax":
        import jax

        return jax.default_backend() == "cpu"
    return backend != "torch" or torch_device() == "cpu"


class _Buffer:
    """The memory that holds a tensor's values: equal to another's while the values have not been replaced.

    It keeps the tensor alive, so that the memory is not used again, and TensorFlow and JAX never write into memory that
    another tensor has: an assignment and a training step put the new values elsewhere.
    """

    def __init__(self, tensor: Any) -> None:
        self._tensor = tensor
        self._address = np.asarray(memoryview(tensor)).__array_interface__["data"][0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Buffer) and self._address == other._address

    __hash__ = None  # pyright: ignore[reportAssignmentType]: it is compared, never looked up


COUNT_OF_CHANGES = "_version"  # of PyTorch's tensors


def states_of(variables: Sequence[Any]) -> list[Any] | None:
    """Something for each variable that is equal as long as its values are the same; None where only the values tell.

    On PyTorch it is the count of changes that its tensors keep, in which changes through `.data` do not appear.
    """
    backend = keras.backend.backend()
    if backend == "torch":
        values = [variable.value for variable in variables]  # asked for once: Keras takes its time
        return [(id(value), getattr(value, COUNT_OF_CHANGES)) for value in values]
    if backend == "jax":
        return [_Same(variable.value) for variable in variables]
    if backend != "tensorflow":
        return None
    import tensorflow as tf

    values = [variable.value for variable in variables]
    read = [tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype) for value in values]
    try:
        return [_Buffer(tensor) for tensor in read]
    except (TypeError, ValueError, BufferError):  # a variable elsewhere than in this processor's memory
        return None


class _Same:
    """Equal to itself alone: JAX's arrays never change, and a variable gets another one."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._array is other._array

    __hash__ = None  # pyright: ignore[reportAssignmentType]: it is compared, never looked up


def _may_use_dynamic_shapes():
    """Whether TensorFlow is running or tracing outside of XLA, which needs static shapes."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    return not control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def drop_hopeless_rows(predictions: Any, can_pass: Any, least: int) -> tuple[Any, Any]:
    """Predictions without the anchors that cannot become detections, in order and padded with such anchors.

    Most anchors see background, and each anchor costs time in the following steps. The number of rows depends on the
    image, so this works only on TensorFlow outside of XLA; other backends return the input.

    Args:
        predictions: (B, N, D).
        can_pass: (B, N) bool.
        least: smallest number of rows to return; also the smallest number for which this pays.

    Returns:
        (B, N or n, D), padded with zeros; and (B, N or n) bool: the rows that can pass.
    """
    if not _may_use_dynamic_shapes() or predictions.shape[1] <= least:
        return predictions, can_pass
    import tensorflow as tf

    counts = tf.reduce_sum(tf.cast(can_pass, "int32"), axis=1)
    ragged: Any = tf.RaggedTensor  # the stubs lack its methods
    kept = ragged.from_row_lengths(tf.boolean_mask(predictions, can_pass), counts, validate=False).to_tensor()
    rows = tf.maximum(tf.shape(kept)[1], least)
    padding: Any = [[0, 0], [0, rows - tf.shape(kept)[1]], [0, 0]]
    kept = tf.pad(kept, padding)  # (B, n, D)
    return tf.ensure_shape(kept, (None, None, predictions.shape[2])), tf.sequence_mask(counts, rows)


def suppression_mask(boxes_xyxy: Any, valid: Any, limit: int, iou_threshold: float) -> Any:
    """Greedy suppression by TensorFlow's `combined_non_max_suppression`, or None if that cannot be used.

    The operation breaks ties of equal scores in no particular order, so it gets ranks instead of scores. It has no XLA
    kernel, so `jit_compile=True` needs the general form.

    Args:
        boxes_xyxy: (B, C, K, 4) in descending order of score, xmin <= xmax and ymin <= ymax.
        valid: (B, C, K) bool.
        limit: maximum number of boxes kept per class.
        iou_threshold: IoU above which the later box is dropped.

    Returns:
        (B, C, K) bool, or None.
    """
    if not _may_use_dynamic_shapes():
        return None
    import tensorflow as tf

    _, classes, count, _ = boxes_xyxy.shape
    batch = tf.shape(boxes_xyxy)[0]
    ranks = tf.where(valid, tf.range(count, 0, -1, dtype="float32"), 0.0)
    _, found, ids, _ = tf.image.combined_non_max_suppression(
        tf.transpose(boxes_xyxy, (0, 2, 1, 3)),
        tf.transpose(ranks, (0, 2, 1)),
        max_output_size_per_class=limit,
        max_total_size=classes * limit,
        iou_threshold=iou_threshold,
        score_threshold=0.5,
        clip_boxes=False,
    )
    # Unused rows have rank 0, so they point to one more column, which is cut off again.
    position = tf.cast(ids, "int32") * (count + 1) + (count - tf.cast(found, "int32"))
    rows = tf.repeat(tf.range(batch)[:, None], classes * limit, axis=1)
    mask: Any = tf.scatter_nd(
        tf.stack([rows, position], axis=-1),
        tf.ones_like(position),
        (batch, classes * (count + 1)),
    )
    mask = tf.reshape(mask, (batch, classes, count + 1))
    return mask[..., :count] > 0


def num_replicas() -> int:
    """How many replicas train one batch together, each with a share of it, as far as gradients are averaged over them.

    JAX sees the whole batch on all devices of `keras.distribution`, so it has one.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return 1 if tf.distribute.in_cross_replica_context() else tf.distribute.get_strategy().num_replicas_in_sync
    if backend == "torch":
        import torch.distributed as dist

        return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    return 1


def sum_over_replicas(x: Any) -> Any:
    """The sum of a tensor over the replicas that `num_replicas` counts; no gradient flows through it."""
    x = ops.stop_gradient(x)
    if num_replicas() == 1:
        return x
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, x)
    import torch.distributed as dist

    x = x.clone()
    dist.all_reduce(x)
    return x


def at_least(values: Any, least: int) -> Any:
    """The larger of whole numbers and one number, as whole numbers.

    Keras on JAX makes floats of `ops.maximum` with a number of Python while the default float type is a short one.
    """
    return ops.where(values > least, values, least)
