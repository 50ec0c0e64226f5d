"""The anchors of one feature map: its grid, and the boxes of a cell *in order*.

The order differs between families, and the channels of the head follow it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_ssd.calling import checked_arguments


def _pair(value: Any, name: str) -> tuple[float, float]:
    """(height, width) from one number or two."""
    values = tuple(value) if isinstance(value, Iterable) else (value, value)
    if len(values) != 2 or not all(math.isfinite(v) for v in values):
        raise ValueError(f"`{name}` must be one number or (height, width). Received: {name}={value}")
    return values[0], values[1]


def whole_pair(value: Any, name: str) -> tuple[int, int]:
    """(height, width) as whole numbers, from one number or two."""
    height, width = _pair(value, name)
    return int(height), int(width)


def check_positive(values: Sequence[float], name: str) -> None:
    """Raises ValueError unless there are values and all are positive."""
    if not values or not all(math.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"`{name}` must hold positive numbers. Received: {name}={values}")


def _boxes_of_cell(size, second_size, aspect_ratios):
    """(height, width) of each box in order; the second box of ratio 1 directly follows the first.

    They are float32, as in Caffe (prior_box_layer.cpp), since the last bit of an anchor decides ties in matching.
    """
    f = np.float32
    boxes = []
    for ratio in aspect_ratios:
        if abs(ratio - 1.0) < 1e-6:
            boxes.append((f(size), f(size)))
            if second_size is not None:
                side = np.sqrt(f(size) * f(second_size))
                boxes.append((side, side))
        else:
            root = np.sqrt(f(ratio))
            boxes.append((f(size) / root, f(size) * root))
    return tuple((float(h), float(w)) for h, w in boxes)


def _caffe_ratios(aspect_ratios, flip):
    """Caffe's list without repetitions: 1, then each ratio and (with flip) its inverse."""
    ratios = [1.0]
    for ratio in aspect_ratios:
        if any(abs(ratio - known) < 1e-6 for known in ratios):
            continue
        ratios.append(ratio)
        if flip:
            ratios.append(1.0 / ratio)
    return ratios


@checked_arguments
@dataclass(frozen=True)
class AnchorLevel:
    """The anchors of one feature map.

    Args:
        grid_hw: (height, width) of the feature map in cells.
        step_hw: distance between the centres of adjacent cells, in pixels of the input image.
        boxes_hw: (height, width) in pixels of each box of a cell, in the order of the head's channels.
        offset_hw: centre of the first cell as a fraction of the step.
        shifts_hw: (y, x) in pixels from the centre of the cell to the centre of each box, for densified anchors; empty
            if all boxes are centred on the cell.
    """

    grid_hw: tuple[int, int]
    step_hw: tuple[float, float]
    boxes_hw: tuple[tuple[float, float], ...]
    offset_hw: tuple[float, float] = (0.5, 0.5)
    shifts_hw: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        grid = whole_pair(self.grid_hw, "grid_hw")
        step = tuple(float(v) for v in _pair(self.step_hw, "step_hw"))
        boxes = tuple(tuple(float(v) for v in _pair(box, "boxes_hw")) for box in self.boxes_hw)
        check_positive(grid, "grid_hw")
        check_positive(step, "step_hw")
        check_positive([v for box in boxes for v in box], "boxes_hw")
        object.__setattr__(self, "grid_hw", grid)
        object.__setattr__(self, "step_hw", step)
        object.__setattr__(self, "boxes_hw", boxes)
        object.__setattr__(self, "offset_hw", tuple(float(v) for v in _pair(self.offset_hw, "offset_hw")))
        shifts = tuple(tuple(float(v) for v in _pair(shift, "shifts_hw")) for shift in self.shifts_hw)
        if shifts and len(shifts) != len(boxes):
            raise ValueError(
                f"`shifts_hw` must be empty or have one (y, x) for each of the {len(boxes)} boxes of a cell. "
                f"Received: {len(shifts)}"
            )
        object.__setattr__(self, "shifts_hw", shifts if any(v for shift in shifts for v in shift) else ())

    @property
    def boxes_per_cell(self) -> int:
        """Boxes per cell. A head has 4 (or the number of classes) channels per box."""
        return len(self.boxes_hw)

    @property
    def num_anchors(self) -> int:
        """Number of anchors of the feature map."""
        return self.grid_hw[0] * self.grid_hw[1] * self.boxes_per_cell

    @classmethod
    @checked_arguments
    def prior_box(
        cls,
        image_size: Sequence[int],
        grid_hw: Sequence[int],
        min_sizes: Sequence[float],
        max_sizes: Sequence[float] = (),
        aspect_ratios: Sequence[float] = (),
        *,
        flip: bool = True,
        step: float | Sequence[float] | None = None,
        offset: float | Sequence[float] = 0.5,
        truncate_sizes: bool = True,
    ) -> Self:
        """A level as Caffe's PriorBox layer defines it.

        For each min size the boxes are: the square of the min size; if there is a max size, the square of
        sqrt(min * max); then each ratio other than 1 and, with `flip`, its inverse.

        Args:
            image_size: (height, width) of the input image in pixels.
            grid_hw: (height, width) of the feature map.
            min_sizes: side lengths in pixels.
            max_sizes: empty, or one size for each min size, and larger than it.
            aspect_ratios: width / height. Ratio 1 is always included; repeated ratios are dropped.
            flip: add the inverse of each ratio.
            step: pixels between cells, one number or (height, width); None is image size / grid.
            offset: centre of the first cell as a fraction of the step.
            truncate_sizes: truncate sizes to whole pixels, as Caffe does (`int min_size_`). Use False for weights of
                ports that keep fractions (ssd_keras, chainercv, torchvision).

        Raises:
            ValueError: a size, ratio or step that is not positive, or max sizes that do not match the min sizes.

        Source: weiliu89/caffe, branch ssd, src/caffe/layers/prior_box_layer.cpp.
        """
        check_positive(min_sizes, "min_sizes")
        if max_sizes and len(max_sizes) != len(min_sizes):
            raise ValueError(
                "`max_sizes` must be empty or have one entry for each of `min_sizes`. "
                f"Received: min_sizes={min_sizes}, max_sizes={max_sizes}"
            )
        for small, large in zip(min_sizes, max_sizes, strict=False):
            if not large > small:
                raise ValueError(f"Each max size must be larger than its min size. Received: min={small}, max={large}")
        if aspect_ratios:
            check_positive(aspect_ratios, "aspect_ratios")
        cut = math.trunc if truncate_sizes else float
        ratios = _caffe_ratios(aspect_ratios, flip)
        boxes = []
        for index, min_size in enumerate(min_sizes):
            second = cut(max_sizes[index]) if max_sizes else None
            boxes.extend(_boxes_of_cell(cut(min_size), second, ratios))
        return cls.of_boxes(image_size, grid_hw, boxes, step=step, offset=offset)

    @classmethod
    @checked_arguments
    def density_prior_box(
        cls,
        image_size: Sequence[int],
        grid_hw: Sequence[int],
        fixed_sizes: Sequence[float],
        densities: Sequence[float],
        fixed_ratios: Sequence[float] = (1.0,),
        *,
        step: float | Sequence[float] | None = None,
        offset: float | Sequence[float] = 0.5,
        tiling: str = "size",
    ) -> Self:
        """A level of densified anchors as in FaceBoxes: each box has density x density centres in a cell.

        The order is: each fixed size, each ratio, each centre row by row. The centres are symmetric about the centre of
        the cell and a whole number of pixels apart, as in Caffe's forks.

        Args:
            image_size: (height, width) of the input image in pixels.
            grid_hw: (height, width) of the feature map.
            fixed_sizes: side lengths in pixels.
            densities: number of centres along each axis, for each fixed size.
            fixed_ratios: width / height, in order.
            step: pixels between cells, one number or (height, width); None is image size / grid.
            offset: centre of the first cell as a fraction of the step.
            tiling: "size" divides the box by the density (Caffe's field `density`), "step" divides the cell
                (`density_size` with `fixed_ratio`).

        Raises:
            ValueError: numbers that are not positive, lists of different lengths, or centres less than a pixel apart.

        Source: Zhang et al., FaceBoxes (2017), section 3.2; OpenVINO, PriorBox (fixed_size, fixed_ratio, density).
        """
        check_positive(fixed_sizes, "fixed_sizes")
        check_positive(fixed_ratios, "fixed_ratios")
        whole = [int(d) for d in densities if math.isfinite(d) and d == int(d) and d > 0]
        if len(whole) != len(fixed_sizes) or len(whole) != len(densities):
            raise ValueError(
                "`densities` must have a whole number of at least 1 for each of `fixed_sizes`. "
                f"Received: fixed_sizes={tuple(fixed_sizes)}, densities={tuple(densities)}"
            )
        if tiling not in ("size", "step"):
            raise ValueError(f"`tiling` must be 'size' or 'step'. Received: tiling={tiling!r}")
        steps = _step(image_size, grid_hw, step)
        boxes, shifts = [], []
        for size, density in zip(fixed_sizes, whole, strict=True):
            span, half, pitch = _tiles(size, density, steps, tiling)
            places = [half + pitch / 2 + i * pitch for i in range(density)]
            if pitch < 1:
                raise ValueError(
                    f"A density of {density} leaves less than a pixel between the centres of a box, which divide "
                    f"{span} pixels. Give a lower density."
                )
            for ratio in fixed_ratios:
                root = np.sqrt(np.float32(ratio))
                box = (float(np.float32(size) / root), float(np.float32(size) * root))
                boxes += [box] * density**2
                shifts += [(y, x) for y in places for x in places]
        return cls(whole_pair(grid_hw, "grid_hw"), steps, tuple(boxes), _pair(offset, "offset"), tuple(shifts))

    @classmethod
    @checked_arguments
    def of_boxes(
        cls,
        image_size: Sequence[int],
        grid_hw: Sequence[int],
        boxes_hw: Iterable[Sequence[float]],
        *,
        step: float | Sequence[float] | None = None,
        offset: float | Sequence[float] = 0.5,
    ) -> Self:
        """A level of given boxes.

        Args:
            image_size: (height, width) of the input image in pixels.
            grid_hw: (height, width) of the feature map.
            boxes_hw: (height, width) in pixels of each box of a cell.
            step: pixels between cells, one number or (height, width); None is image size / grid.
            offset: centre of the first cell as a fraction of the step.
        """
        boxes = tuple(_pair(box, "boxes_hw") for box in boxes_hw)
        return cls(whole_pair(grid_hw, "grid_hw"), _step(image_size, grid_hw, step), boxes, _pair(offset, "offset"))

    @classmethod
    @checked_arguments
    def scaled(
        cls,
        image_size: Sequence[int],
        grid_hw: Sequence[int],
        scale: float,
        next_scale: float | None = None,
        aspect_ratios: Sequence[float] = (1.0,),
        *,
        step: float | Sequence[float] | None = None,
        offset: float | Sequence[float] = 0.5,
    ) -> Self:
        """A level as ssd_keras's AnchorBoxes layer defines it.

        Sizes are fractions of the shorter side of the image and are never truncated. The ratios keep their order, and
        the second square (side sqrt(scale * next_scale)) follows the first.

        Args:
            image_size: (height, width) of the input image in pixels.
            grid_hw: (height, width) of the feature map.
            scale: size of the boxes as a fraction of the shorter side.
            next_scale: scale of the next level, or None for a single box of ratio 1.
            aspect_ratios: width / height, in order.
            step: pixels between cells; None is image size / grid.
            offset: centre of the first cell as a fraction of the step.
        """
        check_positive(aspect_ratios, "aspect_ratios")
        shorter = min(_pair(image_size, "image_size"))
        second = None if next_scale is None else next_scale * shorter
        boxes = _boxes_of_cell(scale * shorter, second, aspect_ratios)
        return cls.of_boxes(image_size, grid_hw, boxes, step=step, offset=offset)


def _tiles(size, density, steps, tiling):
    """(pixels to divide, first edge, pixels between two centres), in whole pixels as in C."""
    if tiling == "size":
        span = int(size)
        return span, -span / 2, int(size / density)
    span = int((steps[0] + steps[1]) * 0.5)
    return span, -(span // 2), span // density


def _step(
    image_size: Sequence[int], grid_hw: Sequence[int], step: float | Sequence[float] | None
) -> tuple[float, float]:
    if step is not None:
        return _pair(step, "step")
    image, grid = _pair(image_size, "image_size"), _pair(grid_hw, "grid_hw")
    check_positive(grid, "grid_hw")
    return float(image[0]) / float(grid[0]), float(image[1]) / float(grid[1])
