"""Tensors of an ONNX graph."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from keras_ssd.layout import Layout, plain_order


@dataclass(frozen=True)
class Value(Layout):
    """A Keras tensor in an ONNX graph, and how it stands there.

    A writer says which order of axes it needs, and a transposition is written only if the tensor is not in that order
    already. So Keras's Permute costs nothing, and a backbone is written without a single transposition.

    Args:
        name: of the tensor in the ONNX graph.
        shape: Keras's shape, with a batch of 1, before `padding`.
        order, channels_reversed, padding: of the `Layout`; the channels are Keras's last axis.
    """

    name: str
    shape: tuple[int, ...]

    @classmethod
    def plain(cls, name: str, shape: Sequence[int]) -> Self:
        """Of a tensor with its axes in Keras's order."""
        return cls(name, tuple(shape), order=plain_order(len(shape)))

    def like(self, name: str, shape: Sequence[int] | None = None) -> Self:
        """The result of an operation that leaves the axes where they are."""
        return replace(self, name=name, shape=self.shape if shape is None else tuple(shape), padding=None)
