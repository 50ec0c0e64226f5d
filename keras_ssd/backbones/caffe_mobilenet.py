"""MobileNet V1 of Caffe's MobileNet-SSD: symmetric padding, plain ReLU, and four extra stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.blocks import HE_NORMAL, ConvStyle, image_input

# (filters, stride) of conv1 .. conv13, each depthwise and then 1x1; conv0 has 32 filters and stride 2.
_ROWS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1)),
)
_STEM = 32
# (1x1 filters, 3x3 filters of stride 2) of conv14 .. conv17
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
MEAN, SCALE = 127.5, 0.007843


@dataclass(frozen=True)
class CaffeMobileNetStyle:
    """The settings of all convolutions.

    Args:
        batch_norm: BatchNorm after each convolution, as in training. Without it convolutions have biases, as after
            merge_bn.py has folded BatchNorm into them.
        conv: a `ConvStyle`; None is Caffe's msra, which is he_normal.
    """

    batch_norm: bool = True
    conv: ConvStyle | None = None

    def convolution(self, x: Any, name: str, filters: int, size: int = 1, stride: int = 1) -> Any:
        """Convolution, BatchNorm if the style has it, and ReLU."""
        return self._finished(self._padded(x, name, size, stride), name, self._plain(filters, size, stride))

    def depthwise(self, x: Any, name: str, stride: int = 1) -> Any:
        """Depthwise 3x3 convolution, BatchNorm if the style has it, and ReLU."""
        return self._finished(self._padded(x, name, 3, stride), name, self._depthwise(stride))

    def _plain(self, filters, size, stride):
        conv = self.conv or HE_NORMAL
        padding = "same" if stride == 1 else "valid"
        return lambda **more: conv.conv(filters, size, strides=stride, padding=padding, **more)

    def _depthwise(self, stride):
        l2 = self.conv.l2 if self.conv else 0.0
        return lambda **more: keras.layers.DepthwiseConv2D(
            3,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            # The kernel's shape is (height, width, channels, 1): what a value sums over is Keras's fan_out.
            depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "truncated_normal"),
            depthwise_regularizer=keras.regularizers.L2(l2) if l2 else None,
            data_format="channels_last",
            **more,
        )

    def _padded(self, x, name, size, stride):
        """Caffe's padding, which at stride 2 is not Keras's "same"."""
        if stride == 1 or size == 1:
            return x
        return keras.layers.ZeroPadding2D(size // 2, data_format="channels_last", name=f"{name}_padding")(x)

    def _finished(self, x, name, layer):
        x = layer(use_bias=not self.batch_norm, name=name)(x)
        if self.batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.999, epsilon=1e-5, name=f"{name}--bn")(x)
        return keras.layers.ReLU(name=f"{name}--relu")(x)


def caffe_mobilenet(
    input_size: Sequence[int] = (300, 300), *, style: CaffeMobileNetStyle | None = None, name: str = "caffe_mobilenet"
) -> keras.Model:
    """The body of MobileNet-SSD; strides 8, 16 and 32 end in `conv5--relu`, `conv11--relu` and `conv13--relu`.

    Layers have the names of its prototxt with two hyphens for a slash, as in models of `from_caffe`.

    Args:
        input_size: (height, width) in pixels.
        style: a `CaffeMobileNetStyle`.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3), 0..255, to `conv17_2--relu`.

    Source: chuanqi305/MobileNet-SSD, voc/MobileNetSSD_deploy.prototxt and deploy.prototxt.
    """
    style = style or CaffeMobileNetStyle()
    inputs, x = image_input(input_size, SCALE, -MEAN * SCALE)
    x = style.convolution(x, "conv0", _STEM, 3, 2)
    for number, (filters, stride) in enumerate(_ROWS, start=1):
        x = style.depthwise(x, f"conv{number}--dw", stride)
        x = style.convolution(x, f"conv{number}", filters)
    for number, (squeeze, filters) in enumerate(_EXTRAS, start=len(_ROWS) + 1):
        x = style.convolution(x, f"conv{number}_1", squeeze)
        x = style.convolution(x, f"conv{number}_2", filters, 3, 2)
    return keras.Model(inputs, x, name=name)
