"""A detector's network alone as an ONNX model in memory: what the engines under `detect` run."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.exporters.model_graph import calls_of, writer_of
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.kinds import TAKE_PADDING, WRITERS
from keras_ssd.exporters.onnx.onnx_graph import Graph, Step
from keras_ssd.exporters.onnx.proto import import_onnx, model_proto
from keras_ssd.exporters.onnx.refusals import refuse_what_cannot_be_written
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import AnchorBoxes, DecodeDetections
from keras_ssd.layout import CHANNELS_FIRST

IMAGES, LOGITS, OFFSETS = "images", "logits", "offsets"


@dataclass(frozen=True)
class OnnxNetwork:
    """A network from images to what its heads say.

    It takes `images` (B, H, W, 3) uint8, RGB, and gives `logits` (B, N, C + 1) and `offsets` (B, N, 4), float32.

    Args:
        content: the bytes of an ONNX file.
        free_batch: whether B is any number; else it is 1.
    """

    content: bytes
    free_batch: bool


def check_network(model: Any) -> None:
    """Refuses a model that `onnx_network` cannot write; quick, nothing is written.

    Raises:
        ExportError: it names every layer that cannot be written.
        TypeError: not a functional model.
    """
    Detector.of(model)
    refuse_what_cannot_be_written(_calls(model))


def onnx_network(model: Any) -> OnnxNetwork:
    """Writes the network of a detector, with the weights that it has now.

    Args:
        model: an `SSD`, of raw predictions or with a decoder, or another functional model that ends so.

    Returns:
        An `OnnxNetwork`.

    Raises:
        ExportError: layers that cannot be written; all are named.
        ImportError: the package `onnx` is not installed.
        TypeError: not a functional model.
    """
    import_onnx()
    check_network(model)
    size_hw, predictions = model.inputs[0].shape[1:3], Detector.of(model).predictions
    graph = Graph(reserved=(IMAGES, LOGITS, OFFSETS))
    _write(graph, model)
    free = _free_batch(graph)
    batch: Any = "B" if free else 1
    rows, columns = predictions.shape[1:]
    outputs = {LOGITS: (batch, rows, columns - 12), OFFSETS: (batch, rows, 4)}
    proto = model_proto(graph, model.name, {IMAGES: (batch, *size_hw, 3)}, outputs, {})
    proto.graph.input[0].type.tensor_type.elem_type = import_onnx().TensorProto.UINT8
    return OnnxNetwork(proto.SerializeToString(), free)


def _calls(model):
    return [call for call in calls_of(model) if not isinstance(call.layer, DecodeDetections)]


def _write(graph, model):
    """Writes every call; the last one is that of `AnchorBoxes`, whose anchors the caller knows."""
    shape = (1, *model.inputs[0].shape[1:])
    # Bytes are transposed and become numbers behind that: a quarter of the memory moves.
    turned = graph.node("Transpose", [IMAGES], graph.unique(f"{IMAGES}/maps"), perm=CHANNELS_FIRST)
    numbers = graph.node("Cast", [turned], graph.unique(f"{IMAGES}/numbers"), to=1)  # float32
    values: dict[int, Any] = {id(model.inputs[0]): Value(numbers, shape, order=CHANNELS_FIRST)}
    for call in _calls(model):
        inputs = [values[id(x)] for x in call.inputs]
        if not isinstance(call.layer, TAKE_PADDING):
            inputs = [graph.settled(value) for value in inputs]
        [output] = call.outputs
        step = Step(graph, call.layer, graph.unique(call.layer.name), (1, *output.shape[1:]))
        write: Any = _tables if isinstance(call.layer, AnchorBoxes) else writer_of(call.layer, WRITERS)
        values[id(output)] = write(step, *inputs)


def _tables(step, *maps):
    """The heads' maps as the two outputs."""
    levels = step.layer.spec.levels
    for name, group in ((LOGITS, maps[: len(levels)]), (OFFSETS, maps[len(levels) :])):
        rows = []
        for number, (level, value) in enumerate(zip(levels, group, strict=True)):
            value = step.graph.plain(value)  # (1, H, W, boxes * columns)
            shape = (1, level.num_anchors, value.shape[-1] // level.boxes_per_cell)
            rows.append(step.reshape(value, shape, part=f"{name}_{number}"))
        stored = step.node("Concat", *rows, part=name, axis=1) if len(rows) > 1 else rows[0]
        step.graph.rename_last(stored, name)


def _free_batch(graph):
    """Lets a graph that was written for one image take any number, and says whether that can be.

    Every tensor has the batch as its first axis, so only what states the length of that axis has to change.
    """
    constants = graph.constants
    shapes = set()
    for node in graph.nodes:
        joins_constant = node.operator == "Concat" and any(name in constants for name in node.inputs)
        if joins_constant or (node.operator == "Resize" and len(node.inputs) == 4):
            return False
        if node.operator == "Reshape":
            shapes.add(node.inputs[1])
    if any(constants[name][0] != 1 for name in shapes):
        return False
    for name in shapes:
        constants[name] = np.concatenate([[0], constants[name][1:]]).astype(np.int64)  # 0: as it is
    return True
