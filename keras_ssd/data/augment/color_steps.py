"""Steps on colours. Most look at one pixel at a time, so they may be done after a crop instead of before it.

Whatever is a function of the grey level alone becomes one table of 256 entries, rounded and clipped after each step as
Caffe does through OpenCV's `convertTo`; tables after tables are one table. The same goes for hue and saturation.
"""

import dataclasses
import io
from typing import Any

import numpy as np

from keras_ssd.data.augment.pixels import equalized, look_up, look_up_hsv, rgb_to_hsv
from keras_ssd.data.augment.steps import Step

LEVELS: np.ndarray = np.arange(256)


def _table(levels):
    return np.rint(np.clip(levels, 0, 255)).astype(np.uint8)


class PixelStep(Step):
    """A step whose result at a pixel depends on that pixel alone."""

    @staticmethod
    def joined(first: "PixelStep", second: "PixelStep") -> "PixelStep | None":
        """One step that does both, or None."""
        for kind in (LevelStep, HueSaturationStep):
            if isinstance(first, kind) and isinstance(second, kind):
                return kind.composed(first, second)
        return None


class LevelStep(PixelStep):
    """Each channel's grey levels through `table`, (256,) uint8."""

    table: Any

    @staticmethod
    def composed(first: Any, second: Any) -> "Table":
        return Table(second.table[first.table])

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return look_up(image, self.table)


@dataclasses.dataclass(frozen=True, eq=False)
class Table(LevelStep):
    """Grey levels replaced by the entries of a (256,) uint8 table."""

    table: np.ndarray


@dataclasses.dataclass(frozen=True)
class ShiftLevels(LevelStep):
    """`delta` grey levels added."""

    delta: float

    @property
    def table(self) -> np.ndarray:
        return _table(LEVELS + self.delta)


@dataclasses.dataclass(frozen=True)
class ScaleLevels(LevelStep):
    """Distances from the grey level `around` multiplied by `factor`."""

    factor: float
    around: float = 0.0

    @property
    def table(self) -> np.ndarray:
        return _table((LEVELS - self.around) * self.factor + self.around)


@dataclasses.dataclass(frozen=True)
class PowerLevels(LevelStep):
    """Levels as fractions of 255, raised to 1 / gamma."""

    gamma: float

    @property
    def table(self) -> np.ndarray:
        return _table(255 * (LEVELS / 255) ** (1 / self.gamma))


class HueSaturationStep(PixelStep):
    """Hue (0..179, half degrees), saturation and value through `tables`, three of (256,) uint8."""

    tables: Any

    @staticmethod
    def composed(first: Any, second: Any) -> "HueSaturation":
        return HueSaturation(tuple(after[before] for before, after in zip(first.tables, second.tables, strict=True)))

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return look_up_hsv(image, *self.tables)


_UNCHANGED = LEVELS.astype(np.uint8)


@dataclasses.dataclass(frozen=True, eq=False)
class HueSaturation(HueSaturationStep):
    """Three (256,) uint8 tables, for hue, saturation and value."""

    tables: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class ScaleSaturation(HueSaturationStep):
    """Saturation multiplied by `factor`."""

    factor: float

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _UNCHANGED, _table(LEVELS * self.factor), _UNCHANGED


@dataclasses.dataclass(frozen=True)
class ShiftHue(HueSaturationStep):
    """`delta` half degrees added to the hue.

    Caffe clips the sum to 0..255: beyond 179 hues go round as they should, below 0 they stop at red. `wrap` lets them
    go round there too.
    """

    delta: float
    wrap: bool = False

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        moved = np.rint(LEVELS + self.delta)
        if not self.wrap:
            moved = np.clip(moved, 0, 255)
        return (moved % 180).astype(np.uint8), _UNCHANGED, _UNCHANGED


@dataclasses.dataclass(frozen=True)
class ReorderChannels(PixelStep):
    """Channels in another order: (2, 1, 0) makes BGR of RGB."""

    order: tuple[int, int, int]

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(image[..., list(self.order)])


@dataclasses.dataclass(frozen=True)
class ToGrey(PixelStep):
    """Three equal channels: the brightness that the eye sees (ITU-R 601)."""

    def pixels(self, image: np.ndarray) -> np.ndarray:
        grey = image @ np.array([0.299, 0.587, 0.114], np.float32)
        return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


@dataclasses.dataclass(frozen=True)
class Equalize(Step):
    """The values (of hue, saturation, value) of the whole image spread evenly over 0..255."""

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return look_up_hsv(image, _UNCHANGED, _UNCHANGED, equalized(rgb_to_hsv(image)[2]))


@dataclasses.dataclass(frozen=True)
class Recompress(Step):
    """The image as a JPEG file of this quality (1..100) would hold it."""

    quality: int

    def pixels(self, image: np.ndarray) -> np.ndarray:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(image).save(file, "jpeg", quality=self.quality)
        return np.asarray(Image.open(file))
