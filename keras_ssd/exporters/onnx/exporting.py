"""`to_onnx`: a detector -> an ONNX file with detections, or with decoded boxes and scores."""

import importlib.util
import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_ssd import file_metadata
from keras_ssd.calling import checked_arguments
from keras_ssd.exporters.model_graph import ExportError, calls_of, writer_of
from keras_ssd.exporters.onnx.checking import OnnxCheck, check_onnx
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.half import in_half_precision, needs_precision
from keras_ssd.exporters.onnx.inputs import IMAGES, first_value, input_kind
from keras_ssd.exporters.onnx.kinds import TAKE_PADDING, WRITERS
from keras_ssd.exporters.onnx.onnx_graph import Graph, Step
from keras_ssd.exporters.onnx.outputs import BOXES, SCORES, write_tables
from keras_ssd.exporters.onnx.proto import import_onnx, model_proto
from keras_ssd.exporters.onnx.refusals import refuse_what_cannot_be_written
from keras_ssd.exporters.onnx.suppression import (
    DETECTIONS,
    PLUGIN_OUTPUTS,
    refuse_other_suppression,
    write_detections,
    write_plugin,
)
from keras_ssd.layers import DecodeDetections
from keras_ssd.replacing import replacing

LIMIT = 1e-2  # far above rounding, that of half precision included, and far below what a wrong operation does


@dataclass(frozen=True)
class OnnxForm:
    """What an ONNX file takes and gives.

    Args:
        input: see `to_onnx`.
        output: "rows", "tables", "single_tables" or "efficient_nms", see `keras_ssd.file_metadata`.
        batch: images at once; None for any number.
        half: whether the network computes in float16; images and outputs are float32 in any case.
    """

    input: str = "rgb"
    output: str = file_metadata.SINGLE_TABLES
    batch: int | None = 1
    half: bool = False


@checked_arguments
def to_onnx(
    model: keras.Model, path: str | os.PathLike[str], *, input: str = "rgb", check_with: Sequence[Any] = ()
) -> OnnxCheck:
    """Writes a detector as an ONNX file of one image, for OpenCV 5, onnxruntime and whatever else reads ONNX.

    `keras_ssd.export` has more choices: any batch, half precision, TensorRT's suppression. The file takes `images`
    (1, 3, H, W) float32. Of a model of raw predictions it gives `boxes` (N, 4), [xmin, ymin, xmax, ymax] in fractions
    of the image, decoded and not clipped, and `scores` (N, C) of the C classes without the background; suppression is
    left to the caller. Of a model that ends in a decoder it gives `detections` (1, K, 6), the same rows as the model.
    Only operators of ONNX's opset 13 are used, with channels first; the file is the same on every backend. Its
    metadata hold the class names.

    Args:
        model: an `SSD`, of raw predictions or `with_decoder`, or another functional model that ends so.
        path: of the file, in an existing folder.
        input: "rgb" or "bgr" (as `cv2.imread` gives it): values 0..255, the preprocessing is inside. "blob": what the
            model's Caffe net took, BGR with mean and scale applied by the caller, as in `cv2.dnn.blobFromImage`; then
            the preprocessing is left out, and a net of grey images takes (1, 1, H, W). "rgb_blob": the same in RGB.
        check_with: images (paths, PIL images, arrays) to compare the file with the model on, besides random noise.

    Returns:
        An `OnnxCheck`: the largest differences that onnxruntime shows. Without onnxruntime nothing is compared.

    Raises:
        ExportError: layers that cannot be written (all are named), a suppression that ONNX does not have, or a file
            that does not compute what the model does; nothing is written.
        ImportError: the package `onnx` is not installed.
        TypeError: not a functional model.
        ValueError: an unknown `input`.

    Example:
        >>> print(keras_ssd.to_onnx(model, "plates.onnx", input="blob", check_with=["car.jpg"]))
    """
    detector = Detector.of(model)
    form = OnnxForm(input, file_metadata.ROWS if detector.has_decoder else file_metadata.SINGLE_TABLES)
    onnx = import_onnx()
    proto = onnx_of(detector, form, metadata_of(model, input))
    path = Path(path)
    # The file gets its name when it has been checked.
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(temporary), full_check=True)
        checked = _compared(temporary, model, input, check_with)
    return replace(checked, path=path)


def metadata_of(model: Any, input: str) -> dict[str, str]:
    """What every file says: its input, and the class names."""
    names = json.dumps(list(getattr(model, "class_names", ())), ensure_ascii=False)
    return {"input": input, "class_names": names}


def _compared(path, model, input, images):
    if importlib.util.find_spec("onnxruntime") is None:
        return OnnxCheck(Path(path), input, None, (), Detector.of(model).has_decoder)
    checked = check_onnx(path, model, images)
    wrong = [row for row in checked.differences if max(row.boxes, row.scores) > LIMIT]
    if wrong:
        raise ExportError(
            f"The ONNX file would not compute what '{model.name}' does, so it was not written. Differences on "
            f"{'; '.join(map(str, wrong))}. Check that the model's weights are finite; if they are, this is an error "
            "of the writer."
        )
    return checked


def onnx_of(detector: Detector, form: OnnxForm, metadata: Mapping[str, str]) -> Any:
    """A detector as an `onnx.ModelProto`.

    Args:
        detector: the `Detector`.
        form: the `OnnxForm`.
        metadata: {key: text}.

    Raises:
        ExportError: layers or a suppression that cannot be written.
    """
    proto, precise = onnx_and_precise(detector, form, metadata)
    return in_half_precision(proto, precise) if form.half else proto


def onnx_and_precise(detector: Detector, form: OnnxForm, metadata: Mapping[str, str]) -> tuple[Any, Collection[str]]:
    """(the `onnx.ModelProto` in float32, names of the nodes that must stay so in any precision), see `onnx_of`."""
    model = detector.model
    calls = [call for call in calls_of(model) if not isinstance(call.layer, DecodeDetections)]
    tensor, value, calls = first_value(input_kind(form.input), calls, model.inputs[0])
    refuse_what_cannot_be_written(calls)
    if form.output in (file_metadata.ROWS, file_metadata.EFFICIENT_NMS):
        refuse_other_suppression(detector.options, plugin=form.output == file_metadata.EFFICIENT_NMS)
    reserved = (IMAGES, BOXES, SCORES, DETECTIONS, *PLUGIN_OUTPUTS)
    graph = Graph(reserved, IMAGES, form.batch, single=form.output == file_metadata.SINGLE_TABLES)
    tables = write_calls(graph, calls, {id(tensor): value})[id(detector.predictions)]
    network = len(graph.nodes)
    outputs = _write_outputs(graph, tables, detector, form)
    graph.precise |= {node.name for node in graph.nodes[network:]}
    batch = "batch" if form.batch is None else form.batch
    proto = model_proto(graph, model.name, {IMAGES: (batch, *value.stored_shape[1:])}, outputs, metadata)
    return proto, graph.precise


def _write_outputs(graph, tables, detector, form):
    """{name: shape} of the outputs, after writing them."""
    batch = "batch" if form.batch is None else form.batch
    arguments = graph, tables, detector.options, detector.kind_of_scores
    if form.output == file_metadata.ROWS:
        return {DETECTIONS: (batch, write_detections(*arguments), 6)}
    if form.output == file_metadata.EFFICIENT_NMS:
        keep = write_plugin(*arguments)
        sizes = ((1,), (keep, 4), (keep,), (keep,))
        return {name: (batch, *size) for name, size in zip(PLUGIN_OUTPUTS, sizes, strict=True)}
    write_tables(*arguments)
    lead = () if graph.single else (batch,)
    anchors = tables.spec.num_anchors
    return {BOXES: (*lead, anchors, 4), SCORES: (*lead, anchors, tables.columns - 1)}


def write_calls(graph: Graph, calls: Sequence[Any], values: dict[int, Any]) -> dict[int, Any]:
    """{id of a Keras tensor: its `Value`} after writing all calls; `values` are those that the graph begins with."""
    for call in calls:
        missing = [x.name for x in call.inputs if id(x) not in values]
        if missing:
            raise ExportError(
                f"Layer '{call.layer.name}' reads the image before the layer 'preprocessing'. Use input='rgb' or "
                "'bgr', which take images in 0..255."
            )
        before = len(graph.nodes)
        inputs = [values[id(x)] for x in call.inputs]
        if not isinstance(call.layer, TAKE_PADDING):
            inputs = [graph.settled(value) for value in inputs]
        [output] = call.outputs
        step = Step(graph, call.layer, graph.unique(call.layer.name), (1, *output.shape[1:]))
        values[id(output)] = writer_of(call.layer, WRITERS)(step, *inputs)
        if needs_precision(call.layer):
            graph.precise |= {node.name for node in graph.nodes[before:]}
    return values
