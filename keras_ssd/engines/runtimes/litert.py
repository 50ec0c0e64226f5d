"""LiteRT, formerly TensorFlow Lite, on the CPU.

It runs files. A model of Keras has to be converted, which takes TensorFlow seconds to minutes, so `auto` takes this
engine for files alone.
"""

from __future__ import annotations  # the help of commands imports this without numpy

import io
import os
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd._quiet import quiet_backend
from keras_ssd.engines.engine import Engine, EngineError, Tensor

if TYPE_CHECKING:
    import numpy as np

LOSES_A_CLASS = b"TFLite_Detection_PostProcess"  # on several threads, see `keras_ssd.exporting.tflite.suppression`
MOST_FILES = 64  # a description has two or three


class _Program:
    """An interpreter, which one thread uses at a time."""

    def __init__(self, source: bytes | Path, precision: str) -> None:
        import importlib.metadata

        content = source if isinstance(source, bytes) else source.read_bytes()
        self.properties: Mapping[str, str] = _properties(content)
        threads = _threads(content, self.properties)
        with quiet_backend():
            from ai_edge_litert import interpreter

            self._interpreter: Any = interpreter.Interpreter(model_content=content, num_threads=threads)
            self._interpreter.allocate_tensors()
        self._lock = threading.Lock()
        self.inputs = tuple(map(_tensor, self._interpreter.get_input_details()))
        self.outputs = _named(self._interpreter)
        self.runtime = f"LiteRT {importlib.metadata.version('ai-edge-litert')}"

    def __call__(self, array: np.ndarray) -> list[np.ndarray]:
        runs = self._interpreter
        with self._lock:
            [place] = [told["index"] for told in runs.get_input_details()]
            if tuple(runs.get_input_details()[0]["shape"]) != array.shape:
                runs.resize_tensor_input(place, array.shape)
                runs.allocate_tensors()
            runs.set_tensor(place, array)
            runs.invoke()
            return [runs.get_tensor(told["index"]) for told in runs.get_output_details()]


def _threads(content, properties):
    """How many threads compute a file: all, but no more than its suppression stands."""
    from keras_ssd.file_metadata import FileMetadata

    processors = os.cpu_count() or 1
    if LOSES_A_CLASS not in content:
        return processors
    try:
        told = FileMetadata.from_properties(properties)
    except ValueError:  # who opens the file says what is wrong with it
        told = None
    return min(processors, (told and told.threads) or 1)


def _named(interpreter):
    """The outputs under the names of the signature, where the file has one: those of tensors are the converter's."""
    told = interpreter.get_output_details()
    names = {}
    if len(interpreter.get_signature_list()) == 1:
        details = interpreter.get_signature_runner().get_output_details()
        names = {int(one["index"]): name for name, one in details.items()}
    return tuple(replace(_tensor(one), name=names.get(int(one["index"]), one["name"])) for one in told)


def _tensor(told):
    import numpy as np

    shape = tuple(None if length < 0 else int(length) for length in told["shape_signature"])
    return Tensor(told["name"], shape, str(np.dtype(told["dtype"])))


def _properties(content):
    """{name without ending: text} of the files that are packed behind the model."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = [info for info in archive.infolist()[:MOST_FILES] if info.file_size < 1 << 20]
            return {Path(info.filename).stem: archive.read(info).decode("utf-8", "replace") for info in infos}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return {}


def _refuses(model):
    """A model is converted by TensorFlow, from the graph that Keras makes on it."""
    import keras

    from keras_ssd.exporters.onnx.detector import Detector

    Detector.of(model)
    if keras.config.backend() != "tensorflow":
        raise EngineError(
            "The engine litert runs files of TensorFlow Lite, and converts a model itself only where Keras runs on "
            f"TensorFlow; here it runs on {keras.config.backend()}. Export the model to a .tflite file and detect with "
            "that, or use engine='onnxruntime' or 'openvino'."
        )


def _written(model):
    """The network in TensorFlow Lite's built-in operators, from images to logits and offsets."""
    import tensorflow as tf

    from keras_ssd.exporters.model_graph import ExportError
    from keras_ssd.exporters.onnx.network import LOGITS, OFFSETS

    maps, joining = _before_joining(model)
    count = len(joining.spec.levels)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8, name="images")])
    def network(images):
        found = maps(tf.cast(images, tf.float32), training=False)
        parts = []
        for group, rows in ((found[:count], joining.spec.levels), (found[count:], joining.spec.levels)):
            shaped = [
                tf.reshape(one, (-1, level.num_anchors, one.shape[-1] // level.boxes_per_cell))
                for one, level in zip(group, rows, strict=True)
            ]
            parts.append(tf.concat(shaped, axis=1))
        return {LOGITS: parts[0], OFFSETS: parts[1]}

    holder: Any = tf.Module()  # the converter finds the weights by it
    traced: Any = network  # the stubs take it for a plain function
    holder.network, holder.weights = network, [variable.value for variable in maps.variables]
    with quiet_backend():
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced.get_concrete_function()], holder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            return converter.convert()
        except Exception as error:
            raise ExportError(
                f"TensorFlow's converter cannot write '{model.name}' in the operators of TensorFlow Lite. Use "
                f"engine='onnxruntime', 'openvino' or 'keras'. {str(error)[:200]}"
            ) from error


def _before_joining(model):
    """The model from its images to the maps that the layer `AnchorBoxes` reads, and that layer."""
    import keras

    from keras_ssd.exporters.model_graph import calls_of
    from keras_ssd.layers import AnchorBoxes

    [joining] = [call for call in calls_of(model) if isinstance(call.layer, AnchorBoxes)]
    return keras.Model(model.inputs[0], list(joining.inputs)), joining.layer


ENGINE = Engine(
    "litert",
    packages=("ai_edge_litert", "tensorflow"),
    runtime="ai_edge_litert",
    place=90,
    endings=(".tflite",),
    refuses=_refuses,
    written=_written,
    opened=_Program,
)
