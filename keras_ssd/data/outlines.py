"""The box around an outline in COCO's `segmentation`: polygons, or a run-length encoded mask.

The runs of a mask go down its columns, alternately outside and inside. As text (the compressed form), each run is a
sequence of characters of 48 + six bits: five bits of the number and one that says whether more follow, low bits first
and signed. From the third run on, it is the difference to the run two before. This decoder computes the box without the
mask, and needs no COCO tools, which require a compiler.

Source of the format: cocodataset.org, "Data format"; the text form as `pycocotools` reads and writes it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.data.records import EntryError, finite, shortened

TURNED = "a box is rotated: the upright box around it is used"
_MOST_CHARACTERS = 7  # of a run: 35 bits


def box_of(segmentation: Any) -> list[float] | None:
    """(x, y, width, height) around an outline; None for [], null or an empty mask.

    Raises:
        EntryError: it is not an outline.
    """
    if segmentation is None or segmentation in ([], {}, ""):
        return None
    if isinstance(segmentation, dict):
        return _box_of_mask(segmentation)
    if not isinstance(segmentation, list):
        raise EntryError(f"segmentation must hold polygons or a mask, and is {shortened(segmentation)}")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    points = [point for polygon in polygons for point in _points(polygon)]
    if not points:
        return None
    low, high = np.min(points, axis=0).tolist(), np.max(points, axis=0).tolist()
    return [*low, high[0] - low[0], high[1] - low[1]]


def around_turned(corners: Sequence[float], radians: float) -> list[float]:
    """(xmin, ymin, xmax, ymax) around a box that is rotated about its centre."""
    x, y = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    width, height = corners[2] - corners[0], corners[3] - corners[1]
    across = (abs(width * math.cos(radians)) + abs(height * math.sin(radians))) / 2
    down = (abs(width * math.sin(radians)) + abs(height * math.cos(radians))) / 2
    return [x - across, y - down, x + across, y + down]


def _points(polygon):
    if not isinstance(polygon, list) or len(polygon) % 2:
        raise EntryError(f"a polygon must be a list of x, y, x, y ..., and is {shortened(polygon)}")
    numbers = [finite(value, "a polygon's number") for value in polygon]
    return zip(numbers[::2], numbers[1::2], strict=True)


def _box_of_mask(mask):
    size, counts = mask.get("size"), mask.get("counts")
    whole = isinstance(size, list) and len(size) == 2 and all(_is_side(side) for side in size)
    if not whole:
        raise EntryError(f"a mask needs a size of height and width, and has {shortened(size)}")
    height, width = (int(side) for side in size)
    runs = _runs(counts)
    ends = np.cumsum(runs)
    if len(runs) and (runs.min() < 0 or ends[-1] != height * width):
        raise EntryError(f"the runs of a mask of {width} x {height} pixels do not fill it")
    inside = runs[1::2] > 0
    first, last = (ends - runs)[1::2][inside], ends[1::2][inside] - 1
    if not len(first):
        return None
    # A run that continues in the next column includes its first and last pixel.
    tall = first // height != last // height
    top = 0 if tall.any() else int((first % height).min())
    bottom = height - 1 if tall.any() else int((last % height).max())
    left, right = int(first[0]) // height, int(last[-1]) // height
    return [float(side) for side in (left, top, right - left + 1, bottom - top + 1)]


def _is_side(side):
    return isinstance(side, (int, float)) and not isinstance(side, bool) and 1 <= side <= 1e6 and side == int(side)


def _runs(counts):
    if isinstance(counts, str):
        return _decoded(counts)
    if not isinstance(counts, list):
        raise EntryError(f"counts of a mask must be a list or text, and is {shortened(counts)}")
    runs = [finite(value, "a run of a mask") for value in counts]
    if any(run != int(run) or not 0 <= run <= 1e12 for run in runs):
        raise EntryError("runs of a mask must be whole numbers from 0 on")
    return np.array(runs, np.int64)


def _decoded(text):
    """The runs of a mask that are written as text."""
    runs, value, digits = [], 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or digits >= _MOST_CHARACTERS:
            raise EntryError(f"counts of a mask hold {character!r}, or a run without end")
        value |= (bits & 31) << (5 * digits)
        digits += 1
        if not bits & 32:
            value -= (bits & 16) << (5 * digits - 4) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            if not 0 <= runs[-1] <= 1e12:
                raise EntryError("runs of a mask must be whole numbers from 0 on")
            value, digits = 0, 0
    if digits:
        raise EntryError("counts of a mask end within a run")
    return np.array(runs, np.int64)
