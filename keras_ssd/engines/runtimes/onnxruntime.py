"""onnxruntime on the CPU."""

from __future__ import annotations  # the help of commands imports this without numpy

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.engines import through_onnx
from keras_ssd.engines.engine import Engine, Tensor

if TYPE_CHECKING:
    import numpy as np

_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(int32)": "int32"}
_ERRORS_ALONE = 3


class _Program:
    """A session of onnxruntime, which may run in several threads."""

    def __init__(self, source: bytes | Path, precision: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ALONE
        given = source if isinstance(source, bytes) else str(source)
        self._session: Any = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(map(_tensor, self._session.get_inputs()))
        self.outputs = tuple(map(_tensor, self._session.get_outputs()))
        self.properties: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.runtime = f"onnxruntime {onnxruntime.__version__}"

    def __call__(self, array: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, {self.inputs[0].name: array})


def _tensor(told):
    shape = tuple(length if isinstance(length, int) else None for length in told.shape)
    return Tensor(told.name, shape, _DTYPES.get(told.type) or str(told.type))


ENGINE = Engine(
    "onnxruntime",
    packages=("onnxruntime", "onnx"),
    runtime="onnxruntime",
    place=10,
    endings=(".onnx",),
    refuses=through_onnx.refuses,
    written=through_onnx.written,
    opened=_Program,
)
