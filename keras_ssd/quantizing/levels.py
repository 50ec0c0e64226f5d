"""Rounding to the levels of eight bits, with gradients that pass through it."""

from typing import Any

from keras import ops

WEIGHT_LEVELS = 127  # on each side of 0: symmetric int8, as TensorFlow Lite's kernels
MAP_LEVELS = 255  # steps between the lowest and the highest value of a map
SMALLEST = 1e-8


def rounded_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """A kernel rounded to symmetric int8, with a scale for each output channel.

    A batch normalisation behind the convolution multiplies each output channel by a number. That multiplies the
    channel's scale, too, so the kernel needs no folding before it is rounded: the levels are the same.

    Args:
        kernel: tensor.
        axes: the axes that an output channel is not along.
    """
    scale = ops.maximum(ops.max(ops.abs(kernel), axis=axes, keepdims=True), SMALLEST) / WEIGHT_LEVELS
    return kernel + ops.stop_gradient(ops.round(kernel / scale) * scale - kernel)


def rounded_map(x: Any, low: Any, high: Any) -> Any:
    """A feature map rounded to 256 levels from `low` to `high`, of which one is exactly 0.

    Values outside become the nearest level, and get no gradient.

    Args:
        x: tensor.
        low, high: scalars; the range is widened to include 0.
    """
    low, high = ops.minimum(low, 0.0), ops.maximum(high, 0.0)
    scale = ops.maximum(high - low, SMALLEST) / MAP_LEVELS
    zero = ops.round(-low / scale)
    clipped = ops.clip(x, -zero * scale, (MAP_LEVELS - zero) * scale)
    return clipped + ops.stop_gradient(ops.round(clipped / scale) * scale - clipped)
