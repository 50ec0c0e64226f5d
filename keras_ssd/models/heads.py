"""Heads: the convolutions that read classes and offsets from a feature map."""

from dataclasses import dataclass

from keras_ssd.layers import L2Normalization


@dataclass(frozen=True)
class Tap:
    """A feature map that a head reads.

    Args:
        layer: name of the layer whose output is read.
        l2_scale: put an `L2Normalization` with this initial scale, named `<layer>_norm`, in between; None for none.
        confidence_name: name of the class convolution; None is Caffe's `<source>_mbox_conf`.
        offsets_name: name of the offset convolution; None is Caffe's `<source>_mbox_loc`.
        kernel_size: side of the head's convolutions; TensorFlow's heads have 1.
    """

    layer: str
    l2_scale: float | None = None
    confidence_name: str | None = None
    offsets_name: str | None = None
    kernel_size: int = 3

    @property
    def source(self):
        """Name of the layer whose output enters the head."""
        return self.layer if self.l2_scale is None else f"{self.layer}_norm"


def feature_map(tap, x):
    """The head's input: the tapped feature map, normalised where the tap says so."""
    return x if tap.l2_scale is None else L2Normalization(tap.l2_scale, name=tap.source)(x)


def head(tap, x, boxes_per_cell, num_classes, style):
    """The confidence map (B, H, W, boxes * (C + 1)) and the offset map (B, H, W, boxes * 4) of a feature map.

    Channels are box-major, class fastest, background first, as Caffe's permuted heads are.
    """
    confidence = style.conv(
        boxes_per_cell * (num_classes + 1),
        tap.kernel_size,
        padding="same",
        name=tap.confidence_name or f"{tap.source}_mbox_conf",
    )
    offsets = style.conv(
        boxes_per_cell * 4, tap.kernel_size, padding="same", name=tap.offsets_name or f"{tap.source}_mbox_loc"
    )
    return confidence(x), offsets(x)
