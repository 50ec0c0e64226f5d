"""OpenVINO's intermediate representation: an .xml with its .bin, made of the ONNX file."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import file_arrays
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import OnnxForm, onnx_of
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.formats.onnx_file import OUTPUTS
from keras_ssd.exporting.int8 import INT8
from keras_ssd.exporting.onnx_int8 import int8_onnx
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import KEY, FileMetadata

MADE_FROM = "from.onnx"
# OpenVINO 2026.4 on the CPU: the second convolution of ssd_small is off by up to a fifth of its range where the batch
# is free, and exact where it is fixed.
ONE_IMAGE = "takes one image at once: OpenVINO computes whole numbers wrongly where the batch is not fixed"


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise ImportError("OpenVINO files need the package `openvino`: pip install 'keras-ssd[fast]'") from error
    return openvino


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Writes both files, with the description in `rt_info`; float16 is that of the stored weights."""
    openvino = _import_openvino()
    output = OUTPUTS[options.suppression]
    whole, notes = options.precision == INT8, ()
    if whole and options.batch is None:
        options, notes = replace(options, batch=1), (ONE_IMAGE,)
    metadata = description_of(model, options, output=output)
    form = OnnxForm(options.channels, output, options.batch)
    if whole:
        proto, found = int8_onnx(model, form, {}, options)
        notes = (*found.notes, *notes)
    else:
        proto = onnx_of(Detector.of(model), form, {})
    source = path.with_name(MADE_FROM)
    try:
        source.write_bytes(proto.SerializeToString())
        made = openvino.Core().read_model(str(source))  # `convert_model` does the same, and tells Intel of it
        for operation in made.get_ops():
            if operation.get_type_name() == "TopK":  # of equal scores the first one wins, as ONNX has it
                operation.set_attribute("stable", True)
        for key, text in metadata.to_properties().items():
            made.set_rt_info(text, [KEY] if key == KEY else ["model_info", key])
        _save(openvino, made, path, options.precision == "float16")
    finally:
        source.unlink(missing_ok=True)
    return Written(metadata, notes)


def _save(openvino, made, path, half):
    try:
        openvino.save_model(made, str(path), compress_to_fp16=half)
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        # All that C++ tells of a disk without room.
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


class _Compiled:
    """A file in OpenVINO as a `Runner`."""

    def __init__(self, path: Path, metadata: FileMetadata) -> None:
        openvino = _import_openvino()
        self.runtime, self.batch = f"OpenVINO {openvino.__version__.split('-')[0]}", metadata.batch
        self._metadata, core = metadata, openvino.Core()
        # The processor's bfloat16 units would be used by default; what is compared are the numbers in the file.
        self._compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def rows(self, images: np.ndarray) -> np.ndarray:
        found = self._compiled({file_arrays.IMAGES: file_arrays.fed(self._metadata, images)})
        names = file_arrays.OUTPUT_NAMES[self._metadata.output]
        return file_arrays.rows_of(self._metadata, {name: found[name] for name in names})


def open_file(path: Path, metadata: FileMetadata) -> _Compiled:
    """The file in OpenVINO."""
    return _Compiled(path, metadata)
