"""Layers that only move values."""

import math
from itertools import pairwise

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step
from keras_ssd.caffe.importer.kinds.axes import checked_axis, reshaped, values_in_order
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import SliceAxis


@builds("Split")
def split(step: Step, x: Blob) -> tuple[Blob, ...]:
    """One blob under several names."""
    return (x,) * len(step.layer.tops)


@builds("Slice")
def slice_(step: Step, x: Blob) -> Blob | list[Blob]:
    """A blob cut into slices along an axis."""
    s = step.settings("slice_param")
    axis = checked_axis(step, x, s["slice_dim"] if s.has("slice_dim") else s["axis"])
    size, pieces, points = x.shape[axis], len(step.layer.tops), tuple(s["slice_point"])
    if not points and not size % pieces:
        points = tuple(size // pieces * index for index in range(1, pieces))
    bounds = (0, *points, size)
    if len(bounds) != pieces + 1 or list(bounds) != sorted(set(bounds)):
        step.fail(
            f"cannot cut {size} values on axis {axis} into {pieces} outputs. Received: slice_point={list(points)}"
        )
    if pieces == 1:
        return x
    return [_piece(step, x, axis, *ends) for ends in pairwise(bounds)]


def _piece(step, x, axis, start, stop):
    if (start, stop) == (0, x.shape[axis]):
        return x
    x = x.straight() if axis == 1 else x
    return x.like(step.apply(SliceAxis(x.axis(axis), start, stop, name=step.label()), x.tensor))


@builds("Crop")
def crop(step: Step, x: Blob, reference: Blob) -> Blob:
    """The part of a blob with another blob's size, on all axes from one on."""
    s = step.settings("crop_param")
    first = checked_axis(step, x, s["axis"])
    axes, offsets = range(first, len(x.shape)), tuple(s["offset"])
    if len(reference.shape) != len(x.shape) or len(offsets) not in (0, 1, len(axes)):
        step.fail(
            f"needs two inputs of as many axes, and one offset or {len(axes)}. Received: "
            f"shapes={[x.shape, reference.shape]}, offset={list(offsets)}"
        )
    offsets = offsets * len(axes) if len(offsets) == 1 else offsets or (0,) * len(axes)
    for axis, offset in zip(axes, offsets, strict=True):
        stop = offset + reference.shape[axis]
        if stop > x.shape[axis]:
            step.fail(
                f"axis {axis} of its input ends at {x.shape[axis]}, and the piece at {stop}. "
                f"Received: shapes={[x.shape, reference.shape]}, offset={list(offsets)}"
            )
        x = _piece(step, x, axis, offset, stop)
    return x


@builds("Permute")
def permute(step: Step, x: Blob) -> Blob:
    """Another order of the axes; nothing is moved until a later layer needs it."""
    rank = len(x.shape)
    given = tuple(step.settings("permute_param")["order"])
    order = given + tuple(axis for axis in range(rank) if axis not in given)
    if sorted(order) != list(range(rank)) or order[0] != 0:
        step.fail(f"needs an order of {rank} different axes with the batch first. Received: order={list(given)}")
    x = x.straight()
    return Blob(x.tensor, order=x.renamed(order))


@builds("Flatten")
def flatten(step: Step, x: Blob) -> Blob:
    """Several axes as one."""
    s = step.settings("flatten_param")
    first = checked_axis(step, x, s["axis"])
    last = checked_axis(step, x, s["end_axis"], "end_axis")
    if last < first:
        step.fail(f"end_axis must not be before axis. Received: axis={s['axis']}, end_axis={s['end_axis']}")
    shape = x.shape
    if first == last:
        return x
    return _plain(step, x, (*shape[1:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@builds("Reshape")
def reshape(step: Step, x: Blob) -> Blob:
    """Another shape for the same values: 0 copies a size, -1 is what remains."""
    s = step.settings("reshape_param")
    rank, given = len(x.shape), tuple(s["shape"]["dim"]) if s["shape"] else ()
    start = s["axis"] if s["axis"] >= 0 else rank + s["axis"] + 1
    stop = rank if s["num_axes"] == -1 else start + s["num_axes"]
    if not 0 <= start <= stop <= rank:
        step.fail(f"axis {s['axis']} and num_axes {s['num_axes']} are outside its input of shape {x.shape}.")
    copied = [
        x.shape[start + index] if size == 0 and start + index < rank else size for index, size in enumerate(given)
    ]
    sizes = [*x.shape[:start], *copied, *x.shape[stop:]]
    return _plain(step, x, _behind_the_batch(step, x, sizes, given))


def _behind_the_batch(step, x, sizes, given):
    """The shape of one image; the first number in the prototxt is its batch."""
    count, rest = math.prod(x.shape[1:]), sizes[1:]
    known = math.prod(size for size in rest if size is not None and size != -1)
    fits = bool(sizes) and None not in rest and 0 not in rest and min(rest, default=1) >= -1
    if fits and rest.count(-1) == 1 and sizes[0] != -1 and count % known == 0:
        return tuple(count // known if size == -1 else size for size in rest)
    if fits and rest.count(-1) == 0 and known == count:
        return tuple(rest)
    return step.fail(
        f"cannot give its input of shape {x.shape} the sizes {list(given)}: the first axis must remain the batch, and "
        "each image must keep its values."
    )


def _plain(step, x, shape):
    return Blob.of_plain(reshaped(step, values_in_order(x), shape, None))
