"""Arrays of a model into one small `.h5`, in the layout that `read_keras_h5` reads."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.calling import checked_arguments
from keras_ssd.formats._hdf5 import written_hdf5
from keras_ssd.formats.named_arrays import WeightFileError
from keras_ssd.replacing import replacing


@checked_arguments
def write_keras_h5(
    path: str | PathLike[str], layers: Mapping[str, Mapping[str, ArrayLike]], *, kernels: str = "float16"
) -> Path:
    """Writes weights as `/<layer>/<layer>/<weight>`. The same arrays give the same bytes.

    Use it to share trained weights: float16 kernels halve the size and find the same objects. Vectors (biases, the
    statistics of BatchNorm) are few and have a wide range, so they stay float32.

    Args:
        path: the file, usually `*.h5`; an existing file is replaced when the new one is complete.
        layers: {layer: {weight: array}}, for example `NamedArrays.layers`.
        kernels: "float16" or "float32", for arrays of two axes and more.

    Returns:
        The path.

    Raises:
        ValueError: another `kernels`.
        WeightFileError: a value that is not finite, or too large for float16.

    Example:
        >>> from keras_ssd.zoo.port import arrays_of
        >>> write_keras_h5("cells.h5", arrays_of(model).layers)
        PosixPath('cells.h5')
    """
    if kernels not in ("float16", "float32"):
        raise ValueError(f"`kernels` must be 'float16' or 'float32'. Received: kernels={kernels!r}")
    path = Path(path)
    with replacing(path) as temporary, written_hdf5(temporary) as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for layer, weights in layers.items():
            group = file.create_group(f"{layer}/{layer}")
            for name, array in weights.items():
                group[name] = _stored(f"{layer}/{name}", array, kernels)
    return path


def _stored(name, array, kernels):
    array = np.asarray(array)
    with np.errstate(over="ignore"):
        stored = array.astype(kernels if array.ndim > 1 else np.float32)
    if not np.isfinite(stored).all():
        raise WeightFileError(
            f"{name} holds values that {stored.dtype} cannot hold: expected finite numbers up to "
            f"{np.finfo(stored.dtype).max:g}. Received: up to {np.abs(array).max():g}."
        )
    return stored
