"""Where the windows of convolutions and pooling layers begin."""

from collections.abc import Sequence
from dataclasses import replace

from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value
from keras_ssd.layout import CHANNELS_FIRST
from keras_ssd.padding import NO_SIDES, Sides


def taken_padding(step: Step, x: Value, lowest: bool) -> tuple[Value, Sides]:
    """(value, sides): a map as ONNX's operators want it, and the padding that they have to do themselves.

    Args:
        step: the layer that reads the map.
        x: the map, maybe with padding that waits.
        lowest: the kind of padding that the reader can do; the other kind is written as an operation of its own.
    """
    if x.padding is None or x.padding.lowest != lowest or x.order != CHANNELS_FIRST:
        return step.graph.maps(x), NO_SIDES
    return replace(x, padding=None), x.padding.sides


def pads_attribute(sides: Sequence[Sequence[int]]) -> list[int]:
    """Sides in the order of ONNX's `pads`."""
    (top, bottom), (left, right) = sides
    return [top, left, bottom, right]


def within_kernel(step: Step, x: Value, sides: Sides, kernel_size: Sequence[int], lowest: bool) -> tuple[Value, Sides]:
    """(value, sides): padding as large as the window becomes an operation of its own.

    Few programs expect windows that see nothing but padding: onnxruntime refuses them in pooling layers.
    """
    if all(max(pair) < kernel for pair, kernel in zip(sides, kernel_size, strict=True)):
        return x, sides
    return step.graph.settled(x.padded(sides, lowest)), NO_SIDES
