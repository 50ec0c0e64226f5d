"""How another program stores a tensor: the order of axes, the order of channels, and padding that is still missing.

Keras's maps are (B, H, W, C); Caffe's blobs and ONNX's operators need (B, C, H, W). The importer and the exporters move
values only when a layer needs it: a Permute only renames axes, the kernel of the first convolution absorbs BGR, and
padding waits for the layer that pads itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from keras_ssd.padding import sum_of_sides

CHANNELS_FIRST = (0, 3, 1, 2)  # a Keras map stored as (B, C, H, W)
CHANNELS_LAST = (0, 2, 3, 1)  # a Caffe map stored as (B, H, W, C)


@dataclass(frozen=True)
class Padding:
    """Rows and columns around a map that a later layer adds.

    Args:
        sides: ((top, bottom), (left, right)).
        lowest: padding with the lowest number, which is never a maximum, instead of zero.
    """

    sides: tuple[tuple[int, int], ...]
    lowest: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """How a program stores a tensor; subclasses add the tensor itself and a `shape`.

    The shape has the axes of one program, and the tensor is stored with those of another. For the importer, the shape
    is Caffe's and the tensor Keras's; for the exporters, the shape is Keras's and the tensor the other program's.

    Args:
        order: axis i of the stored tensor is axis `order[i]` of the shape.
        channels_reversed: the channels are stored in reverse: BGR for RGB, or RGB for BGR.
        padding: a `Padding` that neither the tensor nor the shape has yet, or None.
    """

    order: tuple[int, ...] = ()
    channels_reversed: bool = False
    padding: Padding | None = None

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.order)

    @property
    def stored_shape(self) -> tuple[Any, ...]:
        """The shape as it is stored."""
        return self.stored(self._sizes)

    @property
    def _sizes(self) -> Any:
        return self.shape  # pyright: ignore[reportAttributeAccessIssue]  # each subclass has a shape

    def stored(self, shape: Sequence[Any]) -> tuple[Any, ...]:
        """A number for each axis, in the stored order."""
        return tuple(shape[axis] for axis in self.order)

    def axis(self, axis: int) -> int:
        """The stored place of an axis of the shape; negative axes count from the end."""
        return self.order.index(axis % self.rank)

    def axes_to(self, order: Iterable[int]) -> list[int]:
        """The stored axes in the order in which a transposition to `order` takes them."""
        return [self.order.index(axis) for axis in order]

    def renamed(self, dims: Sequence[int]) -> tuple[int, ...]:
        """The order after a Permute that moves nothing: axis i of the shape was axis `dims[i]`."""
        return tuple(dims.index(axis) for axis in self.order)

    @property
    def in_value_order(self) -> bool:
        """Whether the stored values are in the order of the shape; axes of length 1 do not count."""
        return self.keeps_values(plain_order(self.rank))

    def keeps_values(self, order: Iterable[int]) -> bool:
        """Whether a transposition to this order keeps all values in place, because only axes of length 1 move."""
        long, stored = ([axis for axis in axes if self._sizes[axis] != 1] for axes in (order, self.order))
        return long == stored

    def turned(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
        """An array with its channels, on `axis`, in this tensor's order; one value for all channels stays as it is."""
        return np.flip(array, axis) if self.channels_reversed and array.ndim and array.shape[axis] > 1 else array

    def padded(self, sides: Sequence[Sequence[int]], lowest: bool = False) -> Self:
        """This tensor with more padding of the same kind."""
        if self.padding is not None:
            sides = sum_of_sides(self.padding.sides, sides)
        return replace(
            self,
            padding=Padding(tuple((first, last) for first, last in sides), lowest) if any(map(any, sides)) else None,
        )


def agree(tensors: Iterable[Layout]) -> bool:
    """Whether all tensors have the same order of axes and channels."""
    return len({(tensor.order, tensor.channels_reversed) for tensor in tensors}) == 1


def plain_order(rank: int) -> tuple[int, ...]:
    """Axes stored in the order of the shape."""
    return tuple(range(rank))


def usual_order(rank: int) -> tuple[int, ...]:
    """Keras's axes as Caffe and ONNX need them: maps with channels first."""
    return CHANNELS_FIRST if rank == 4 else plain_order(rank)
