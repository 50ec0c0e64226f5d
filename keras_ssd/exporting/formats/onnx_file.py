"""ONNX: operators of opset 13, suppression with NonMaxSuppression, or TensorRT's plugin."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import file_arrays
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import OnnxForm, metadata_of, onnx_of
from keras_ssd.exporters.onnx.proto import import_onnx
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.int8 import INT8
from keras_ssd.exporting.onnx_int8 import int8_onnx
from keras_ssd.exporting.options import TENSORRT, ExportOptions
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import EFFICIENT_NMS, ROWS, TABLES, FileMetadata

OUTPUTS: dict[bool | str, str] = {True: ROWS, False: TABLES, TENSORRT: EFFICIENT_NMS}
NOT_RUN = "TensorRT's EfficientNMS_TRT runs in TensorRT alone, so the file was not compared with the model."


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Writes the file, with the description in `metadata_props`."""
    onnx = import_onnx()
    output = OUTPUTS[options.suppression]
    metadata = description_of(model, options, output=output)
    form = OnnxForm(options.channels, output, options.batch, half=options.precision == "float16")
    told = {**metadata.to_properties(), **metadata_of(model, options.channels)}
    proto, notes = _made(model, form, told, options)
    path.write_bytes(proto.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path), full_check=output != EFFICIENT_NMS)
    return Written(metadata, (*notes, NOT_RUN) if output == EFFICIENT_NMS else notes)


def _made(model, form, told, options) -> tuple[Any, tuple[str, ...]]:
    """(the model, notes)."""
    if options.precision != INT8:
        return onnx_of(Detector.of(model), form, told), ()
    if form.output == EFFICIENT_NMS:
        raise ExportError(
            "TensorRT takes whole numbers with zero in their middle alone, and calibrates by itself. Export in float32 "
            "or float16 for it."
        )
    proto, found = int8_onnx(model, form, told, options)
    return proto, found.notes


class _Session:
    """A file in onnxruntime as a `Runner`."""

    def __init__(self, path: Path, metadata: FileMetadata) -> None:
        import onnxruntime

        self.runtime, self.batch, self._metadata = f"onnxruntime {onnxruntime.__version__}", metadata.batch, metadata
        self._names = list(file_arrays.OUTPUT_NAMES[metadata.output])
        self._session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def rows(self, images: np.ndarray) -> np.ndarray:
        found = self._session.run(self._names, {file_arrays.IMAGES: file_arrays.fed(self._metadata, images)})
        return file_arrays.rows_of(self._metadata, dict(zip(self._names, found, strict=True)))


def open_file(path: Path, metadata: FileMetadata) -> _Session | None:
    """The file in onnxruntime, where that is installed; None for what TensorRT alone runs."""
    if metadata.output == EFFICIENT_NMS:
        return None
    try:
        return _Session(path, metadata)
    except ImportError:
        return None
