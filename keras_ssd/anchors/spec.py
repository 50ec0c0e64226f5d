"""All anchors (prior boxes, default boxes) of a model, which model, encoder and decoder share."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_ssd.anchors import geometry
from keras_ssd.anchors.level import AnchorLevel, check_positive, whole_pair
from keras_ssd.calling import checked_arguments

FORMAT_VERSION = 1
SHIFTS_VERSION = 2  # for levels with several centres per cell, which readers of version 1 do not know


@checked_arguments
@dataclass(frozen=True)
class AnchorSpec:
    """All anchors of a model; anchor boxes, head channels and variances are derived from it.

    Args:
        image_size: (height, width) of the input image in pixels.
        levels: one `AnchorLevel` per feature map, in the order of the predictions.
        variances: four numbers, or one for all. Encoding divides the offsets (cx, cy, w, h) by them; decoding
            multiplies by them.
        clip: clamp the corners of every anchor to the image (Caffe's `clip`).

    Example:
        >>> spec = named_spec("ssd300_voc")
        >>> spec.num_anchors, spec.boxes_per_cell
        (8732, (4, 6, 6, 6, 4, 4))
    """

    image_size: tuple[int, int]
    levels: tuple[AnchorLevel, ...]
    variances: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    clip: bool = False

    def __post_init__(self) -> None:
        size = whole_pair(self.image_size, "image_size")
        check_positive(size, "image_size")
        levels = tuple(self.levels)
        if not levels or not all(isinstance(level, AnchorLevel) for level in levels):
            raise ValueError(f"`levels` must hold at least one AnchorLevel. Received: levels={self.levels}")
        variances = tuple(float(v) for v in self.variances)
        variances = variances * 4 if len(variances) == 1 else variances
        if len(variances) != 4:
            raise ValueError(f"`variances` must have 1 or 4 entries. Received: variances={self.variances}")
        check_positive(variances, "variances")
        object.__setattr__(self, "image_size", size)
        object.__setattr__(self, "levels", levels)
        object.__setattr__(self, "variances", variances)
        object.__setattr__(self, "clip", bool(self.clip))

    @property
    def num_anchors(self) -> int:
        """Number of anchors of all levels."""
        return sum(level.num_anchors for level in self.levels)

    @property
    def boxes_per_cell(self) -> tuple[int, ...]:
        """Boxes per cell of each level."""
        return tuple(level.boxes_per_cell for level in self.levels)

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """(height, width) in cells of each level."""
        return tuple(level.grid_hw for level in self.levels)

    def anchors_xyxy(self) -> np.ndarray:
        """Corners (xmin, ymin, xmax, ymax) as fractions of the image: read-only float32 (N, 4)."""
        return geometry.corners(self)

    def anchors_cxcywh(self) -> np.ndarray:
        """Centre and size (cx, cy, w, h) as fractions of the image: read-only float32 (N, 4)."""
        return geometry.centres(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data, from which `from_dict` makes an equal spec."""
        shifted = any(level.shifts_hw for level in self.levels)
        return {
            "version": SHIFTS_VERSION if shifted else FORMAT_VERSION,
            "image_size": list(self.image_size),
            "levels": [_plain(level) for level in self.levels],
            "variances": list(self.variances),
            "clip": self.clip,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The spec of the data of `to_dict`.

        Raises:
            ValueError: `data` is of a newer version of the package, or is not such a dictionary.
        """
        version = data.get("version") if isinstance(data, dict) else None
        if version not in (FORMAT_VERSION, SHIFTS_VERSION):
            raise ValueError(
                f"The anchor description has version {version!r}; this version of keras_ssd reads {FORMAT_VERSION} and "
                f"{SHIFTS_VERSION}. Update keras_ssd, or save the model again with this version."
            )
        levels = tuple(AnchorLevel(**row) for row in data["levels"])
        return cls(tuple(data["image_size"]), levels, tuple(data["variances"]), data["clip"])


def _plain(level):
    """A level as lists, without the shifts that few levels have."""
    names = ("grid_hw", "step_hw", "offset_hw", "boxes_hw", *(["shifts_hw"] if level.shifts_hw else []))
    return {
        name: [list(value) if isinstance(value, tuple) else value for value in getattr(level, name)] for name in names
    }
