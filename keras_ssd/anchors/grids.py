"""The grids of fitted anchors, from all forms in which a caller may give them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.recipes import AnchorRecipe
from keras_ssd.anchors.spec import AnchorSpec

BOXES_PER_CELL = 6  # of levels that have no boxes yet


class Levels(tuple[AnchorLevel, ...]):
    """The `AnchorLevel`s of a model with the `spec` that they come from: single levels do not know the image size."""

    spec: AnchorSpec | None = None

    @classmethod
    def of(cls, spec: AnchorSpec) -> Self:
        """The levels of an `AnchorSpec`."""
        levels = cls(spec.levels)
        levels.spec = spec
        return levels


@dataclass(frozen=True)
class Grids:
    """What a fit does not change.

    Args:
        image_size: (height, width) of the input in pixels.
        levels: `AnchorLevel`s whose grids, steps and offsets stay.
        boxes_per_cell: number of boxes that each level is to have.
        before: the `AnchorSpec` with the boxes that the levels have, or None for bare grids.
    """

    image_size: tuple[int, int]
    levels: tuple[AnchorLevel, ...]
    boxes_per_cell: tuple[int, ...]
    before: AnchorSpec | None

    @classmethod
    def of(
        cls, levels: Any, image_size: Sequence[int] | None = None, boxes_per_cell: int | Sequence[int] | None = None
    ) -> Self:
        """From a model, its levels, a spec, a recipe, a list of levels, or a list of grids.

        Raises:
            ValueError: `image_size` is missing or differs, or the numbers of boxes do not fit the levels.
            TypeError: none of these.
        """
        before = _spec_of(levels, image_size)
        if before is None:
            grids, (height, width) = _bare_grids(levels, image_size)
            counts = _counts(boxes_per_cell, len(grids), (BOXES_PER_CELL,) * len(grids))
            found = tuple(AnchorLevel.of_boxes((height, width), grid, ((1, 1),)) for grid in grids)
            return cls((height, width), found, counts, None)
        if image_size is not None and tuple(image_size) != before.image_size:
            raise ValueError(
                f"The levels are those of images of {before.image_size}, (height, width). Leave `image_size` out, or "
                f"give the levels of a model for the other size. Received: image_size={tuple(image_size)}"
            )
        counts = _counts(boxes_per_cell, len(before.levels), before.boxes_per_cell)
        return cls(before.image_size, before.levels, counts, before)

    def spec(self, shapes_hw: ArrayLike) -> AnchorSpec:
        """The `AnchorSpec` with these boxes, (K, 2) in pixels, level by level; sorted by size within a level."""
        parts = np.split(np.asarray(shapes_hw, np.float64), np.cumsum(self.boxes_per_cell)[:-1])
        ordered = [sorted(map(tuple, part.round(2).tolist()), key=lambda box: (box[0] * box[1], box)) for part in parts]
        levels = tuple(
            replace(level, boxes_hw=tuple(boxes), shifts_hw=())  # fitted boxes are centred on the cells
            for level, boxes in zip(self.levels, ordered, strict=True)
        )
        if self.before is not None:
            return AnchorSpec(self.image_size, levels, self.before.variances, self.before.clip)
        return AnchorSpec(self.image_size, levels)


def _spec_of(levels, image_size):
    """The spec that a caller gives, or None for bare grids."""
    levels = getattr(levels, "anchor_spec", levels)
    if isinstance(levels, Levels):
        return levels.spec
    if isinstance(levels, AnchorSpec):
        return levels
    if isinstance(levels, AnchorRecipe):
        return levels.spec()
    if not isinstance(levels, (list, tuple)) or not levels:
        raise TypeError(
            "`levels` must be a model, its `levels`, an AnchorSpec, an AnchorRecipe, a list of AnchorLevels, or a list "
            f"of grids (height, width). Received: levels={levels!r}"
        )
    if not all(isinstance(level, AnchorLevel) for level in levels):
        return None
    if image_size is None:
        raise ValueError(
            "AnchorLevels do not know the size of the images. Pass image_size=(height, width), or instead of the "
            "levels the model or its AnchorSpec."
        )
    return AnchorSpec(image_size, tuple(levels))


def _bare_grids(levels, image_size):
    """Grids (height, width) without boxes, and the size of the image."""
    if image_size is None:
        raise ValueError("With grids alone, pass image_size=(height, width) of the input in pixels as well.")
    grids = [tuple(grid) if isinstance(grid, Iterable) else (grid, grid) for grid in levels]
    if not all(len(grid) == 2 and all(int(side) == side > 0 for side in grid) for grid in grids):
        raise ValueError(f"Grids must be (height, width) in whole cells. Received: levels={levels!r}")
    return grids, image_size


def _counts(given, levels, default):
    """Boxes per cell of each level."""
    counts = default if given is None else (given,) * levels if np.isscalar(given) else tuple(given)
    whole = all(isinstance(count, (int, np.integer)) and not isinstance(count, bool) and count > 0 for count in counts)
    if len(counts) != levels or not whole:
        raise ValueError(
            f"`boxes_per_cell` must be a whole number from 1 on, or one for each of the {levels} levels. "
            f"Received: boxes_per_cell={given!r}"
        )
    return tuple(int(count) for count in counts)
