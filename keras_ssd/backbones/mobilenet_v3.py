"""MobileNetV3 large as torchvision builds it: symmetric padding, and the tail at full or half width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.blocks import HE_NORMAL, ConvStyle, check_input_size, image_input

SMALLEST = 32


@dataclass(frozen=True)
class _Block:
    """An inverted residual block: its widths and options."""

    kernel_size: int
    expanded: int
    filters: int
    squeezed: bool
    activation: str
    stride: int = 1


_STEM = 16
# Howard et al., table 1; the last three blocks are the tail, whose widths may be halved.
_BLOCKS = (
    _Block(3, 16, 16, False, "relu"),
    _Block(3, 64, 24, False, "relu", 2),
    _Block(3, 72, 24, False, "relu"),
    _Block(5, 72, 40, True, "relu", 2),
    _Block(5, 120, 40, True, "relu"),
    _Block(5, 120, 40, True, "relu"),
    _Block(3, 240, 80, False, "hard_silu", 2),
    _Block(3, 200, 80, False, "hard_silu"),
    _Block(3, 184, 80, False, "hard_silu"),
    _Block(3, 184, 80, False, "hard_silu"),
    _Block(3, 480, 112, True, "hard_silu"),
    _Block(3, 672, 112, True, "hard_silu"),
)


def _tail(divisor):
    return (
        _Block(5, 672, 160 // divisor, True, "hard_silu", 2),
        _Block(5, 960 // divisor, 160 // divisor, True, "hard_silu"),
        _Block(5, 960 // divisor, 160 // divisor, True, "hard_silu"),
    )


@dataclass(frozen=True)
class MobileNetV3Style:
    """The settings of all convolutions of a MobileNetV3.

    Args:
        momentum, epsilon: of BatchNorm, in Keras's meaning: PyTorch's momentum of 0.03 is 0.97 here.
        conv: a `ConvStyle`.
    """

    momentum: float = 0.97
    epsilon: float = 0.001
    conv: ConvStyle = HE_NORMAL

    def convolution(
        self, x: Any, name: str, filters: int, size: int = 1, stride: int = 1, activation: str | None = None
    ) -> Any:
        """Convolution, BatchNorm and, if any, activation: `<name>_conv`, `<name>_bn`, `<name>`."""
        x, padding = _padded(x, name, size, stride)
        x = self.conv.conv(filters, size, strides=stride, padding=padding, use_bias=False, name=f"{name}_conv")(x)
        return self._finished(x, name, activation)

    def depthwise(self, x: Any, name: str, size: int, stride: int, activation: str | None) -> Any:
        """The same with a depthwise convolution."""
        x, padding = _padded(x, name, size, stride)
        x = keras.layers.DepthwiseConv2D(
            size,
            strides=stride,
            padding=padding,
            use_bias=False,
            # The kernel's shape is (height, width, C, 1): what a cell of the result sums over is Keras's fan_out.
            depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            depthwise_regularizer=keras.regularizers.L2(self.conv.l2) if self.conv.l2 else None,
            data_format="channels_last",
            name=f"{name}_conv",
        )(x)
        return self._finished(x, name, activation)

    def _finished(self, x, name, activation):
        x = keras.layers.BatchNormalization(momentum=self.momentum, epsilon=self.epsilon, name=f"{name}_bn")(x)
        return x if activation is None else keras.layers.Activation(activation, name=name)(x)


def mobilenet_v3_large(
    input_size: Sequence[int] = (320, 320),
    *,
    reduced_tail: bool = False,
    style: MobileNetV3Style | None = None,
    scale: float = 1 / 127.5,
    offset: float | Sequence[float] = -1.0,
    name: str = "mobilenet_v3_large",
) -> keras.Model:
    """MobileNetV3 large to its last 1x1 convolution; taps of SSDlite are `block13_expand` (stride 16) and `top` (32).

    Args:
        input_size: (height, width) in pixels.
        reduced_tail: half the widths from block 13 on, as in the paper's detectors.
        style: a `MobileNetV3Style`.
        scale: factor of the RGB values 0..255.
        offset: added after the factor; the default pair is (x - 127.5) / 127.5.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3) to `top`. Block i ends in `block<i>` where it adds its input, else
        in `block<i>_project_bn`.

    Raises:
        ValueError: an image that is too small.

    Source: Howard et al., "Searching for MobileNetV3" (arXiv 1905.02244), tables 1 and 6; pytorch/vision,
    models/mobilenetv3.py.
    """
    style = style or MobileNetV3Style()
    if min(check_input_size(input_size)) < SMALLEST:
        raise ValueError(
            f"The image is too small: `input_size` needs at least {SMALLEST} pixels a side. "
            f"Received: input_size={tuple(input_size)}"
        )
    inputs, x = image_input(input_size, scale, offset)
    x = style.convolution(x, "stem", _STEM, 3, 2, "hard_silu")
    blocks = _BLOCKS + _tail(2 if reduced_tail else 1)
    for index, block in enumerate(blocks, start=1):
        x = _residual(x, f"block{index}", block, style)
    x = style.convolution(x, "top", 6 * blocks[-1].filters, activation="hard_silu")
    return keras.Model(inputs, x, name=name)


def _residual(x, name, block, style):
    shortcut = x
    if block.expanded != x.shape[-1]:
        x = style.convolution(x, f"{name}_expand", block.expanded, activation=block.activation)
    x = style.depthwise(x, f"{name}_depthwise", block.kernel_size, block.stride, block.activation)
    if block.squeezed:
        x = _squeezed_and_excited(x, name, style)
    x = style.convolution(x, f"{name}_project", block.filters)
    if block.stride > 1 or shortcut.shape[-1] != block.filters:
        return x
    return keras.layers.Add(name=name)([shortcut, x])


def _squeezed_and_excited(x, name, style):
    """Each channel times a factor 0..1 that follows from the means of all channels."""
    channels = x.shape[-1]
    means = keras.layers.GlobalAveragePooling2D(keepdims=True, data_format="channels_last", name=f"{name}_pool")(x)
    factors = style.conv.conv(_divisible_by_8(channels // 4), 1, activation="relu", name=f"{name}_squeeze")(means)
    factors = style.conv.conv(channels, 1, activation="hard_sigmoid", name=f"{name}_excite")(factors)
    return keras.layers.Multiply(name=f"{name}_scale")([x, factors])


def _divisible_by_8(number):
    """The nearest multiple of 8, at least 8, and never less than nine tenths of the number."""
    rounded = max(8, (number + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * number else rounded


def _padded(x, name, size, stride):
    """Symmetric padding; at stride 2 Keras's "same" would pad an even map only below and to the right."""
    if stride == 1 or size == 1:
        return x, "same"
    return keras.layers.ZeroPadding2D(size // 2, data_format="channels_last", name=f"{name}_padding")(x), "valid"
