"""The logarithm of a linear function."""

import math
from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class Logarithm(keras.layers.Layer):
    """log(shift + scale * x), computed in float32 for every dtype policy.

    Args:
        base: of the logarithm; None is e.
        scale, shift: numbers.
        **kwargs: of `keras.layers.Layer`.

    Input and output: any shape.

    Source: BVLC/caffe, src/caffe/layers/log_layer.cpp.
    """

    def __init__(self, base: float | None = None, scale: float = 1.0, shift: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        if base is not None and not (base > 0 and base != 1):
            raise ValueError(f"`base` must be positive and other than 1, or None for e. Received: base={base}")
        self.base = None if base is None else float(base)
        self.scale = float(scale)
        self.shift = float(shift)

    def call(self, inputs: Any) -> Any:
        x = ops.log(self.shift + self.scale * ops.cast(inputs, "float32"))
        return ops.cast(x if self.base is None else x / math.log(self.base), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "base": self.base, "scale": self.scale, "shift": self.shift}
