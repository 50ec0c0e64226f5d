"""The search for the boxes that match objects best.

Each level has its own boxes. The IoU of an object with a box is computed at the nearest cell of the level, not as if
both had the same centre: a coarse grid matches small objects badly, whatever its boxes are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.nearest import iou_at, nearest_cells
from keras_ssd.anchors.objects import Objects

# Sides are multiplied and divided by these factors in turn, until no box improves.
FACTORS = (1.4, 1.2, 1.1, 1.05, 1.025, 1.0125)
COARSE = 2  # number of these factors that are used to find the promising starts
FOLLOWED = 2  # starts that are searched to the end
MOVES = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1)])
LEAST_GAIN = 1e-5  # of the mean. Smaller gains are rounding errors of float32 and would let unused boxes wander
SWEEPS = 12  # at most, for each factor
ROUNDS = 4  # at most, in which boxes are moved to where they are needed more
LARGEST_LEAST = 0.6  # upper limit of the smallest box of any level, as a fraction of the shorter side of the image
TRIED = 48  # objects whose shapes are tried in such a move


@dataclass(frozen=True, eq=False)
class Goal:
    """What the search maximizes: a mean over the objects, computed from their best IoU.

    Args:
        weights: (M,) of the objects, of sum 1.
        iou_threshold: None for the mean best IoU; else the share of objects that reach this IoU, and between equal
            shares the mean.
    """

    weights: np.ndarray
    iou_threshold: float | None = None

    def of(self, best_iou: np.ndarray) -> np.ndarray:
        """Score (...) of best IoUs (..., M)."""
        if self.iou_threshold is None:
            return best_iou @ self.weights
        return (best_iou + 10 * (best_iou >= self.iou_threshold)).astype(np.float32) @ self.weights


class Search:
    """Searches boxes for objects on grids.

    Args:
        objects: `Objects`.
        image_size: (height, width) of the input.
        levels: `AnchorLevel`s, of which only the grids are used.
        goal: `Goal`.
        reach: (smallest, largest) square root of the area of a box, in steps of its level. The boxes of the finest
            level may be smaller, those of the coarsest level larger.
    """

    def __init__(
        self,
        objects: Objects,
        image_size: Sequence[int],
        levels: Sequence[AnchorLevel],
        goal: Goal,
        reach: Sequence[float],
    ):
        self.goal = goal
        self._sizes = np.ascontiguousarray(objects.sizes_hw(image_size).T.astype(np.float32))  # (2, M)
        heights, widths = self._sizes
        self._ratios = np.min(widths / heights), np.max(widths / heights)
        centres = objects.centres_yx(image_size)
        self._distances = [
            np.ascontiguousarray(nearest_cells(level, centres)[1].T.astype(np.float32)) for level in levels
        ]
        steps = np.sqrt([np.prod(level.step_hw) for level in levels])
        # The steps of the last maps are as large as the image itself.
        low, high = np.minimum(reach[0] * steps, LARGEST_LEAST * min(image_size)), reach[1] * steps
        low[steps.argmin()], high[steps.argmax()] = 0, np.sqrt((heights * widths).max())
        self._limits = np.stack([low, np.maximum(low, high)])

    def run(
        self, level_of: Sequence[int] | np.ndarray, starts: Sequence[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """The best boxes that the search finds, (K, 2) heights and widths.

        `level_of` has the level of each box. The `starts` that are best after coarse steps are searched to the end.
        """
        begun = [self._begun(level_of, start) for start in starts]
        ends = [self._ended(level_of, *each, rng) for each in sorted(begun, key=self._reached)[-FOLLOWED:]]
        return max(ends, key=self._reached)[0]

    def _reached(self, state):
        return self.goal.of(state[1].max(axis=0))

    def _begun(self, level_of, start):
        """(shapes, table) after coarse steps."""
        shapes = np.stack([self._within_reach(*pair) for pair in zip(level_of, start, strict=True)])
        table = np.stack([self._iou(level, shape[None])[0] for level, shape in zip(level_of, shapes, strict=True)])
        self._refine(level_of, shapes, table, FACTORS[:COARSE])
        return shapes, table

    def _ended(self, level_of, shapes, table, rng):
        """(shapes, table) after fine steps, and after moves as long as these improve the score."""
        self._refine(level_of, shapes, table, FACTORS[COARSE:])
        state, score = (shapes, table), self._reached((shapes, table))
        for _ in range(ROUNDS):
            moved = self._relocated(level_of, *state, rng)
            if moved is None:
                break
            self._refine(level_of, *moved, FACTORS[1:])
            if self._reached(moved) <= score + LEAST_GAIN:
                break
            state, score = moved, self._reached(moved)
        return state

    def _iou(self, level, shapes):
        """(S, M) IoU of shapes (S, 2) on a level with each object."""
        return iou_at(self._sizes, self._distances[level], shapes.T[:, :, None].astype(np.float32))

    def _within_reach(self, level, shape):
        """The shape, limited to the sizes of the level and to the ratios of the objects."""
        height, width = np.asarray(shape, np.float64)
        size = np.clip(np.sqrt(height * width), *self._limits[:, level])
        root = np.sqrt(np.clip(width / height, *self._ratios))
        return np.array([size / root, size * root])

    def _refine(self, level_of, shapes, table, factors):
        """Changes sides by smaller and smaller factors while this is a gain; writes into `shapes` and `table`."""
        for factor in factors:
            for _ in range(SWEEPS):
                changed = [self._improve(place, level_of, shapes, table, factor) for place in range(len(shapes))]
                if not any(changed):
                    break

    def _improve(self, place, level_of, shapes, table, factor):
        """Tries small changes of one box; returns whether one was better."""
        level, others = level_of[place], _best_without(table, place)
        tried = np.stack([self._within_reach(level, shape) for shape in shapes[place] * factor**MOVES])
        iou = self._iou(level, tried)
        scores = self.goal.of(np.maximum(iou, others))
        best = scores.argmax()
        if scores[best] <= self.goal.of(np.maximum(table[place], others)) + LEAST_GAIN:
            return False
        shapes[place], table[place] = tried[best], iou[best]
        return True

    def _relocated(self, level_of, shapes, table, rng):
        """(shapes, table) with new shapes where these are a gain, the least useful boxes first; None if none is."""
        shapes, table, gained = shapes.copy(), table.copy(), False
        use = [self.goal.of(_best_without(table, place)) for place in range(len(shapes))]
        for place in np.argsort(use)[::-1]:
            level, others = level_of[place], _best_without(table, place)
            need = self.goal.weights * np.maximum(1 - others, 1e-6)
            count = min(TRIED, np.count_nonzero(need))
            chosen = rng.choice(len(need), count, replace=False, p=need / need.sum(dtype=np.float64))
            tried = np.stack([self._within_reach(level, self._sizes[:, each]) for each in chosen])
            iou = self._iou(level, tried)
            scores = self.goal.of(np.maximum(iou, others))
            best = scores.argmax()
            if scores[best] > self.goal.of(table.max(axis=0)) + LEAST_GAIN:
                shapes[place], table[place], gained = tried[best], iou[best], True
        return (shapes, table) if gained else None


def _best_without(table, place):
    """(M,) best IoU of each object with all boxes except one."""
    if len(table) == 1:
        return np.zeros(table.shape[1], table.dtype)
    if place == 0:
        return table[1:].max(axis=0)
    best = table[:place].max(axis=0)
    return best if place == len(table) - 1 else np.maximum(best, table[place + 1 :].max(axis=0))
