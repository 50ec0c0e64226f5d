"""Blocks that make one image of several. They ask `others(rng)` for each further sample."""

import dataclasses

import numpy as np

from keras_ssd.data.augment.block import Block, Others
from keras_ssd.data.augment.geometry import PARTLY_VISIBLE, Resize
from keras_ssd.data.augment.interpolation import resize
from keras_ssd.data.augment.labels import BoxRule, Labels
from keras_ssd.data.augment.patches import MaxCropToAspect
from keras_ssd.data.augment.pixels import as_uint8, blended, on_canvas
from keras_ssd.data.augment.steps import Opaque, Track, Window
from keras_ssd.data.sample import Sample


def _ask(block, others, rng):
    if others is None:
        name = type(block).__name__
        raise ValueError(
            f"{name} mixes several images, and has one. Call it with `others`, a function of a generator "
            f"that gives another sample: chain(sample, rng, others=lambda rng: samples[rng.integers(len(samples))])"
        )
    return others(rng)


@dataclasses.dataclass(frozen=True)
class Mosaic(Block):
    """Four images in one: the sample above on the left, three others around it.

    The point where they meet is random. Each image gives the largest patch of its tile's shape, warped to the tile,
    so objects keep their shape and nothing is padded.

    Args:
        size_hw: (height, width) of the result, pixels.
        meeting: (lowest, highest) place of the meeting point as a fraction of each side.
        keep: which boxes of a cut image stay.

    Source: YOLOv4, section 3.4.
    """

    size_hw: tuple[int, int]
    meeting: tuple[float, float] = (0.3, 0.7)
    keep: BoxRule | None = PARTLY_VISIBLE

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.size_hw) < 2:
            raise ValueError(f"Four tiles need two pixels a side. Received: size_hw={self.size_hw}")
        if not 0 < self.meeting[0] <= self.meeting[1] < 1:
            raise ValueError(f"meeting is (lowest, highest) within 0..1. Received: meeting={self.meeting}")

    @property
    def opaque(self) -> bool:
        return True

    @property
    def partners(self) -> int:
        return 3

    def tiles(self, rng: np.random.Generator) -> list[tuple[int, int, int, int]]:
        """(top, left, height, width) of the four tiles, row by row."""
        rows, columns = self.size_hw
        middle = min(max(round(rows * rng.uniform(*self.meeting)), 1), rows - 1)
        centre = min(max(round(columns * rng.uniform(*self.meeting)), 1), columns - 1)
        return [
            (top, left, height, width)
            for top, height in ((0, middle), (middle, rows - middle))
            for left, width in ((0, centre), (centre, columns - centre))
        ]

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        tiles = self.tiles(rng)
        samples = [sample, *(_ask(self, others, rng) for _ in range(self.partners))]
        canvas, parts = None, []
        for (top, left, height, width), one in zip(tiles, samples, strict=True):
            crop = MaxCropToAspect(width / height, keep=self.keep, need=None)
            tile = Resize((height, width))(crop(one, rng), rng)
            if canvas is None:
                canvas = on_canvas(tile.image[:0, :0], (0, 0), self.size_hw, (0, 0, 0))
            canvas[top : top + height, left : left + width] = tile.image
            parts.append(Window((height, width), -top, -left, *self.size_hw).labels(Labels.of(tile)))
        return parts[0].joined(*parts[1:]).put_into(sample, canvas), Track((Opaque("Mosaic"),))


@dataclasses.dataclass(frozen=True)
class MixUp(Block):
    """Another image shines through, and its objects count too.

    The other image is warped to this one's size.

    Args:
        share: (lowest, highest) share of the sample itself in the blend.

    Source: "Bag of Freebies for Training Object Detection Neural Networks", section 3.1.
    """

    share: tuple[float, float] = (0.4, 0.6)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.share[0] <= self.share[1] <= 1:
            raise ValueError(f"share is (lowest, highest) within 0..1. Received: share={self.share}")

    @property
    def opaque(self) -> bool:
        return True

    @property
    def partners(self) -> int:
        return 1

    def apply(self, sample: Sample, rng: np.random.Generator, others: Others | None) -> tuple[Sample, Track]:
        other = _ask(self, others, rng)
        share = rng.uniform(*self.share)
        labels = Labels.of(sample)
        image = blended(as_uint8(sample.image), resize(as_uint8(other.image), labels.size_hw), share)
        # The sample's own pixels stay where they were, so boxes can be taken back: there is no step to undo.
        return labels.joined(Labels.of(other)).put_into(sample, image), Track()
