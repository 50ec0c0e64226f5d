"""The result of every reader of weights: arrays by layer and weight name, and the facts that the file states."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# The largest real array is the dense fc6 of VGG16 (411 MB); the largest real file is SSD512 for ILSVRC (215 MB).
MAX_ARRAY_BYTES = 1 << 29
MAX_TOTAL_BYTES = 1 << 30
MAX_ARRAYS = 4096


class WeightFileError(ValueError):
    """A weight file cannot be used; the message tells what to do."""


@dataclass(frozen=True)
class AnchorBoxesConfig:
    """The arguments of one anchor layer of an ssd_keras model, as its file records them.

    `steps` and `offsets` are None when the file does not record them. ssd_keras never wrote them, so None
    does *not* mean "feature map size": whoever builds a model must take the steps of the architecture (for
    SSD300 8, 16, 32, 64, 100, 300), or the anchors are silently wrong (300/38 = 7.89 pixels instead of 8).

    Args:
        name: the anchor layer's name.
        source: the layer whose output it was attached to (a localisation head), or None.
        image_size: (height, width) in pixels.
        this_scale, next_scale: fractions of the shorter image side.
        aspect_ratios: width / height, in the order of the boxes in a cell.
        two_boxes_for_ar1: whether ratio 1 has a second box of size sqrt(this_scale * next_scale).
        variances: four factors for cx, cy, w, h.
        steps, offsets: one number, a (height, width) pair, or None for "not recorded".
        clip_boxes, coords, normalize_coords: as ssd_keras names them.
    """

    name: str
    source: str | None
    image_size: tuple[int, int]
    this_scale: float
    next_scale: float
    aspect_ratios: tuple[float, ...]
    two_boxes_for_ar1: bool
    variances: tuple[float, float, float, float]
    steps: float | tuple[float, float] | None
    offsets: float | tuple[float, float] | None
    clip_boxes: bool
    coords: str
    normalize_coords: bool


@dataclass(frozen=True)
class SavedArchitecture:
    """The facts that a file's model configuration states; it is parsed, its layers are never built.

    Args:
        input_size: (height, width) in pixels; an entry is None where the model takes any size.
        anchor_boxes: one entry per anchor layer, in the order of the model.
        layer_names: every layer, also those without weights.
        lambda_layers: names of layers with Python code. The code is not read, so the user must give the numbers in it.
    """

    input_size: tuple[int | None, int | None] | None
    anchor_boxes: tuple[AnchorBoxesConfig, ...]
    layer_names: tuple[str, ...]
    lambda_layers: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PostProcessing:
    """The settings with which a file itself turns its predictions into detections.

    Args:
        scores: "sigmoid" or "softmax", of the class columns.
        anchors_cxcywh: (N, 4) fractions of the image, as the file stores them.
        anchors_step: what the stored anchors are rounded to; 0 where they are floats.
        variances: factors of the coded boxes: cx, cy, w, h.
        input_size: (height, width) of its images in pixels.
        settings: the rest, as the file calls it, such as {"nms_iou_threshold": 0.6, "max_detections": 10}.
    """

    scores: str
    anchors_cxcywh: np.ndarray
    anchors_step: float
    variances: tuple[float, ...]
    input_size: tuple[int, int]
    settings: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class NamedArrays:
    """The weights of a model: `{layer: {weight: array}}`, channels last, float32.

    Readers convert the conventions of other projects: kernels are (height, width, in, out), localisation channels are
    box-major in the order cx, cy, w, h, class channels box-major with the background first. Only the colour order of
    the first convolution stays that of the file (`first_layer_channels`); `zoo.port` converts it.

    Args:
        layers: arrays by layer and weight name: `kernel`, `bias`, `gamma`, `beta`, `moving_mean`,
            `moving_variance`.
        format: name of the format, as `sniff` gives it, or "model".
        path: the file, or None.
        first_layer_channels: "rgb" or "bgr".
        config: what the file's model configuration states, or None.
        class_names: the classes without background, if the file names them.
        post_processing: how the file decodes its predictions, if it holds a whole detector.
        origin: the project whose anchors and preprocessing the weights were trained with, if the layout tells:
            "torchvision", "amdegroot", "lufficc" or "mmdetection".
    """

    layers: Mapping[str, Mapping[str, np.ndarray]]
    format: str
    path: Path | None = None
    first_layer_channels: str = "rgb"
    config: SavedArchitecture | None = None
    class_names: tuple[str, ...] | None = None
    post_processing: PostProcessing | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        if self.first_layer_channels not in ("rgb", "bgr"):
            raise ValueError(
                "first_layer_channels must be 'rgb' or 'bgr'. Received: "
                f"first_layer_channels={self.first_layer_channels!r}"
            )
        frozen = {layer: MappingProxyType(dict(weights)) for layer, weights in self.layers.items()}
        object.__setattr__(self, "layers", MappingProxyType(frozen))

    def __iter__(self) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yields (layer, weight, array)."""
        for layer, weights in self.layers.items():
            for weight, array in weights.items():
                yield layer, weight, array

    def __contains__(self, layer: object) -> bool:
        return layer in self.layers

    def __getitem__(self, layer: str) -> Mapping[str, np.ndarray]:
        return self.layers[layer]

    @property
    def parameters(self) -> int:
        """The number of values in all arrays."""
        return sum(array.size for _, _, array in self)

    @property
    def source(self) -> str:
        """The name of the file, or the format if there is no file; for messages."""
        return str(self.path) if self.path is not None else f"<{self.format}>"

    def __repr__(self) -> str:
        return (
            f"NamedArrays({self.source!r}, format={self.format!r}, {len(self.layers)} layers, "
            f"{self.parameters:,} values, first layer {self.first_layer_channels.upper()})"
        )


class Budget:
    """Counts the bytes that a file declares, before they are allocated.

    Args:
        path: the file, for messages.
    """

    def __init__(self, path: str | PathLike[str]):
        self.path = path
        self.left: int = MAX_TOTAL_BYTES
        self.arrays: int = 0

    def spend(self, name: str, shape: Sequence[int], dtype: np.dtype) -> None:
        """Raises WeightFileError for an array that is too large or does not hold floating point numbers."""
        if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
            raise WeightFileError(
                f"{self.path}: array {name!r} must hold floating point numbers. Received: dtype={dtype!s}. "
                "The file is damaged or holds no weights."
            )
        size = 4  # kept as float32
        for side in shape:
            size *= int(side) if side >= 0 else MAX_TOTAL_BYTES + 1
        self.left -= size
        self.arrays += 1
        if size > MAX_ARRAY_BYTES or self.left < 0 or self.arrays > MAX_ARRAYS:
            raise WeightFileError(
                f"{self.path}: array {name!r} of shape {tuple(int(s) for s in shape)} goes beyond what a weight file "
                f"may hold ({MAX_ARRAY_BYTES:,} bytes per array, {MAX_TOTAL_BYTES:,} bytes and {MAX_ARRAYS:,} arrays "
                "per file). The file is damaged or not what its name says."
            )


def as_float32(path: str | PathLike[str], name: str, array: ArrayLike) -> np.ndarray:
    """The array as float32. Raises WeightFileError for values that are not finite: they cannot be used."""
    with np.errstate(over="ignore", invalid="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise WeightFileError(
            f"{path}: array {name!r} holds values that are not finite float32 numbers. "
            "The file is damaged, or the training that wrote it had diverged."
        )
    return array
