"""Where the windows of convolutions and pooling layers are: the padding of Keras's "same" and of Caffe."""

import operator
from collections.abc import Sequence
from typing import Any

Pair = Sequence[int]
Sides = tuple[tuple[int, int], ...]

NO_SIDES = ((0, 0), (0, 0))


def size_pair(value: Any, name: str, least: int = 0) -> tuple[int, ...]:
    """A size for (height, width) from one whole number or two.

    Raises:
        ValueError: not one or two whole numbers of at least `least`.
    """
    values = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        pair = tuple(operator.index(v) for v in values)
    except TypeError:
        pair = ()
    if len(pair) != 2 or min(pair) < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}, or (height, width) of them. "
            f"Received: {name}={value!r}"
        )
    return pair


def sum_of_sides(first: Sequence[Pair], second: Sequence[Pair]) -> Sides:
    """Two paddings ((top, bottom), (left, right)) as one."""
    return tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(first, second, strict=True))


def keras_padding(
    size_hw: Pair,
    kernel_size: Pair,
    strides: Pair,
    dilation_rate: Pair = (1, 1),
    padding: str = "same",
    sides: Sequence[Pair] = NO_SIDES,
) -> Sides:
    """((top, bottom), (left, right)) around a map: the sum of a padding layer and the layer after it.

    Args:
        size_hw: (height, width) of the map before both.
        kernel_size, strides, dilation_rate: (height, width) of the layer.
        padding: "same" or "valid" of the layer.
        sides: the padding before the layer.
    """
    if padding != "same":
        return sum_of_sides(sides, NO_SIDES)
    more = []
    for size, kernel, stride, dilation, around in zip(size_hw, kernel_size, strides, dilation_rate, sides, strict=True):
        size, reach = size + sum(around), dilation * (kernel - 1) + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        more.append((total // 2, total - total // 2))
    return sum_of_sides(sides, more)


def caffe_padding(size_hw: Pair, pool_size: Pair, strides: Pair, padding: Pair, ceil_mode: bool = True) -> Sides:
    """((top, bottom), (left, right)) that give plain ("valid") pooling as many windows as Caffe has.

    Caffe rounds the number of windows up, so the last one may reach beyond the padding. With padding on either axis, a
    window that would start beyond the padded image is dropped.

    Args:
        size_hw: (height, width) of the map.
        pool_size, strides, padding: (height, width) each; the padding is on both sides.
        ceil_mode: False rounds down, as Caffe's `round_mode: FLOOR`.

    Raises:
        ValueError: no window fits.

    Source: BVLC/caffe, src/caffe/layers/pooling_layer.cpp, `PoolingLayer::Reshape`.
    """
    pads = []
    for size, kernel, stride, pad in zip(size_hw, pool_size, strides, padding, strict=True):
        steps = size + 2 * pad - kernel
        windows = (-(-steps // stride) if ceil_mode else steps // stride) + 1
        if any(padding) and (windows - 1) * stride >= size + pad:
            windows -= 1
        if windows < 1:
            raise ValueError(
                f"A map of {tuple(size_hw)} is too small for pooling with the window {tuple(pool_size)} and the "
                f"padding {tuple(padding)}. Use a larger image."
            )
        pads.append((pad, max((windows - 1) * stride + kernel - size - pad, 0)))
    return tuple(pads)
