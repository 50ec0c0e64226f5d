"""The crops of the original SSD: several samplers, each with a condition of its own; one of their finds is taken."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_ssd import boxes as formulas
from keras_ssd.data.augment.block import Block
from keras_ssd.data.augment.labels import BoxRule, Labels
from keras_ssd.data.augment.steps import Step, Window

CENTER: BoxRule = BoxRule("center")


@dataclasses.dataclass(frozen=True)
class PatchSampler:
    """Draws patches until one meets a condition.

    Args:
        scale: (smallest, largest): a patch has scale * sqrt(aspect) of the width, scale / sqrt(aspect) of the height.
        aspect: (lowest, highest), relative to the image's own; kept within scale^2..1 / scale^2, so that patches fit.
        trials: how many patches are drawn at most.
        jaccard: (least, most) IoU of patch and object, None for no bound; at least one object must lie within.
        sample_coverage: the same for the share of the patch that the object covers.
        object_coverage: the same for the share of the object that the patch covers.

    Source: `SampleBBox` and `SatisfySampleConstraint` in Caffe's sampler.cpp. There, a condition with bounds of
    several kinds can pass with one kind met; here the same object must meet all.
    """

    scale: tuple[float, float] = (0.3, 1.0)
    aspect: tuple[float, float] = (0.5, 2.0)
    trials: int = 50
    jaccard: tuple[float | None, float | None] = (None, None)
    sample_coverage: tuple[float | None, float | None] = (None, None)
    object_coverage: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is (smallest, largest) within 0..1. Received: scale={self.scale}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"aspect is (lowest, highest), above 0. Received: aspect={self.aspect}")
        if self.trials < 1:
            raise ValueError(f"A sampler tries at least once. Received: trials={self.trials}")

    def patches(self, rng: np.random.Generator) -> np.ndarray:
        """(trials, 4) boxes_xyxy float32, fractions of the image."""
        draws = rng.random((4, self.trials))
        scale = self.scale[0] + draws[0] * (self.scale[1] - self.scale[0])
        aspect = self.aspect[0] + draws[1] * (self.aspect[1] - self.aspect[0])
        aspect = np.clip(aspect, scale**2, 1 / scale**2)
        sides = np.minimum([scale * np.sqrt(aspect), scale / np.sqrt(aspect)], 1)  # (2, trials) width, height
        corner = draws[2:] * (1 - sides)
        return np.concatenate([corner, corner + sides]).T.astype(np.float32)

    @property
    def unconditional(self) -> bool:
        """Whether any patch will do, even in an image without objects."""
        return {self.jaccard, self.sample_coverage, self.object_coverage} == {(None, None)}

    def accepts(self, patches_xyxy: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """(trials,) bool: which patches meet the condition."""
        if self.unconditional:
            return np.ones(len(patches_xyxy), bool)
        patches, boxes = patches_xyxy[:, None], boxes_xyxy[None]
        good = np.ones((len(patches_xyxy), len(boxes_xyxy)), bool)
        if self.jaccard != (None, None):
            good &= _within(formulas.iou(patches, boxes), self.jaccard)
        if self.sample_coverage != (None, None):
            good &= _within(_covered(patches, boxes), self.sample_coverage)
        if self.object_coverage != (None, None):
            good &= _within(_covered(boxes, patches), self.object_coverage)
        return np.any(good, axis=1)


def _within(values, limits):
    least, most = limits
    return (values >= (-np.inf if least is None else least)) & (values <= (np.inf if most is None else most))


def _covered(boxes_xyxy, by_xyxy):
    """Share of each box that lies in another."""
    low = np.maximum(boxes_xyxy[..., :2], by_xyxy[..., :2])
    high = np.minimum(boxes_xyxy[..., 2:], by_xyxy[..., 2:])
    inter = np.maximum(high - low, 0).prod(axis=-1)
    area = formulas.area(boxes_xyxy)
    return np.where(inter > 0, inter / np.where(area > 0, area, 1), 0)


CAFFE_SAMPLERS: tuple[PatchSampler, ...] = (
    PatchSampler(scale=(1.0, 1.0), aspect=(1.0, 1.0), trials=1),
    *(PatchSampler(jaccard=(least, None)) for least in (0.1, 0.3, 0.5, 0.7, 0.9)),
    PatchSampler(jaccard=(None, 1.0)),
)


@dataclasses.dataclass(frozen=True)
class BatchSampler(Block):
    """Crops as the original SSD: each sampler looks for a patch, and one of those found is drawn.

    So the whole image stays with probability 1 / (number of samplers that succeeded), between 1/7 and 1. Objects
    whose centre lies in the patch stay, clipped to it. A patch may meet its condition with an object whose centre
    lies outside, so the result may be empty, as in Caffe.

    Caffe cuts whole pixels and moves boxes with the unrounded patch; here boxes move with the pixels, which differs
    by less than a pixel.

    Args:
        samplers: `PatchSampler`s; those of ssd_pascal.py.
        keep: which boxes stay.

    Source: `GenerateBatchSamples` in Caffe's sampler.cpp, batch_sampler in ssd_pascal.py.
    """

    samplers: tuple[PatchSampler, ...] = CAFFE_SAMPLERS
    keep: BoxRule | None = CENTER

    def find(self, labels: Labels, rng: np.random.Generator) -> np.ndarray:
        """(K, 4) boxes_xyxy: the first good patch of each sampler that had one, as fractions of the image."""
        found = []
        for sampler in self.samplers:
            patches = sampler.patches(rng)
            good = sampler.accepts(patches, labels.boxes_xyxy)
            first = int(good.argmax())
            if good[first]:
                found.append(patches[first])
        return np.array(found, np.float32).reshape(-1, 4)

    def steps(self, labels: Labels, rng: np.random.Generator) -> Sequence[Step]:
        found = self.find(labels, rng)
        if not len(found):
            return ()
        patch = found[int(rng.integers(len(found)))]
        return (patch_window(patch, labels.size_hw, self.keep),)


def patch_window(patch_xyxy: np.ndarray, size_hw: tuple[int, int], keep: BoxRule | None) -> Window:
    """The window of whole pixels that Caffe cuts for a patch in fractions: corner and sides cut to integers."""
    height, width = size_hw
    left, top, right, bottom = (patch_xyxy * np.array([width, height, width, height], np.float32)).tolist()
    rows, columns = max(1, int(bottom - top)), max(1, int(right - left))
    return Window(size_hw, min(int(top), height - rows), min(int(left), width - columns), rows, columns, keep=keep)
