"""An ONNX graph while it is being written: nodes, constants, and the moves between orders of axes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layout import CHANNELS_FIRST, plain_order
from keras_ssd.names import unique

LOWEST = float(np.finfo("float32").min)


@dataclass(frozen=True)
class Node:
    """One operation; its only output has its name."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]


class Graph:
    """Nodes and constants in the order of computing; nothing of the `onnx` package in it.

    Args:
        reserved: names that no node may take.
    """

    nodes: list[Node]
    constants: dict[str, np.ndarray]

    def __init__(self, reserved: Iterable[str] = ()):
        self.nodes = []
        self.constants = {}
        self._names = set(reserved)
        self._moved = {}

    def unique(self, name: str) -> str:
        """The name, or with a number behind it if it is taken."""
        return unique(name, self._names)

    def node(self, operator: str, inputs: Iterable[str], name: str, **attributes: Any) -> str:
        """Writes an operation and returns the name of its output."""
        self.nodes.append(Node(operator, name, tuple(inputs), attributes))
        return name

    def rename_last(self, stored: str, name: str) -> None:
        """Gives the last operation, whose output is `stored` and which nothing reads yet, a reserved name."""
        if self.nodes[-1].name != stored:
            raise RuntimeError(f"'{stored}' is not the last operation, which is '{self.nodes[-1].name}'.")
        self.nodes[-1] = replace(self.nodes[-1], name=name)

    def constant(self, array: ArrayLike, name: str) -> str:
        """Writes an array, floats as float32 and whole numbers as int64, and returns its name.

        The same array of the same name is written once: a layer that is called twice has its weights once.
        """
        array = np.asarray(array)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        known = self.constants.get(name)
        if known is not None and known.shape == array.shape and np.array_equal(known, array):
            return name
        name = self.unique(name)
        self.constants[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def settled(self, value: Value) -> Value:
        """The value with its padding in the tensor."""
        if value.padding is None:
            return value
        return self._once("pad", value, lambda: self._pad(value))

    def _pad(self, value):
        # Joined to blocks of constants instead of the operator Pad: onnxruntime (1.17 to 1.31 at least) and onnxsim
        # take a Pad into the pooling behind it, with zeros that no longer win a maximum, or pads that pooling refuses.
        fill = LOWEST if value.padding.lowest else 0.0
        stored = value.name
        shape = list(value.shape)
        for axis, (before, after) in zip((1, 2), value.padding.sides, strict=True):
            if before or after:
                name = self.unique(f"{value.name}/pad")
                blocks = [self._block(value, shape, axis, count, fill, name) for count in (before, after)]
                parts = [blocks[0], stored, blocks[1]]
                stored = self.node("Concat", [part for part in parts if part], name, axis=value.axis(axis))
                shape[axis] += before + after
        return value.like(stored, shape)

    def _block(self, value, shape, axis, count, fill, name):
        """A constant as large as a map of this shape, but for one axis; None if nothing is left of it."""
        size = value.stored([count if index == axis else length for index, length in enumerate(shape)])
        return self.constant(np.full(size, fill, np.float32), f"{name}/block_{count}") if count else None

    def straight(self, value: Value) -> Value:
        """The value with its channels as Keras has them."""
        if not value.channels_reversed:
            return value
        return self._once("turn", value, lambda: self._turn(value))

    def _turn(self, value):
        name = self.unique(f"{value.name}/turn")
        backwards = self.constant(np.arange(value.shape[-1])[::-1], f"{name}/order")
        stored = self.node("Gather", [value.name, backwards], name, axis=value.axis(-1))
        return replace(value, name=stored, channels_reversed=False)

    def ordered(self, value: Value, order: Sequence[int]) -> Value:
        """The value with its axes in this order, its channels as Keras has them, and its padding in it."""
        value, order = self.straight(self.settled(value)), tuple(order)
        if value.order == order:
            return value
        return self._once(("order", order), value, lambda: self._move(value, order))

    def _move(self, value, order):
        moved = replace(value, order=order)
        if value.keeps_values(order):
            return replace(moved, name=self.reshape(value.name, moved.stored_shape, f"{value.name}/reshape"))
        name = self.unique(f"{value.name}/transpose")
        return replace(moved, name=self.node("Transpose", [value.name], name, perm=value.axes_to(order)))

    def maps(self, value: Value) -> Value:
        """A map (B, H, W, C) as ONNX's operators expect it, with its padding; the channels may be reversed."""
        value = self.settled(value)
        return value if value.order == CHANNELS_FIRST else self.ordered(value, CHANNELS_FIRST)

    def plain(self, value: Value) -> Value:
        """The value with its axes in Keras's order."""
        return self.ordered(value, plain_order(value.rank))

    def reshape(self, stored: str, shape: Sequence[int], name: str) -> str:
        """Another shape for a tensor of the graph; returns its name."""
        name = self.unique(name)
        return self.node("Reshape", [stored, self.constant(np.asarray(shape, np.int64), f"{name}/shape")], name)

    def _once(self, what, value, make):
        key = (what, value)
        if key not in self._moved:
            self._moved[key] = make()
        return self._moved[key]


@dataclass(frozen=True)
class Step:
    """One call of a layer, being written.

    Args:
        graph: the `Graph`.
        layer: the Keras layer.
        name: of the node whose output is the layer's; the nodes before it are called `name/part`.
        shape: Keras's shape of the output, with a batch of 1.
    """

    graph: Graph
    layer: Any
    name: str
    shape: tuple[int, ...]

    def node(self, operator: str, *inputs: Any, part: str | None = None, **attributes: Any) -> str:
        """Writes an operation and returns the name of its output; `part` names one that is not the layer's last."""
        name = self.name if part is None else self.graph.unique(f"{self.name}/{part}")
        return self.graph.node(operator, [getattr(x, "name", x) for x in inputs], name, **attributes)

    def constant(self, array: ArrayLike, part: str) -> str:
        """Writes an array of this layer and returns its name."""
        return self.graph.constant(array, f"{self.layer.name}/{part}")

    def reshape(self, stored: Any, shape: Sequence[int], part: str | None = None) -> str:
        """Another shape for a tensor of the graph; returns its name."""
        sizes = self.constant(np.asarray(shape, np.int64), f"{part}_shape" if part else "shape")
        return self.node("Reshape", stored, sizes, part=part)

    def factors(self, value: Value, array: ArrayLike, part: str) -> str:
        """A constant for sums and products with `value`.

        Args:
            array: of Keras's axes: as many as `value` has, of length one where all share a number.
        """
        array = value.turned(np.asarray(array))
        return self.constant(array.transpose(value.order) if array.ndim else array, part)

    def apply(self, operators: Sequence[tuple[str, str | None, Mapping[str, Any]]], value: Value) -> Value:
        """Operations on single values, one after the other.

        Args:
            operators: rows (operator, constant or None, attributes); a constant is its name.
            value: what they begin with.

        Returns:
            A `Value`; the last operation has the layer's name.
        """
        stored = value.name
        for index, (operator, constant, attributes) in enumerate(operators):
            last = index == len(operators) - 1
            inputs = [stored] if constant is None else [stored, constant]
            stored = self.node(operator, *inputs, part=None if last else operator.lower(), **attributes)
        return value.like(stored)
