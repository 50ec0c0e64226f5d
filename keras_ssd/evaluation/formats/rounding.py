"""float32 as the shortest decimal numbers that read back as the same float32."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.evaluation.tables import DetectionTable

PART = 1 << 16  # rows that are converted at once: text takes ten times the memory


def parts(table: DetectionTable) -> Iterator[DetectionTable]:
    """Splits a `DetectionTable` into tables of few rows."""
    for start in range(0, len(table), PART):
        yield table[start : start + PART]


def shortest(values: ArrayLike) -> np.ndarray:
    """float64 numbers with the shortest decimals of the float32 `values`: 0.9, not 0.8999999761581421."""
    return np.asarray(values, np.float32).astype("U").astype(np.float64)


def shortest_from(values: ArrayLike, start: float | np.ndarray) -> np.ndarray:
    """float64 numbers with few decimals that give the float32 `values` when added to `start` in float64.

    Widths and VOC's pixels are such numbers: their sum must read back as the same float32. If no number does, since
    `start` is 10**9 times larger than the value, the nearest is used.
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
