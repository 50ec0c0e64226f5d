"""Heads: the convolutions that read classes and offsets from a feature map."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.blocks import ConvStyle, depthwise_block
from keras_ssd.calling import checked_arguments
from keras_ssd.layers import L2Normalization
from keras_ssd.names import unknown_name

ENDS = ("conf", "loc")


@checked_arguments
@dataclass(frozen=True)
class Tap:
    """A feature map that a head reads.

    Args:
        layer: name of the layer whose output is read.
        l2_scale: put an `L2Normalization` with this initial scale, named `<layer>_norm`, in between; None for none.
        confidence_name: name of the class convolution; None is Caffe's `<source>_mbox_conf`.
        offsets_name: name of the offset convolution; None is Caffe's `<source>_mbox_loc`.
        kernel_size: side of the head's convolutions; TensorFlow's heads have 1.
        batch_norm: put a BatchNormalization, named `<layer>_norm`, in between instead: for features whose scale the
            backbone does not limit, such as sums along residual blocks without normalisation.
    """

    layer: str
    l2_scale: float | None = None
    confidence_name: str | None = None
    offsets_name: str | None = None
    kernel_size: int = 3
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if self.batch_norm and self.l2_scale is not None:
            raise ValueError(
                "A Tap has either `l2_scale` or `batch_norm`. "
                f"Received: layer={self.layer!r}, l2_scale={self.l2_scale}, batch_norm=True"
            )

    @property
    def source(self) -> str:
        """Name of the layer whose output enters the head."""
        return f"{self.layer}_norm" if self.batch_norm or self.l2_scale is not None else self.layer

    def head_name(self, end: str) -> str:
        """Name of the convolution that makes the head's "conf" or "loc" map."""
        return (self.confidence_name if end == "conf" else self.offsets_name) or f"{self.source}_mbox_{end}"


def feature_map(tap: Tap, x: Any) -> Any:
    """The head's input: the tapped feature map, normalised if the tap requires it."""
    if tap.batch_norm:
        return keras.layers.BatchNormalization(momentum=0.97, epsilon=1e-3, name=tap.source)(x)
    return x if tap.l2_scale is None else L2Normalization(tap.l2_scale, name=tap.source)(x)


Sources = Sequence[tuple[Tap, Any, int]]
Maps = tuple[list[Any], list[Any]]


@dataclass(frozen=True)
class PlainHead:
    """One convolution for the classes and one for the offsets of each feature map: the original's."""

    def maps(self, sources: Sources, num_classes: int, style: ConvStyle) -> Maps:
        """Lists of confidence maps (B, H, W, boxes * (C + 1)) and of offset maps (B, H, W, boxes * 4).

        `sources` are (`Tap`, feature map, boxes per cell). Channels are box-major, class fastest, background first, as
        in Caffe's permuted heads.
        """
        return _by_end(sources, num_classes, lambda tap, x, end, channels: self._end(tap, x, end, channels, style))

    def _end(self, tap, x, end, channels, style):
        return style.conv(channels, tap.kernel_size, padding="same", name=tap.head_name(end))(x)


@dataclass(frozen=True)
class SeparableHead:
    """SSDlite's: a depthwise convolution with BatchNorm and ReLU6, then a 1x1 convolution.

    It has a fraction of the plain head's weights and operations, for mobile backbones. The layers before
    `<source>_mbox_conf` and `<source>_mbox_loc` have these names with `_dw`, `_dw_bn` and `_dw_relu` appended.

    Args:
        momentum, epsilon: of the BatchNorm, as Keras defines them.

    Source: Sandler et al., "MobileNetV2" (arXiv 1801.04381), section 6.2.
    """

    momentum: float = 0.97
    epsilon: float = 1e-3

    def maps(self, sources: Sources, num_classes: int, style: ConvStyle) -> Maps:
        """The heads of all feature maps; as `PlainHead.maps`."""
        return _by_end(sources, num_classes, lambda tap, x, end, channels: self._end(tap, x, end, channels, style))

    def _end(self, tap, x, end, channels, style):
        name = tap.head_name(end)
        x = depthwise_block(x, name, tap.kernel_size, style=style, momentum=self.momentum, epsilon=self.epsilon)
        return style.conv(channels, 1, name=name)(x)


@dataclass(frozen=True)
class SharedHead:
    """RetinaNet's: one tower of convolutions for the classes and one for the offsets, shared by all feature maps.

    All maps need the same number of boxes per cell. Maps of other widths first pass a separate 1x1 convolution to
    `filters` channels, `<source>_head_in`.

    Args:
        depth: 3x3 convolutions with ReLU in a tower, before the last one.
        filters: of each.

    Source: Lin et al., "Focal Loss for Dense Object Detection" (arXiv 1708.02002), section 4.
    """

    depth: int = 4
    filters: int = 256

    def maps(self, sources: Sources, num_classes: int, style: ConvStyle) -> Maps:
        """The heads of all feature maps; as `PlainHead.maps`.

        Raises:
            ValueError: maps with different numbers of boxes per cell.
        """
        counts = {tap.source: boxes for tap, _, boxes in sources}
        if len(set(counts.values())) > 1:
            raise ValueError(
                "A shared head needs the same number of boxes per cell on all feature maps. Give anchors that have it, "
                f"or none, or use head='plain'. Received: {', '.join(f'{k}: {v}' for k, v in counts.items())}"
            )
        inputs = [self._brought_in(tap, x, style) for tap, x, _ in sources]
        boxes = sources[0][2]
        conf, loc = ENDS
        return (self._tower(inputs, conf, boxes * (num_classes + 1), style), self._tower(inputs, loc, boxes * 4, style))

    def _brought_in(self, tap, x, style):
        return x if x.shape[-1] == self.filters else style.conv(self.filters, 1, name=f"{tap.source}_head_in")(x)

    def _tower(self, inputs, end, channels, style):
        layers = [
            style.conv(self.filters, 3, padding="same", activation="relu", name=f"shared_{end}_{index}")
            for index in range(1, self.depth + 1)
        ]
        layers.append(style.conv(channels, 3, padding="same", name=f"shared_mbox_{end}"))
        found = []
        for x in inputs:
            for layer in layers:
                x = layer(x)
            found.append(x)
        return found


HEADS: dict[str, PlainHead | SeparableHead | SharedHead] = {
    "plain": PlainHead(),
    "separable": SeparableHead(),
    "shared": SharedHead(),
}


def head_of(head: Any) -> "PlainHead | SeparableHead | SharedHead":
    """The head with this name; an instance is returned unchanged.

    Raises:
        ValueError: unknown name.
        TypeError: neither a name nor a head.
    """
    if isinstance(head, str):
        if head not in HEADS:
            raise ValueError(unknown_name("head", head, HEADS))
        return HEADS[head]
    if not isinstance(head, tuple(type(known) for known in HEADS.values())):
        raise TypeError(
            f"`head` must be one of {', '.join(map(repr, HEADS))}, or a PlainHead, SeparableHead or SharedHead. "
            f"Received: head={head!r}"
        )
    return head


def _by_end(sources, num_classes, make):
    """(confidence maps, offset maps) of heads that each feature map has for itself."""
    conf, loc = ENDS
    return (
        [make(tap, x, conf, boxes * (num_classes + 1)) for tap, x, boxes in sources],
        [make(tap, x, loc, boxes * 4) for tap, x, boxes in sources],
    )
