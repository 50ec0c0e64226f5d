"""Blocks that cut patches out of the image or put it onto a larger canvas."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from keras_ssd.backbones.vgg16 import MEAN_RGB as SUBTRACTED
from keras_ssd.data.augment.block import Block
from keras_ssd.data.augment.geometry import HALF_VISIBLE, PARTLY_VISIBLE, first_good, place_within
from keras_ssd.data.augment.labels import BoxRule, Labels, Need
from keras_ssd.data.augment.steps import Step, Window

# The mean that SSD's models subtract, as a pixel: a canvas of it is zero to them.
MEAN_RGB = (int(SUBTRACTED[0]), int(SUBTRACTED[1]), int(SUBTRACTED[2]))


@dataclasses.dataclass(frozen=True)
class Expand(Block):
    """Puts the image somewhere on a canvas up to `most` times as wide and high, so that objects become small.

    Args:
        most: the ratio is uniform in 1..most.
        fill: (red, green, blue), 0..255, of the canvas.

    Source: `ExpandImage` in Caffe's data_transformer.cpp; SSD paper, section 3.6.
    """

    most: float = 4.0
    fill: tuple[int, int, int] = MEAN_RGB

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.most < 1:
            raise ValueError(f"A canvas is at least as large as its image. Received: most={self.most}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        ratio = rng.uniform(1.0, self.most)
        if ratio - 1 < 1e-2:  # Caffe leaves such an image alone
            return ()
        height, width = (int(side * ratio) for side in labels.size_hw)
        down = math.floor(rng.uniform(0.0, height - labels.size_hw[0]))
        right = math.floor(rng.uniform(0.0, width - labels.size_hw[1]))
        return (Window(labels.size_hw, -down, -right, height, width, self.fill),)


@dataclasses.dataclass(frozen=True)
class CropPad(Block):
    """The image seen through one window: cropped where the window cuts, padded where it looks past the edge.

    Args:
        top, left, height, width: of the window, pixels of the image; top and left may be negative.
        fill: (red, green, blue), 0..255.
        keep: which boxes stay.
    """

    top: int
    left: int
    height: int
    width: int
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.height < 1 or self.width < 1:
            raise ValueError(f"A window has at least one pixel. Received: height={self.height}, width={self.width}")

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        height, width = labels.size_hw
        if not (-self.height < self.top < height and -self.width < self.left < width):
            raise ValueError(
                f"The window (top={self.top}, left={self.left}, height={self.height}, width={self.width}) shows "
                f"nothing of an image of height {height} and width {width}."
            )
        return (Window(labels.size_hw, self.top, self.left, self.height, self.width, self.fill, self.keep),)


@dataclasses.dataclass(frozen=True)
class RandomPatch(Block):
    """A patch of random size, shape and place; patches larger than the image pad it.

    The patch lies so that as much as possible of the image is seen along each side.

    Args:
        scale: (smallest, largest) width as a fraction of the image's; without `aspect` the height's too.
        aspect: (lowest, highest) width / height of the patch in pixels; None draws the height from `scale` as well.
        uniform: without `aspect`: one scale for both sides.
        fill, keep, need, trials: as in `Translate`.

    Source: `PatchCoordinateGenerator` and `RandomPatch` of ssd_keras.
    """

    scale: tuple[float, float] = (0.3, 1.0)
    aspect: tuple[float, float] | None = (0.5, 2.0)
    uniform: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule | None = PARTLY_VISIBLE
    need: Need | None = HALF_VISIBLE
    trials: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scale", "aspect"):
            limits = getattr(self, name)
            if limits is not None and not 0 < limits[0] <= limits[1]:
                raise ValueError(f"{name} is (lowest, highest), above 0. Received: {name}={limits}")

    def size_hw(self, image_hw: tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
        """(height, width) of a patch, in pixels."""
        width = rng.uniform(*self.scale)
        if self.aspect is not None:
            width = max(1, int(width * image_hw[1]))
            return max(1, int(width / rng.uniform(*self.aspect))), width
        height = width if self.uniform else rng.uniform(*self.scale)
        return max(1, int(height * image_hw[0])), max(1, int(width * image_hw[1]))

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        def drawn():
            size_hw = self.size_hw(labels.size_hw, rng)
            corner = place_within(labels.size_hw, size_hw, rng)
            return Window(labels.size_hw, *corner, *size_hw, self.fill, self.keep)

        return first_good((drawn() for _ in range(self.trials)), labels, self.need)


@dataclasses.dataclass(frozen=True)
class MaxCropToAspect(Block):
    """The largest patch of a fixed shape, at a random place.

    Args:
        aspect: width / height of the patch in pixels.
        keep, need, trials: as in `Translate`. Where no trial is good, the last patch is taken, since the shape is
            what a later block counts on.
    """

    aspect: float
    keep: BoxRule | None = PARTLY_VISIBLE
    need: Need | None = HALF_VISIBLE
    trials: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_aspect(self.aspect)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        height, width = labels.size_hw
        size_hw = max(1, min(height, round(width / self.aspect))), max(1, min(width, round(height * self.aspect)))
        windows = []
        for _ in range(self.trials):
            corner = place_within(labels.size_hw, size_hw, rng)
            windows.append(Window(labels.size_hw, *corner, *size_hw, keep=self.keep))
        return first_good(windows, labels, self.need) or (windows[-1],)


@dataclasses.dataclass(frozen=True)
class PadToAspect(Block):
    """The smallest canvas of a fixed shape that holds the image, which lies at a random place or in the middle.

    Args:
        aspect: width / height of the canvas in pixels.
        centered: put the image into the middle.
        fill: (red, green, blue), 0..255.
    """

    aspect: float
    centered: bool = False
    fill: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_aspect(self.aspect)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        height, width = labels.size_hw
        size_hw = max(height, round(width / self.aspect)), max(width, round(height * self.aspect))
        if self.centered:
            corner = (height - size_hw[0]) // 2, (width - size_hw[1]) // 2
        else:
            corner = place_within(labels.size_hw, size_hw, rng)
        return (Window(labels.size_hw, *corner, *size_hw, self.fill),)


def _check_aspect(aspect):
    if not 0 < aspect < math.inf:
        raise ValueError(f"aspect is width / height, above 0. Received: aspect={aspect}")
