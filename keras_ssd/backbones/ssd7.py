"""The seven convolutions of SSD7, the small network of ssd_keras for tests and tutorials."""

from collections.abc import Sequence

import keras

from keras_ssd.backbones.blocks import HE_NORMAL, ConvStyle, check_input_size, image_input
from keras_ssd.calling import checked_arguments

# (filters, kernel size) of conv1 .. conv7
_CONVOLUTIONS = ((32, 5), (48, 3), (64, 3), (64, 3), (48, 3), (48, 3), (32, 3))

SMALLEST = 2 ** (len(_CONVOLUTIONS) - 1)


@checked_arguments
def ssd7_body(
    input_size: Sequence[int] = (300, 480),
    *,
    style: ConvStyle | None = None,
    scale: float = 1 / 127.5,
    offset: float | Sequence[float] = -1.0,
    name: str = "ssd7_body",
) -> keras.Model:
    """Convolution, BatchNorm, ELU, seven times, with 2x2 max pooling between; taps `elu4` .. `elu7`.

    Args:
        input_size: (height, width) in pixels.
        style: a `ConvStyle`; None is he_normal as in ssd_keras.
        scale: factor of the RGB values 0..255.
        offset: added after it; the default pair is (x - 127.5) / 127.5.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3) to elu7.
    """
    style = style or HE_NORMAL
    if min(check_input_size(input_size)) < SMALLEST:
        raise ValueError(
            f"The image is too small for SSD7, which halves it six times: `input_size` needs at least {SMALLEST} "
            f"pixels a side. Received: input_size={tuple(input_size)}"
        )
    inputs, x = image_input(input_size, scale, offset)
    for index, (filters, kernel_size) in enumerate(_CONVOLUTIONS, start=1):
        if index > 1:
            x = keras.layers.MaxPooling2D(2, data_format="channels_last", name=f"pool{index - 1}")(x)
        x = style.conv(filters, kernel_size, padding="same", name=f"conv{index}")(x)
        x = keras.layers.BatchNormalization(momentum=0.99, name=f"bn{index}")(x)
        x = keras.layers.ELU(name=f"elu{index}")(x)
    return keras.Model(inputs, x, name=name)
