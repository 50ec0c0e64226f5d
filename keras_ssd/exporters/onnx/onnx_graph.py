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
    """One operation; its first output, mostly the only one, has its name.

    Args:
        operator, inputs, attributes: as in ONNX.
        name: of the operation.
        more: names of further outputs.
        domain: of the operator; "" is ONNX's own.
    """

    operator: str
    name: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    more: tuple[str, ...] = ()
    domain: str = ""


class Graph:
    """Nodes and constants in the order of computing; nothing of the `onnx` package in it.

    Args:
        reserved: names that no node may take.
        images: name of the input, whose first axis is the batch.
        batch: images at once; None for any number. Shapes of a `Value` say 1 in any case.
        single: the tables of anchors have no axis of the batch, which is 1.

    Attributes:
        precise: names of operations that half precision would spoil.
    """

    nodes: list[Node]
    constants: dict[str, np.ndarray]
    precise: set[str]

    def __init__(
        self, reserved: Iterable[str] = (), images: str = "images", batch: int | None = 1, single: bool = True
    ):
        self.nodes = []
        self.constants = {}
        self.precise = set()
        self.images, self.batch, self.single = images, batch, single
        self._names = set(reserved)
        self._moved = {}

    def unique(self, name: str) -> str:
        """The name, or with a number behind it if it is taken."""
        return unique(name, self._names)

    def node(self, operator: str, inputs: Iterable[str], name: str, **attributes: Any) -> str:
        """Writes an operation and returns the name of its output."""
        self.nodes.append(Node(operator, name, tuple(inputs), attributes))
        return name

    def several(
        self, operator: str, inputs: Iterable[str], names: Sequence[str], domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Writes an operation of several outputs with these names, and returns them."""
        first, *more = names
        self.nodes.append(Node(operator, first, tuple(inputs), attributes, tuple(more), domain))
        return tuple(names)

    def with_batch(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Sizes for a Reshape to a shape whose first axis is a batch of 1 image."""
        return tuple(shape) if self.batch == 1 else (-1, *shape[1:])

    def table(self, rows: int, *columns: int) -> tuple[int, ...]:
        """Sizes for a Reshape to a table of so many rows per image."""
        return (rows, *columns) if self.single else self.with_batch((1, rows, *columns))

    def table_axis(self, axis: int) -> int:
        """Where an axis of a table, 0 for its rows, is stored."""
        return axis if self.single else axis + 1

    def spread(self, array: ArrayLike, name: str) -> str:
        """Writes an array whose first axis is a batch of 1 image for all images, and returns its name."""
        array = np.asarray(array)
        if self.batch is not None:
            return self.constant(np.repeat(array, self.batch, axis=0), name)
        sizes = self.sizes((1,) * array.ndim, f"{name}/sizes")
        return self.node("Expand", [self.constant(array, name), sizes], self.unique(f"{name}/spread"))

    def sizes(self, shape: Sequence[int], name: str) -> str:
        """Writes a shape whose first axis is a batch of 1 image as the sizes for all images, and returns its name."""
        if self.batch is not None:
            return self.constant(np.asarray([self.batch, *shape[1:]]), name)
        if "images" not in self._moved:
            stored = self.node("Shape", [self.images], self.unique("batch/shape"))
            ends = [self.constant(np.asarray([end]), f"batch/{end}") for end in (0, 1)]
            self._moved["images"] = self.node("Slice", [stored, *ends], self.unique("batch"))
        rest = self.constant(np.asarray(shape[1:]), f"{name}/others")
        return self.node("Concat", [self._moved["images"], rest], self.unique(name), axis=0)

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
        if not count:
            return None
        size = value.stored([count if index == axis else length for index, length in enumerate(shape)])
        return self.spread(np.full(size, fill, np.float32), f"{name}/block_{count}")

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
            sizes = self.with_batch(moved.stored_shape)
            return replace(moved, name=self.reshape(value.name, sizes, f"{value.name}/reshape"))
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
        """Another shape, whose first axis is a batch of 1 image, for a tensor of the graph; returns its name."""
        return self._reshape(stored, self.graph.with_batch(shape), part)

    def table(self, stored: Any, rows: int, *columns: int, part: str | None = None) -> str:
        """The tensor as a table with so many rows per image; returns its name."""
        return self._reshape(stored, self.graph.table(rows, *columns), part)

    def _reshape(self, stored, sizes, part):
        sizes = self.constant(np.asarray(sizes, np.int64), f"{part}_shape" if part else "shape")
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
