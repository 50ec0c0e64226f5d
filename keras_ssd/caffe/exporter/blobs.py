"""Keras tensors as Caffe's blobs."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.layout import Layout


@dataclass(frozen=True, eq=False)
class Blob(Layout):
    """A tensor of the model as a blob of the net, and what is still to be done to the blob until they are the same.

    Nothing is written before a layer needs it: the image's colours and scales go into the first convolution, padding
    into the layer behind it, the order of a flattened map into the kernel of the next Dense.

    Args:
        name: of the blob.
        shape: of the tensor in Keras's order, batch first, before `padding` and `flat`.
        order, channels_reversed, padding: of the `Layout`.
        factors: the tensor is the blob times these, one for each of the model's channels; None is once.
        flat: the tensor is this one, flattened in Keras's order.
        shared: more than one layer reads the blob, so none may overwrite it.
    """

    name: str
    shape: tuple[Any, ...]
    factors: tuple[float, ...] | None = None
    flat: bool = False
    shared: bool = False

    @property
    def settled(self) -> bool:
        """Whether blob and tensor differ in the order of axes at most."""
        return not (self.channels_reversed or self.factors or self.padding or self.flat)

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells this blob from others of its name."""
        return (self.name, self.order, self.channels_reversed, self.factors, self.padding, self.flat)


def float32(array: ArrayLike) -> np.ndarray:
    """An array as files hold it."""
    return np.asarray(array, np.float32, order="C")
