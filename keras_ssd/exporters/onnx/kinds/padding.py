"""Where the windows of convolutions and pooling layers begin."""

from dataclasses import replace

from keras_ssd.exporters.onnx.values import CHANNELS_FIRST, Padding

NO_SIDES = ((0, 0), (0, 0))


def same_padding(size_hw, kernel_size, strides, dilation_rate=(1, 1)):
    """((top, bottom), (left, right)) of Keras's "same"."""
    sides = []
    for size, kernel, stride, dilation in zip(size_hw, kernel_size, strides, dilation_rate, strict=True):
        reach = dilation * (kernel - 1) + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        sides.append((total // 2, total - total // 2))
    return tuple(sides)


def sum_of_sides(first, second):
    """Two paddings as one."""
    return tuple(tuple(a + b for a, b in zip(*pair, strict=True)) for pair in zip(first, second, strict=True))


def taken_padding(step, x, lowest):
    """(value, sides): a map as ONNX's operators want it, and the padding that they have to do themselves.

    Args:
        step: the layer that reads the map.
        x: the map, maybe with padding that waits.
        lowest: the kind of padding that the reader can do; the other kind is written as an operation of its own.
    """
    if x.padding is None or x.padding.lowest != lowest or x.order != CHANNELS_FIRST:
        return step.graph.maps(x), NO_SIDES
    sides = x.padding.sides
    batch, height, width, channels = x.shape
    shape = (batch, height - sum(sides[0]), width - sum(sides[1]), channels)
    return replace(x, shape=shape, padding=None), sides


def pads_attribute(sides):
    """Sides in the order of ONNX's `pads`."""
    (top, bottom), (left, right) = sides
    return [top, left, bottom, right]


def within_kernel(step, x, sides, kernel_size, lowest):
    """(value, sides): padding as large as the window becomes an operation of its own.

    Few programs expect windows that see nothing but padding: onnxruntime refuses them in pooling layers.
    """
    if all(max(pair) < kernel for pair, kernel in zip(sides, kernel_size, strict=True)):
        return x, sides
    batch, height, width, channels = x.shape
    shape = (batch, height + sum(sides[0]), width + sum(sides[1]), channels)
    return step.graph.settled(replace(x, shape=shape, padding=Padding(sides, lowest))), NO_SIDES
