"""ONNX models in whole numbers of eight bits, calibrated on images: for ONNX files, and for OpenVINO's, made of them.

onnxruntime's own quantizer does it: who writes ONNX files has it already, it calibrates once for any number of trials,
and it can leave single operations alone. Maps and weights lie between the standard operators QuantizeLinear and
DequantizeLinear, which OpenVINO reads, too; NNCF would bring seven packages and serve OpenVINO alone.

Weights have a scale for each channel, and seven bits: processors without VNNI add pairs of products in 16 bits, which
eight would overflow. What comes behind the heads stays in float, as in TensorFlow Lite files.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import file_arrays
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import OnnxForm, onnx_and_precise
from keras_ssd.exporters.onnx.proto import import_onnx
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.int8 import ENOUGH, Quantized, calibration_images, loss_of, search, some_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.file_metadata import TABLES
from keras_ssd.layers import AnchorBoxes
from keras_ssd.models.folding import fold_batch_normalization

# Operators that can be left in float; activations go with what they follow.
KINDS = ("Conv", "Gemm", "MatMul", "Add", "Mul", "MaxPool", "AveragePool", "GlobalAveragePool", "Concat", "Resize")
ACTIVATIONS = ("Relu", "Clip")
_PREPARED = "onnx.quant.pre_process"  # said of a model whose batch normalisations are folded; else a warning follows
_LEFTOVERS = (_PREPARED, "onnx.infer")


def int8_onnx(
    model: Any, form: OnnxForm, told: Mapping[str, str], options: ExportOptions, enough: float = ENOUGH
) -> tuple[Any, Quantized]:
    """A detector as an `onnx.ModelProto` in whole numbers; its input and outputs are float32.

    Args:
        model: the detector.
        form: the `OnnxForm`.
        told: {key: text} of the metadata.
        options: of the file; those of the calibration.
        enough: the loss up to which nothing is left in float.

    Returns:
        (the model, what was found).

    Raises:
        ExportError: layers or a suppression that cannot be written.
        ImportError: onnxruntime is not installed.
        ValueError: there are no images to calibrate on.
    """
    Detector.of(model)  # refuses what is none
    folded = fold_batch_normalization(model)
    detector = Detector.of(folded)
    proto, _ = onnx_and_precise(detector, form, told)
    tables, precise = onnx_and_precise(detector, replace(form, output=TABLES, batch=None), {})
    _import_quantizer()
    metadata = description_of(model, options, output=TABLES)
    images = [file_arrays.fed(metadata, image[None]) for image in calibration_images(model, options)]
    [joining] = [layer.name for layer in folded.layers if isinstance(layer, AnchorBoxes)]
    nodes = [node for node in tables.graph.node if node.name not in precise and not node.name.startswith(f"{joining}/")]
    with tempfile.TemporaryDirectory() as folder:
        trials = _Trials(tables, nodes, images, Path(folder))
        found = search(trials, [layer.name for layer in folded.layers], enough)
        return trials.applied(proto, found.left), found


class _Trials:
    """`keras_ssd.exporting.int8.Trials` of an ONNX model with the outputs `boxes` and `scores`."""

    def __init__(self, proto: Any, nodes: Sequence[Any], images: Sequence[np.ndarray], folder: Path) -> None:
        self._proto, self._folder, self._images = proto, folder, images
        self.operations = [node.name for node in nodes if node.op_type in KINDS]
        self._activations = [node.name for node in nodes if node.op_type in ACTIVATIONS]
        self._trial_images = some_of(images)
        self._expected = self._results(proto.SerializeToString())

    def without(self, places: Sequence[int]) -> bytes:
        return self.applied(self._proto, places).SerializeToString()

    def applied(self, proto: Any, places: Sequence[int]) -> Any:
        """Another model with the same network, quantized but for the operations at these places."""
        return self._quantized(proto, [name for place, name in enumerate(self.operations) if place not in places])

    def worst_first(self) -> list[int]:
        losses = [self.loss(self._quantized(self._proto, [name]).SerializeToString()) for name in self.operations]
        return sorted(range(len(losses)), key=lambda place: -losses[place])

    def loss(self, data: bytes) -> float:
        pairs = zip(self._expected, self._results(data), strict=True)
        return float(np.mean([loss_of(*ours, *theirs) for ours, theirs in pairs]))

    def _results(self, data):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = list(file_arrays.OUTPUT_NAMES[TABLES])
        found = [session.run(names, {file_arrays.IMAGES: image}) for image in self._trial_images]
        return [[np.asarray(table[0]) for table in tables] for tables in found]

    def _quantized(self, proto, names):
        onnx, library = import_onnx(), _import_quantizer()
        source = onnx.ModelProto()
        source.CopyFrom(proto)
        source.metadata_props.add(key=_PREPARED, value="onnxruntime.quant")
        path = self._folder / "quantized.onnx"
        with _silence():
            library.quantize_static(
                source,
                path,
                _Reader(self._images),
                op_types_to_quantize=[*KINDS, *ACTIVATIONS],
                per_channel=True,
                reduce_range=True,
                activation_type=library.QuantType.QUInt8,
                weight_type=library.QuantType.QInt8,
                nodes_to_quantize=[*names, *self._activations],
                calibration_cache_path=self._folder / "ranges.json",
            )
        made = onnx.load(path)
        kept = [entry for entry in made.metadata_props if entry.key not in _LEFTOVERS]
        del made.metadata_props[:]
        made.metadata_props.extend(kept)
        return made


class _Reader:
    """What the quantizer takes images from."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._left = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._left, None)
        return None if image is None else {file_arrays.IMAGES: image}


def _import_quantizer():
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise ImportError("Whole numbers need the package `onnxruntime`: pip install 'keras-ssd[onnx]'") from error
    return quantization


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The quantizer tells what it does in the root logger, and would set that up for the whole program."""
    root, handler = logging.getLogger(), logging.NullHandler()

    def nothing(record):
        return False

    root.addHandler(handler)
    root.addFilter(nothing)
    try:
        yield
    finally:
        root.removeFilter(nothing)
        root.removeHandler(handler)
