"""The layer between a network of RGB and one of BGR."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ssd")
class ReverseChannels(keras.layers.Layer):
    """Reverses the last axis: RGB to BGR and back.

    Input and output: (..., C).
    """

    def call(self, inputs: Any) -> Any:
        return ops.flip(inputs, axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)
