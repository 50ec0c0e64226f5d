"""The normalization of AlexNet and GoogLeNet."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class LocalResponseNormalization(keras.layers.Layer):
    """x / (k + alpha * mean of squares nearby) ** beta, computed in float32 for every dtype policy.

    Args:
        size: number of channels, or of cells on each side of a square, in the mean; odd.
        alpha, beta, k: numbers of the formula.
        within_channel: the mean is over a square of cells of the same channel instead of nearby channels.
        **kwargs: of `keras.layers.Layer`.

    Squares beyond the edge count as zeros. Input and output: (B, H, W, C), channels last.

    Source: Krizhevsky et al. 2012, section 3.3; BVLC/caffe, src/caffe/layers/lrn_layer.cpp.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1.0,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        within_channel: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.size = int(size)
        self.alpha = float(alpha)
        self.beta = float(beta)
        self.k = float(k)
        self.within_channel = bool(within_channel)
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"`size` must be odd and positive. Received: size={size}")

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        squares, reach = ops.square(x), (self.size - 1) // 2
        if self.within_channel:
            squares = ops.pad(squares, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
            means = ops.average_pool(squares, self.size, 1, padding="valid", data_format="channels_last")
        else:
            channels = inputs.shape[-1]
            squares = ops.pad(squares, ((0, 0), (0, 0), (0, 0), (reach, reach)))
            means = sum(squares[..., i : i + channels] for i in range(self.size)) / self.size
        return ops.cast(x * ops.power(self.k + self.alpha * means, -self.beta), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "size": self.size,
            "alpha": self.alpha,
            "beta": self.beta,
            "k": self.k,
            "within_channel": self.within_channel,
        }
