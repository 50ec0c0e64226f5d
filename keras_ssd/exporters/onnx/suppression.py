"""From decoded boxes and scores to the rows of `DecodeDetections`, by ONNX's own operators or by TensorRT's plugin."""

from typing import Any

import numpy as np

from keras_ssd.decoding import DecodeOptions
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.kinds.heads import HeadTables
from keras_ssd.exporters.onnx.onnx_graph import Graph
from keras_ssd.exporters.onnx.outputs import SCORES, Symbol, decoded_boxes, probabilities

DETECTIONS = "detections"
PLUGIN_OUTPUTS = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
PLUGIN, PLUGIN_DOMAIN = "EfficientNMS_TRT", "TRT"
NONE = -1.0  # a score that stands for no candidate


def refuse_other_suppression(options: DecodeOptions, plugin: bool = False) -> None:
    """Raises ExportError for options that the operators of suppression do not know.

    Args:
        options: the `DecodeOptions`.
        plugin: for TensorRT's plugin; else for ONNX's NonMaxSuppression.
    """
    of_either = [
        (options.eta < 1.0, f"eta={options.eta}"),
        (options.average_boxes, "average_boxes=True"),
    ]
    of_plugin = [
        (options.max_per_class is not None, f"max_per_class={options.max_per_class}"),
        (options.clip_boxes is True, "clip_boxes=True; clip_boxes='before' works"),
    ]
    found = [text for wrong, text in of_either + of_plugin * plugin if wrong]
    if found:
        name = f"TensorRT's {PLUGIN}" if plugin else "ONNX's NonMaxSuppression"
        raise ExportError(
            f"{name} cannot suppress with {', '.join(found)}. Give the model another decoder with "
            "keras_ssd.with_decoder, or write boxes and scores without suppression."
        )


def write_detections(graph: Graph, tables: HeadTables, options: DecodeOptions, kind: str) -> int:
    """Writes the output `detections` (B, K, 6), the rows of `DecodeDetections`.

    The order is the same: per class the best candidates, suppression, the best of all classes. NonMaxSuppression sees
    each class of each image as an image of its own, because each has other candidates.

    Args:
        graph: the `Graph`; the last operation has the name of the output.
        tables: the `HeadTables`.
        options: the `DecodeOptions`.
        kind: of the scores.

    Returns:
        K.
    """
    classes = tables.columns - 1
    groups = 1 if options.class_agnostic else classes
    candidates, per_class, keep = options.sizes(tables.spec.num_anchors, classes)
    out = _Writer(graph)
    boxes = decoded_boxes(graph, tables, options).name
    scores, class_of_anchor = _candidates(out, probabilities(graph, tables, kind, options.calibration).name, options)
    scores, order = out.top_k(scores, candidates, axis=2)  # (B, G, k)
    order = out.reshape(order, (-1, groups * candidates, 1))
    boxes = out.gather(boxes, order)  # (B, G * k, 4)
    scores = out.kept(scores, boxes, candidates, per_class, options)
    scores, best = out.top_k(out.reshape(scores, (-1, groups * candidates)), keep, axis=1)  # (B, K)
    best = out.reshape(best, (-1, keep, 1))
    if class_of_anchor is None:
        ids = out("Cast", out("Div", best, np.asarray(candidates)), to=1)
    else:
        ids = out.gather(out.gather(class_of_anchor, order), best)
    boxes = out.gather(boxes, best)
    if options.clip_boxes is True:
        boxes = out("Clip", boxes, np.float32(0), np.float32(1))
    scores = out.reshape(scores, (-1, keep, 1))
    rows = out("Concat", ids, scores, boxes, axis=2)
    used = out("Greater", scores, np.float32(NONE))
    rows = out("Where", used, rows, np.asarray([-1, 0, 0, 0, 0, 0], np.float32))
    graph.rename_last(rows, DETECTIONS)
    return keep


def _candidates(out, table, options):
    """Scores (B, G, N), and for a suppression of all classes together the class of each anchor (B, N, 1)."""
    if not options.class_agnostic:
        scores = out("Slice", table, np.asarray([1]), np.asarray([np.iinfo(np.int64).max]), np.asarray([2]))
        return out("Transpose", scores, perm=[0, 2, 1]), None
    best = out("ArgMax", table, axis=2, keepdims=1)  # (B, N, 1)
    largest = out("ReduceMax", table, axes=[2], keepdims=1)
    scores = out("Where", out("Greater", best, np.asarray(0)), largest, np.float32(NONE))
    classes = out("Cast", out("Sub", best, np.asarray(1)), to=1)
    return out("Transpose", scores, perm=[0, 2, 1]), classes


class _Writer:
    """Writes operations of the family `detections`; arrays among their inputs become constants."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, operator: str, *inputs: Any, **attributes: Any) -> str:
        return Symbol(self.graph, "", DETECTIONS).write(operator, *map(self._named, inputs), **attributes).name

    def _named(self, x):
        return Symbol(self.graph, x) if isinstance(x, str) else x

    def reshape(self, x: str, sizes: tuple[int, ...]) -> str:
        return self("Reshape", x, np.asarray(sizes))

    def top_k(self, scores: str, count: int, axis: int) -> tuple[str, str]:
        """The largest scores, sorted, and their places."""
        name = self.graph.unique(f"{DETECTIONS}/topk")
        most = self.graph.constant(np.asarray([count]), f"{name}/count")
        values, places = self.graph.several("TopK", [scores, most], (name, f"{name}/places"), axis=axis, sorted=1)
        return values, places

    def gather(self, values: str, places: str) -> str:
        """Rows of (B, N, D) at (B, K, 1)."""
        return self("GatherND", values, places, batch_dims=1)

    def kept(self, scores: str, boxes: str, candidates: int, per_class: int, options: DecodeOptions) -> str:
        """Scores (B * G, k) of the candidates that suppression keeps, `NONE` for the others."""
        single = self.reshape(boxes, (-1, candidates, 4))  # (B * G, k, 4)
        if options.code_type != "center_size":  # corners may come swapped: without area, not turned around as ONNX does
            low = self("Slice", single, np.asarray([0]), np.asarray([2]), np.asarray([2]))
            high = self("Slice", single, np.asarray([2]), np.asarray([4]), np.asarray([2]))
            single = self("Concat", low, self("Max", low, high), axis=2)
        selected = self(
            "NonMaxSuppression",
            single,
            self.reshape(scores, (-1, 1, candidates)),
            np.asarray(per_class),
            np.float32(options.iou_threshold),
            np.float32(options.floor),
        )  # (M, 3): image, 0, place
        places = self("Gather", selected, np.asarray([0, 2]), axis=1)
        scores = self.reshape(scores, (-1, candidates))
        nothing = self("Add", self("Mul", scores, np.float32(0)), np.float32(NONE))
        return self("ScatterND", nothing, places, self("GatherND", scores, places))


def write_plugin(graph: Graph, tables: HeadTables, options: DecodeOptions, kind: str) -> int:
    """Writes the four outputs of TensorRT's plugin, which decodes boxes of centre and size by itself.

    Args:
        graph: the `Graph`.
        tables: the `HeadTables`.
        options: the `DecodeOptions`.
        kind: of the scores.

    Returns:
        The number of rows per image.

    Source: NVIDIA/TensorRT, plugin/efficientNMSPlugin.
    """
    _, _, keep = options.sizes(tables.spec.num_anchors, tables.columns - 1)
    logits = (
        kind == "sigmoid" and not options.calibration
    )  # of which the plugin takes the sigmoid by itself, for what it keeps
    table = (
        Symbol(graph, tables.confidence, SCORES) if logits else probabilities(graph, tables, kind, options.calibration)
    )
    inputs, coding = _plugin_boxes(graph, tables, options)
    graph.several(
        PLUGIN,
        [inputs[0], table[..., 1:].name, *inputs[1:]],
        PLUGIN_OUTPUTS,
        PLUGIN_DOMAIN,
        plugin_version="1",
        score_threshold=float(max(options.floor, 0.0)),
        iou_threshold=float(options.iou_threshold),
        max_output_boxes=keep,
        background_class=-1,
        score_activation=int(logits),
        class_agnostic=int(options.class_agnostic),
        box_coding=coding,
    )
    return keep


def _plugin_boxes(graph, tables, options):
    """(names of boxes and, where the plugin decodes, anchors; 1 for centre and size, 0 for corners)."""
    if options.code_type != "center_size" or options.clip_boxes:
        return [decoded_boxes(graph, tables, options).name], 0
    offsets = Symbol(graph, tables.offsets)
    if not options.variance_encoded_in_target:
        offsets = offsets * np.asarray(tables.spec.variances, np.float32)
    return [offsets.name, graph.constant(tables.spec.anchors_cxcywh()[None], "anchors")], 1
