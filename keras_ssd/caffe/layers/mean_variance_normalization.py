"""Normalization of each map by its own mean and deviation."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class MeanVarianceNormalization(keras.layers.Layer):
    """(x - mean) / (standard deviation + epsilon) over each map, computed in float32 for every dtype policy.

    Args:
        normalize_variance: False only subtracts the mean.
        across_channels: one mean and deviation for all channels of an image.
        epsilon: added to the deviation, outside the root.
        **kwargs: of `keras.layers.Layer`.

    Input and output: (B, H, W, C), channels last.

    Source: BVLC/caffe, src/caffe/layers/mvn_layer.cpp.
    """

    def __init__(
        self, normalize_variance: bool = True, *, across_channels: bool = False, epsilon: float = 1e-9, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.normalize_variance = bool(normalize_variance)
        self.across_channels = bool(across_channels)
        self.epsilon = float(epsilon)

    def call(self, inputs: Any) -> Any:
        axes = (1, 2, 3) if self.across_channels else (1, 2)
        x = ops.cast(inputs, "float32")
        x = x - ops.mean(x, axis=axes, keepdims=True)
        if self.normalize_variance:
            variance = ops.mean(ops.square(x), axis=axes, keepdims=True)
            # The gradient of the root is infinite at zero; a map without variance is zero and needs no gradient.
            flat = variance <= 0.0
            deviation = ops.where(flat, 0.0, ops.sqrt(ops.where(flat, 1.0, variance)))
            x = x / (deviation + self.epsilon)
        return ops.cast(x, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "normalize_variance": self.normalize_variance,
            "across_channels": self.across_channels,
            "epsilon": self.epsilon,
        }
