"""Boxes on their way through a chain, and the rules that decide which of them stay."""

import dataclasses

import numpy as np

from keras_ssd import boxes as formulas
from keras_ssd.data.sample import Sample

WHOLE: np.ndarray = np.array([0, 0, 1, 1], np.float32)
THINNEST = 0.01  # pixels; a box that only touches the image keeps less than this, from rounding


@dataclasses.dataclass(frozen=True, eq=False)
class Labels:
    """What a block may look at before it decides: all of a sample but its pixels.

    Args:
        size_hw: (height, width) of the image in pixels.
        boxes_xyxy: (M, 4) float32, fractions of the image.
        class_ids: (M,) int32.
        difficult: (M,) bool.
    """

    size_hw: tuple[int, int]
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray

    @classmethod
    def of(cls, sample: Sample) -> "Labels":
        """A sample's; boxes are clipped to the image, those without area are dropped."""
        return cls(tuple(sample.image.shape[:2]), sample.boxes_xyxy, sample.class_ids, sample.difficult).placed(
            sample.boxes_xyxy
        )

    def __len__(self) -> int:
        return len(self.class_ids)

    def placed(
        self, boxes_xyxy: np.ndarray, size_hw: tuple[int, int] | None = None, keep: "BoxRule | None" = None
    ) -> "Labels":
        """The same objects elsewhere: those that a rule keeps, clipped to the image, as far as area is left.

        Args:
            boxes_xyxy: (M, 4) where they are now; parts may lie outside 0..1.
            size_hw: of the image now.
            keep: a `BoxRule`.
        """
        size_hw = size_hw or self.size_hw
        inside = np.clip(boxes_xyxy, 0, 1)
        thinnest = np.array([THINNEST / size_hw[1], THINNEST / size_hw[0]], np.float32)
        stay = (inside[:, 2:] - inside[:, :2] > thinnest).all(axis=1)
        if keep is not None:
            stay &= keep(boxes_xyxy)
        if stay.all():
            return Labels(size_hw, inside, self.class_ids, self.difficult)
        return Labels(size_hw, inside[stay], self.class_ids[stay], self.difficult[stay])

    def joined(self, *others: "Labels") -> "Labels":
        """The objects of several, in one image of this one's size."""
        every = (self, *others)
        return Labels(self.size_hw, *(np.concatenate([getattr(one, name) for one in every]) for name in PER_BOX))

    def put_into(self, sample: Sample, image: np.ndarray) -> Sample:
        """A sample with this image and these objects, and all else of `sample`."""
        return dataclasses.replace(sample, image=image, **{name: getattr(self, name) for name in PER_BOX})


PER_BOX = ("boxes_xyxy", "class_ids", "difficult")


@dataclasses.dataclass(frozen=True)
class BoxRule:
    """Which boxes count as being in an image that was cut or moved.

    Args:
        criterion: "center": the box's centre lies in the image or on its edge (Caffe's emit constraint).
            "area": the visible share of the box lies within `bounds`. "iou": the IoU of box and image is above the
            lower and at most the upper bound.
        bounds: (lower, upper), 0..1.

    Example:
        >>> rule = BoxRule("area", (0.3, 1.0))
        >>> rule(np.array([[-0.1, 0, 0.1, 1], [-0.4, 0, 0.1, 1]], "float32")).tolist()
        [True, False]

    Source: `MeetEmitConstraint` in Caffe's bbox_util.cpp; `BoxFilter` of ssd_keras.
    """

    criterion: str = "center"
    bounds: tuple[float, float] = (0.3, 1.0)

    def __post_init__(self) -> None:
        if self.criterion not in ("center", "area", "iou"):
            raise ValueError(f'criterion is "center", "area" or "iou". Received: criterion={self.criterion!r}')
        if not 0 <= self.bounds[0] <= self.bounds[1] <= 1:
            raise ValueError(f"bounds are (lower, upper) within 0..1. Received: bounds={self.bounds}")

    def __call__(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """(M,) bool: which boxes, in fractions of the image and not clipped to it, are in it."""
        if self.criterion == "center":
            centres = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
            return np.all((centres >= 0) & (centres <= 1), axis=1)
        lower, upper = self.bounds
        if self.criterion == "iou":
            overlap = formulas.iou(boxes_xyxy, WHOLE)
            return (overlap > lower) & (overlap <= upper)
        visible = formulas.area(np.clip(boxes_xyxy, 0, 1))
        whole = formulas.area(boxes_xyxy)
        # A box that did not change shows all of itself, and rounding must not change that.
        least, most = lower * whole * (1 - 1e-6), upper * whole * (1 + 1e-6)
        return (visible > 0) & (visible >= least) & (visible <= most)


@dataclasses.dataclass(frozen=True)
class Need:
    """When a random change counts as good: enough objects are still in the image.

    An image that had no object needs none.

    Args:
        rule: a `BoxRule`.
        boxes: how many objects must meet it; None: all of them.

    Source: `ImageValidator` of ssd_keras.
    """

    rule: BoxRule = BoxRule("area", (0.5, 1.0))
    boxes: int | None = 1

    def __post_init__(self) -> None:
        if self.boxes is not None and self.boxes < 1:
            raise ValueError(f"boxes is a number from 1, or None for all of them. Received: boxes={self.boxes}")

    def __call__(self, boxes_xyxy: np.ndarray) -> bool:
        """Whether boxes, in fractions of the new image and not clipped to it, suffice."""
        if not len(boxes_xyxy):
            return True
        return int(self.rule(boxes_xyxy).sum()) >= (len(boxes_xyxy) if self.boxes is None else self.boxes)
