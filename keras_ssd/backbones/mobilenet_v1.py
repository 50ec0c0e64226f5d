"""MobileNet V1 without its classifier, as detectors of TensorFlow and Caffe use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.blocks import HE_NORMAL, ConvStyle, check_input_size, image_input

# (filters, stride) of conv1 .. conv13; conv0 has 32 filters and stride 2.
_ROWS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
_STEM = 32
SMALLEST = 32
FEWEST_FILTERS = 16  # TensorFlow's `min_depth`


@dataclass(frozen=True)
class MobileNetStyle:
    """The settings of all convolutions of a MobileNet.

    Args:
        width: factor of the numbers of filters, MobileNet's depth multiplier.
        batch_norm: BatchNorm after each convolution. Without it convolutions have biases, as after folding.
        symmetric_padding: Caffe's padding, one pixel on each side; else TensorFlow's, which at stride 2 pads an even
            map only at the bottom and the right.
        highest: upper limit of ReLU: 6, or None for a plain ReLU.
        conv: a `ConvStyle`.
    """

    width: float = 1.0
    batch_norm: bool = True
    symmetric_padding: bool = False
    highest: float | None = 6.0
    conv: ConvStyle = HE_NORMAL

    def __post_init__(self) -> None:
        if isinstance(self.width, bool) or not isinstance(self.width, (int, float)) or not 0 < self.width <= 4:
            raise ValueError(
                f"`width` must be above 0 and at most 4; 1 is the original. Received: width={self.width!r}"
            )

    def filters(self, number: int) -> int:
        """The number of filters at this width, from the number at width 1."""
        return max(int(number * self.width), FEWEST_FILTERS)

    def convolution(self, x: Any, name: str, filters: int, size: int = 1, stride: int = 1) -> Any:
        """Convolution and ReLU; with BatchNorm the layers are `<name>_conv`, `<name>_bn`, `<name>`."""
        x, padding = self._padded(x, name, size, stride)
        options = {"strides": stride, "padding": padding}
        return self._finished(x, name, lambda **more: self.conv.conv(filters, size, **options, **more))

    def depthwise(self, x: Any, name: str, stride: int = 1) -> Any:
        """Depthwise 3x3 convolution and ReLU; layers as in `convolution`."""
        x, padding = self._padded(x, name, 3, stride)
        regularizer = keras.regularizers.L2(self.conv.l2) if self.conv.l2 else None
        options = {"strides": stride, "padding": padding, "depthwise_regularizer": regularizer}
        # The kernel's shape is (height, width, channels, 1): what a value sums over is Keras's fan_out.
        options["depthwise_initializer"] = keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal")
        return self._finished(
            x, name, lambda **more: keras.layers.DepthwiseConv2D(3, data_format="channels_last", **options, **more)
        )

    def _padded(self, x, name, size, stride):
        if stride == 1 or size == 1 or not self.symmetric_padding:
            return x, "same"
        return keras.layers.ZeroPadding2D(size // 2, data_format="channels_last", name=f"{name}_padding")(x), "valid"

    def _finished(self, x, name, layer):
        if not self.batch_norm:
            return layer(activation="relu" if self.highest is None else "relu6", name=name)(x)
        x = layer(use_bias=False, name=f"{name}_conv")(x)
        x = keras.layers.BatchNormalization(momentum=0.97, epsilon=0.001, name=f"{name}_bn")(x)
        return keras.layers.ReLU(self.highest, name=name)(x)


def mobilenet_v1(
    input_size: Sequence[int] = (300, 300),
    *,
    style: MobileNetStyle | None = None,
    scale: float = 1 / 127.5,
    offset: float | Sequence[float] = -1.0,
    name: str = "mobilenet_v1",
) -> keras.Model:
    """MobileNet V1 to `conv13_pointwise`; strides 8, 16 and 32 end in conv5_, conv11_ and conv13_pointwise.

    Args:
        input_size: (height, width) in pixels.
        style: a `MobileNetStyle`; None is TensorFlow's, at width 1 with BatchNorm.
        scale: factor of the RGB values 0..255.
        offset: added after it; the default pair is (x - 127.5) / 127.5.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3) to conv13_pointwise. Layers: conv0, then conv1_depthwise,
        conv1_pointwise, ..., conv13_pointwise, each after its ReLU.

    Raises:
        ValueError: an image that is too small, or a width outside its range.

    Source: Howard et al., "MobileNets" (2017), table 1.
    """
    style = style or MobileNetStyle()
    if min(check_input_size(input_size)) < SMALLEST:
        raise ValueError(
            f"The image is too small: `input_size` needs at least {SMALLEST} pixels a side. "
            f"Received: input_size={tuple(input_size)}"
        )
    inputs, x = image_input(input_size, scale, offset)
    x = style.convolution(x, "conv0", style.filters(_STEM), 3, 2)
    for index, (filters, stride) in enumerate(_ROWS, start=1):
        x = style.depthwise(x, f"conv{index}_depthwise", stride)
        x = style.convolution(x, f"conv{index}_pointwise", style.filters(filters))
    return keras.Model(inputs, x, name=name)
