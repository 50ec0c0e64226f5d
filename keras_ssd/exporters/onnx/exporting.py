"""`to_onnx`: a detector -> an ONNX file with decoded boxes and scores."""

import importlib.util
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_ssd.box_coder import Predictions
from keras_ssd.calling import checked_arguments
from keras_ssd.exporters.model_graph import ExportError, calls_of, writer_of
from keras_ssd.exporters.onnx.checking import OnnxCheck, check_onnx
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.inputs import IMAGES, first_value, input_kind
from keras_ssd.exporters.onnx.kinds import TAKE_PADDING, WRITERS
from keras_ssd.exporters.onnx.onnx_graph import Graph, Step
from keras_ssd.exporters.onnx.outputs import BOXES, SCORES, write_boxes, write_scores
from keras_ssd.exporters.onnx.proto import import_onnx, model_proto
from keras_ssd.exporters.onnx.refusals import refuse_what_cannot_be_written
from keras_ssd.layers import DecodeDetections
from keras_ssd.replacing import replacing

LIMIT = 1e-2  # far above rounding, that of half precision included, and far below what a wrong operation does


@checked_arguments
def to_onnx(
    model: keras.Model, path: str | os.PathLike[str], *, input: str = "rgb", check_with: Sequence[Any] = ()
) -> OnnxCheck:
    """Writes a detector as an ONNX file, for OpenCV 5, onnxruntime and whatever else reads ONNX.

    The file takes one image, `images` (1, 3, H, W) float32, and gives `boxes` (N, 4), [xmin, ymin, xmax, ymax] in
    fractions of the image, decoded and not clipped, and `scores` (N, C) of the C classes without the background.
    Suppression is left to the caller: ONNX's NMS is not used, because programs differ. Only operators of ONNX's opset
    13 are used, with static shapes and channels first; the file is the same on every backend. Its metadata hold the
    class names.

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
        ExportError: layers that cannot be written (all are named), or a file that does not compute what the model
            does; nothing is written.
        ImportError: the package `onnx` is not installed.
        TypeError: not a functional model.
        ValueError: an unknown `input`.

    Example:
        >>> print(keras_ssd.to_onnx(model, "plates.onnx", input="blob", check_with=["car.jpg"]))
    """
    input_kind(input)
    onnx = import_onnx()
    proto = _proto(Detector.of(model), input)
    path = Path(path)
    # The file gets its name when it has been checked.
    with replacing(path) as temporary:
        temporary.write_bytes(proto.SerializeToString(deterministic=True))
        onnx.checker.check_model(str(temporary), full_check=True)
        checked = _compared(temporary, model, input, check_with)
    return replace(checked, path=path)


def _compared(path, model, input, images):
    if importlib.util.find_spec("onnxruntime") is None:
        return OnnxCheck(Path(path), input, None, ())
    checked = check_onnx(path, model, images)
    wrong = [row for row in checked.differences if max(row.boxes, row.scores) > LIMIT]
    if wrong:
        raise ExportError(
            f"The ONNX file would not compute what '{model.name}' does, so it was not written. Differences on "
            f"{'; '.join(map(str, wrong))}. Check that the model's weights are finite; if they are, this is an error "
            "of the writer."
        )
    return checked


def _proto(detector, input):
    """The whole model as an `onnx.ModelProto`."""
    model = detector.model
    calls = [call for call in calls_of(model) if not isinstance(call.layer, DecodeDetections)]
    tensor, value, calls = first_value(input_kind(input), calls, model.inputs[0])
    refuse_what_cannot_be_written(calls)
    graph = Graph(reserved=(IMAGES, BOXES, SCORES))
    tables = _written(graph, calls, {id(tensor): value})[id(detector.predictions)]
    write_boxes(graph, tables, detector.options)
    write_scores(graph, tables, detector.kind_of_scores)
    anchors, classes = tables.spec.num_anchors, Predictions.classes_in(detector.predictions.shape[-1])
    metadata = {
        "input": input,
        "class_names": json.dumps(list(getattr(model, "class_names", ())), ensure_ascii=False),
    }
    outputs = {BOXES: (anchors, 4), SCORES: (anchors, classes)}
    return model_proto(graph, model.name, {IMAGES: value.stored_shape}, outputs, metadata)


def _written(graph, calls, values) -> dict[int, Any]:
    """{id of a Keras tensor: its `Value`} after writing all calls; `values` are those that the graph begins with."""
    for call in calls:
        missing = [x.name for x in call.inputs if id(x) not in values]
        if missing:
            raise ExportError(
                f"Layer '{call.layer.name}' reads the image before the layer 'preprocessing'. Use input='rgb' or "
                "'bgr', which take images in 0..255."
            )
        inputs = [values[id(x)] for x in call.inputs]
        if not isinstance(call.layer, TAKE_PADDING):
            inputs = [graph.settled(value) for value in inputs]
        [output] = call.outputs
        step = Step(graph, call.layer, graph.unique(call.layer.name), (1, *output.shape[1:]))
        values[id(output)] = writer_of(call.layer, WRITERS)(step, *inputs)
    return values
