"""Padding that never wins a maximum."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class LowestPadding2D(keras.layers.Layer):
    """Pads a feature map with the lowest number of its dtype, for max pooling with Caffe's explicit padding.

    Zeros of `ZeroPadding2D` would exceed negative features, and pooling's own padding modes differ from Caffe's.

    Args:
        padding: ((top, bottom), (left, right)) cells, none negative.
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, C); output: (B, top + H + bottom, left + W + right, C).
    """

    def __init__(self, padding: Sequence[Sequence[int]], **kwargs: Any):
        super().__init__(**kwargs)
        self.padding = tuple(tuple(int(v) for v in pair) for pair in padding)
        if [len(pair) for pair in self.padding] != [2, 2] or min(map(min, self.padding)) < 0:
            raise ValueError(
                f"`padding` must be ((top, bottom), (left, right)), none negative. Received: padding={padding}"
            )

    def call(self, inputs: Any) -> Any:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        lowest = {"float16": -65504.0, "bfloat16": -3.38e38}.get(dtype, float(np.finfo("float32").min))
        return ops.pad(inputs, ((0, 0), *self.padding, (0, 0)), constant_values=lowest)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        batch, height, width, channels = input_shape
        height, width = (
            None if size is None else size + sum(pair) for size, pair in zip((height, width), self.padding, strict=True)
        )
        return (batch, height, width, channels)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=inputs.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": self.padding}
