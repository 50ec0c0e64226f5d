"""Tensors of an ONNX graph, whose axes may stand in another order than Keras's."""

from dataclasses import dataclass, replace

CHANNELS_FIRST = (0, 3, 1, 2)


@dataclass(frozen=True)
class Padding:
    """Cells around a map that its readers shall add, because most of them pad by themselves.

    Args:
        sides: ((top, bottom), (left, right)).
        lowest: they never win a maximum; else they are zeros.
    """

    sides: tuple
    lowest: bool = False

    @property
    def is_empty(self):
        return not any(map(any, self.sides))


@dataclass(frozen=True)
class Value:
    """A Keras tensor in an ONNX graph, and how it stands there.

    Keras's maps are (B, H, W, C), ONNX's operators want (B, C, H, W). A writer says which order it needs, and a
    transposition is written only if the tensor is not in that order already. So Keras's Permute costs nothing, and
    a backbone is written without a single transposition. Likewise channels that stand in reverse, because the image
    is given in BGR, stay so until a layer can take it in, and padding waits for its reader.

    Args:
        name: of the tensor in the ONNX graph.
        shape: Keras's shape, with a batch of 1, and with the padding.
        order: axis i in the graph is Keras's axis `order[i]`.
        channels_reversed: Keras's last axis stands in reverse.
        padding: a `Padding` that is not in the tensor yet, or None.
    """

    name: str
    shape: tuple
    order: tuple
    channels_reversed: bool = False
    padding: Padding | None = None

    @classmethod
    def plain(cls, name, shape):
        """Of a tensor with its axes in Keras's order."""
        return cls(name, tuple(shape), tuple(range(len(shape))))

    @property
    def rank(self):
        return len(self.shape)

    @property
    def stored_shape(self):
        """The shape in the graph."""
        return self.stored(self.shape)

    def stored(self, shape):
        """A shape of Keras's axes, or any other numbers for them, as they stand in the graph."""
        return tuple(shape[axis] for axis in self.order)

    def axis(self, keras_axis):
        """Where Keras's axis (negative ones count from the end) stands in the graph."""
        return self.order.index(keras_axis % self.rank)

    def like(self, name, shape=None):
        """The result of an operation that leaves the axes where they are."""
        return replace(self, name=name, shape=self.shape if shape is None else tuple(shape), padding=None)
