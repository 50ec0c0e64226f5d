"""Blocks that change colours and leave boxes alone. Ranges are uniform."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_ssd.data.augment import color_steps
from keras_ssd.data.augment.block import Block, Chain, OneOf
from keras_ssd.data.augment.labels import Labels
from keras_ssd.data.augment.steps import Step


def check_range(block: Block, lowest: float | None = None, names: tuple[str, str] = ("low", "high")) -> None:
    """Refuses a block whose range is upside down or begins too low."""
    low, high = (getattr(block, name) for name in names)
    if not low <= high or (lowest is not None and low < lowest):
        beyond = f", from {lowest}" if lowest is not None else ""
        raise ValueError(
            f"{type(block).__name__} takes {names[0]} and {names[1]}, the smaller first{beyond}. "
            f"Received: {names[0]}={low}, {names[1]}={high}"
        )


@dataclasses.dataclass(frozen=True)
class Brightness(Block):
    """Adds `low` to `high` grey levels."""

    low: float = -32.0
    high: float = 32.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.ShiftLevels(rng.uniform(self.low, self.high)),)


@dataclasses.dataclass(frozen=True)
class Contrast(Block):
    """Multiplies grey levels by `low` to `high`, as Caffe does, or their distance from the level `around`."""

    low: float = 0.5
    high: float = 1.5
    around: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, 0)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.ScaleLevels(rng.uniform(self.low, self.high), self.around),)


@dataclasses.dataclass(frozen=True)
class Saturation(Block):
    """Multiplies the saturation by `low` to `high`."""

    low: float = 0.5
    high: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, 0)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.ScaleSaturation(rng.uniform(self.low, self.high)),)


@dataclasses.dataclass(frozen=True)
class Hue(Block):
    """Adds up to `limit` half degrees to the hue, or takes them off.

    `wrap` lets reds turn to violet too; in Caffe they stop at red, since it clips hues at 0 instead of going round.
    """

    limit: float = 18.0
    wrap: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.limit <= 90:
            raise ValueError(f"Hue takes a limit in half degrees, 0..90. Received: limit={self.limit}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.ShiftHue(rng.uniform(-self.limit, self.limit), self.wrap),)


@dataclasses.dataclass(frozen=True)
class Gamma(Block):
    """Raises levels, as fractions of 255, to one over `low` to `high`: above 1 brightens."""

    low: float = 0.5
    high: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self)
        if self.low <= 0:
            raise ValueError(f"A gamma is above 0. Received: low={self.low}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.PowerLevels(rng.uniform(self.low, self.high)),)


@dataclasses.dataclass(frozen=True)
class HistogramEqualization(Block):
    """Spreads the image's values (of hue, saturation, value) evenly."""

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.Equalize(),)


@dataclasses.dataclass(frozen=True)
class ChannelOrder(Block):
    """Puts the channels into an order: (2, 1, 0) for BGR; None draws one of the six."""

    order: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order is not None and sorted(self.order) != [0, 1, 2]:
            raise ValueError(f"order holds 0, 1 and 2 once each. Received: order={self.order}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        order = rng.permutation(3).tolist() if self.order is None else self.order
        red, green, blue = order
        return (color_steps.ReorderChannels((red, green, blue)),)


@dataclasses.dataclass(frozen=True)
class Grayscale(Block):
    """Takes the colours away; three equal channels stay."""

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.ToGrey(),)


@dataclasses.dataclass(frozen=True)
class JpegNoise(Block):
    """Compresses the image as JPEG with quality `low` to `high` (1..100).

    Caffe's SSD did so without meaning to: between its steps images are held as JPEG, of OpenCV's quality 95.
    """

    low: int = 95
    high: int = 95

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, 1)
        if self.high > 100:
            raise ValueError(f"A JPEG quality is at most 100. Received: high={self.high}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        return (color_steps.Recompress(int(rng.integers(self.low, self.high, endpoint=True))),)


def distortion(
    brightness: float = 32.0,
    contrast: tuple[float, float] = (0.5, 1.5),
    saturation: tuple[float, float] = (0.5, 1.5),
    hue: float = 18.0,
    around: float = 0.0,
    probability: float = 0.5,
) -> OneOf:
    """SSD's colour distortion: brightness, contrast, saturation, hue, each with a probability of its own.

    In half of all cases contrast comes last, as in Caffe. The numbers are those of ssd_pascal.py. Caffe goes to hue and
    saturation and back twice, rounding in between; this does it once where both happen.

    Args:
        brightness: up to so many grey levels more or less.
        contrast, saturation: (lowest, highest) factor.
        hue: up to so many half degrees more or less.
        around: the grey level that contrast leaves alone.
        probability: of each of the four.

    Returns:
        A block.

    Source: `ApplyDistort` in Caffe's im_transforms.cpp.
    """
    shift = Brightness(-brightness, brightness, probability=probability)
    stretch = Contrast(*contrast, around, probability=probability)
    colour = (Saturation(*saturation, probability=probability), Hue(hue, probability=probability))
    return OneOf([Chain([shift, stretch, *colour]), Chain([shift, *colour, stretch])])
