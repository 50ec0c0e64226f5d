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


class _Program:
    """A compiled model with one request, which one thread uses at a time."""

    def __init__(self, source: bytes | Path, precision: str) -> None:
        import openvino

        given = source if isinstance(source, bytes) else str(source)
        model = _core().read_model(given)
        # OpenVINO itself would take bfloat16 wherever the processor has it, and change the numbers unasked.
        self._compiled: Any = _core().compile_model(model, _DEVICE, {"INFERENCE_PRECISION_HINT": _HINTS[precision]})
        self._lock = threading.Lock()
        self.inputs = tuple(map(_tensor, self._compiled.inputs))
        self.outputs = tuple(map(_tensor, self._compiled.outputs))
        self.properties: Mapping[str, str] = _properties(model)
        self.runtime = f"OpenVINO {openvino.__version__.partition('-')[0]}"

    def __call__(self, array: np.ndarray) -> list[np.ndarray]:
        with self._lock:
            found = self._compiled(array)
            return [found[output] for output in self._compiled.outputs]


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
