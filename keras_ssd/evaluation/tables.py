"""Detections and objects of many images as a few long arrays: 28 bytes per detection."""

import dataclasses
from typing import Any, TypeVar

import numpy as np

from keras_ssd.calling import former_attributes
from keras_ssd.data.dataset import Dataset

T = TypeVar("T", "DetectionTable", "ObjectTable")


@former_attributes(pictures="images", picture="image")
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class DetectionTable:
    """The detections in a set of images.

    Rows are in the order of detection: by image, and within one as the detector gave them. The arrays are read-only.

    Args:
        images: (P) names of all images that were seen, also those without detections; each once.
        class_names: names of the class ids, without background.
        image: (K,) indices in `images`, int32.
        class_ids: (K,) indices in `class_names`, int32.
        scores: (K,) float32.
        boxes_xyxy: (K, 4) xmin, ymin, xmax, ymax in pixels of the image, float32; x goes from 0 at the left edge to the
            image's width at the right edge. A box without area overlaps nothing, also one with swapped corners, which a
            network that predicts corners may give.

    Raises:
        ValueError: shapes do not agree, a number is not finite, or an index is out of range.
    """

    images: tuple[str, ...]
    class_names: tuple[str, ...]
    image: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    boxes_xyxy: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, {"image": np.int32, "class_ids": np.int32, "scores": np.float32})

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: Any) -> "DetectionTable":
        """The same images with some of the detections: a mask, a slice or an array of indices."""
        return _some(self, rows, ("image", "class_ids", "scores", "boxes_xyxy"))


@former_attributes(pictures="images", picture="image")
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ObjectTable:
    """The objects to find in a set of images.

    Args:
        images: (P) names of all images; each once.
        class_names: names of the class ids, without background.
        sizes_hw: (P, 2) heights and widths of the images in pixels, int32; 0 if unknown.
        image: (M,) indices in `images`, int32.
        class_ids: (M,) indices in `class_names`, int32.
        boxes_xyxy: (M, 4) in pixels of the image, float32, as in `DetectionTable`.
        difficult, truncated, crowd: (M,) bool.
        areas: (M,) square pixels that an object covers, float32.

    Raises:
        ValueError: as `DetectionTable`, or a negative side.

    Example:
        >>> truth = ObjectTable.of(keras_ssd.data.read("BCCD", split="test"))
    """

    images: tuple[str, ...]
    class_names: tuple[str, ...]
    sizes_hw: np.ndarray
    image: np.ndarray
    class_ids: np.ndarray
    boxes_xyxy: np.ndarray
    difficult: np.ndarray
    truncated: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray

    def __post_init__(self) -> None:
        columns = {"image": np.int32, "class_ids": np.int32, "areas": np.float32}
        _freeze(self, columns | dict.fromkeys(("difficult", "truncated", "crowd"), bool))
        sizes = np.array(self.sizes_hw, np.int32).reshape(-1, 2)
        sizes.flags.writeable = False
        object.__setattr__(self, "sizes_hw", sizes)
        if len(sizes) != len(self.images):
            raise ValueError(
                f"sizes_hw must have a row for each of the {len(self.images)} images. Received: {len(sizes)} rows"
            )

    def __len__(self) -> int:
        return len(self.class_ids)

    def __getitem__(self, rows: Any) -> "ObjectTable":
        """The same images with some of the objects: a mask, a slice or an array of indices."""
        return _some(self, rows, ("image", "class_ids", "boxes_xyxy", "difficult", "truncated", "crowd", "areas"))

    @classmethod
    def of(cls, dataset: Dataset) -> "ObjectTable":
        """The objects of a `keras_ssd.data.Dataset`, in its order."""
        annotations = list(dataset)
        counts = [len(annotation) for annotation in annotations]

        def column(name):
            return np.concatenate([getattr(one, name) for one in annotations]) if annotations else np.zeros(0)

        boxes = np.concatenate([one.boxes_xyxy for one in annotations]) if annotations else np.zeros((0, 4))
        return cls(
            tuple(annotation.name for annotation in annotations),
            tuple(dataset.classes),
            np.array([annotation.size_hw or (0, 0) for annotation in annotations], np.int32),
            np.repeat(np.arange(len(annotations)), counts),
            boxes_xyxy=boxes,
            **{name: column(name) for name in ("class_ids", "difficult", "truncated", "crowd", "areas")},
        )


def _some(table: T, rows: Any, columns: tuple[str, ...]) -> T:
    return dataclasses.replace(table, **{name: getattr(table, name)[rows] for name in columns})


def _freeze(table, columns):
    """Checks the columns and makes them read-only arrays."""
    kind = type(table).__name__
    boxes = np.array(table.boxes_xyxy, np.float32).reshape(-1, 4)
    arrays = {name: np.array(getattr(table, name), dtype).reshape(-1) for name, dtype in columns.items()}
    shapes = {name: len(array) for name, array in arrays.items()}
    if set(shapes.values()) != {len(boxes)}:
        raise ValueError(f"The columns of a {kind} must be of one length. Received: boxes_xyxy={len(boxes)}, {shapes}")
    for name, names in (("image", table.images), ("class_ids", table.class_names)):
        array = arrays[name]
        if len(array) and not (array.min() >= 0 and array.max() < len(names)):
            raise ValueError(
                f"{name} of a {kind} must be in 0..{len(names) - 1}. Received: {array.min()} to {array.max()}"
            )
    if len(set(table.images)) != len(table.images):
        raise ValueError(f"The images of a {kind} must have different names.")
    wrong = np.any(~np.isfinite(boxes), axis=1, keepdims=True)[:, 0]
    for name in arrays.keys() & {"scores", "areas"}:
        wrong |= ~np.isfinite(arrays[name])
    negative = np.any(boxes[:, 2:] < boxes[:, :2], axis=1) & np.full(len(boxes), isinstance(table, ObjectTable))
    if (wrong | negative).any():
        row = int(np.flatnonzero(wrong | negative)[0])
        what = "a negative side" if negative[row] and not wrong[row] else "a number that is NaN or infinite"
        raise ValueError(
            f"Row {row} of a {kind}, in image {table.images[arrays['image'][row]]!r}, has {what}. Received: "
            f"boxes_xyxy={boxes[row].tolist()}"
            + "".join(f", {name}={arrays[name][row]}" for name in sorted(arrays.keys() & {"scores", "areas"}))
        )
    for name, array in {**arrays, "boxes_xyxy": boxes}.items():
        array.flags.writeable = False
        object.__setattr__(table, name, array)
    for name in ("images", "class_names"):
        object.__setattr__(table, name, tuple(str(one) for one in getattr(table, name)))
