"""One image and the objects in it: all readers return it, and all writers take it."""

import dataclasses
import os
from typing import Any

import numpy as np

from keras_ssd.calling import checked_arguments, former_attributes

_NONE: Any = None  # default of columns; `__post_init__` replaces it by an array
_FLAGS = ("difficult", "truncated", "crowd")
_ROWS = ("boxes_xyxy", "class_ids", *_FLAGS, "areas", "lines")


@former_attributes(picture="image", picture_id="image_id")
@checked_arguments
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Annotation:
    """The objects of one image, in its own pixels.

    The arrays are read-only; `annotation[mask]` and `dataclasses.replace` make new annotations.

    Args:
        name: unique in its dataset; the image's path below the dataset's folder, without ending.
        image: path of the image, or the image itself as an array.
        boxes_xyxy: (M, 4) xmin, ymin, xmax, ymax in pixels, float32; x runs from 0 at the left edge to the
            image's width at the right edge. (VOC's inclusive pixels from 1 are converted when they are read.)
        class_ids: (M,) indices in the dataset's classes, from 0; background does not count.
        size_hw: the image's (height, width) in pixels, None if unknown.
        difficult, truncated, crowd: (M,) bool; None for none.
        areas: (M,) square pixels that an object covers, if the source counts the pixels of its mask (COCO); None for
            the boxes' areas.
        lines: (M,) place of each object in `source`: the line, or in COCO's files the annotation's id; 0 if unknown.
        source: the annotation file.
        image_id: the source's id of the image, if that is not a file name (COCO's image id).

    Raises:
        ValueError: shapes do not agree, a coordinate is not finite, or a class id is negative.

    Example:
        >>> annotation = Annotation("cat", "cat.jpg", [[10, 20, 30, 60]], [1], size_hw=(100, 200))
        >>> annotation.boxes_fraction.tolist()
        [[0.05000000074505806, 0.20000000298023224, 0.15000000596046448, 0.6000000238418579]]
    """

    name: str
    image: Any
    boxes_xyxy: np.ndarray
    class_ids: np.ndarray
    size_hw: tuple[int, int] | None = None
    difficult: np.ndarray = _NONE
    truncated: np.ndarray = _NONE
    crowd: np.ndarray = _NONE
    areas: np.ndarray = _NONE
    lines: np.ndarray = _NONE
    source: str | None = None
    image_id: Any = None

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes_xyxy, np.float32)
        boxes = boxes.reshape(-1, 4) if not boxes.size else boxes
        ids = np.array(self.class_ids)
        rows = {"boxes_xyxy": boxes, "class_ids": ids.astype(np.int64)}
        for name in _FLAGS:
            rows[name] = _column(getattr(self, name), len(ids), bool)
        rows["lines"] = _column(self.lines, len(ids), np.int64)
        rows["areas"] = np.array(_box_areas(boxes) if self.areas is None else self.areas, np.float32)
        _check(self.name, ids, rows)
        for name, array in rows.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.size_hw is not None:
            object.__setattr__(self, "size_hw", tuple(int(side) for side in self.size_hw))
        if isinstance(self.image, os.PathLike):
            object.__setattr__(self, "image", os.fspath(self.image))
        if self.source is not None:
            object.__setattr__(self, "source", os.fspath(self.source))

    def __len__(self) -> int:
        return len(self.class_ids)

    def __getitem__(self, rows: Any) -> "Annotation":
        """The same image with some of its objects: a mask, a slice or a list of places."""
        rows = np.asarray(rows, int) if isinstance(rows, list) and not rows else rows
        if isinstance(rows, (int, np.integer)):
            rows = [rows]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in _ROWS})

    def __eq__(self, other: object) -> bool:
        """Same image name, size and objects; their source and lines are not compared."""
        if not isinstance(other, Annotation):
            return NotImplemented
        if (self.name, self.size_hw) != (other.name, other.size_hw):
            return False
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _ROWS[:5])

    def __repr__(self) -> str:
        size = "size unknown" if self.size_hw is None else f"{self.size_hw[1]} x {self.size_hw[0]} pixels"
        return f"Annotation({self.name!r}, {len(self)} objects, {size})"

    @property
    def boxes_fraction(self) -> np.ndarray:
        """(M, 4) float32 corners as fractions of the image.

        Raises:
            ValueError: the image's size is unknown.
        """
        if self.size_hw is None:
            raise ValueError(f"The size of image {self.name!r} is unknown. `Sample.of` reads the image.")
        height, width = self.size_hw
        return self.boxes_xyxy / np.array([width, height, width, height], np.float32)

    def where(self, row: int) -> str:
        """File and line of an object for messages."""
        line = f":{self.lines[row]}" if self.lines[row] else ""
        return f"{self.source or self.name}{line}"


def _column(values, count, dtype):
    return np.zeros(count, dtype) if values is None else np.array(values, dtype)


def _box_areas(boxes):
    return np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1) if boxes.ndim == 2 else np.zeros(0)


def _check(name, ids, rows):
    boxes = rows["boxes_xyxy"]
    count = len(ids)
    if ids.ndim != 1 or boxes.shape != (count, 4) or any(a.shape != (count,) for n, a in rows.items() if n[0] != "b"):
        shapes = ", ".join(f"{column}={array.shape}" for column, array in rows.items())
        raise ValueError(
            "An annotation takes boxes_xyxy of shape (M, 4) and all else of shape (M,). "
            f"Received for {name!r}: {shapes}"
        )
    if count and ids.dtype.kind not in "iu":
        raise TypeError(f"class_ids must be whole numbers. Received for {name!r}: class_ids of dtype {ids.dtype}")
    if not np.isfinite(boxes).all():
        row = int(np.flatnonzero(~np.isfinite(boxes).all(axis=1))[0])
        raise ValueError(f"boxes_xyxy must be finite. Received for {name!r}: box {row} is {boxes[row].tolist()}")
    if count and ids.min() < 0:
        raise ValueError(f"class_ids count from 0, without background. Received for {name!r}: {ids.tolist()}")
