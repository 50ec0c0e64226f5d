"""The end of a detector: class columns of foreign heads, and the maps of all levels as two tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import AnchorBoxes
from keras_ssd.layers.class_columns import NEVER, BoxesOfClasses, ClassColumns


@dataclass(frozen=True)
class HeadTables:
    """What AnchorBoxes joins.

    Args:
        confidence: name of the table (B, N, C + 1), of one image maybe (N, C + 1).
        offsets: name of the table (B, N, 4) or (N, 4).
        columns: C + 1.
        spec: the `AnchorSpec`.
    """

    confidence: str
    offsets: str
    columns: int
    spec: Any


def anchor_boxes(step: Step, *maps: Value) -> HeadTables:
    """The heads' maps, level by level, as tables with one row per anchor."""
    levels = step.layer.spec.levels
    tables, widths = [], []
    for part, group in (("confidence", maps[: len(levels)]), ("offsets", maps[len(levels) :])):
        rows, columns = [], 0
        for number, (level, value) in enumerate(zip(levels, group, strict=True)):
            value = step.graph.plain(value)  # (1, H, W, boxes * columns)
            columns = value.shape[-1] // level.boxes_per_cell
            rows.append(step.table(value, level.num_anchors, columns, part=f"{part}_{number}"))
        axis = step.graph.table_axis(0)
        widths.append(columns)
        tables.append(rows[0] if len(rows) == 1 else step.node("Concat", *rows, part=part, axis=axis))
    confidence, offsets = tables
    return HeadTables(confidence, offsets, widths[0], step.layer.spec)


def class_columns(step: Step, x: Value) -> Value:
    """The background first: the channels in another order, or a column more."""
    layer, columns = step.layer, step.layer.num_columns
    boxes = x.shape[-1] // columns
    if layer.background >= 0:
        x = step.graph.straight(x)
        others = [column for column in range(columns) if column != layer.background]
        order = np.asarray([layer.background, *others]) + columns * np.arange(boxes)[:, None]
        places = step.constant(order.reshape(-1), "order")
        return x.like(step.node("Gather", x, places, axis=x.axis(-1)))
    x = step.graph.plain(x)
    rows = int(np.prod(x.shape)) // columns
    table = step.table(x, rows, columns, part="table")
    never = np.full((rows, 1) if step.graph.single else (1, rows, 1), NEVER)
    name = f"{layer.name}/never"
    never = step.graph.constant(never, name) if step.graph.single else step.graph.spread(never, name)
    stored = step.node("Concat", never, table, part="with_background", axis=step.graph.table_axis(1))
    return Value.plain(step.reshape(stored, step.shape), step.shape)


def boxes_of_classes(step: Step, x: Value) -> Value:
    """A score of its own for each class's box, see the layer."""
    count, softmax = step.layer.num_columns, step.layer.scores == "softmax"
    x = step.graph.plain(x)
    rows = int(np.prod(x.shape)) // count
    own = np.eye(count)
    y = step.table(x, rows, count, 1, part="own")
    if softmax:
        others = step.table(x, rows, 1, count, part="all")
        others = step.node("Add", others, step.constant(own * NEVER, "without_own"), part="others")
        y = step.node("Sub", y, _log_sum_exp(step, others), part="logit")
    y = step.node("Mul", y, step.constant(own, "own_mask"), part="masked")  # (rows, C, C)
    never = 0.0 if step.layer.scores == "probabilities" else NEVER
    y = step.node("Add", y, step.constant((1 - own) * never, "never"), part="filled")
    return Value.plain(step.reshape(y, step.shape), step.shape)


def _log_sum_exp(step, stored):
    """Over the last axis of the table; the largest is taken out first, so nothing overflows."""
    axis = step.graph.table_axis(2)
    largest = step.node("ReduceMax", stored, part="largest", axes=[axis], keepdims=1)
    powers = step.node("Exp", step.node("Sub", stored, largest, part="below"), part="powers")
    total = step.node("ReduceSum", powers, step.constant(np.asarray([axis]), "axes"), part="total", keepdims=1)
    return step.node("Add", step.node("Log", total, part="log"), largest, part="log_sum_exp")


WRITERS: dict[Any, Callable[..., Any]] = {
    AnchorBoxes: anchor_boxes,
    ClassColumns: class_columns,
    BoxesOfClasses: boxes_of_classes,
}
