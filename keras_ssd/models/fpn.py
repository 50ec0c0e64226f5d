"""A feature pyramid: each tapped map gets the features of the coarser ones."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.layers import BilinearResize

FILTERS = 256


def pyramid(names: Sequence[str], maps: Sequence[Any], style: ConvStyle, filters: int = FILTERS) -> list[Any]:
    """Feature maps (B, H, W, filters) of one width, each with the features of all coarser ones, finest first.

    Every map passes a 1x1 convolution, the coarser sum is upsampled and added, and a 3x3 convolution smooths. If the
    grids halve, upsampling repeats cells; for other ratios it interpolates. The new maps are called `<name>_fpn`.

    Source: Lin et al., "Feature Pyramid Networks for Object Detection" (arXiv 1612.03144), section 3.
    """
    above, found = None, []
    for name, x in reversed(list(zip(names, maps, strict=True))):
        x = style.conv(filters, 1, name=f"{name}_lateral")(x)
        if above is not None:
            x = keras.layers.Add(name=f"{name}_merged")([x, _enlarged(above, x.shape[1:3], name)])
        above = x
        found.append(style.conv(filters, 3, padding="same", name=f"{name}_fpn")(x))
    return found[::-1]


def _enlarged(x, grid_hw, name):
    """A coarser map at the grid of a finer one."""
    over = [2 * coarse - fine for coarse, fine in zip(x.shape[1:3], grid_hw, strict=True)]
    if tuple(x.shape[1:3]) == tuple(grid_hw):
        return x
    if not set(over) <= {0, 1}:
        return BilinearResize(*grid_hw, name=f"{name}_enlarged")(x)
    x = keras.layers.UpSampling2D(2, data_format="channels_last", name=f"{name}_enlarged")(x)
    if any(over):
        cropping = tuple((0, rest) for rest in over)
        x = keras.layers.Cropping2D(cropping, data_format="channels_last", name=f"{name}_cropped")(x)
    return x
