"""The absolute value as a layer."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ssd")
class AbsoluteValue(keras.layers.Layer):
    """|x|: Caffe's AbsVal. Input and output: any shape."""

    def call(self, inputs: Any) -> Any:
        return ops.abs(inputs)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape
