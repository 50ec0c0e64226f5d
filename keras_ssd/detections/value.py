"""The value object `Detections` and its row, `Detection`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from keras_ssd.calling import checked_arguments, former_attributes
from keras_ssd.detections.checks import category_ids_of, check, checked_track_ids, class_ids_of, shortest
from keras_ssd.detections.conversions import as_supervision, cropped, data_frame, yolo_lines
from keras_ssd.detections.plain import from_plain, table, to_plain

if TYPE_CHECKING:
    from PIL import Image


class Detection(NamedTuple):
    """One found object.

    Attributes:
        name: its class.
        score: 0..1.
        box_xyxy: (xmin, ymin, xmax, ymax) in pixels.
        class_id: index of the class in `Detections.class_names`.
    """

    name: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    class_id: int


@former_attributes(picture="image")
@checked_arguments
@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The objects found in one image, best first.

    The arrays are read-only; every change makes a new object. `found[found.scores > 0.9]`, `found[:3]` and
    `found[[2, 0]]` are `Detections` again. `found[0]` and iteration give a `Detection`.

    Args:
        boxes_xyxy: (K, 4) xmin, ymin, xmax, ymax in pixels of the original image; x goes from 0 at the left edge to
            the image's width at the right edge.
        scores: (K,) 0..1. Rows are sorted by descending score.
        class_ids: (K,) indices into `class_names`, from 0; the background has none.
        class_names: names of all classes that the model knows.
        size_hw: the original image's (height, width) in pixels.
        source: path or URL of the image, or a name for one in memory. None if unknown.
        image: the image itself (array or PIL image) if it exists only in memory; `draw` uses it.
        track_ids: (K,) the track of each object in a video, from 1; -1 for none. None if nothing was tracked.
        frame: number of the frame in its video, from 0; None if the image is no frame.
        time: of the frame, in seconds from the start of its video.

    Raises:
        ValueError: shapes do not agree, a number is not finite, or a class id has no name.

    Example:
        >>> found = Detections([[10, 20, 30, 60]], [0.9], [1], ("cat", "dog"), size_hw=(100, 200))
        >>> found.names, len(found.filter(confidence=0.95))
        (('dog',), 0)
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    class_names: tuple[str, ...]
    size_hw: tuple[int, int]
    source: str | None = None
    image: Any = None
    track_ids: np.ndarray | None = None
    frame: int | None = None
    time: float | None = None

    def __post_init__(self) -> None:
        boxes = np.array(self.boxes_xyxy, np.float32)
        scores = np.array(self.scores, np.float32)
        class_ids = np.array(self.class_ids)
        check(self, boxes, scores, class_ids)
        order = np.argsort(-scores, kind="stable")
        if self.track_ids is not None:
            _freeze(self, "track_ids", checked_track_ids(self.track_ids, len(scores))[order])
        _freeze(self, "boxes_xyxy", boxes.reshape(-1, 4)[order])
        _freeze(self, "scores", scores[order])
        _freeze(self, "class_ids", class_ids.astype(np.int64)[order])
        object.__setattr__(self, "class_names", tuple(str(name) for name in self.class_names))
        object.__setattr__(self, "size_hw", tuple(int(side) for side in self.size_hw))
        if self.source is not None:
            object.__setattr__(self, "source", os.fspath(self.source))

    @classmethod
    def empty(
        cls,
        class_names: Sequence[str],
        size_hw: Sequence[int],
        source: str | PathLike[str] | None = None,
        image: Any = None,
    ) -> Self:
        """The `Detections` of an image without objects."""
        nothing = np.zeros(0)
        (height, width), name = size_hw, None if source is None else os.fspath(source)
        return cls(np.zeros((0, 4)), nothing, nothing.astype(int), tuple(class_names), (height, width), name, image)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for index in range(len(self)):
            yield self[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, (int, np.integer)):
            class_id = int(self.class_ids[index])
            xmin, ymin, xmax, ymax = self.boxes_xyxy[index].tolist()
            return Detection(self.class_names[class_id], float(self.scores[index]), (xmin, ymin, xmax, ymax), class_id)
        if isinstance(index, list):
            index = np.array(index, dtype=None if index else int)
        boxes, scores, class_ids = self.boxes_xyxy[index], self.scores[index], self.class_ids[index]
        tracks = None if self.track_ids is None else self.track_ids[index]
        return dataclasses.replace(self, boxes_xyxy=boxes, scores=scores, class_ids=class_ids, track_ids=tracks)

    def __eq__(self, other: object) -> bool:
        """Same objects, classes, image size, source and frame; an image kept in memory is not compared."""
        if not isinstance(other, Detections):
            return NotImplemented
        facts = ("class_names", "size_hw", "source", "frame", "time")
        arrays = ("boxes_xyxy", "scores", "class_ids", *(("track_ids",) if len(self) else ()))
        same = all(getattr(self, name) == getattr(other, name) for name in facts)
        return same and all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # typing knows no other way to say "unhashable"

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each object."""
        return tuple(self.class_names[class_id] for class_id in self.class_ids)

    @property
    def areas(self) -> np.ndarray:
        """(K,) area of each box in square pixels."""
        return np.prod(self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2], axis=1)

    @checked_arguments
    def filter(
        self,
        *,
        confidence: float | Mapping[str, float] | None = None,
        classes: str | Iterable[str] | None = None,
        min_area: float | None = None,
    ) -> Self:
        """The objects that meet every given condition.

        Args:
            confidence: keep objects with at least this score.
            classes: keep objects of these classes; one name or several.
            min_area: keep boxes of at least this many square pixels.

        Raises:
            ValueError: a name in `classes` is not one of `class_names`.
        """
        keep = np.ones(len(self), bool)
        if confidence is not None:
            keep &= self.scores >= confidence
        if classes is not None:
            keep &= np.isin(self.class_ids, class_ids_of(classes, self.class_names))
        if min_area is not None:
            keep &= self.areas >= min_area
        return self[keep]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, ready for JSON; `from_dict` gives an equal object back.

        Returns:
            A dictionary: source (string or None), height, width (pixels), class_names (list), detections
            (list of dictionaries: name, class_id, score, box_xyxy as [xmin, ymin, xmax, ymax] in pixels). A frame of a
            video also has frame and time (seconds), and tracked objects have track_id (from 1; -1 for none).
        """
        return to_plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is missing.
        """
        return cls(**from_plain(values))

    def to_json(self, **options: Any) -> str:
        """`to_dict` as JSON text; options go to `json.dumps`."""
        return json.dumps(self.to_dict(), **options)

    @checked_arguments
    def to_coco(self, image_id: Any, category_ids: Any = None) -> list[dict[str, Any]]:
        """Rows of a COCO results file.

        Args:
            image_id: the image's id in the COCO annotations.
            category_ids: the dataset's category id of each class, in the order of `class_names`, or a mapping from name
                to id. None writes the class ids, from 0.

        Returns:
            List of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}.

        Raises:
            ValueError: `category_ids` lacks a class.
        """
        categories = category_ids_of(category_ids, self.class_names)
        rows = []
        for class_id, score, (xmin, ymin, xmax, ymax) in zip(self.class_ids, self.scores, self.boxes_xyxy, strict=True):
            bbox = [shortest(value) for value in (xmin, ymin, xmax - xmin, ymax - ymin)]
            row = {"image_id": image_id, "category_id": categories[class_id], "bbox": bbox}
            rows.append({**row, "score": shortest(score)})
        return rows

    @checked_arguments
    def draw(
        self, image: Any = None, *, line_width: int | None = None, font_size: int | None = None, labels: bool = True
    ) -> Image.Image:
        """The image with a box and a label around each object.

        Args:
            image: path, PIL image or array to draw on; by default the image in memory, or the file or URL in `source`,
                which is read again. Its size may differ from the original's.
            line_width, font_size: in pixels; by default they depend on the image's size.
            labels: False draws only boxes.

        Returns:
            A new PIL image.

        Raises:
            ImageError: the image cannot be read.
        """
        from keras_ssd.drawing import draw_detections

        image = self._read(image, "draw")
        return draw_detections(image, self, line_width=line_width, font_size=font_size, labels=labels)

    def _read(self, image, method):
        from keras_ssd.images import read_image

        if image is None:
            image = self.image if self.image is not None else self.source
        if image is None:
            raise ValueError(f"These detections do not know their image. Pass it: found.{method}(image).")
        return read_image(image, name=None if isinstance(image, str) else self.source)

    def crop(self, image: Any = None, margin: float = 0.0) -> list[np.ndarray]:
        """The part of the image around each object.

        Args:
            image: as of `draw`.
            margin: room around a box, in shares of its sides.

        Returns:
            List of (H, W, 3) uint8 RGB arrays, in the order of the objects.
        """
        return cropped(self._read(image, "crop"), self, margin)

    def to_yolo(self, scores: bool = False) -> list[str]:
        """The lines of a YOLO label file: class id, centre and size in fractions, and the score if it is wanted."""
        return yolo_lines(self, scores)

    def to_pandas(self) -> Any:
        """A table of pandas: source, name, class_id, score, xmin, ymin, xmax, ymax; of videos frame, time, track_id."""
        return data_frame([self])

    def to_supervision(self) -> Any:
        """`supervision.Detections`, for that library's annotators and tools."""
        return as_supervision(self)

    def __repr__(self) -> str:
        return f"<Detections: {len(self)} in {self.source or 'an image'}>"

    def __str__(self) -> str:
        return table(self)

    def _repr_png_(self):
        """The drawn image for notebooks, at most 1,000 pixels wide and high; the text if it cannot be drawn."""
        import io

        try:
            drawn = self.draw()
        except (ValueError, OSError):
            return None
        drawn.thumbnail((1000, 1000))
        buffer = io.BytesIO()
        drawn.save(buffer, "png")
        return buffer.getvalue()


def _freeze(detections, name, array):
    array.setflags(write=False)
    object.__setattr__(detections, name, array)
