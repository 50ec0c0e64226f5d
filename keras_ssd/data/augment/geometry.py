"""Blocks that move the image as a whole, and its boxes with it."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from keras_ssd.data.augment.block import Block
from keras_ssd.data.augment.color import check_range
from keras_ssd.data.augment.interpolation import INTERPOLATIONS
from keras_ssd.data.augment.labels import BoxRule, Labels, Need
from keras_ssd.data.augment.steps import Drop, Mirror, QuarterTurn, Step, Warp, Window

HALF_VISIBLE: Need = Need(BoxRule("area", (0.5, 1.0)))
PARTLY_VISIBLE: BoxRule = BoxRule("area", (0.3, 1.0))


@dataclasses.dataclass(frozen=True)
class Resize(Block):
    """Warps the image to a size, whatever its shape.

    Args:
        size_hw: (height, width) in pixels.
        interpolations: names out of `INTERPOLATIONS`; of several one is drawn, each equally often. Caffe's SSD trains
            with all five (`INTERPOLATIONS` itself) and tests with "linear".
    """

    size_hw: tuple[int, int]
    interpolations: tuple[str, ...] = ("linear",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size_hw) != 2 or not all(side == int(side) and side >= 1 for side in self.size_hw):
            raise ValueError(f"size_hw is (height, width) in whole pixels. Received: size_hw={self.size_hw}")
        object.__setattr__(self, "size_hw", tuple(int(side) for side in self.size_hw))
        unknown = set(self.interpolations) - set(INTERPOLATIONS)
        if unknown or isinstance(self.interpolations, str) or not self.interpolations:
            raise ValueError(
                f"interpolations is a tuple of names out of {INTERPOLATIONS}. "
                f"Received: interpolations={self.interpolations!r}"
            )

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        several = len(self.interpolations) > 1
        chosen = int(rng.integers(len(self.interpolations))) if several else 0
        return (Warp(self.size_hw, self.interpolations[chosen]),)


@dataclasses.dataclass(frozen=True)
class Flip(Block):
    """Turns the image over: "horizontal" swaps left and right, "vertical" top and bottom."""

    direction: str = "horizontal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in ("horizontal", "vertical"):
            raise ValueError(f'direction is "horizontal" or "vertical". Received: direction={self.direction!r}')

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (Mirror(1 if self.direction == "horizontal" else 0),)


@dataclasses.dataclass(frozen=True)
class QuarterTurns(Block):
    """Turns the image by a multiple of 90 degrees.

    Args:
        turns: quarters counterclockwise; of several one is drawn, each equally often.
        keep_size: cut and pad an image that is not square to the size that it had, at a place drawn at random, so
            that objects are not squeezed when the image is resized later.
        fill: (red, green, blue), 0..255, of what is padded.
        keep: `BoxRule` for what is cut.
    """

    turns: tuple[int, ...] = (1, 2, 3)
    keep_size: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule = PARTLY_VISIBLE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.turns or any(turn != int(turn) for turn in self.turns):
            raise ValueError(f"turns are whole numbers of quarters, at least one. Received: turns={self.turns}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        turn = int(self.turns[int(rng.integers(len(self.turns)))])
        height, width = labels.size_hw
        if turn % 2 == 0 or not self.keep_size or height == width:
            return (QuarterTurn(turn),)
        place = place_within((width, height), (height, width), rng)
        return QuarterTurn(turn), Window((width, height), *place, height, width, self.fill, self.keep)


def place_within(size_hw: tuple[int, int], window_hw: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """(top, left) of a window, at random so that along each side as much of the image is seen as can be."""
    rooms = (size_hw[0] - window_hw[0], size_hw[1] - window_hw[1])
    top, left = (int(rng.integers(min(room, 0), max(room, 0), endpoint=True)) for room in rooms)
    return top, left


def first_good(candidates: Iterable[Window], labels: Labels, need: Need | None) -> Sequence[Step]:
    """The first window that shows enough, as steps; none if no window does."""
    for window in candidates:
        if need is None or need(window.project(labels.boxes_xyxy)):
            return (window,)
    return ()


@dataclasses.dataclass(frozen=True)
class Translate(Block):
    """Shifts the image; what comes in is filled.

    Args:
        down, right: (least, most) shift as fractions of height and width; each direction is drawn with its sign.
        fill: (red, green, blue), 0..255.
        keep: which boxes stay.
        need: what makes a shift good; None: every shift is.
        trials: so many shifts are drawn until one is good; after them the image stays as it is.
    """

    down: tuple[float, float] = (0.03, 0.3)
    right: tuple[float, float] = (0.03, 0.3)
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule | None = PARTLY_VISIBLE
    need: Need | None = HALF_VISIBLE
    trials: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("down", "right"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name} is (least, most), from 0. Received: {name}={getattr(self, name)}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        def drawn():
            height, width = labels.size_hw
            down, right = (rng.uniform(*limits) * (-1, 1)[rng.integers(2)] for limits in (self.down, self.right))
            top, left = -round(height * down), -round(width * right)
            return Window(labels.size_hw, top, left, height, width, self.fill, self.keep)

        return first_good((drawn() for _ in range(self.trials)), labels, self.need)


@dataclasses.dataclass(frozen=True)
class Zoom(Block):
    """Makes what is seen `low` to `high` times as large, about the middle; the image keeps its size.

    Args:
        low, high: factors; below 1 the image shrinks and a border is filled.
        anywhere: draw the place instead of the middle; shrunk images stay whole, enlarged ones fill the frame.
        fill, keep, need, trials: as in `Translate`.
    """

    low: float = 0.5
    high: float = 2.0
    anywhere: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule | None = PARTLY_VISIBLE
    need: Need | None = HALF_VISIBLE
    trials: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self)
        if self.low <= 0:
            raise ValueError(f"A factor is above 0. Received: low={self.low}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        def drawn():
            factor = rng.uniform(self.low, self.high)
            height, width = labels.size_hw
            sides = max(1, round(height / factor)), max(1, round(width / factor))
            if self.anywhere:
                corner = place_within(labels.size_hw, sides, rng)
            else:
                corner = (height - sides[0]) // 2, (width - sides[1]) // 2
            return Window(labels.size_hw, *corner, *sides, self.fill, self.keep)

        windows = first_good((drawn() for _ in range(self.trials)), labels, self.need)
        return (*windows, Warp(labels.size_hw)) if windows else ()


@dataclasses.dataclass(frozen=True)
class DropSmall(Block):
    """Drops boxes of less than `min_area` pixels, measured at this place of the chain."""

    min_area: float = 16.0

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (Drop(self.min_area),)
