"""The anchors of the original models as tables, and their adaptation to other image sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

from keras_ssd.anchors.level import AnchorLevel
from keras_ssd.anchors.spec import AnchorSpec
from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name


@checked_arguments
@dataclass(frozen=True)
class RecipeLevel:
    """One row of a recipe: sizes in pixels of the reference image.

    Args:
        grid: (height, width) in cells, for the reference image.
        min_size: side of the first square.
        max_size: the second square has the side sqrt(min_size * max_size); None for no second square.
        aspect_ratios: width / height of the other boxes (in `ordered` recipes of all boxes, in order).
        step: pixels between cells, where the stride of the network fixes it; None is image size / grid.
        boxes_hw: (height, width) of each box in order, instead of sizes and ratios, for boxes fitted to data.
    """

    grid: tuple[int, int]
    min_size: float | None = None
    max_size: float | None = None
    aspect_ratios: tuple[float, ...] = ()
    step: float | tuple[float, float] | None = None
    boxes_hw: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if (self.min_size is None) == (not self.boxes_hw):
            raise ValueError(
                "A RecipeLevel needs either `min_size` or `boxes_hw`. "
                f"Received: min_size={self.min_size}, boxes_hw={self.boxes_hw}"
            )


@checked_arguments
@dataclass(frozen=True)
class AnchorRecipe:
    """A table from which the anchors for any image size are made.

    Args:
        image_size: (height, width) of the reference image.
        rows: one `RecipeLevel` per feature map.
        variances: as in `AnchorSpec`.
        truncate_sizes: cut sizes to whole pixels, as Caffe does. The recipes of Caffe's models set it.
        clamp_sizes: limit the height and width of boxes to those of the image, as torchvision does; centres stay.
        ordered: use the ratios in the given order (ssd_keras) instead of Caffe's order (each ratio, then its inverse).
    """

    image_size: tuple[int, int]
    rows: tuple[RecipeLevel, ...]
    variances: tuple[float, ...] = (0.1, 0.1, 0.2, 0.2)
    truncate_sizes: bool = False
    ordered: bool = False
    clamp_sizes: bool = False

    @classmethod
    def of(cls, spec: AnchorSpec) -> Self:
        """The recipe whose reference is `spec`. It keeps the boxes, and the steps that are strides of the network.

        Args:
            spec: `AnchorSpec` with centred cells (offset 0.5) and without clipping; a recipe cannot express others.

        Raises:
            ValueError: the spec has other offsets, several centres per cell, or is clipped.
        """
        if any(level.shifts_hw for level in spec.levels):
            raise ValueError(
                "An AnchorRecipe has one centre per cell, and a level of this spec has several. Use the AnchorSpec "
                "itself, at its own image size."
            )
        if spec.clip or any(level.offset_hw != (0.5, 0.5) for level in spec.levels):
            offsets = sorted({level.offset_hw for level in spec.levels})
            raise ValueError(
                "An AnchorRecipe has cells with offset 0.5 and no clipping. Use the AnchorSpec itself, at its own "
                f"image size. Received: offsets {offsets}, clip={spec.clip}"
            )
        rows = []
        for level in spec.levels:
            free = tuple(float(i) / float(g) for i, g in zip(spec.image_size, level.grid_hw, strict=True))
            step = None if level.step_hw == free else level.step_hw
            rows.append(RecipeLevel(level.grid_hw, step=step, boxes_hw=level.boxes_hw))
        return cls(spec.image_size, tuple(rows), spec.variances)

    @checked_arguments
    def spec(self, image_size: Sequence[int] | None = None, grids: Sequence[Sequence[int]] | None = None) -> AnchorSpec:
        """The anchors for an image size and the feature maps that the network computes from it.

        Box sizes are proportional to the shorter side of the image; fixed steps stay.

        Args:
            image_size: (height, width) in pixels; None is the reference size.
            grids: (height, width) in cells of each level; None only for the reference size.

        Raises:
            ValueError: another image size without `grids`, or a wrong number of them.
        """
        size = tuple(image_size or self.image_size)
        if grids is None:
            if size != tuple(self.image_size):
                raise ValueError(
                    "`grids` is needed for an image size other than the reference size "
                    f"{self.image_size}: the sizes of the feature maps follow from the network. "
                    f"Received: image_size={size}, grids=None. A model factory sets them."
                )
            grids = [row.grid for row in self.rows]
        if len(grids) != len(self.rows):
            raise ValueError(f"`grids` must have {len(self.rows)} entries. Received: grids={grids}")
        factor = min(size) / min(self.image_size)
        levels = tuple(self._level(row, size, grid, factor) for row, grid in zip(self.rows, grids, strict=True))
        if self.clamp_sizes:
            levels = tuple(replace(level, boxes_hw=_clamped(level.boxes_hw, size)) for level in levels)
        return AnchorSpec((size[0], size[1]), levels, self.variances)

    def _level(self, row, size, grid, factor):
        if row.boxes_hw:
            boxes = tuple((height * factor, width * factor) for height, width in row.boxes_hw)
            return AnchorLevel.of_boxes(size, grid, boxes, step=row.step)
        if self.ordered:
            shorter = min(self.image_size)
            following = None if row.max_size is None else row.max_size / shorter
            return AnchorLevel.scaled(size, grid, row.min_size / shorter, following, row.aspect_ratios, step=row.step)
        max_sizes = () if row.max_size is None else (row.max_size * factor,)
        return AnchorLevel.prior_box(
            size,
            grid,
            (row.min_size * factor,),
            max_sizes,
            row.aspect_ratios,
            step=row.step,
            truncate_sizes=self.truncate_sizes,
        )


def _clamped(boxes_hw, size):
    return tuple(tuple(min(side, most) for side, most in zip(box, size, strict=True)) for box in boxes_hw)


def _table(image_size, grids, sizes, aspect_ratios, steps, **options):
    """A recipe in which the max size of a level is the min size of the next level."""
    rows = tuple(
        RecipeLevel((grid, grid), small, large, ratios, step)
        for grid, (small, large), ratios, step in zip(grids, pairwise(sizes), aspect_ratios, steps, strict=True)
    )
    return AnchorRecipe((image_size, image_size), rows, **options)


# The steps of the last two maps of SSD300 (100 and 300) are image size / grid: no stride of the network.
_SSD300 = ((38, 19, 10, 5, 3, 1), ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)), (8, 16, 32, 64, None, None))
_SSD512 = (
    (64, 32, 16, 8, 4, 2, 1),
    ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
    (8, 16, 32, 64, 128, 256, None),
)


def _ssd300(sizes):
    grids, ratios, steps = _SSD300
    return _table(300, grids, sizes, ratios, steps, truncate_sizes=True)


def _ssd512(sizes):
    grids, ratios, steps = _SSD512
    return _table(512, grids, sizes, ratios, steps, truncate_sizes=True)


def _ssd7(image_size, grids, scales, aspect_ratios=(0.5, 1.0, 2.0)):
    shorter = min(image_size)
    rows = tuple(
        RecipeLevel(grid, scale * shorter, following * shorter, aspect_ratios)
        for grid, (scale, following) in zip(grids, pairwise(scales), strict=True)
    )
    return AnchorRecipe(image_size, rows, (1.0,) * 4, ordered=True)


def _mobilenet_ssd():
    # chuanqi305/MobileNet-SSD: the first map has no max size, and no map has a step.
    sizes = ((60, None), (105, 150), (150, 195), (195, 240), (240, 285), (285, 300))
    grids = (19, 10, 5, 3, 2, 1)
    rows = tuple(
        RecipeLevel((grid, grid), small, large, (2,) if large is None else (2, 3))
        for grid, (small, large) in zip(grids, sizes, strict=True)
    )
    return AnchorRecipe((300, 300), rows, truncate_sizes=True)


def _ssd_mobilenet_v1():
    # TensorFlow's ssd_anchor_generator: 6 layers, scales 0.2 to 0.95 of the shorter side, reduce_boxes_in_lowest_layer.
    # Its lists end in the interpolated square; the pipeline says 0.3333, not one third.
    scales = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
    cells: list[tuple[tuple[float, float], ...]] = [((0.1, 1), (0.2, 2), (0.2, 0.5))]
    for scale, following in pairwise(scales[1:]):
        squares = (scale, 1), (math.sqrt(scale * following), 1)
        cells.append((squares[0], (scale, 2), (scale, 0.5), (scale, 3), (scale, 0.3333), squares[1]))
    rows = tuple(
        RecipeLevel((grid, grid), boxes_hw=tuple((300 * s / math.sqrt(r), 300 * s * math.sqrt(r)) for s, r in boxes))
        for grid, boxes in zip((19, 10, 5, 3, 2, 1), cells, strict=True)
    )
    return AnchorRecipe((300, 300), rows)


def _ssdlite320():
    # torchvision's DefaultBoxGenerator: six maps, scales 0.2 to 0.95 of the image, no steps, sizes clamped.
    scales = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
    grids, sizes = (20, 10, 5, 3, 2, 1), tuple(320 * scale for scale in scales)
    return _table(320, grids, sizes, ((2, 3),) * 6, (None,) * 6, clamp_sizes=True)


def _ssd_small(rows):
    grids, steps = ((30, 40), (15, 20), (8, 10)), (8, 16, 32)
    rows = (RecipeLevel(grid, step=step, **row) for grid, step, row in zip(grids, steps, rows, strict=True))
    return AnchorRecipe((240, 320), tuple(rows))


def _cells(squares, oblong=None):
    """Squares, and one oblong box in both orientations: blood cells have no other shapes."""
    boxes = [(side, side) for side in squares]
    return {"boxes_hw": (*boxes, *((oblong, oblong[::-1]) if oblong else ()))}


# Sizes: weiliu89/caffe, examples/ssd/ssd_pascal.py, ssd_coco.py, ssd_ilsvrc.py (SSD300), and the scripts of the SSD512
# model archives; SSD7: ssd_keras's keras_ssd7.py (five scales from 0.1 to 0.9) for its 300x480 images;
# SSD MobileNet V1: tensorflow/models, research/object_detection, anchor_generators/multiple_grid_anchor_generator.py.
_RECIPES = {
    "ssd300_voc": _ssd300((30, 60, 111, 162, 213, 264, 315)),
    "ssd300_coco": _ssd300((21, 45, 99, 153, 207, 261, 315)),
    "ssd512_voc": _ssd512((35.84, 76.8, 153.6, 230.4, 307.2, 384, 460.8, 537.6)),
    "ssd512_coco": _ssd512((20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72)),
    "ssd7": _ssd7((300, 480), ((37, 60), (18, 30), (9, 15), (4, 7)), (0.1, 0.3, 0.5, 0.7, 0.9)),
    "mobilenet_ssd": _mobilenet_ssd(),
    "ssd_mobilenet_v1": _ssd_mobilenet_v1(),
    "ssdlite320": _ssdlite320(),
    "ssd_small": _ssd_small(
        (
            {"min_size": 20, "max_size": 45, "aspect_ratios": (2,)},
            {"min_size": 45, "max_size": 95, "aspect_ratios": (2,)},
            {"min_size": 95, "max_size": 190, "aspect_ratios": (2, 3)},
        )
    ),
    # Fitted to the training images of BCCD: platelets on the finest map, then red cells, then white ones.
    "ssd_small_cells": _ssd_small(
        (_cells((16, 21, 29)), _cells((42, 52, 63), (43.5, 62.5)), _cells((75, 100, 120), (83.5, 120)))
    ),
}


def recipe_names() -> tuple[str, ...]:
    """The names that `named_recipe` and `named_spec` take."""
    return tuple(_RECIPES)


@checked_arguments
def named_recipe(name: str, *, truncate_sizes: bool | None = None, clamp_sizes: bool | None = None) -> AnchorRecipe:
    """The anchor table of an original model.

    Args:
        name: one of `recipe_names()`. ILSVRC models use the VOC scales; every model whose training touched COCO
            uses the smaller COCO scales.
        truncate_sizes: False keeps fractions of pixels, for weights that were trained by ports that keep them; None
            does what the original does (Caffe cuts).
        clamp_sizes: True for weights that were trained by ports that clamp sizes to the image (torchvision,
            amdegroot, lufficc); None does what the original does (Caffe does not clamp).

    Raises:
        ValueError: no such name.
    """
    if name not in _RECIPES:
        raise ValueError(unknown_name("anchor recipe", name, _RECIPES))
    asked = {"truncate_sizes": truncate_sizes, "clamp_sizes": clamp_sizes}
    return replace(_RECIPES[name], **{key: value for key, value in asked.items() if value is not None})


@checked_arguments
def named_spec(
    name: str,
    image_size: Sequence[int] | None = None,
    grids: Sequence[Sequence[int]] | None = None,
    *,
    truncate_sizes: bool | None = None,
) -> AnchorSpec:
    """The anchors of an original model; see `named_recipe` and `AnchorRecipe.spec` for the arguments."""
    return named_recipe(name, truncate_sizes=truncate_sizes).spec(image_size, grids)
