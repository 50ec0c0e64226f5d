"""A detector's network alone as an ONNX model in memory: what the engines under `detect` run."""

from typing import Any

from keras_ssd.exporters.model_graph import calls_of
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import write_calls
from keras_ssd.exporters.onnx.onnx_graph import Graph
from keras_ssd.exporters.onnx.proto import import_onnx, model_proto
from keras_ssd.exporters.onnx.refusals import refuse_what_cannot_be_written
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layers import DecodeDetections
from keras_ssd.layout import CHANNELS_FIRST

IMAGES, LOGITS, OFFSETS = "images", "logits", "offsets"


def check_network(model: Any) -> None:
    """Refuses a model that `onnx_network` cannot write; quick, nothing is written.

    Raises:
        ExportError: it names every layer that cannot be written.
        TypeError: not a functional model.
    """
    Detector.of(model)
    refuse_what_cannot_be_written(_calls(model))


def onnx_network(model: Any) -> bytes:
    """The network of a detector with the weights that it has now, as the bytes of an ONNX file.

    It takes `images` (B, H, W, 3) uint8, RGB, and gives `logits` (B, N, C + 1) and `offsets` (B, N, 4), float32.

    Args:
        model: an `SSD`, of raw predictions or with a decoder, or another functional model that ends so.

    Raises:
        ExportError: layers that cannot be written; all are named.
        ImportError: the package `onnx` is not installed.
        TypeError: not a functional model.
    """
    onnx = import_onnx()
    check_network(model)
    size_hw, predictions = model.inputs[0].shape[1:3], Detector.of(model).predictions
    graph = Graph((IMAGES, LOGITS, OFFSETS), IMAGES, batch=None, single=False)
    # Bytes are transposed and become numbers behind that: a quarter of the memory moves.
    turned = graph.node("Transpose", [IMAGES], graph.unique(f"{IMAGES}/maps"), perm=CHANNELS_FIRST)
    numbers = graph.node("Cast", [turned], graph.unique(f"{IMAGES}/numbers"), to=onnx.TensorProto.FLOAT)
    image = Value(numbers, (1, *size_hw, 3), order=CHANNELS_FIRST)
    tables = write_calls(graph, _calls(model), {id(model.inputs[0]): image})[id(predictions)]
    graph.node("Identity", [tables.confidence], LOGITS)
    graph.node("Identity", [tables.offsets], OFFSETS)
    anchors = tables.spec.num_anchors
    outputs = {LOGITS: ("batch", anchors, tables.columns), OFFSETS: ("batch", anchors, 4)}
    proto = model_proto(graph, model.name, {IMAGES: ("batch", *size_hw, 3)}, outputs, {})
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    return proto.SerializeToString()


def _calls(model):
    return [call for call in calls_of(model) if not isinstance(call.layer, DecodeDetections)]
