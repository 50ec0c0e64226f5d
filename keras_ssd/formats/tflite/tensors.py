"""Tensors of a TensorFlow Lite file and the real values of their stored numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from keras_ssd.formats.named_arrays import Budget, WeightFileError, as_float32
from keras_ssd.formats.tflite.flatbuffer import Table

# TensorType of the schema; the kinds whose values may be weights, shapes or anchors.
TYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 7: "int16", 9: "int8"}
WHOLE = tuple(name for name in TYPES.values() if "int" in name)
OTHER_TYPES = {5: "string", 6: "bool", 8: "complex64", 10: "float64", 11: "complex128", 12: "uint64", 17: "int4"}
MOST_AXES = 8


@dataclass(frozen=True, eq=False)
class Quantization:
    """How whole numbers represent real ones: (q - zero) * scale, with one pair for all or one per slice of `axis`.

    Args:
        scales: (1,) or (slices,) float32.
        zeros: as many int64.
        axis: the axis of the slices.
    """

    scales: np.ndarray
    zeros: np.ndarray
    axis: int = 0

    @property
    def is_single(self) -> bool:
        """Whether one pair serves the whole tensor."""
        return len(self.scales) == 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a graph.

    Args:
        name: in the file.
        shape: its sides.
        dtype: "float32", "uint8", ..., or the name of a type that is not read.
        quantization: a `Quantization`, or None.
        data: a view of the file's bytes, empty if the tensor is computed.
        refused: why its values cannot be read, or "".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    data: Any
    refused: str = ""

    @property
    def stored(self) -> bool:
        """Whether the file holds the values."""
        return len(self.data) > 0

    def range(self) -> tuple[float, float] | None:
        """(lowest, highest) value that the stored numbers can represent, or None if they are not whole numbers."""
        if self.quantization is None or not self.quantization.is_single or self.dtype not in WHOLE:
            return None
        info, scale = np.iinfo(self.dtype), float(self.quantization.scales[0])
        zero = int(self.quantization.zeros[0])
        return (int(info.min) - zero) * scale, (int(info.max) - zero) * scale


def raw_values(tensor: Tensor, path: str | PathLike[str]) -> np.ndarray:
    """The stored numbers, read-only.

    Raises:
        WeightFileError: the tensor is computed, has a type that is not read, or a size that does not fit its shape.
    """
    if tensor.refused:
        raise WeightFileError(f"{path}: tensor {tensor.name!r} {tensor.refused}")
    if not tensor.stored:
        raise WeightFileError(f"{path}: tensor {tensor.name!r} holds no values, and a weight was expected there.")
    if tensor.dtype not in TYPES.values():
        raise WeightFileError(
            f"{path}: tensor {tensor.name!r} holds {tensor.dtype}; expected {', '.join(TYPES.values())}."
        )
    dtype = np.dtype(tensor.dtype).newbyteorder("<")
    if math.prod(tensor.shape) * dtype.itemsize != len(tensor.data):
        raise WeightFileError(
            f"{path}: tensor {tensor.name!r} of shape {tensor.shape} and type {tensor.dtype} has {len(tensor.data):,} "
            "bytes. The file is damaged."
        )
    return np.frombuffer(tensor.data, dtype).reshape(tensor.shape)


def real_values(tensor: Tensor, path: str | PathLike[str], budget: Budget) -> np.ndarray:
    """The real values of the stored numbers, as float32; their size is charged to the `Budget`.

    They are computed in double precision and rounded once, so eight bits times a float32 scale are exact to the last
    bit.

    Raises:
        WeightFileError: as of `raw_values`; integers without a scale, a scale that is not positive, or values that are
            not finite.
    """
    values = raw_values(tensor, path)
    budget.spend(tensor.name, tensor.shape, np.dtype(np.float32))
    if values.dtype.kind == "f":
        return as_float32(path, tensor.name, values)
    scheme = tensor.quantization
    if scheme is None:
        raise WeightFileError(
            f"{path}: tensor {tensor.name!r} holds {tensor.dtype} without a scale, and real numbers were expected."
        )
    if not (np.isfinite(scheme.scales) & (scheme.scales > 0)).all():
        raise WeightFileError(f"{path}: tensor {tensor.name!r} has a scale that is not positive.")
    sides = [1] * len(tensor.shape)
    if not scheme.is_single:
        sides[scheme.axis] = len(scheme.scales)
    scales, zeros = (part.astype(np.float64).reshape(sides) for part in (scheme.scales, scheme.zeros))
    return as_float32(path, tensor.name, (values - zeros) * scales)


def read_tensor(table: Table, buffers: Sequence[Any], path: str | PathLike[str]) -> Tensor:
    """The `Tensor` of a table of the schema, with the bytes of the file's buffers.

    Raises:
        WeightFileError: an invalid shape or buffer.
    """
    name, kind = table.text(3), table.number(1, "<b")
    shape = tuple(int(side) for side in table.array(0, "i4"))
    buffer = table.number(2, "<I")
    if len(shape) > MOST_AXES or any(side < 0 for side in shape) or buffer >= max(len(buffers), 1):
        raise WeightFileError(f"{path}: tensor {name!r} has shape {shape} and buffer {buffer}. The file is damaged.")
    scheme, refused = _quantization(table.table(4), shape)
    if table.table(6) is not None:
        refused = "is stored sparse, which is not read. Convert the network again without sparsity."
    dtype = TYPES.get(kind) or OTHER_TYPES.get(kind, f"kind {kind}")
    return Tensor(name, shape, dtype, scheme, buffers[buffer] if buffers else b"", refused)


def _quantization(table, shape):
    """(`Quantization` or None, why it cannot be used or "")."""
    if table is None:
        return None, ""
    if table.number(4, "<B"):
        return None, (
            f"has an unknown quantization (details of kind {table.number(4, '<B')}), which is not known. Known "
            "are scales and zero points, one pair for the tensor or one per channel."
        )
    scales, zeros, axis = table.array(2, "f4"), table.array(3, "i8"), table.number(6, "<i")
    if not len(scales):
        return None, ""  # minimum and maximum alone are a hint for converters
    zeros = zeros if len(zeros) else np.zeros(len(scales), np.int64)
    whole = len(scales) == 1 or (0 <= axis < len(shape) and len(scales) == shape[axis])
    if not whole or len(zeros) != len(scales):
        return None, (
            f"has {len(scales)} scales and {len(zeros)} zero points along axis {axis} of shape {shape}. Known are one "
            "pair for the tensor or one per channel."
        )
    return Quantization(scales, zeros, axis), ""
