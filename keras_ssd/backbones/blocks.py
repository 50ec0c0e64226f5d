"""Building blocks with Caffe's conventions, shared by backbones and heads."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.calling import checked_arguments
from keras_ssd.layers import LowestPadding2D
from keras_ssd.map_limits import check_map
from keras_ssd.padding import caffe_padding, keras_padding, size_pair


def caffe_xavier() -> keras.initializers.Initializer:
    """Caffe's `xavier` filler: uniform in +-sqrt(3 / fan_in); Keras's glorot counts the outputs too."""
    return keras.initializers.VarianceScaling(scale=1.0, mode="fan_in", distribution="uniform")


@checked_arguments
@dataclass(frozen=True)
class ConvStyle:
    """The settings of all convolutions of a model.

    Args:
        kernel_initializer: a Keras initializer or its name; None is Caffe's xavier.
        l2: factor of the kernels' L2 penalty. Keras adds l2 * sum(w^2), so Caffe's weight decay of 0.0005 is
            l2 = 0.00025.
    """

    kernel_initializer: Any = None
    l2: float = 0.0

    def conv(self, filters: int, kernel_size: int | Sequence[int], **kwargs: Any) -> keras.layers.Conv2D:
        """A Conv2D layer of this style; `kwargs` are Conv2D's own."""
        if self.kernel_initializer is None:
            initializer = caffe_xavier()
        else:
            # A copy for each layer: an initializer instance gives each layer of one shape the same numbers.
            given = keras.initializers.get(self.kernel_initializer)
            initializer = given.__class__.from_config(given.get_config())
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            kernel_initializer=initializer,
            kernel_regularizer=keras.regularizers.L2(self.l2) if self.l2 else None,
            data_format="channels_last",
            **kwargs,
        )


@checked_arguments
@dataclass(frozen=True)
class ConvRow:
    """One convolution with ReLU, as a row of a table with Caffe's numbers.

    `pad` is Caffe's symmetric padding. At stride 2 it differs from Keras's "same", which pads an even map only at the
    bottom and the right and so shifts every cell.
    """

    name: str
    filters: int
    kernel_size: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1


@checked_arguments
@dataclass(frozen=True)
class SeparableRow:
    """MobileNet's convolution: depthwise, then 1x1, each with BatchNorm and ReLU6. Kernel size 1 is the 1x1 alone.

    `pad` is symmetric, as in `ConvRow`. Layers: `<name>_dw`, `<name>_dw_bn`, `<name>_dw_relu`, `<name>_conv`,
    `<name>_bn`, and `<name>`, the ReLU6.
    """

    name: str
    filters: int
    kernel_size: int
    stride: int = 1
    pad: int = 0
    momentum: float = 0.97
    epsilon: float = 1e-3


HE_NORMAL = ConvStyle("he_normal")


def apply_separable_row(x: Any, row: SeparableRow, style: ConvStyle) -> Any:
    """The convolution of a `SeparableRow` on a symbolic feature map (B, H, W, C)."""
    norm = {"momentum": row.momentum, "epsilon": row.epsilon}
    if row.kernel_size > 1:
        x = depthwise_block(x, row.name, row.kernel_size, stride=row.stride, pad=row.pad, style=style, **norm)
    x = style.conv(row.filters, 1, use_bias=False, name=f"{row.name}_conv")(x)
    x = keras.layers.BatchNormalization(**norm, name=f"{row.name}_bn")(x)
    return keras.layers.ReLU(6.0, name=row.name)(x)


def depthwise_block(
    x: Any,
    name: str,
    kernel_size: int,
    *,
    style: ConvStyle,
    momentum: float,
    epsilon: float,
    stride: int = 1,
    pad: int | None = None,
) -> Any:
    """Depthwise convolution without bias, BatchNorm, ReLU6: `<name>_dw`, `<name>_dw_bn`, `<name>_dw_relu`.

    Args:
        x: symbolic feature map (B, H, W, C).
        name: prefix of the names of the layers.
        kernel_size, stride: of the convolution.
        style: a `ConvStyle`; its L2 penalty applies here too.
        momentum, epsilon: of the BatchNorm, as Keras defines them.
        pad: symmetric padding as in Caffe; None keeps the map's size at stride 1.
    """
    same = stride == 1 and (pad is None or 2 * pad == kernel_size - 1)
    if not same and pad:
        x = keras.layers.ZeroPadding2D(pad, data_format="channels_last", name=f"{name}_padding")(x)
    # The kernel's shape is (height, width, C, 1): what a cell of the result sums over is Keras's fan_out.
    initializer = keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
    x = keras.layers.DepthwiseConv2D(
        kernel_size,
        strides=stride,
        padding="same" if same else "valid",
        use_bias=False,
        depthwise_initializer=initializer,
        depthwise_regularizer=keras.regularizers.L2(style.l2) if style.l2 else None,
        data_format="channels_last",
        name=f"{name}_dw",
    )(x)
    x = keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=f"{name}_dw_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_dw_relu")(x)


def apply_row(x: Any, row: ConvRow, style: ConvStyle, activation: Any = "relu") -> Any:
    """The convolution of a `ConvRow` on a symbolic feature map (B, H, W, C)."""
    reach = row.dilation * (row.kernel_size - 1)
    same = row.stride == 1 and 2 * row.pad == reach
    if row.pad and not same:
        x = keras.layers.ZeroPadding2D(row.pad, data_format="channels_last", name=f"{row.name}_padding")(x)
    size = [None if s is None else s - reach for s in x.shape[1:3]]
    if not same and any(s is not None and s < 1 for s in size):
        raise ValueError(
            f"The image is too small for this model: the feature map before '{row.name}' is "
            f"{tuple(x.shape[1:3])} with padding, and its kernel needs {reach + 1}. Use a larger `input_size`."
        )
    layer = style.conv(
        row.filters,
        row.kernel_size,
        strides=row.stride,
        padding="same" if same else "valid",
        dilation_rate=row.dilation,
        activation=activation,
        name=row.name,
    )
    return layer(x)


def max_pool(
    x: Any,
    name: str,
    size: int | Sequence[int] = 2,
    stride: int | Sequence[int] = 2,
    pad: int | Sequence[int] = 0,
    *,
    ceil_mode: bool = True,
    padding_name: str | None = None,
) -> Any:
    """Caffe's max pooling: the number of windows is rounded up, and padding is never the maximum.

    Args:
        x: symbolic feature map (B, H, W, C) of known size.
        name: of the pooling layer.
        size, stride, pad: Caffe's numbers: one, or (height, width).
        ceil_mode: False rounds the number of windows down.
        padding_name: name of the padding layer before it, if one is needed; None is `{name}_padding`.

    Source: weiliu89/caffe, branch ssd, src/caffe/layers/pooling_layer.cpp.
    """
    size, stride = size_pair(size, "size", 1), size_pair(stride, "stride", 1)
    padding = caffe_padding(x.shape[1:3], size, stride, size_pair(pad, "pad"), ceil_mode)
    mode = "same" if padding == keras_padding(x.shape[1:3], size, stride) else "valid"
    if mode == "valid" and any(map(any, padding)):
        x = LowestPadding2D(padding, name=padding_name or f"{name}_padding")(x)
    layer = keras.layers.MaxPooling2D(size, strides=stride, padding=mode, data_format="channels_last", name=name)
    return layer(x)


def check_input_size(input_size: Sequence[int]) -> tuple[int, int]:
    """The size (height, width) as two ints; also from lists, arrays and numpy integers.

    Raises:
        ValueError: not (height, width) in whole positive pixels.
    """
    try:
        size = tuple(operator.index(side) for side in input_size)
    except TypeError:
        size = ()
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"`input_size` must be (height, width) in whole pixels. Received: input_size={input_size!r}")
    # Anchors take memory while the model is built, and the first convolutions have at least 8 channels.
    check_map(f"An input of {size[0]}x{size[1]}", (None, *size, 8))
    return size


def image_input(
    input_size: Sequence[int], scale: float = 1.0, offset: float | Sequence[float] = 0.0
) -> tuple[Any, Any]:
    """Input and preprocessing: RGB 0..255 (B, H, W, 3), times `scale` plus `offset`, computed in float32.

    Raises:
        ValueError: not (height, width) in whole positive pixels.
    """
    size = check_input_size(input_size)
    inputs = keras.Input((*size, 3), name="images", dtype="float32")
    x = keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")(inputs)
    return inputs, x
