"""Finds the anchors that may overlap an object enough to matter, without comparing it with all anchors.

Anchors lie on grids. The x of anchors of one level and one shape depends only on their column, and their y only on
their row. The IoU of two boxes is at most the IoU of their extents on either axis. So it is enough to compare an
object's extents with the few columns and rows. This leaves a window of each grid, and the windows of all grids together
hold a few hundred of the thousands of anchors.
"""

from collections.abc import Sequence

import numpy as np

from keras_ssd.anchors.level import AnchorLevel

# Windows hold every anchor with at least this IoU. A lower value makes them larger; with a higher value more objects
# have no anchor in their window.
WINDOW_IOU = 0.3
SAFETY = 1 - 1e-4  # for the rounding of sides

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # objects, anchors, their IoU, each (P,)


class GridWindows:
    """Finds the pairs of objects and anchors that may have a high IoU.

    Args:
        anchors_xyxy: (N, 4), as `AnchorSpec` orders them: level by level, row-major, box fastest.
        levels: their `AnchorLevel`s.
    """

    def __init__(self, anchors_xyxy: np.ndarray, levels: Sequence[AnchorLevel]):
        columns, rows, grids = [], [], []
        start = 0
        for level in levels:
            (height, width), boxes = level.grid_hw, level.boxes_per_cell
            anchors = anchors_xyxy[start : start + level.num_anchors].reshape(height, width, boxes, 4)
            for box in range(boxes):
                columns.append(anchors[0, :, box, 0::2])
                rows.append(anchors[:, 0, box, 1::2])
                grids.append((start + box, width * boxes, boxes))
            start += level.num_anchors
        self._first, self._row_step, self._column_step = np.array(grids).T  # of the flat index, one per grid
        self._columns, self._rows = _Sides(columns), _Sides(rows)

    @staticmethod
    def fit(anchors_xyxy: np.ndarray, levels: Sequence[AnchorLevel]) -> bool:
        """Whether x depends only on the column and y only on the row, to the last bit."""
        start = 0
        for level in levels:
            grid = anchors_xyxy[start : start + level.num_anchors].reshape(*level.grid_hw, level.boxes_per_cell, 4)
            if (grid[..., 0::2] != grid[:1, ..., 0::2]).any() or (grid[..., 1::2] != grid[:, :1, :, 1::2]).any():
                return False
            start += level.num_anchors
        return start == len(anchors_xyxy)

    def pairs(self, boxes_xyxy: np.ndarray, iou_threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """(objects, anchors) of all pairs with at least this IoU, and of some with less."""
        first_column, columns = self._columns.near(boxes_xyxy[:, 0::2], iou_threshold * SAFETY)  # (M, grids)
        first_row, rows = self._rows.near(boxes_xyxy[:, 1::2], iou_threshold * SAFETY)
        start = self._first + first_row * self._row_step + first_column * self._column_step
        counts = columns * rows
        objects, grids = np.nonzero(counts)
        start, columns, counts = start[objects, grids], columns[objects, grids], counts[objects, grids]
        window = np.repeat(np.arange(len(counts)), counts)
        place = np.arange(len(window)) - (np.cumsum(counts) - counts)[window]
        row, column = np.divmod(place, columns[window])
        anchors = start[window] + row * self._row_step[grids][window] + column * self._column_step[grids][window]
        return objects[window], anchors


class _Sides:
    """Extents of the columns (or rows) of all grids along one axis."""

    def __init__(self, grids):
        self._starts = np.cumsum([0, *(len(grid) for grid in grids[:-1])])
        self._low, self._high = np.ascontiguousarray(np.concatenate(grids).T)

    def near(self, extents, iou_threshold):
        """First column within its grid and number of columns, each (M, grids), that reach an IoU along this axis."""
        low, high = extents[:, :1], extents[:, 1:]  # (M, 1)
        common = np.minimum(self._high, high) - np.maximum(self._low, low)
        near = common >= iou_threshold * (np.maximum(self._high, high) - np.minimum(self._low, low))
        count = near.shape[1]
        place = np.arange(count)
        last = np.maximum.reduceat(near * (place + 1), self._starts, axis=1)
        first = count - np.maximum.reduceat(near * (count - place), self._starts, axis=1)
        return first - self._starts, np.maximum(last - first, 0)
