"""VGG16 as SSD uses it: fully convolutional, fc6 dilated, fc6 and fc7 reduced, Caffe's layer names."""

from collections.abc import Sequence

import keras

from keras_ssd.backbones.blocks import ConvRow, ConvStyle, apply_row, image_input, max_pool
from keras_ssd.calling import checked_arguments

MEAN_RGB = (123.0, 117.0, 104.0)

# (block, convolutions, filters, pool size, pool stride, pool pad); pool5 keeps the map's size, so fc6 is dilated.
_BLOCKS = ((1, 2, 64, 2, 2, 0), (2, 2, 128, 2, 2, 0), (3, 3, 256, 2, 2, 0), (4, 3, 512, 2, 2, 0), (5, 3, 512, 3, 1, 1))
_FC6 = ConvRow("fc6", 1024, 3, pad=6, dilation=6)
_FC7 = ConvRow("fc7", 1024, 1)


@checked_arguments
def vgg16(
    input_size: Sequence[int] = (300, 300),
    *,
    style: ConvStyle | None = None,
    dropout: float = 0.0,
    mean_rgb: Sequence[float] = MEAN_RGB,
    name: str = "vgg16",
) -> keras.Model:
    """The fc_reduced VGG16: taps `conv4_3` (stride 8) and `fc7` (stride 16), both after their ReLU.

    Args:
        input_size: (height, width) in pixels.
        style: a `ConvStyle`; None is Caffe's xavier without penalty.
        dropout: rate after fc6 and fc7; SSD itself uses none.
        mean_rgb: subtracted from the images; other ports use slightly different means.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3), 0..255, to fc7.

    Source: weiliu89/caffe, branch ssd, python/caffe/model_libs.py, VGGNetBody.
    """
    style = style or ConvStyle()
    inputs, x = image_input(input_size, offset=[-mean for mean in mean_rgb])
    for block, convolutions, filters, *pool in _BLOCKS:
        for index in range(1, convolutions + 1):
            x = apply_row(x, ConvRow(f"conv{block}_{index}", filters, 3, pad=1), style)
        x = max_pool(x, f"pool{block}", *pool)
    for row in (_FC6, _FC7):
        x = apply_row(x, row, style)
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"{row.name}_dropout")(x)
    return keras.Model(inputs, x, name=name)
