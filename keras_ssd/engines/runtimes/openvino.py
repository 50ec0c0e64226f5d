"""OpenVINO on the CPU: the one engine that computes in bfloat16, where the processor has units for it."""

from __future__ import annotations  # the help of commands imports this without numpy

import functools
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.engines import through_onnx
from keras_ssd.engines.engine import BFLOAT16, FLOAT32, Engine, Tensor

if TYPE_CHECKING:
    import numpy as np

_DEVICE = "CPU"
_HINTS = {FLOAT32: "f32", BFLOAT16: "bf16"}


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


_MOST_KEPT = 2  # compiled models of one program, each for another number of images


class _Program:
    """A compiled model with one request, which one thread uses at a time.

    OpenVINO 2026.4 computes whole numbers wrongly where the number of images is free, so such a model is compiled for
    each number apart.
    """

    def __init__(self, source: bytes | Path, precision: str) -> None:
        import openvino

        given = source if isinstance(source, bytes) else str(source)
        model = _core().read_model(given)
        # OpenVINO itself would take bfloat16 wherever the processor has it, and change the numbers unasked.
        self._hints = {"INFERENCE_PRECISION_HINT": _HINTS[precision]}
        self._free = model if _is_whole(model) and model.input(0).partial_shape.is_dynamic else None
        compiled: Any = _core().compile_model(model, _DEVICE, self._hints)
        self._compiled = {None: compiled}  # {number of images, None for any: compiled model}
        self._lock = threading.Lock()
        self.inputs = tuple(map(_tensor, compiled.inputs))
        self.outputs = tuple(map(_tensor, compiled.outputs))
        self.properties: Mapping[str, str] = _properties(model)
        self.runtime = f"OpenVINO {openvino.__version__.partition('-')[0]}"

    def __call__(self, array: np.ndarray) -> list[np.ndarray]:
        with self._lock:
            compiled = self._for(array.shape)
            found = compiled(array)
            return [found[output] for output in compiled.outputs]

    def _for(self, shape):
        if self._free is None:
            return self._compiled[None]
        if shape[0] not in self._compiled:
            while len(self._compiled) >= _MOST_KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            fixed = self._free.clone()
            fixed.reshape(list(shape))
            self._compiled[shape[0]] = _core().compile_model(fixed, _DEVICE, self._hints)
        return self._compiled[shape[0]]


def _is_whole(model):
    """Whether a part of it is computed in whole numbers."""
    return any(operation.get_type_name() == "FakeQuantize" for operation in model.get_ops())


def _tensor(port):
    import numpy as np

    shape = port.get_partial_shape()
    lengths = tuple(axis.get_length() if axis.is_static else None for axis in shape) if shape.rank.is_static else ()
    name = port.get_any_name() if port.get_names() else ""
    return Tensor(name, lengths, str(np.dtype(port.get_element_type().to_dtype())))


def _properties(model):
    """What the file says of itself: an IR has it at the top of `rt_info`, an ONNX file under `framework`."""
    told, waiting = {}, [model.get_rt_info()]
    while waiting:
        for key, value in waiting.pop().items():
            value = getattr(value, "value", value)
            if isinstance(value, str):
                told[str(key)] = value
            elif hasattr(value, "items"):
                waiting.append(value)
    return told


def _precisions():
    able = _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    return (FLOAT32, BFLOAT16) if "BF16" in able else (FLOAT32,)


ENGINE = Engine(
    "openvino",
    packages=("openvino", "onnx"),
    runtime="openvino",
    place=20,
    endings=(".xml", ".onnx"),
    precisions=_precisions,
    refuses=through_onnx.refuses,
    written=through_onnx.written,
    opened=_Program,
)
