"""Steps: what a block decided to do to one image. They change boxes and pixels alike, and map boxes back.

A step is drawn from the labels alone. So a chain knows everything that will happen before it touches a pixel, can leave
out work on pixels that a later crop throws away (`rendering.py`), and can be tested by what it drew.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.data.augment.interpolation import resize
from keras_ssd.data.augment.labels import BoxRule, Labels
from keras_ssd.data.augment.pixels import mirrored, on_canvas
from keras_ssd.detections import Detections


class Step:
    """Leaves everything as it is; each kind of step overrides what it changes."""

    def labels(self, labels: Labels) -> Labels:
        """`Labels` after the step."""
        return labels

    def pixels(self, image: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 after the step."""
        return image

    def project(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes in fractions of the image before the step -> in fractions of the image after it, not clipped."""
        return boxes_xyxy

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes in fractions of the image after the step -> in fractions of the image before it."""
        return boxes_xyxy


@dataclasses.dataclass(frozen=True)
class Window(Step):
    """The image seen through a window: inside it crops, outside it pads with one colour.

    Args:
        size_hw: of the image before the step, pixels.
        top, left: the window's corner in that image; negative where it begins outside.
        height, width: of the window, which is the image after the step.
        fill: (red, green, blue), 0..255, where the window looks past the image.
        keep: `BoxRule`, or None to keep every box of which something is visible.
    """

    size_hw: tuple[int, int]
    top: int
    left: int
    height: int
    width: int
    fill: tuple[int, int, int] = (0, 0, 0)
    keep: BoxRule | None = None

    def project(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        shift = np.array([self.left, self.top] * 2, np.float32)
        return (boxes_xyxy * _sides(self.size_hw) - shift) / _sides((self.height, self.width))

    def labels(self, labels: Labels) -> Labels:
        return labels.placed(self.project(labels.boxes_xyxy), (self.height, self.width), self.keep)

    @property
    def visible(self) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of what the window shows of the image, in the image's pixels."""
        height, width = self.size_hw
        bottom, right = self.top + self.height, self.left + self.width
        (top, bottom), (left, right) = np.clip([self.top, bottom], 0, height), np.clip([self.left, right], 0, width)
        return int(top), int(left), int(bottom), int(right)

    def pixels(self, image: np.ndarray, before: Sequence[Any] = ()) -> np.ndarray:
        """The window; of what it shows, after the steps `before`, each of which changes a pixel by itself alone."""
        top, left, bottom, right = self.visible
        part = image[top:bottom, left:right]
        if not part.size:
            return on_canvas(image[:0, :0], (0, 0), (self.height, self.width), self.fill)
        for step in before:
            part = step.pixels(part)
        return on_canvas(part, (top - self.top, left - self.left), (self.height, self.width), self.fill)

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        shift = np.array([self.left, self.top] * 2, np.float32)
        return (boxes_xyxy * _sides((self.height, self.width)) + shift) / _sides(self.size_hw)


@dataclasses.dataclass(frozen=True)
class Mirror(Step):
    """The image turned over: axis 1 swaps left and right, axis 0 top and bottom."""

    axis: int

    def project(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        first = 1 - self.axis  # the column of the smaller corner's coordinate along the axis
        boxes = np.array(boxes_xyxy)
        boxes[:, [first, first + 2]] = 1 - boxes_xyxy[:, [first + 2, first]]
        return boxes

    def labels(self, labels: Labels) -> Labels:
        return labels.placed(self.project(labels.boxes_xyxy))

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return mirrored(image, self.axis)

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        return self.project(boxes_xyxy)


@dataclasses.dataclass(frozen=True)
class QuarterTurn(Step):
    """The image turned by this many quarters counterclockwise."""

    turns: int

    @staticmethod
    def _turn(boxes_xyxy, turns):
        for _ in range(turns % 4):  # a point (x, y) goes to (y, 1 - x)
            boxes_xyxy = np.stack(
                [boxes_xyxy[:, 1], 1 - boxes_xyxy[:, 2], boxes_xyxy[:, 3], 1 - boxes_xyxy[:, 0]], axis=1
            )
        return boxes_xyxy

    def labels(self, labels: Labels) -> Labels:
        height, width = labels.size_hw
        size_hw = (width, height) if self.turns % 2 else (height, width)
        return labels.placed(self.project(labels.boxes_xyxy), size_hw)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(image, self.turns))

    def project(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        return self._turn(boxes_xyxy, self.turns)

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        return self._turn(boxes_xyxy, -self.turns)


@dataclasses.dataclass(frozen=True)
class Warp(Step):
    """The image resized to a size by one of `INTERPOLATIONS`, whatever that does to its shape."""

    size_hw: tuple[int, int]
    interpolation: str = "linear"

    def labels(self, labels: Labels) -> Labels:
        return dataclasses.replace(labels, size_hw=self.size_hw)

    def pixels(self, image: np.ndarray) -> np.ndarray:
        return resize(image, self.size_hw, self.interpolation)


@dataclasses.dataclass(frozen=True)
class Drop(Step):
    """Boxes below an area (pixels of the image at this place of the chain) are dropped."""

    min_area: float

    def labels(self, labels: Labels) -> Labels:
        sides = (labels.boxes_xyxy[:, 2:] - labels.boxes_xyxy[:, :2]) * _sides(labels.size_hw)[:2]
        big = sides[:, 0] * sides[:, 1] >= self.min_area
        if big.all():
            return labels
        return dataclasses.replace(
            labels, boxes_xyxy=labels.boxes_xyxy[big], class_ids=labels.class_ids[big], difficult=labels.difficult[big]
        )


@dataclasses.dataclass(frozen=True)
class Opaque(Step):
    """Stands in a track for a change that cannot be inverted: a layer of Keras, or a mix of several images."""

    name: str

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        raise ValueError(
            f"Boxes cannot be mapped back through {self.name}: it does not say where its pixels came from. "
            "Leave it out of chains whose detections are to be taken back."
        )


@dataclasses.dataclass(frozen=True)
class Track:
    """All steps that one sample went through, in order; takes boxes back to the original image."""

    steps: tuple[Step, ...] = ()

    def invert(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes of the result as boxes of the original image.

        Args:
            boxes_xyxy: (M, 4) fractions of the result.

        Returns:
            (M, 4) float32, fractions of the original; what lay in a padded border lies outside 0..1.

        Raises:
            ValueError: a foreign layer or a mix of several images is among the steps.
        """
        boxes = np.asarray(boxes_xyxy, np.float32).reshape(-1, 4)
        for step in reversed(self.steps):
            boxes = step.invert(boxes)
        return boxes

    def restore(self, detections: Detections, size_hw: tuple[int, int]) -> Detections:
        """`Detections` in the augmented image as `Detections` in the original one, clipped to it.

        Args:
            detections: found in the result; pixels of the result.
            size_hw: (height, width) of the original image, pixels.
        """
        boxes = self.invert(detections.boxes_xyxy / _sides(detections.size_hw))
        boxes = np.clip(boxes, 0, 1) * _sides(size_hw)
        seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        return dataclasses.replace(detections, boxes_xyxy=boxes, size_hw=tuple(size_hw), image=None)[seen]


def _sides(size_hw):
    height, width = size_hw
    return np.array([width, height, width, height], np.float32)
