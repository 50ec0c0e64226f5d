"""A TensorFlow Lite file, for LiteRT, Android, MediaPipe and Coral."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import file_arrays
from keras_ssd.anchors import AnchorSpec
from keras_ssd.box_coder import Predictions, decode
from keras_ssd.engines.files import FileDetector
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.int8 import INT8, calibration_images
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.tflite.converting import network_file
from keras_ssd.exporting.tflite.flat import FlatModel, schema
from keras_ssd.exporting.tflite.metadata import BUFFER, tflite_metadata, with_files
from keras_ssd.exporting.tflite.plan import BOXES, SCORES, Plan
from keras_ssd.exporting.tflite.post_processing import add_post_process
from keras_ssd.exporting.tflite.quantizing import quantized
from keras_ssd.exporting.tflite.suppression import PostProcess, post_process_of
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import TABLES, TFLITE_DETECTION, FileMetadata
from keras_ssd.layers import AnchorBoxes


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Writes the file: the network, the operation that suppresses, the metadata, the list of labels."""
    schema()
    detector, batch = Detector.of(model), options.batch or 1
    spec = _spec_of(model)
    post = _post_process(detector, spec, batch) if options.suppression else None
    images = _calibration_images(model, options) if options.precision == INT8 else ()
    data, notes = network_file(model, _plan(detector, post, options, batch)), ()
    if images:
        made = quantized(data, images, [layer.name for layer in model.layers], _decoder(post, spec))
        data, notes = made.data, made.notes
    flat = FlatModel(data)
    places = {name: flat.output(name) for name in (BOXES, SCORES)}
    flat.rename(flat.graph.inputs[0], file_arrays.IMAGES)
    if post is None:
        flat.set_outputs(places)
        for name, place in places.items():
            flat.rename(place, name)
    else:
        add_post_process(flat, places[BOXES], places[SCORES], post)
    told = description_of(
        model,
        options,
        layout="NHWC",
        dtype="uint8" if options.precision == INT8 else "float32",
        output=TABLES if post is None else TFLITE_DETECTION,
        batch=batch,
        threads=None if post is None else post.threads,
    )
    flat.set_metadata(BUFFER, tflite_metadata(told))
    path.write_bytes(with_files(flat.packed(), told))
    return Written(told, notes)


def _spec_of(model) -> AnchorSpec:
    [joining] = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
    return joining.spec


def _post_process(detector, spec, batch):
    if batch != 1:
        raise ExportError(
            "The operation that suppresses in TensorFlow Lite files takes one image at once. Export with a batch of 1, "
            f"or without suppression. Received: a batch of {batch}"
        )
    return post_process_of(detector.options, spec, Predictions.classes_in(detector.predictions.shape[-1]))


def _plan(detector, post, options, batch):
    return Plan(
        decoding=dict(vars(detector.options)),
        kind_of_scores=detector.kind_of_scores,
        coded=post is not None and post.coded,
        centred=post is not None and not post.coded,
        best_only=post is not None and post.best_only,
        top_k=None if post is None else post.top_k,
        unused=0 if post is None else post.unused,
        batch=batch,
        bgr=options.channels == "bgr",
        half=options.precision == "float16",
    )


def _calibration_images(model, options):
    """(H, W, 3) each, as the file will get them."""
    images = calibration_images(model, options)
    return [image[..., ::-1] for image in images] if options.channels == "bgr" else images


def _decoder(post: PostProcess | None, spec):
    """A function from the network's boxes to [xmin, ymin, xmax, ymax]."""
    if post is None:
        return np.asarray
    settings = post.settings
    variances = np.asarray([1 / settings[f"{side}_scale"] for side in "xywh"], np.float32)
    anchors = post.anchors_yxhw[:, [1, 0, 3, 2]]
    return partial(_decoded, anchors, variances)


def _decoded(anchors, variances, boxes):
    with np.errstate(over="ignore"):
        return decode(boxes[:, [1, 0, 3, 2]], anchors, variances)


class _File:
    """A file as a `Runner`, opened and run as `detect` does it."""

    def __init__(self, path: Path) -> None:
        detector = FileDetector(path, "litert")
        self._predictor = detector.engine_predictor(detector.decoding, insist=False)
        self.runtime, self.batch = detector.runtime, detector.metadata.batch

    def rows(self, images: np.ndarray) -> np.ndarray:
        return self._predictor.rows(list(images), len(images))


def open_file(path: Path, metadata: FileMetadata) -> _File:
    """The file in LiteRT."""
    return _File(path)
