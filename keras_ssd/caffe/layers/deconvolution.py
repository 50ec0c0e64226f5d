"""Transposed convolution with groups and explicit padding."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments
from keras_ssd.padding import size_pair


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class Deconvolution2D(keras.layers.Layer):
    """Transposed convolution as in Caffe and PyTorch: with groups, dilation and explicit padding.

    `keras.layers.Conv2DTranspose` has no groups (bilinear upsampling has one per channel), no padding in cells, and no
    dilation with strides. The size of the result is
    `strides * (size - 1) + dilation_rate * (kernel_size - 1) + 1 - 2 * padding`.

    It is computed as one plain convolution: cells of the result with the same remainder by the stride see the same part
    of the kernel, so each remainder becomes a set of channels, which are interleaved at the end.

    Args:
        filters: channels of the result.
        kernel_size, strides, dilation_rate: one number or (height, width).
        padding: rows and columns cropped on each side: one number or (height, width).
        groups: number of groups of channels; each is convolved separately.
        use_bias: whether a bias is added.
        kernel_initializer, bias_initializer: of Keras.
        kernel_regularizer: of Keras.
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, C), channels last; output: (B, H', W', filters). `kernel` has the shape
    (height, width, filters // groups, C).

    Source: BVLC/caffe, src/caffe/layers/deconv_layer.cpp; Shi et al., Is the deconvolution layer the same as a
    convolutional layer? (arXiv 1609.07009).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        use_bias: bool = True,
        *,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = int(filters)
        self.kernel_size = size_pair(kernel_size, "kernel_size", 1)
        self.strides = size_pair(strides, "strides", 1)
        self.padding = size_pair(padding, "padding")
        self.dilation_rate = size_pair(dilation_rate, "dilation_rate", 1)
        self.groups = int(groups)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        if self.filters < 1 or self.groups < 1 or self.filters % self.groups:
            raise ValueError(
                f"`filters` must be a positive multiple of `groups`. Received: filters={filters}, groups={groups}"
            )

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 4 or input_shape[-1] is None or input_shape[-1] % self.groups:
            raise ValueError(
                f"Deconvolution2D needs a map (B, H, W, C) whose channels are a multiple of {self.groups} groups. "
                f"Received: shape={tuple(input_shape)}"
            )
        self.kernel = self.add_weight(
            shape=(*self.kernel_size, self.filters // self.groups, input_shape[-1]),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer=self.bias_initializer, name="bias")
        super().build(input_shape)

    def _phases(self, kernel):
        """The kernel as that of a plain convolution, with one channel per filter and remainder by the stride.

        Returns:
            (taps, taps, C // groups, groups * stride * stride * filters // groups).
        """
        x = kernel
        for axis, (size, dilation, stride) in enumerate(
            zip(self.kernel_size, self.dilation_rate, self.strides, strict=True)
        ):
            if dilation > 1 and size > 1:  # zeros between the cells, none after the last
                x = ops.expand_dims(x, axis + 1)
                x = ops.pad(x, [(0, dilation - 1 if index == axis + 1 else 0) for index in range(5)])
                x = ops.reshape(x, (*x.shape[:axis], size * dilation, *x.shape[axis + 2 :]))
                x = x[(slice(None),) * axis + (slice(0, (size - 1) * dilation + 1),)]
            missing = -x.shape[axis] % stride
            x = ops.pad(x, [(0, missing if index == axis else 0) for index in range(4)])
        rows, columns, each, channels = x.shape
        (down, right), groups = self.strides, self.groups
        taps = (rows // down, columns // right)
        x = ops.reshape(x, (taps[0], down, taps[1], right, each, groups, channels // groups))
        x = ops.transpose(x, (0, 2, 6, 5, 1, 3, 4))  # (tap, tap, C / groups, groups, down, right, each)
        x = ops.flip(x, axis=(0, 1))
        return ops.reshape(x, (*taps, channels // groups, groups * down * right * each))

    def call(self, inputs: Any) -> Any:
        kernel = self._phases(ops.cast(self.kernel, inputs.dtype))
        rows, columns, depth, channels = kernel.shape
        x = inputs
        if rows > 1 or columns > 1:
            x = ops.pad(x, ((0, 0), (rows - 1, rows - 1), (columns - 1, columns - 1), (0, 0)))
        if depth == 1 and self.groups > 1:  # every input channel separately
            kernel = ops.reshape(kernel, (rows, columns, self.groups, channels // self.groups))
            x = ops.depthwise_conv(x, kernel, 1, padding="valid", data_format="channels_last")
        else:
            x = ops.conv(x, kernel, 1, padding="valid", data_format="channels_last")
        x = self._interleave(x)
        _, height, width, _ = self._output_shape(ops.shape(inputs))
        top, left = self.padding
        x = x[:, top : top + height, left : left + width, :]
        return x if self.bias is None else x + ops.cast(self.bias, x.dtype)

    def _interleave(self, x):
        """(B, H, W, groups * down * right * each) -> (B, H * down, W * right, filters)."""
        down, right = self.strides
        batch, height, width, _ = ops.shape(x)
        if down == right == 1:
            return x
        each = self.filters // self.groups
        x = ops.reshape(x, (batch, height, width, self.groups, down, right, each))
        x = ops.transpose(x, (0, 1, 4, 2, 5, 3, 6))
        return ops.reshape(x, (batch, height * down, width * right, self.filters))

    def _output_shape(self, input_shape):
        sizes = []
        for axis, size in enumerate(input_shape[1:3]):
            reach = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1 - 2 * self.padding[axis]
            sizes.append(None if size is None else self.strides[axis] * (size - 1) + reach)
        return (input_shape[0], *sizes, self.filters)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        shape = self._output_shape(input_shape)
        if any(size is not None and size < 1 for size in shape[1:3]):
            raise ValueError(
                f"The padding {self.padding} leaves nothing of a map of {tuple(input_shape[1:3])}. Use a larger image."
            )
        return shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
        }
