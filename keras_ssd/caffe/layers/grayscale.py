"""Converts RGB images for networks that take grey ones."""

from typing import Any

import keras
from keras import ops

# ITU-R BT.601, as OpenCV's COLOR_RGB2GRAY and Pillow's "L" weigh.
WEIGHTS = (0.299, 0.587, 0.114)


@keras.saving.register_keras_serializable("keras_ssd")
class Grayscale(keras.layers.Layer):
    """RGB to one channel of integer grey levels, as OpenCV's COLOR_RGB2GRAY; three equal channels keep their value.

    Input: (B, H, W, 3) in 0..255; output: (B, H, W, 1). The rounding has no gradient; it is before all weights, so it
    needs none.
    """

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        grey = sum(x[..., i : i + 1] * weight for i, weight in enumerate(WEIGHTS))
        return ops.cast(ops.round(grey), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape[:-1], 1)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)
