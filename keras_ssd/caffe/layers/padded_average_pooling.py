"""Average pooling that counts padding."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.calling import checked_arguments
from keras_ssd.padding import Sides, caffe_padding, size_pair


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class PaddedAveragePooling2D(keras.layers.Layer):
    """Average pooling as in Caffe: padding counts as zeros, and the number of windows is rounded up.

    Keras's "same" leaves padding out of the mean. Here a window's sum is divided by its area inside the padded image;
    the part beyond the padding, which the rounding adds, does not count. PyTorch's `AvgPool2d(ceil_mode=True)` does the
    same.

    Args:
        pool_size: cells of a window: one number or (height, width).
        strides: cells between windows: one number or (height, width); None is `pool_size`.
        padding: zeros on each side: one number or (height, width).
        ceil_mode: False rounds the number of windows down.
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, C) with a fixed size, channels last; output: (B, H', W', C).

    Source: BVLC/caffe, src/caffe/layers/pooling_layer.cpp.
    """

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        *,
        ceil_mode: bool = True,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool_size = size_pair(pool_size, "pool_size", 1)
        self.strides = self.pool_size if strides is None else size_pair(strides, "strides", 1)
        self.padding = size_pair(padding, "padding")
        self.ceil_mode = bool(ceil_mode)

    def pads(self, input_shape: Sequence[Any]) -> Sides:
        """((top, bottom), (left, right)): zeros around the map that make all windows whole."""
        if len(input_shape) != 4 or None in input_shape[1:3]:
            raise ValueError(
                "PaddedAveragePooling2D needs a map (B, H, W, C) whose height and width are known. "
                f"Received: shape={tuple(input_shape)}"
            )
        return caffe_padding(input_shape[1:3], self.pool_size, self.strides, self.padding, self.ceil_mode)

    def factors(self, input_shape: Sequence[int]) -> np.ndarray:
        """(H', W'): for each window, its whole area over the area that counts."""
        lengths = []
        for axis, (size, kernel) in enumerate(zip(input_shape[1:3], self.pool_size, strict=True)):
            starts = self._windows(size, axis, self.pads(input_shape)[axis])
            ends = np.minimum(starts + kernel, size + 2 * self.padding[axis])
            lengths.append(np.maximum(ends - starts, 1))  # a window beyond the image is empty: its mean is 0
        return self.pool_size[0] * self.pool_size[1] / np.outer(*lengths)

    def _windows(self, size, axis, pads):
        """Starts of the windows on one axis, counted from the edge of the padding."""
        count = (size + sum(pads) - self.pool_size[axis]) // self.strides[axis] + 1
        return np.arange(count) * self.strides[axis]

    def call(self, inputs: Any) -> Any:
        pads = self.pads(inputs.shape)
        x = ops.pad(inputs, ((0, 0), *pads, (0, 0))) if any(map(any, pads)) else inputs
        means = ops.average_pool(x, self.pool_size, self.strides, padding="valid", data_format="channels_last")
        factors = self.factors(inputs.shape)[None, :, :, None]
        return means if (factors == 1).all() else means * ops.convert_to_tensor(factors, dtype=means.dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        pads = self.pads(input_shape)
        sizes = (len(self._windows(input_shape[1 + axis], axis, pads[axis])) for axis in (0, 1))
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
        }
