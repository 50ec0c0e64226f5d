"""A compact network of plain 3x3 convolutions, for machines without a GPU."""

from collections.abc import Sequence

import keras

from keras_ssd.backbones.blocks import HE_NORMAL, ConvStyle, check_input_size, image_input

# (name, filters, stride, residual block after it)
ROWS = (
    ("stem1", 16, 2, False),
    ("stem2", 32, 2, False),
    ("stem3", 32, 1, False),
    ("stage8", 64, 2, True),
    ("stage16", 128, 2, True),
    ("stage32", 192, 2, True),
)
SMALLEST = 32
MULTIPLE = 8  # of filters, where there are more or fewer


def small_body(
    input_size: Sequence[int] = (240, 320),
    *,
    width: float = 1.0,
    style: ConvStyle | None = None,
    scale: float = 1 / 127.5,
    offset: float | Sequence[float] = -1.0,
    name: str = "small_body",
) -> keras.Model:
    """Convolution, BatchNorm, ReLU at widths 16 to 192, with a residual block at each stride of 8, 16 and 32.

    On CPUs plain small convolutions are faster than depthwise ones. Taps: `stage8`, `stage16`, `stage32`.

    Args:
        input_size: (height, width) in pixels.
        width: factor of the filters, which become multiples of 8.
        style: a `ConvStyle`; None is he_normal.
        scale: factor of the RGB values 0..255.
        offset: added after it; the default pair is (x - 127.5) / 127.5.
        name: the model's name.

    Returns:
        keras.Model from RGB images (B, H, W, 3) to `stage32`.
    """
    style = style or HE_NORMAL
    if min(check_input_size(input_size)) < SMALLEST:
        raise ValueError(
            f"The image is too small: `input_size` needs at least {SMALLEST} pixels a side. "
            f"Received: input_size={tuple(input_size)}"
        )
    if not width > 0:
        raise ValueError(f"`width` must be positive. Received: width={width!r}")
    inputs, x = image_input(input_size, scale, offset)
    for row, filters, stride, residual in ROWS:
        filters = max(MULTIPLE, MULTIPLE * round(filters * width / MULTIPLE))
        last = None if residual else row
        x = _convolution(x, row if last else f"{row}_down", filters, stride, style)
        if residual:
            shortcut = x
            x = _convolution(x, f"{row}_1", filters, 1, style)
            x = _convolution(x, f"{row}_2", filters, 1, style, activation=False)
            x = keras.layers.Add(name=f"{row}_add")([shortcut, x])
            x = keras.layers.ReLU(name=row)(x)
    return keras.Model(inputs, x, name=name)


def _convolution(x, name, filters, stride, style, activation=True):
    """Convolution of stride 1 or 2 with Caffe's symmetric padding, BatchNorm, and ReLU unless a sum follows."""
    if stride > 1:
        x = keras.layers.ZeroPadding2D(1, data_format="channels_last", name=f"{name}_padding")(x)
    x = style.conv(
        filters, 3, strides=stride, padding="valid" if stride > 1 else "same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.97, name=f"{name}_bn")(x)
    return keras.layers.ReLU(name=name)(x) if activation else x
