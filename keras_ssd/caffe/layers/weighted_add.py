"""A sum with coefficients."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class WeightedAdd(keras.layers.Layer):
    """c1 * x1 + c2 * x2 + ...: Caffe's Eltwise SUM with coefficients, which also subtracts.

    Args:
        coefficients: one number for each input.
        **kwargs: of `keras.layers.Layer`.

    Input: a list of tensors of one shape; output: that shape.

    Source: BVLC/caffe, src/caffe/layers/eltwise_layer.cpp.
    """

    def __init__(self, coefficients: Sequence[float], **kwargs: Any):
        super().__init__(**kwargs)
        self.coefficients = tuple(float(c) for c in coefficients)
        if not self.coefficients:
            raise ValueError("`coefficients` must hold one number for each input. Received: coefficients=()")

    def build(self, input_shape: Any) -> None:
        shapes = {tuple(shape[1:]) for shape in input_shape}
        if len(input_shape) != len(self.coefficients) or len(shapes) != 1:
            raise ValueError(
                f"WeightedAdd with {len(self.coefficients)} coefficients needs as many inputs of one shape. "
                f"Received: shapes={[tuple(shape) for shape in input_shape]}"
            )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        total = 0
        for coefficient, x in zip(self.coefficients, inputs, strict=True):
            total = total + (x if coefficient == 1.0 else coefficient * x)
        return total

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return tuple(input_shape[0])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "coefficients": self.coefficients}
