"""An `AnchorSpec` from an array of prior boxes that another program computed."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.spec import AnchorSpec

FORMATS = ("cxcywh", "xyxy")
CLOSE = 2e-6  # fractions of the image; the rounding of float32


def spec_of_array(
    anchors: ArrayLike,
    image_size: Sequence[int],
    grids: Sequence[tuple[int, int, int]] | None,
    *,
    anchor_format: str = "cxcywh",
    variances: Sequence[float] = (0.1, 0.1, 0.2, 0.2),
) -> AnchorSpec:
    """The spec of given boxes: grids with steps and sizes if the array has such a structure, else single boxes.

    Args:
        anchors: (N, 4) as fractions of the image, level by level, row-major, box fastest; or the output of PriorBox
            layers, (1, 2, N * 4) or (2, N * 4): corners, then variances.
        image_size: (height, width) in pixels.
        grids: (height, width, boxes per cell) of each level; None if unknown.
        anchor_format: "cxcywh" or "xyxy"; a PriorBox array always has corners.
        variances: four, or one for all; a PriorBox array has its own.

    Raises:
        ValueError: the array has another shape, or sizes that are not positive.
    """
    if anchor_format not in FORMATS:
        raise ValueError(f"`anchor_format` must be 'cxcywh' or 'xyxy'. Received: anchor_format={anchor_format!r}")
    boxes, variances, anchor_format = _plain(anchors, anchor_format, variances)
    if anchor_format == "xyxy":
        boxes = bx.xyxy_to_cxcywh(boxes)
    if not np.isfinite(boxes).all() or (boxes[:, 2:] <= 0).any() or np.abs(boxes).max() > 100:
        raise ValueError(
            "Prior boxes must be finite fractions of the image with a positive width and height, "
            f"in the order {anchor_format}. Received for example: {boxes[0].tolist()}"
        )
    height, width = image_size
    size_hw = (height, width)
    pixels = boxes * np.tile(size_hw[::-1], 2)
    sizes = [math.prod(grid) for grid in grids or ()]
    if not grids or sum(sizes) != len(boxes):
        return AnchorSpec(size_hw, (_scattered(pixels, size_hw),), tuple(variances))
    levels, start = [], 0
    for size, grid in zip(sizes, grids, strict=True):
        part = pixels[start : start + size]
        level = _regular(part, grid)
        if level is None or not _same(level, part, size_hw):
            level = _scattered(part, size_hw)
        levels.append(level)
        start += size
    return AnchorSpec(size_hw, tuple(levels), tuple(variances))


def _plain(anchors, anchor_format, variances):
    array = np.asarray(anchors, np.float64)
    if array.ndim in (2, 3) and array.shape[-2] == 2 and array.shape[-1] % 4 == 0 and array.size == 2 * array.shape[-1]:
        corners, own = array.reshape(2, -1, 4)
        if (own != own[0]).any():
            raise ValueError("All priors must have the same four variances. The array has several.")
        return corners, tuple(float(str(np.float32(v))) for v in own[0]), "xyxy"
    if array.ndim != 2 or array.shape[1] != 4 or not len(array):
        raise ValueError(
            "Prior boxes must be an array (N, 4), or (1, 2, N * 4) as PriorBox layers give. "
            f"Received: shape={array.shape}"
        )
    return array, variances, anchor_format


def _regular(pixels, grid):
    """The level whose cells all have the same boxes around them, or None."""
    height, width, count = grid
    cells = pixels.reshape(height, width, count, 4)
    first = cells[0, 0]
    step = [
        (cells[-1, 0, 0, 1] - first[0, 1]) / (height - 1) if height > 1 else 0,
        (cells[0, -1, 0, 0] - first[0, 0]) / (width - 1) if width > 1 else 0,
    ]
    middle = (first[:, :2].min(0) + first[:, :2].max(0)) / 2
    step = [abs(_neat(size)) or 2 * abs(at) or 1.0 for size, at in zip(step, middle[::-1], strict=True)]
    offset = [_neat(at / size) for size, at in zip(step, middle[::-1], strict=True)]
    shifts = tuple((_neat(y), _neat(x)) for x, y in first[:, :2] - middle)
    boxes = tuple((_neat(height), _neat(width)) for width, height in first[:, 2:])
    if min(step) <= 0 or min(map(min, boxes)) <= 0:
        return None
    return AnchorLevel((height, width), (step[0], step[1]), boxes, (offset[0], offset[1]), shifts)


def _neat(value):
    """The nearest number with few digits if it is close enough, else the number itself."""
    for digits in (0, 1, 2, 3, 4):
        if abs(round(value, digits) - value) < 2e-5:
            return float(round(value, digits))
    return float(value)


def _same(level, pixels, image_size):
    made = AnchorSpec(image_size, (level,)).anchors_cxcywh()
    return np.abs(made - pixels / np.tile(image_size[::-1], 2)).max() < CLOSE


def _scattered(pixels, image_size):
    """One cell that holds all boxes, each with its own centre."""
    height, width = image_size
    boxes = tuple((h, w) for _, _, w, h in pixels.tolist())
    shifts = tuple((y - height / 2, x - width / 2) for x, y, _, _ in pixels.tolist())
    return AnchorLevel((1, 1), image_size, boxes, (0.5, 0.5), shifts)
