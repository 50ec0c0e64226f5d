"""The objects that anchors are compared with, from a dataset or from plain boxes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

# Fractions of the image are far smaller, even for objects that a crop has cut; pixels are larger.
LARGEST_FRACTION = 4.0


@dataclasses.dataclass(frozen=True, eq=False)
class Objects:
    """The boxes of many images in one array.

    Args:
        boxes_xyxy: (M, 4) float32, fractions of the image; all have an area.
        class_ids: (M,) indices into `classes`.
        images: (M,) index of the image of each object.
        classes: names; empty if they have none.
        num_images: number of images, including those without objects.
        left_out: number of boxes without area, which no anchor can match.
    """

    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    images: np.ndarray
    classes: tuple[str, ...] = ()
    num_images: int = 0
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.boxes_xyxy)

    @classmethod
    def of(cls, data: Any) -> "Objects":
        """The objects of anything that holds boxes.

        Args:
            data: a `keras_ssd.data.Dataset`, any iterable of its `Annotation`s or `Sample`s, or an array (M, 4) of
                boxes (xmin, ymin, xmax, ymax) in fractions of the image, each of which counts as an image. Crowd
                regions are left out. `Objects` are returned as they are.

        Raises:
            ValueError: there are no objects, or boxes are in pixels or not finite.
            TypeError: `data` is none of these.
        """
        if isinstance(data, cls):
            return data
        if isinstance(data, np.ndarray):
            parts = [(data, np.zeros(len(data), np.int64))]
            images = np.arange(len(data))
        else:
            parts = [_boxes_of(item) for item in data]
            images = np.repeat(np.arange(len(parts)), [len(boxes) for boxes, _ in parts])
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(np.reshape(boxes, (-1, 4)) for boxes, _ in parts)])
        boxes = boxes.astype(np.float32)
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for _, ids in parts)])
        _check(boxes)
        kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        if not kept.any():
            raise ValueError(f"There are no objects with an area to look at. Received: {len(boxes)} boxes")
        names = tuple(getattr(data, "classes", ()))
        count = len(data) if isinstance(data, np.ndarray) else len(parts)
        return cls(boxes[kept], ids[kept], images[kept], names, count, int((~kept).sum()))

    def sizes_hw(self, image_size: Sequence[int]) -> np.ndarray:
        """(M, 2) heights and widths in pixels of images that are warped to `image_size`."""
        sides = (self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2])[:, ::-1].astype(np.float64)
        return sides * np.asarray(image_size, np.float64)

    def centres_yx(self, image_size: Sequence[int]) -> np.ndarray:
        """(M, 2) centres in pixels of such images."""
        middles = (self.boxes_xyxy[:, 2:].astype(np.float64) + self.boxes_xyxy[:, :2]) / 2
        return middles[:, ::-1] * np.asarray(image_size, np.float64)

    def class_name(self, class_id: int) -> str:
        """The class's name, or a numbered one."""
        return self.classes[class_id] if self.classes else f"class_{class_id}"


def _boxes_of(item):
    """(boxes in fractions, class ids) of an annotation or a sample."""
    crowd = getattr(item, "crowd", None)
    if crowd is not None and crowd.any():
        item = item[~crowd]
    if not (hasattr(item, "boxes_xyxy") and hasattr(item, "class_ids")):
        raise TypeError(
            "Anchors are compared with a Dataset, a list of annotations or samples, or an array (M, 4) of boxes in "
            f"fractions of the image. Received: an item of type {type(item).__name__}"
        )
    if not hasattr(item, "boxes_fraction"):  # a Sample
        return item.boxes_xyxy, item.class_ids
    if item.size_hw is None:
        from keras_ssd.images import read_image

        name = None if isinstance(item.image, str) else item.name
        item = dataclasses.replace(item, size_hw=read_image(item.image, name=name).shape[:2])
    return item.boxes_fraction, item.class_ids


def _check(boxes):
    if not np.isfinite(boxes).all():
        row = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0])
        raise ValueError(f"Boxes must be finite. Received: box {row} is {boxes[row].tolist()}")
    if len(boxes) and np.abs(boxes).max() > LARGEST_FRACTION:
        row = int(np.abs(boxes).max(axis=1).argmax())
        raise ValueError(
            "Boxes must be fractions of the image, 0 to 1; these look like pixels. Divide x by the width and y by "
            f"the height. Received: box {row} is {boxes[row].tolist()}"
        )
