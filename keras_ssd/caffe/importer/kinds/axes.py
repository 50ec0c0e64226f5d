"""Checks of Caffe's axis numbers, and blobs with a common order of axes."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step
from keras_ssd.layers.reverse_channels import ReverseChannels
from keras_ssd.layout import CHANNELS_LAST, agree


def checked_axis(step: Step, x: Blob, axis: int, name: str = "axis") -> int:
    """Caffe's axis counted from 0; not the batch, which Keras layers cannot change."""
    rank = len(x.shape)
    if not -rank <= axis < rank:
        step.fail(f"{name} {axis} does not exist in its input of shape {x.shape}.")
    if axis % rank == 0:
        step.fail(f"{name} {axis} is the batch, and images of a batch are independent here.")
    return axis % rank


def image_like(step: Step, x: Blob) -> Any:
    """The tensor of a map (B, H, W, C) for layers that treat all channels alike; they may be in either order."""
    if len(x.shape) != 4:
        step.fail(f"needs a map of four axes. Received: shape={x.shape}")
    return x.tensor if x.order == CHANNELS_LAST else x.maps()


def aligned(step: Step, blobs: Sequence[Blob]) -> tuple[Blob, list[Any]]:
    """(first blob, tensors): all with the axes and channels of the first blob that is returned."""
    if len({blob.rank for blob in blobs}) != 1:
        step.fail(f"needs inputs of as many axes. Received: shapes={[blob.shape for blob in blobs]}")
    first = blobs[0]
    if agree(blobs):
        return first, [blob.tensor for blob in blobs]
    order = CHANNELS_LAST if first.rank == 4 else first.order
    tensors = [blob.ordered(order) for blob in blobs]
    return Blob(tensors[0], order=order), tensors


def values_in_order(x: Blob) -> Any:
    """A tensor whose values in memory are the blob's in Caffe's order.

    Axes of length 1 may be anywhere, so a pooled (B, 1, 1, C) needs no transposition.
    """
    return x.tensor if x.in_value_order and not x.channels_reversed else x.plain()


def reshaped(step: Step, tensor: Any, shape: Sequence[int], suffix: str | None = "reshape") -> Any:
    """The tensor with this shape after the batch; the same tensor if it has it."""
    if tuple(tensor.shape[1:]) == tuple(shape):
        return tensor
    return step.apply(keras.layers.Reshape(shape, name=step.label(suffix)), tensor)


def spread(step: Step, factor: Blob, x: Blob) -> Any:
    """A blob whose axes are the first ones of `x`, or 1 or as long as those, with axes and channels as in `x`."""
    if agree([factor, x]):
        return factor.tensor
    x_shape, missing = x.shape, len(x.shape) - len(factor.shape)
    shape = factor.shape[1:] + (1,) * missing
    fits = all(size in (1, whole) for size, whole in zip(shape, x_shape[1:], strict=False))
    if missing < 0 or not fits:
        step.fail(f"a factor of shape {factor.shape} does not fit an input of shape {x_shape}.")
    values = values_in_order(factor)
    if sum(size != 1 for size in shape) <= 1:
        spread_out = reshaped(step, values, [shape[axis - 1] for axis in x.order[1:]], "spread")
    else:
        spread_out = Blob.of_plain(reshaped(step, values, shape, "spread")).ordered(x.order)
    if x.channels_reversed and shape[0] != 1:
        spread_out = step.apply(ReverseChannels(name=step.label("channels_reversed")), spread_out)
    return spread_out
