"""One image in memory with its objects: augmentation takes and returns it, and targets are made from it."""

import dataclasses
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments, former_attributes
from keras_ssd.data.annotation import Annotation
from keras_ssd.images import read_image

_NONE: Any = None  # stands for a column until the object is made, which then holds an array


class ImageSizeError(ValueError):
    """An image of another size than its annotation says, so that the boxes lie elsewhere in it.

    Attributes:
        reason: what is wrong, without the place.

    Args:
        annotation: `Annotation` with a size.
        size_hw: (height, width) of the image.
    """

    def __init__(self, annotation: Annotation, size_hw: tuple[int, int]) -> None:
        image = repr(annotation.name) if _in_memory(annotation) else annotation.image
        found, said = (f"{width} x {height}" for height, width in (size_hw, annotation.size_hw or (0, 0)))
        self.reason: str = f"the image {image} is {found} pixels, and its annotation says {said}"
        super().__init__(
            f"{annotation.source or annotation.name}: {self.reason}. Correct the size and the boxes in the annotation, "
            "or leave the image out."
        )
        self._given = annotation, size_hw

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._given


@former_attributes(picture="image")
@checked_arguments
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Sample:
    """An image and the boxes in it, as fractions, so that resizing leaves the boxes alone.

    Args:
        image: (H, W, 3) RGB, uint8, or float32 in 0..255.
        boxes_xyxy: (M, 4) xmin, ymin, xmax, ymax as fractions of the image, float32.
        class_ids: (M,) int32 from 0; background does not count.
        difficult: (M,) bool; None for none.
        name: of the image, for messages.

    Raises:
        ValueError: shapes do not agree.

    Example:
        >>> sample = Sample(np.zeros((100, 200, 3), "uint8"), [[0.1, 0.2, 0.5, 0.6]], [0])
        >>> sample.size_hw, len(sample)
        ((100, 200), 1)
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    difficult: np.ndarray = _NONE
    name: str = ""

    def __post_init__(self) -> None:
        ids = np.asarray(self.class_ids, np.int32)
        boxes = np.asarray(self.boxes_xyxy, np.float32)
        boxes = boxes.reshape(-1, 4) if not boxes.size else boxes
        difficult = np.zeros(len(ids), bool) if self.difficult is None else np.asarray(self.difficult, bool)
        shapes = (np.ndim(self.image), boxes.shape, ids.shape, difficult.shape)
        if shapes != (3, (len(ids), 4), (len(ids),), (len(ids),)) or self.image.shape[2] != 3:
            raise ValueError(
                "A sample takes an image (H, W, 3), boxes_xyxy (M, 4), class_ids (M,) and difficult (M,). "
                f"Received for {self.name!r}: {np.shape(self.image)}, {boxes.shape}, {ids.shape}, {difficult.shape}"
            )
        object.__setattr__(self, "boxes_xyxy", boxes)
        object.__setattr__(self, "class_ids", ids)
        object.__setattr__(self, "difficult", difficult)

    @classmethod
    def of(cls, annotation: Annotation) -> "Sample":
        """Reads the image of an annotation.

        Crowd regions count as difficult, as Caffe's SSD reads COCO (`ReadJSONToAnnotatedDatum`).

        Raises:
            ImageError: the image cannot be read.
            ImageSizeError: the image has another size than the annotation says.
        """
        image = read_image(annotation.image, name=annotation.name if _in_memory(annotation) else None)
        size_hw = image.shape[:2]
        if annotation.size_hw not in (None, size_hw):
            raise ImageSizeError(annotation, size_hw)
        known = dataclasses.replace(annotation, size_hw=size_hw)
        return cls(image, known.boxes_fraction, known.class_ids, known.difficult | known.crowd, known.name)

    def __len__(self) -> int:
        return len(self.class_ids)

    def __getitem__(self, rows: Any) -> "Sample":
        """The same image with some of its objects: a mask, a slice or a list of places."""
        rows = np.asarray(rows, int) if isinstance(rows, list) and not rows else rows
        kept = {name: getattr(self, name)[rows] for name in ("boxes_xyxy", "class_ids", "difficult")}
        return dataclasses.replace(self, **kept)

    def __repr__(self) -> str:
        height, width = self.size_hw
        return f"Sample({self.name!r}, {len(self)} objects, {width} x {height} pixels)"

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the image in pixels."""
        return tuple(self.image.shape[:2])


def _in_memory(annotation):
    return not isinstance(annotation.image, str)
