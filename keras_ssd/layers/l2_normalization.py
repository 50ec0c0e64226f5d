"""The layer that brings a feature map to a common length before a head reads it."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class L2Normalization(keras.layers.Layer):
    """Divides each feature vector by its L2 norm and multiplies it by learned scales (ParseNet).

    The features of conv4_3 are far larger than those of deeper layers; without this, the heads could not share one
    learning rate. The norm is sqrt(epsilon + sum of squares), with `epsilon` *inside* the root as in Caffe, so a column
    of zeros gives zeros and finite gradients. The norm is computed in float32 for every dtype policy.

    Args:
        scale: initial value of the learned scales.
        epsilon: added to the sum of squares.
        channel_shared: one scale for all channels instead of one per channel.
        across_spatial: one norm for the whole feature map instead of one per location.
        gamma_regularizer: Keras regularizer of the scales.
        **kwargs: of `keras.layers.Layer`.

    Input and output: (B, H, W, C), channels last.

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/normalize_layer.cpp. Its backward pass is the true gradient
    only if all scales are equal; this layer has the true gradient.
    """

    def __init__(
        self,
        scale: float = 20.0,
        *,
        epsilon: float = 1e-10,
        channel_shared: bool = False,
        across_spatial: bool = False,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not epsilon > 0:
            raise ValueError(f"`epsilon` must be positive, or zero columns give NaN. Received: epsilon={epsilon}")
        self.scale = float(scale)
        self.epsilon = float(epsilon)
        self.channel_shared = bool(channel_shared)
        self.across_spatial = bool(across_spatial)
        self.gamma_regularizer = keras.regularizers.get(gamma_regularizer)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 4 or input_shape[-1] is None:
            raise ValueError(
                "L2Normalization needs a feature map (B, H, W, C) with a fixed number of channels, channels last. "
                f"Received: shape={tuple(input_shape)}"
            )
        self.gamma = self.add_weight(
            shape=(1,) if self.channel_shared else (input_shape[-1],),
            initializer=keras.initializers.Constant(self.scale),
            regularizer=self.gamma_regularizer,
            name="gamma",
        )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        x = ops.cast(inputs, "float32")
        axes = (1, 2, 3) if self.across_spatial else -1
        squares = ops.sum(ops.square(x), axis=axes, keepdims=True)
        normalized = x * ops.rsqrt(squares + self.epsilon)
        return ops.cast(normalized * ops.cast(self.gamma, "float32"), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "epsilon": self.epsilon,
            "channel_shared": self.channel_shared,
            "across_spatial": self.across_spatial,
            "gamma_regularizer": keras.regularizers.serialize(self.gamma_regularizer),
        }
