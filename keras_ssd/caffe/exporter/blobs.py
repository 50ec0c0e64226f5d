"""Keras tensors as Caffe's blobs, whose axes may stand in another order."""

from dataclasses import dataclass

import numpy as np

from keras_ssd.caffe.exporter.padding import NO_PADDING

MAPS = (0, 3, 1, 2)


@dataclass(frozen=True)
class Padding:
    """Rows and columns that are thought around a map until a layer takes them in.

    Args:
        cells: ((top, bottom), (left, right)).
        lowest: they hold the lowest number instead of zero.
    """

    cells: tuple = NO_PADDING
    lowest: bool = False


@dataclass(frozen=True, eq=False)
class Blob:
    """A tensor of the model as a blob of the net, and what is still to be done to the blob until they are the same.

    Nothing is written before a layer needs it: the image's colours and scales go into the first convolution, padding
    into the layer behind it, the order of a flattened map into the kernel of the next Dense.

    Args:
        name: of the blob.
        shape: of the tensor in Keras's order, batch first, before `padding` and `flat`.
        order: axis i of the blob is Keras's axis `order[i]`.
        channels_reversed: the blob's channels stand in reverse: BGR where the model has RGB.
        factors: the tensor is the blob times these, one for each of the model's channels; None is once.
        padding: a `Padding` that the tensor has and the blob has not.
        flat: the tensor is this one, flattened in Keras's order.
        shared: more than one layer reads the blob, so none may overwrite it.
    """

    name: str
    shape: tuple
    order: tuple
    channels_reversed: bool = False
    factors: tuple | None = None
    padding: Padding | None = None
    flat: bool = False
    shared: bool = False

    @property
    def caffe_shape(self):
        """The blob's shape; None stands for the batch."""
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def settled(self):
        """Whether blob and tensor differ in the order of axes at most."""
        return not (self.channels_reversed or self.factors or self.padding or self.flat)

    @property
    def key(self):
        """What tells this blob from others of its name."""
        return (self.name, self.order, self.channels_reversed, self.factors, self.padding, self.flat)

    def axis(self, keras_axis):
        """Where Keras's axis (negative ones count from the end) stands in the blob."""
        return self.order.index(keras_axis % len(self.order))

    @property
    def in_value_order(self):
        """Whether the blob's values, read one after the other, are the tensor's; single cells may stand anywhere."""
        long = [axis for axis in self.order if self.shape[axis] != 1]
        return long == sorted(long)


def plain_order(rank):
    """Axes as Keras has them."""
    return tuple(range(rank))


def usual_order(rank):
    """Axes as Caffe likes them: maps with their channels in front."""
    return MAPS if rank == 4 else plain_order(rank)


def float32(array):
    """An array as files hold it."""
    return np.asarray(array, np.float32, order="C")
