"""A power of a linear function."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class Power(keras.layers.Layer):
    """(shift + scale * x) ** power, computed in float32 for every dtype policy.

    Args:
        power, scale, shift: numbers.
        **kwargs: of `keras.layers.Layer`.

    Input and output: any shape.

    Source: BVLC/caffe, src/caffe/layers/power_layer.cpp.
    """

    def __init__(self, power: float = 1.0, scale: float = 1.0, shift: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.power = float(power)
        self.scale = float(scale)
        self.shift = float(shift)

    def call(self, inputs: Any) -> Any:
        x = self.shift + self.scale * ops.cast(inputs, "float32")
        # On some backends, the gradient of `ops.power` is NaN at zero and below.
        if self.power == 2.0:
            x = ops.square(x)
        elif self.power == 0.5:
            x = ops.sqrt(x)
        elif self.power == 0.0:
            x = ops.ones_like(x)
        elif self.power != 1.0:
            x = ops.power(x, self.power)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power, "scale": self.scale, "shift": self.shift}
