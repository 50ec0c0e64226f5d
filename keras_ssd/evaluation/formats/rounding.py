"""float32 as decimal numbers: the fewest digits that give the same float32 back when they are read."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.evaluation.tables import DetectionTable

PART = 1 << 16  # rows that become text at once: text takes ten times the memory


def parts(table: DetectionTable) -> Iterator[DetectionTable]:
    """A `DetectionTable` in tables of few rows."""
    for start in range(0, len(table), PART):
        yield table[start : start + PART]


def shortest(values: ArrayLike) -> np.ndarray:
    """float64 numbers whose shortest decimal is that of the float32 `values`: 0.9, not 0.8999999761581421."""
    return np.asarray(values, np.float32).astype("U").astype(np.float64)


def shortest_from(values: ArrayLike, start: float | np.ndarray) -> np.ndarray:
    """Numbers with few decimals that give float32 `values` when they are added to `start` in float64.

    Widths and VOC's pixels are such numbers: from what the file says, a sum must give the float32 back.

    Args:
        values: float32 array.
        start: float64 number or array.

    Returns:
        float64 array; where no number does it, since a value is lost beside a start that is 10**9 times larger, the
        nearest.
    """
    values = np.asarray(values, np.float32)
    exact = shortest(values) - start
    found, open_ = exact.copy(), np.ones(values.shape, bool)
    for digits in range(16):
        rounded = np.round(exact, digits)
        fits = open_ & ((start + rounded).astype(np.float32) == values)
        found[fits] = rounded[fits]
        open_ &= ~fits
        if not open_.any():
            break
    return found
