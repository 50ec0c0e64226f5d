"""Layers that round: those with rounded kernels, and the one that rounds a feature map."""

from typing import Any

import keras
from keras import ops

from keras_ssd.quantizing.levels import rounded_kernel, rounded_map

MOMENTUM = 0.95  # of the ranges, as in the quantizer's own calibration


class RoundingConv2D(keras.layers.Conv2D):
    """A `Conv2D` whose kernel is rounded to int8 in each call."""

    def call(self, inputs: Any) -> Any:
        return _finished(self, self.convolution_op(inputs, rounded_kernel(self.kernel, (0, 1, 2))))


class RoundingDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A `DepthwiseConv2D` whose kernel is rounded to int8 in each call."""

    def call(self, inputs: Any) -> Any:
        x = ops.depthwise_conv(
            inputs,
            rounded_kernel(self.kernel, (0, 1)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _finished(self, x)


class RoundingSeparableConv2D(keras.layers.SeparableConv2D):
    """A `SeparableConv2D` whose kernels are rounded to int8 in each call."""

    def call(self, inputs: Any) -> Any:
        x = ops.separable_conv(
            inputs,
            rounded_kernel(self.depthwise_kernel, (0, 1)),
            rounded_kernel(self.pointwise_kernel, (0, 1, 2)),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _finished(self, x)


class RoundingDense(keras.layers.Dense):
    """A `Dense` whose kernel is rounded to int8 in each call."""

    def call(self, inputs: Any, training: Any = None) -> Any:
        return _finished(self, ops.matmul(inputs, rounded_kernel(self.kernel, (0,))))


def _finished(layer, x):
    x = x if layer.bias is None else x + layer.bias
    return x if layer.activation is None else layer.activation(x)


ROUNDING: dict[type[keras.layers.Layer], type[keras.layers.Layer]] = {
    keras.layers.Conv2D: RoundingConv2D,
    keras.layers.DepthwiseConv2D: RoundingDepthwiseConv2D,
    keras.layers.SeparableConv2D: RoundingSeparableConv2D,
    keras.layers.Dense: RoundingDense,
}


class FakeQuantize(keras.layers.Layer):
    """Rounds a feature map to 256 levels between its lowest and highest value.

    In training, the range is a moving average over the batches; it is never trained. Before the first batch of a
    training it is the range of the map itself.
    """

    def build(self, input_shape: Any) -> None:
        self.low, self.high, self.seen = (
            self.add_weight(shape=(), initializer="zeros", trainable=False, name=name)
            for name in ("low", "high", "seen")
        )
        self.built = True

    def call(self, inputs: Any, training: Any = None) -> Any:
        low, high = ops.stop_gradient(ops.min(inputs)), ops.stop_gradient(ops.max(inputs))
        if training:
            share = 1 / ops.minimum(self.seen + 1, 1 / (1 - MOMENTUM))
            low, high = self.low + share * (low - self.low), self.high + share * (high - self.high)
            self.low.assign(low)
            self.high.assign(high)
            self.seen.assign(self.seen + 1)
        else:
            kept = [ops.convert_to_tensor(each, each.dtype) for each in (self.low, self.high)]
            low, high = (ops.where(self.seen > 0, was, own) for was, own in zip(kept, (low, high), strict=True))
        return rounded_map(inputs, low, high)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
