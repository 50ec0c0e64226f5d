"""Bilinear resizing that keeps the corners."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.calling import checked_arguments
from keras_ssd.padding import size_pair


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class BilinearResize(keras.layers.Layer):
    """Resizes a map bilinearly with aligned corners: the first and last cells keep their values.

    Cell i of the result is at i * (size - 1) / (new size - 1) of the input; a result of one cell is the first one.
    Keras's own resizing aligns the edges instead. Only indexing and sums are used, so all backends agree.

    Args:
        height, width: size of the result.
        cropping: rows and columns that are cropped first: ((top, bottom), (left, right)).
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, C) with a fixed size, channels last; output: (B, height, width, C).

    Source: the Interp layer of DeepLab's and PSPNet's Caffe, src/caffe/util/interp.cpp.
    """

    def __init__(self, height: int, width: int, *, cropping: Sequence[Any] = ((0, 0), (0, 0)), **kwargs: Any):
        super().__init__(**kwargs)
        self.height, self.width = size_pair((height, width), "(height, width)", 1)
        rows, columns = cropping
        self.cropping = (size_pair(rows, "cropping"), size_pair(columns, "cropping"))

    def _sources(self, shape):
        """For rows and columns: the lower cell, the upper cell, and the weight of the upper one."""
        found = []
        for size, (before, after), length in zip(shape[1:3], self.cropping, (self.height, self.width), strict=True):
            size = None if size is None else size - before - after
            if size is None or size < 1:
                raise ValueError(
                    "BilinearResize needs a map (B, H, W, C) of known height and width, with at least one cell left "
                    f"after the cropping {self.cropping}. Received: shape={tuple(shape)}"
                )
            places = np.arange(length) * ((size - 1) / (length - 1) if length > 1 else 0.0)
            lower = np.minimum(places.astype("int32"), size - 1)
            upper = np.minimum(lower + 1, size - 1)
            found.append((lower + before, upper + before, places - lower))
        return found

    def call(self, inputs: Any) -> Any:
        x = inputs
        for axis, (lower, upper, between) in enumerate(self._sources(inputs.shape), start=1):
            at_lower = ops.take(x, lower, axis=axis)
            if not between.any():
                x = at_lower
                continue
            weights = between.reshape([-1 if index == axis else 1 for index in range(4)])
            weights = ops.convert_to_tensor(weights, dtype=x.dtype)
            x = at_lower + weights * (ops.take(x, upper, axis=axis) - at_lower)
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        self._sources(input_shape)
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width, "cropping": self.cropping}
