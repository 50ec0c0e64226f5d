"""Caffe's blobs as Keras tensors, with axes in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import keras

from keras_ssd.layers.reverse_channels import ReverseChannels
from keras_ssd.layout import CHANNELS_LAST, Layout, plain_order


@dataclass(frozen=True, eq=False)
class Blob(Layout):
    """A blob of the net: a Keras tensor whose axes may be in another order than Caffe's.

    Caffe's maps are (B, C, H, W), Keras's (B, H, W, C). A builder says which order it needs, and the tensor is
    transposed only if it has another order. So Caffe's Permute costs nothing: it only renames axes, and the
    permutations of the heads disappear.

    Args:
        tensor: symbolic Keras tensor, batch first; None for priors and for inputs other than the image.
        order, channels_reversed: of the `Layout`; the shape is Caffe's, the channels are its axis 1.
        layer: the `CaffeLayer` that made it, or None.
        inputs: the inputs of that layer.
        levels: the `priors.PriorLevel`s of a blob of priors.
    """

    tensor: Any
    layer: Any = None
    inputs: tuple[Any, ...] = field(default=(), repr=False)
    levels: tuple[Any, ...] = ()

    @classmethod
    def of_maps(cls, tensor: Any, *, channels_reversed: bool = False) -> Self:
        """For a tensor (B, H, W, C), which Caffe has as (B, C, H, W)."""
        return cls(tensor, order=CHANNELS_LAST, channels_reversed=channels_reversed)

    @classmethod
    def of_plain(cls, tensor: Any) -> Self:
        """For a tensor with its axes in Caffe's order."""
        return cls(tensor, order=plain_order(len(tensor.shape)))

    @property
    def shape(self) -> tuple[Any, ...]:
        """Caffe's shape; None stands for the batch."""
        return tuple(self.tensor.shape[place] for place in self.axes_to(range(self.rank)))

    def ordered(self, order: Sequence[int]) -> Any:
        """The tensor with its axes in this order and its channels in Caffe's."""
        blob = self.straight()
        if blob.order == tuple(order):
            return blob.tensor
        axes = blob.axes_to(order)
        if axes[0] != 0:
            raise ValueError(f"A permutation of blob '{self}' moves the batch axis, which no layer here can do.")
        return keras.layers.Permute(axes[1:])(blob.tensor)

    def maps(self) -> Any:
        """The tensor as (B, H, W, C)."""
        if self.rank != 4:
            raise ValueError(f"A layer that works on maps needs a blob of four axes. Received: shape={self.shape}")
        return self.ordered(CHANNELS_LAST)

    def plain(self) -> Any:
        """The tensor with its axes in Caffe's order."""
        return self.ordered(plain_order(self.rank))

    def straight(self) -> Self:
        """This blob with its channels in Caffe's order."""
        if not self.channels_reversed:
            return self
        return replace(self, tensor=ReverseChannels()(self.tensor), channels_reversed=False)

    def like(self, tensor: Any) -> Self:
        """A blob whose tensor has the axes of this one: the result of an elementwise operation."""
        return replace(self, tensor=tensor, layer=None, inputs=(), levels=())
