"""Keras tensors as Caffe's blobs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.layout import Layout


@dataclass(frozen=True, eq=False)
class Blob(Layout):
    """A tensor of the model as a blob of the net, and the steps that are not written yet.

    A step is written only when a layer needs it. The image's channel order and scale go into the first convolution,
    padding into the next layer that pads, the order of a flattened map into the kernel of the next Dense.

    Args:
        name: of the blob.
        shape: of the tensor in Keras's order, batch first, before `padding` and `flat`.
        order, channels_reversed, padding: of the `Layout`.
        factors: the tensor is the blob times these, one per channel of the model; None for no factor.
        flat: the tensor is the blob, flattened in Keras's order.
        shared: several layers read the blob, so no layer may overwrite it.
    """

    name: str
    shape: tuple[Any, ...]
    factors: tuple[float, ...] | None = None
    flat: bool = False
    shared: bool = False

    @property
    def settled(self) -> bool:
        """Whether blob and tensor differ at most in the order of axes."""
        return not (self.channels_reversed or self.factors or self.padding or self.flat)

    @property
    def key(self) -> tuple[Any, ...]:
        """Identifies this state of the blob."""
        return (self.name, self.order, self.channels_reversed, self.factors, self.padding, self.flat)


def float32(array: ArrayLike) -> np.ndarray:
    """An array as Caffe's files store it."""
    return np.asarray(array, np.float32, order="C")
