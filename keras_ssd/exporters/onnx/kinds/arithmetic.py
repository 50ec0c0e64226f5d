"""Sums, products and powers: of several tensors, and with numbers."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import AbsoluteValue, Logarithm, Power, WeightedAdd
from keras_ssd.layout import CHANNELS_FIRST, agree


def aligned(step: Step, values: Sequence[Value]) -> Sequence[Value]:
    """The values with their axes in one order, and their channels in one direction.

    Those with fewer axes get axes of length one behind the batch, as Keras's merging layers have it.
    """
    rank = max(value.rank for value in values)
    values = [_with_rank(step, value, rank) for value in values]
    first = values[0]
    if agree(values):
        return values
    orders = {value.order for value in values}
    order = CHANNELS_FIRST if CHANNELS_FIRST in orders else first.order
    return [step.graph.ordered(value, order) for value in values]


def _with_rank(step, value, rank):
    if value.rank == rank:
        return value
    value = step.graph.plain(value)
    shape = (value.shape[0], *(1,) * (rank - value.rank), *value.shape[1:])
    stored = step.graph.reshape(value.name, step.graph.with_batch(shape), f"{step.name}/spread")
    return Value.plain(stored, shape)


def _chained(step, operator, stored, last_part=None) -> Any:
    """An operation of two, applied from tensor to tensor."""
    total = stored[0]
    for index, other in enumerate(stored[1:], start=2):
        part = last_part if index == len(stored) else operator.lower()
        total = step.node(operator, total, other, part=part)
    return total


def _merging(operator):
    def write(step, *values):
        values = tuple(aligned(step, values))
        return values[0].like(_chained(step, operator, values), step.shape)

    return write


def average(step: Step, *values: Value) -> Value:
    values = tuple(aligned(step, values))
    total = _chained(step, "Add", values, last_part="sum")
    share = step.constant(1.0 / len(values), "share")
    return values[0].like(step.node("Mul", total, share), step.shape)


def weighted_add(step: Step, *values: Value) -> Value:
    values = tuple(aligned(step, values))
    coefficients = step.layer.coefficients
    alone = len(values) == 1
    weighted = [
        value.name
        if coefficient == 1.0 and not alone
        else step.node(
            "Mul", value, step.constant(coefficient, f"coefficient_{index}"), part=None if alone else "weighted"
        )
        for index, (value, coefficient) in enumerate(zip(values, coefficients, strict=True))
    ]
    return values[0].like(_chained(step, "Add", weighted), step.shape)


def linear(step: Step, x: Value, scale: ArrayLike, offset: ArrayLike, last_part: str | None = None) -> str:
    """x * scale + offset, without what changes nothing; returns the name of the result.

    Args:
        step: the layer.
        x: a `Value`.
        scale, offset: numbers, or arrays with as many axes as `x`.
        last_part: the part that the last operation is; None if it is the layer's last.
    """
    rows = [("Mul", scale, 1.0, "scale"), ("Add", offset, 0.0, "offset")]
    rows = [row for row in rows if np.any(np.asarray(row[1]) != row[2])]
    stored = x.name
    for index, (operator, array, _, what) in enumerate(rows):
        part = last_part if index == len(rows) - 1 else "scaled"
        stored = step.node(operator, stored, step.factors(x, array, what), part=part)
    return stored


def power(step: Step, x: Value) -> Value:
    layer = step.layer
    if layer.power == 1.0:
        return x.like(linear(step, x, layer.scale, layer.shift))
    y = linear(step, x, layer.scale, layer.shift, last_part="line")
    if layer.power == 2.0:
        return x.like(step.node("Mul", y, y))
    if layer.power == 0.5:
        return x.like(step.node("Sqrt", y))
    return x.like(step.node("Pow", y, step.constant(layer.power, "power")))


def logarithm(step: Step, x: Value) -> Value:
    layer = step.layer
    y = linear(step, x, layer.scale, layer.shift, last_part="line")
    if layer.base is None:
        return x.like(step.node("Log", y))
    factor = step.constant(1.0 / math.log(layer.base), "factor")
    return x.like(step.node("Mul", step.node("Log", y, part="natural"), factor))


def absolute_value(step: Step, x: Value) -> Value:
    return x.like(step.node("Abs", x))


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.Add: _merging("Add"),
    keras.layers.Subtract: _merging("Sub"),
    keras.layers.Multiply: _merging("Mul"),
    keras.layers.Maximum: _merging("Max"),
    keras.layers.Minimum: _merging("Min"),
    keras.layers.Average: average,
    WeightedAdd: weighted_add,
    Power: power,
    Logarithm: logarithm,
    AbsoluteValue: absolute_value,
}
