"""What a person may ask of an exported file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_ssd.names import unknown_name

CHANNELS = ("rgb", "bgr", "blob", "rgb_blob")
PRECISIONS = ("float32", "float16", "int8")
TENSORRT = "tensorrt"


@dataclass(frozen=True)
class ExportOptions:
    """The options of `keras_ssd.export`, checked.

    Args:
        suppression: True for detections (B, K, 6), False for boxes and scores of all anchors, "tensorrt" for
            TensorRT's own operation.
        batch: images at once; None for any number.
        channels: "rgb", "bgr", "blob" or "rgb_blob", see `keras_ssd.to_onnx`.
        precision: "float32", "float16" or "int8".
        calibrate: sources of images that int8 is calibrated on, see `keras_ssd.detect`.
        licence: of the weights, in words.

    Raises:
        ValueError: a value is outside its range.
    """

    suppression: bool | str = True
    batch: int | None = None
    channels: str = "rgb"
    precision: str = "float32"
    calibrate: Sequence[Any] | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.suppression, bool) or self.suppression == TENSORRT):
            raise ValueError(
                f"`suppression` must be True, False or '{TENSORRT}'. Received: suppression={self.suppression!r}"
            )
        if self.batch is not None and (
            isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1
        ):
            raise ValueError(
                f"`batch` must be a positive integer, or None for any number of images. Received: batch={self.batch!r}"
            )
        if self.channels not in CHANNELS:
            raise ValueError(unknown_name("order of channels", self.channels, CHANNELS))
        if self.precision not in PRECISIONS:
            raise ValueError(unknown_name("precision", self.precision, PRECISIONS))
