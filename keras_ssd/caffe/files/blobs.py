"""The array of a BlobProto, which can hold numbers in five ways."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_ssd.caffe.files.net import CaffeFileError

MAX_AXES = 32  # as Caffe's kMaxBlobAxes
LEGACY = ("num", "channels", "height", "width")
RAW_DTYPES = {"DOUBLE": "<f8", "FLOAT": "<f4", "FLOAT16": "<f2"}


def array_of_blob(blob: Mapping[str, Any], where: Callable[[], str]) -> np.ndarray:
    """The float32 array of a blob's fields; a view if the values are float32 already.

    Args:
        blob: {field name: value}; `data` and `double_data` are arrays or lists, `raw_data` is bytes-like.
        where: gives the file and place, for messages.

    Raises:
        CaffeFileError: the shape is invalid, or does not fit the number of values.
    """
    values = _values(blob, where)
    shape = _shape(blob, len(values), where)
    if math.prod(shape) != len(values):
        raise CaffeFileError(
            f"{where()}: a blob of shape {_short(shape)} needs {_number(math.prod(shape))} values. Received: "
            f"{len(values):,} values. The file is damaged or was cut short; copy it again."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False).reshape(shape)


def _values(blob, where):
    given = [key for key in ("data", "double_data", "raw_data") if len(blob.get(key, ()))]
    if len(given) > 1:
        raise CaffeFileError(f"{where()}: a blob must hold its values in one field. Received: {' and '.join(given)}.")
    if given != ["raw_data"]:
        wide = given == ["double_data"]
        return np.asarray(blob.get(given[0], ()) if given else (), dtype="<f8" if wide else "<f4")
    kind = blob.get("raw_data_type", "DOUBLE")  # the enum's first name is protobuf's default
    if kind not in RAW_DTYPES:
        raise CaffeFileError(
            f"{where()}: raw data must be one of {', '.join(RAW_DTYPES)}. Received: raw_data_type={kind}. Save the "
            "weights as float32."
        )
    dtype = np.dtype(RAW_DTYPES[kind])
    raw = memoryview(blob["raw_data"])
    if raw.nbytes % dtype.itemsize:
        raise CaffeFileError(
            f"{where()}: raw data of {kind} must be a multiple of {dtype.itemsize} bytes. Received: {raw.nbytes:,} "
            "bytes. The file is damaged."
        )
    return np.frombuffer(raw, dtype=dtype)


def _shape(blob, count, where):
    """The declared shape; a blob without one is a flat list of its values, or a single number."""
    if "shape" in blob:
        shape = tuple(int(side) for side in blob["shape"].get("dim", ()))
    elif any(key in blob for key in LEGACY):
        shape = tuple(int(blob.get(key, 0)) for key in LEGACY)
    else:
        shape = (count,) if count != 1 else ()
    if len(shape) > MAX_AXES or any(side < 1 for side in shape):
        raise CaffeFileError(
            f"{where()}: a blob's sides must be positive, at most {MAX_AXES} of them. Received: shape {_short(shape)}. "
            "The file is damaged or does not hold weights."
        )
    return shape


def _short(shape):
    return f"({', '.join(map(_number, shape[:8]))}{', ...' if len(shape) > 8 else ''})"


def _number(value):
    return f"{value:,}" if abs(value) < 1 << 63 else "more than 2**63"
