"""From the heads' tables to decoded boxes and scores."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import DecodeOptions, ScoreCalibration
from keras_ssd.exporters.onnx.kinds.heads import HeadTables
from keras_ssd.exporters.onnx.onnx_graph import Graph

BOXES, SCORES = "boxes", "scores"


def decoded_boxes(graph: Graph, tables: HeadTables, options: DecodeOptions) -> "Symbol":
    """Writes decoded boxes (B, N, 4), by the very formula that decodes everywhere else.

    Args:
        graph: the `Graph`.
        tables: the `HeadTables`.
        options: the `DecodeOptions`: how offsets are coded.
    """
    spec = tables.spec
    anchors = spec.anchors_cxcywh()
    variances = np.broadcast_to(np.asarray(spec.variances, np.float32), anchors.shape)
    offsets = Symbol(graph, tables.offsets)
    return options.boxes(Predictions(None, offsets, anchors, variances), SymbolOperations)


def probabilities(graph: Graph, tables: HeadTables, kind: str, calibration: ScoreCalibration) -> "Symbol":
    """Writes scores (B, N, C + 1) of all classes, the background first.

    Args:
        graph: the `Graph`.
        tables: the `HeadTables`.
        kind: "softmax", "sigmoid" or "probabilities", see `DecodeOptions.scores`.
        calibration: of the scores; of all columns, so that the best class of an anchor stays.
    """
    table = Symbol(graph, tables.confidence, SCORES)
    if kind == "softmax":
        table = table.write("Softmax", table, axis=graph.table_axis(1))
    elif kind == "sigmoid":
        table = table.write("Sigmoid", table)
    return _calibrated(table, calibration)


def _calibrated(scores, calibration):
    return calibration.apply(SymbolOperations.clip(scores, 0.0, 1.0)) if calibration else scores


def write_tables(graph: Graph, tables: HeadTables, options: DecodeOptions, kind: str) -> None:
    """Writes the outputs `boxes` (B, N, 4) and `scores` (B, N, C), without the background.

    Args:
        graph: the `Graph`; the last operations have the names of the outputs.
        tables: the `HeadTables`.
        options: the `DecodeOptions`.
        kind: of the scores.
    """
    graph.rename_last(decoded_boxes(graph, tables, options).name, BOXES)
    if kind == "sigmoid":  # of fewer columns than `probabilities` would compute
        scores = Symbol(graph, tables.confidence, SCORES)[..., 1:]
        scores = _calibrated(scores.write("Sigmoid", scores), options.calibration)
    else:
        scores = probabilities(graph, tables, kind, options.calibration)[..., 1:]
    graph.rename_last(scores.name, SCORES)


class Symbol:
    """A table (B, N, D) of the graph that formulas on arrays can be applied to: each operation is written down.

    Args:
        graph: the `Graph`.
        name: of the table.
        family: what the names of operations begin with.
    """

    graph: Graph
    name: str
    family: str

    __array_ufunc__ = None  # numpy leaves `array * symbol` to the symbol

    def __init__(self, graph: Graph, name: str, family: str = BOXES):
        self.graph, self.name, self.family = graph, name, family

    def write(self, operator: str, *inputs: Any, **attributes: Any) -> "Symbol":
        """The `Symbol` of an operation; numbers and arrays among its inputs become constants."""
        name = self.graph.unique(f"{self.family}/{operator.lower()}")
        stored = [
            x.name if isinstance(x, Symbol) else self.graph.constant(x, f"{name}/{index}")
            for index, x in enumerate(inputs)
        ]
        return Symbol(self.graph, self.graph.node(operator, stored, name, **attributes), self.family)

    def __add__(self, other: Any) -> "Symbol":
        return self.write("Add", self, _floats(other))

    def __sub__(self, other: Any) -> "Symbol":
        return self.write("Sub", self, _floats(other))

    def __mul__(self, other: Any) -> "Symbol":
        return self.write("Mul", self, _floats(other))

    def __truediv__(self, other: Any) -> "Symbol":
        return self.write("Div", self, _floats(other))

    def __rsub__(self, other: Any) -> "Symbol":
        return self.write("Sub", _floats(other), self)

    def __pow__(self, other: Any) -> "Symbol":
        return self.write("Pow", self, _floats(other))

    __radd__: Callable[..., "Symbol"] = __add__
    __rmul__: Callable[..., "Symbol"] = __mul__

    def __getitem__(self, key: Any) -> "Symbol":
        _, columns = key  # always symbol[..., start:stop]
        start, stop = columns.start or 0, np.iinfo(np.int64).max if columns.stop is None else columns.stop
        axis = np.asarray([self.graph.table_axis(1)])
        return self.write("Slice", self, np.asarray([start]), np.asarray([stop]), axis)


def _floats(x):
    return x if isinstance(x, Symbol) else np.asarray(x, np.float32)


class SymbolOperations:
    """The functions of an array module that decoding calls."""

    @staticmethod
    def exp(x: Symbol) -> "Symbol":
        return x.write("Exp", x)

    @staticmethod
    def concatenate(parts: Sequence[Any], axis: int) -> Any:
        symbols = [part for part in parts if isinstance(part, Symbol)]
        if not symbols:
            return np.concatenate(parts, axis)
        return symbols[0].write("Concat", *parts, axis=symbols[0].graph.table_axis(1))

    @staticmethod
    def clip(x: Symbol, low: float, high: float) -> "Symbol":
        return x.write("Clip", x, *(np.asarray(limit, np.float32) for limit in (low, high)))
