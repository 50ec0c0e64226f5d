"""A file in whole numbers of eight bits, calibrated on images, with the layers that lose too much left in float.

Google's `ai-edge-quantizer` does it: it changes the finished file, so neither TensorFlow nor the model is needed, it
calibrates once for any number of trials, and it can leave single operations alone. TensorFlow's converter would start
from the model again for each trial.

Weights have a scale for each channel; maps have one each. What comes behind the heads (softmax, joining the levels)
stays in float: it costs next to nothing, and 256 scores would make many equal ones.
"""

import contextlib
import importlib.util
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd._quiet import quiet_backend
from keras_ssd.engines import ENGINES, FLOAT32
from keras_ssd.engines.engine import Program
from keras_ssd.exporting.int8 import ENOUGH, Quantized, loss_of, search, some_of
from keras_ssd.exporting.tflite.converting import INSTALL
from keras_ssd.exporting.tflite.flat import FlatModel, take_bytes
from keras_ssd.exporting.tflite.plan import BOXES, ENDING, SCORES
from keras_ssd.exporting.tflite.saturation import mend_saturated_biases

SIGNATURE, INPUT = "serving_default", "images"


def quantized(
    data: bytes, images: Sequence[np.ndarray], layers: Sequence[str], decode: Any, enough: float = ENOUGH
) -> Quantized:
    """The file of a network in whole numbers.

    Args:
        data: a file in float32 with the outputs "boxes" and "scores".
        images: (H, W, 3) RGB in 0..255, of the size of the file's input.
        layers: names of the model's layers, to name those that stay in float.
        decode: function from the file's boxes (N, 4) to [xmin, ymin, xmax, ymax].
        enough: the loss up to which nothing is left in float.

    Raises:
        ImportError: the package ai-edge-quantizer is not installed.
    """
    return search(_Trials(data, images, decode), layers, enough)


class _Trials:
    """Files in whole numbers, each with other operations left in float."""

    def __init__(self, data, images, decode):
        self._quantizer, self._keys = _quantizer()
        self._data, self._decode = bytearray(data), decode
        self._flat = flat = FlatModel(data)
        names = [one.name.decode() for one in flat.graph.tensors]
        self.operations = [names[operator.outputs[0]] for operator in flat.graph.operators]
        self._behind_heads = [
            name for name in self.operations if re.search(rf"(^|/){ENDING}/|^Identity|^Stateful", name)
        ]
        self._input = names[flat.graph.inputs[0]]
        self._shape = tuple(flat.graph.tensors[flat.graph.inputs[0]].shape)
        self._images = [self._batch(image) for image in images]
        self._ranges = self._calibrated()
        self._trial_images = some_of(self._images)
        exact = _opened(data)
        self._expected = [self._results(exact, x) for x in self._trial_images]

    def _batch(self, image):
        return np.repeat(np.asarray(image, np.float32)[None], self._shape[0], axis=0)

    def _recipe(self, **only: Any) -> Any:
        made = self._quantizer(self._data)
        made.add_static_config(only.get("regex", ".*"), self._keys.all, activation_num_bits=8, weight_num_bits=8)
        return made

    def _calibrated(self):
        with _silence():
            found = self._recipe().calibrate({SIGNATURE: [{INPUT: image} for image in self._images]})
        # Every level from 0 to 255 is a number of its own.
        return {
            **found,
            self._input: {"min": np.full((1,) * 4, 0.0, np.float32), "max": np.full((1,) * 4, 255.0, np.float32)},
        }

    def without(self, places: Sequence[int]) -> bytes:
        """The file with the operations at these places in float."""
        made = self._recipe()
        for name in (*self._behind_heads, *(self.operations[place] for place in places)):
            made.update_quantization_recipe(f"^{re.escape(name)}", self._keys.all, algorithm_key=self._keys.nothing)
        return self._file(made)

    def _file(self, made):
        with _silence():
            flat = FlatModel(bytes(made.quantize(self._ranges).quantized_model))
        mend_saturated_biases(flat, self._flat)
        take_bytes(flat)
        return flat.packed()

    def worst_first(self) -> list[int]:
        """Places of the operations by what each costs alone, the others in float."""
        losses = {}
        for place, name in enumerate(self.operations):
            if name in self._behind_heads:
                continue
            losses[place] = self.loss(self._file(self._recipe(regex=f"^{re.escape(name)}")))
        return sorted(losses, key=lambda place: -losses[place])

    def loss(self, data: bytes) -> float:
        """How far a file is from the one in float, see `loss_of`."""
        program = _opened(data)
        found = [self._results(program, x) for x in self._trial_images]
        return float(np.mean([loss_of(*a, *b) for a, b in zip(self._expected, found, strict=True)]))

    def _results(self, program, images):
        given = program(np.round(images).astype(program.inputs[0].dtype))
        results = {tensor.name: array for tensor, array in zip(program.outputs, given, strict=True)}
        return self._decode(results[BOXES][0]), np.maximum(results[SCORES][0], 0)  # -1 is "left out"


def _opened(data) -> Program:
    engine = ENGINES["litert"]
    engine.insist(files_only=True)
    assert engine.opened is not None  # it runs files
    return engine.opened(bytes(data), FLOAT32)


@dataclass(frozen=True)
class _Keys:
    """Names that the quantizer's package has for "every operation" and for "leave it alone"."""

    all: Any
    nothing: Any


def _quantizer():
    if importlib.util.find_spec("ai_edge_quantizer") is None:
        raise ImportError(f"Writing whole numbers needs the package `ai-edge-quantizer`: {INSTALL}")
    with quiet_backend():
        from ai_edge_quantizer import qtyping, quantizer

    keys = _Keys(qtyping.TFLOperationName.ALL_SUPPORTED, quantizer.AlgorithmName.NO_QUANTIZE)
    return quantizer.Quantizer, keys


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The quantizer prints its progress and its figures, and warns of how it calibrates."""
    with (
        warnings.catch_warnings(),
        quiet_backend(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield
