"""How another program lays out a tensor: the order of its axes, the direction of its channels, and missing padding.

Keras's maps are (B, H, W, C); Caffe's blobs and ONNX's operators want (B, C, H, W). The importer and the exporters move
nothing before a layer needs it: a Permute only renames axes, BGR is turned in the kernel of the first convolution,
padding waits for the layer that pads by itself.
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
        lowest: they hold the lowest number, which never wins a maximum, instead of zero.
    """

    sides: tuple[tuple[int, int], ...]
    lowest: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """How a program lays out a tensor; subclasses add which tensor it is, and a `shape`.

    The shape is written in one program's axes, and the tensor is stored in another's. For the importer the axes are
    Caffe's and the tensor is Keras's; for the exporters the axes are Keras's and the tensor is the other program's.

    Args:
        order: axis i of the stored tensor is axis `order[i]` of the shape.
        channels_reversed: the channels are stored in reverse: BGR where the shape's program has RGB, or the other way.
        padding: a `Padding` that the tensor does not have yet, and neither has the shape; None for none.
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
        """Where an axis of the shape (negative ones count from the end) is stored."""
        return self.order.index(axis % self.rank)

    def axes_to(self, order: Iterable[int]) -> list[int]:
        """The stored axes that a transposition to this order takes, one after the other."""
        return [self.order.index(axis) for axis in order]

    def renamed(self, dims: Sequence[int]) -> tuple[int, ...]:
        """The order after axis i of the shape becomes what was axis `dims[i]`: a Permute that moves nothing."""
        return tuple(dims.index(axis) for axis in self.order)

    @property
    def in_value_order(self) -> bool:
        """Whether the stored values, one after the other, are those of the shape; axes of length 1 do not count."""
        return self.keeps_values(plain_order(self.rank))

    def keeps_values(self, order: Iterable[int]) -> bool:
        """Whether a move to this order leaves all values where they are, as only axes of length 1 move."""
        long, stored = ([axis for axis in axes if self._sizes[axis] != 1] for axes in (order, self.order))
        return long == stored

    def turned(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
        """An array with its channels, on `axis`, in the direction of this tensor's; one value for all stays."""
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
    """Whether all tensors have the same order of axes and direction of channels."""
    return len({(tensor.order, tensor.channels_reversed) for tensor in tensors}) == 1


def plain_order(rank: int) -> tuple[int, ...]:
    """Axes stored as the shape has them."""
    return tuple(range(rank))


def usual_order(rank: int) -> tuple[int, ...]:
    """Axes of Keras as Caffe and ONNX want them: maps with their channels in front."""
    return CHANNELS_FIRST if rank == 4 else plain_order(rank)
