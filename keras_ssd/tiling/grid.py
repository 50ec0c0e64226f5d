"""Where the tiles of an image lie."""

import dataclasses
import math
import numbers
from typing import Any

import numpy as np

from keras_ssd.tiling.merging import merged


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How an image is cut, and how what was found in the parts becomes one list.

    Args:
        tile: side of a tile in pixels of the image.
        overlap: share of a tile that its neighbour has too, 0..0.9. Objects that are smaller than the overlap lie in
            some tile as a whole; larger ones are also seen in the whole image.
        iou_threshold: boxes of one class that overlap more are one object.

    Raises:
        ValueError: a number is out of its range.
    """

    tile: int
    overlap: float = 0.2
    iou_threshold: float = 0.45

    def __post_init__(self) -> None:
        if not isinstance(self.tile, numbers.Integral) or isinstance(self.tile, bool) or self.tile < 32:
            raise ValueError(
                f"tiles must be the side of a tile in pixels, a whole number from 32 on. Received: tiles={self.tile!r}"
            )
        if not isinstance(self.overlap, numbers.Real) or not 0 <= self.overlap <= 0.9:
            raise ValueError(f"overlap must lie in 0..0.9. Received: overlap={self.overlap!r}")

    def views(self, size_hw: tuple[int, int]) -> list[tuple[int, int, int, int]]:
        """xmin, ymin, xmax, ymax of the whole image and then of each tile; the whole alone if it is no larger."""
        height, width = size_hw
        whole = [(0, 0, width, height)]
        rows, columns = self._starts(height), self._starts(width)
        if len(rows) * len(columns) == 1:
            return whole
        tile = self.tile
        return whole + [(x, y, min(x + tile, width), min(y + tile, height)) for y in rows for x in columns]

    def _starts(self, length):
        """Where tiles begin along a side: evenly, so that none is smaller than the others."""
        if length <= self.tile:
            return [0]
        count = math.ceil((length - self.overlap * self.tile) / (self.tile * (1 - self.overlap)))
        return np.linspace(0, length - self.tile, max(2, count)).round().astype(int).tolist()

    def merged(self, found: list[Any], size_hw: tuple[int, int]) -> np.ndarray:
        """The rows of a whole image.

        Args:
            found: for each of `views`, (K, 6) rows: class id, score, xmin, ymin, xmax, ymax in fractions of the view.
            size_hw: of the image.

        Returns:
            (K, 6) rows in fractions of the image, best first.
        """
        views = np.array(self.views(size_hw), float)
        height, width = size_hw
        counts = [len(rows) for rows in found]
        rows = np.concatenate(found).astype(np.float64)
        view = np.repeat(views, counts, axis=0)
        low, size = view[:, :2], view[:, 2:] - view[:, :2]
        boxes = np.tile(low, 2) + rows[:, 2:].clip(0, 1) * np.tile(size, 2)
        rows = merged(np.concatenate([rows[:, :2], boxes], axis=1), view, (height, width), self.iou_threshold)
        return np.concatenate([rows[:, :2], rows[:, 2:] / (width, height, width, height)], axis=1).astype(np.float32)
