"""A learned scale and bias per channel."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class ChannelAffine(keras.layers.Layer):
    """Multiplies each channel by a learned `gamma` and adds a learned `beta`: Caffe's Scale and Bias layers.

    It is for nets that have a Scale or a Bias without a normalization.

    Args:
        scale: whether there is a `gamma`.
        bias: whether there is a `beta`.
        shared: one value for all channels instead of one per channel.
        axis: the axis of the channels, or several: then there is one value for each combination.
        **kwargs: of `keras.layers.Layer`.

    Input and output: any shape, batch first.

    Source: BVLC/caffe, src/caffe/layers/scale_layer.cpp and bias_layer.cpp.
    """

    def __init__(
        self,
        scale: bool = True,
        bias: bool = True,
        *,
        shared: bool = False,
        axis: int | Sequence[int] = -1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.scale = bool(scale)
        self.bias = bool(bias)
        self.shared = bool(shared)
        self.axis = tuple(int(a) for a in axis) if isinstance(axis, Sequence) else (int(axis),)
        if not (self.scale or self.bias):
            raise ValueError("ChannelAffine needs `scale`, `bias` or both. Received: scale=False, bias=False")

    def _axes(self, input_shape):
        """The axes counted from 0, in ascending order."""
        rank = len(input_shape)
        if not all(-rank <= axis < rank and axis % rank for axis in self.axis):
            raise ValueError(
                f"`axis` must name axes of the input {tuple(input_shape)} other than the batch. "
                f"Received: axis={self.axis}"
            )
        return sorted({axis % rank for axis in self.axis})

    def build(self, input_shape: Any) -> None:
        shape = (1,) if self.shared else tuple(input_shape[axis] for axis in self._axes(input_shape))
        if None in shape:
            raise ValueError(
                f"ChannelAffine needs a fixed size on axis {self.axis}. Received: shape={tuple(input_shape)}"
            )
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma") if self.scale else None
        self.beta = self.add_weight(shape=shape, initializer="zeros", name="beta") if self.bias else None
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        sizes = [1] * len(inputs.shape)
        if not self.shared:
            for axis in self._axes(inputs.shape):
                sizes[axis] = inputs.shape[axis]
        x = inputs
        if self.scale:
            x = x * ops.reshape(ops.cast(self.gamma, x.dtype), sizes)
        if self.bias:
            x = x + ops.reshape(ops.cast(self.beta, x.dtype), sizes)
        return x

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "scale": self.scale,
            "bias": self.bias,
            "shared": self.shared,
            "axis": self.axis,
        }
