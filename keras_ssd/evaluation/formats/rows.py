"""Shared by all readers of detections: finds images by name and checks rows; errors give file and line."""

import array
import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.ids import Ids
from keras_ssd.data.records import shortened
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import unknown_name
from keras_ssd.text_files import TextError, open_text

OUTSIDE = ("error", "clip", "keep")
OTHERS = ("error", "drop")
EDGE = 1.0  # pixels by which a box may leave its image, since tools round and count pixels differently
MAX_BYTES = 4 << 30

log: logging.Logger = logging.getLogger("keras_ssd")


@dataclasses.dataclass(frozen=True)
class Strictness:
    """The treatment of rows that do not fit the dataset.

    Args:
        outside: "error", "clip" or "keep" for boxes that leave their image by more than a pixel.
        others: "error" or "drop" for detections of images and classes that the dataset does not have.
    """

    outside: str = "error"
    others: str = "error"

    def __post_init__(self) -> None:
        for name, known in (("outside", OUTSIDE), ("others", OTHERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(map(repr, known))}. Received: {name}={getattr(self, name)!r}"
                )


class ImageNames:
    """Finds images of a dataset by name, file name, or path."""

    def __init__(self, dataset: Dataset) -> None:
        self.names: list[str] = [annotation.name for annotation in dataset]
        self._places = {name: place for place, name in enumerate(self.names)}
        self._paths = {
            os.path.abspath(annotation.image): place
            for place, annotation in enumerate(dataset)
            if isinstance(annotation.image, str)
        }
        self._stems = {}
        for place, name in enumerate(self.names):
            self._stems.setdefault(PurePath(name).name, []).append(place)

    def place(self, called: Any) -> int:
        """The image's place in the dataset.

        Raises:
            ValueError: there is no such image; the message gives the nearest name.
        """
        called = called if isinstance(called, str) else shortened(called)
        if called in self._places:
            return self._places[called]
        place = self._paths.get(os.path.abspath(called))
        if place is None:
            place = self._places.get(os.path.splitext(called)[0])
        if place is None:
            places = self._stems.get(PurePath(called).stem, ())
            place = places[0] if len(places) == 1 else None
        if place is None:
            raise ValueError(unknown_name("image", called, self.names))
        self._places[called] = place  # files speak of each image many times
        return place


class Rows:
    """Detections read from a file; they are checked together when the table is made.

    Args:
        path: of the file, for messages.
        dataset: `keras_ssd.data.Dataset`.
        strictness: `Strictness`.
        unit: of the rows in messages: "line", "image" or "detection".
    """

    def __init__(
        self, path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness, unit: str = "line"
    ) -> None:
        self.path: str | os.PathLike[str] = path
        self.dataset: Dataset = dataset
        self.strictness: Strictness = strictness
        self.unit: str = unit
        self._names = ImageNames(dataset)
        self._image, self._class_ids, self._lines = array.array("i"), array.array("i"), array.array("q")
        self._numbers = array.array("d")  # score, xmin, ymin, xmax, ymax
        self._sources = []  # (first row, path) where a format has several files

    def start_file(self, path: str | os.PathLike[str]) -> None:
        """The next rows are from this file."""
        self.path = path
        self._sources.append((len(self._lines), path))

    def image(self, line: int, called: Any) -> int | None:
        """The place of an image in the dataset; None for one to be dropped."""
        try:
            return self._names.place(called)
        except ValueError as error:
            return self.unknown(line, error)

    def place(self, line: int, what: str, key: Any, known: Ids) -> int | None:
        """The place of an id among `known` ids; None for one to be dropped."""
        place, _ = known.get(key)
        return self.unknown(line, unknown_name(what, key, known)) if place is None else place

    def unknown(self, line: int, error: object) -> None:
        """Refuses an image or class that the dataset does not have, unless those are dropped."""
        if self.strictness.others == "error":
            raise ValueError(
                f"{self.where(line)}: {error} others='drop' leaves out detections of images and classes that the data "
                "do not have."
            ) from None

    def add(self, line: int, image: int, class_id: int, score: float, box_xyxy: Iterable[float]) -> None:
        """Adds a row: places of image and class, score, and box in pixels."""
        self._image.append(image)
        self._class_ids.append(class_id)
        self._lines.append(line)
        self._numbers.append(score)
        self._numbers.extend(box_xyxy)

    def where(self, line: int) -> str:
        """File and line for messages."""
        return f"{self.path}:{line}" if self.unit == "line" else f"{self.path}: {self.unit} {line}"

    def table(self, class_names: Iterable[str] | None = None, places: Iterable[int] | None = None) -> DetectionTable:
        """The rows as a `DetectionTable`.

        Args:
            class_names: of the class ids; None for the dataset's.
            places: of the images that were seen; None for all.

        Raises:
            ValueError: a number that is not finite, or a box outside; the message gives file and line.
        """
        image = np.array(self._image, np.int32)
        numbers = np.array(self._numbers, np.float64).reshape(-1, 5)
        with np.errstate(over="ignore"):  # values beyond float32 are refused next
            scores, boxes = numbers[:, 0].astype(np.float32), numbers[:, 1:].astype(np.float32)
        self._refuse(~(np.isfinite(boxes).all(axis=1) & np.isfinite(scores)), numbers, "a number is NaN or infinite")
        self._warn_of_negative_sides(boxes, numbers)
        boxes = self._inside(image, boxes, numbers)
        places = range(len(self.dataset)) if places is None else sorted(places)
        at = np.zeros(len(self.dataset), np.int32)
        at[places] = np.arange(len(places))
        return arranged(
            DetectionTable(
                tuple(self._names.names[place] for place in places),
                tuple(self.dataset.classes) if class_names is None else tuple(class_names),
                at[image],
                np.array(self._class_ids, np.int32),
                scores,
                boxes,
            )
        )

    def _inside(self, image, boxes, numbers):
        """The boxes after the rule for those that leave their image."""
        if self.strictness.outside == "keep" or not len(boxes):
            return boxes
        sizes = np.array([one.size_hw or (0, 0) for one in self.dataset], np.float32).reshape(-1, 2)[image]
        sizes = np.where(sizes > 0, sizes, np.inf)
        low, high = np.zeros((len(boxes), 4)), np.hstack([sizes[:, ::-1], sizes[:, ::-1]])
        away = ((boxes < low - EDGE) | (boxes > high + EDGE)).any(axis=1)
        if self.strictness.outside == "clip":
            return np.clip(boxes, low, high).astype(np.float32)
        if away.any():
            height, width = sizes[np.flatnonzero(away)[0]]
            size = f"{width:.0f} x {height:.0f} pixels" if np.isfinite(height) else "unknown size"
            what = f"the box leaves its image of {size}"
            advice = (
                f" {int(away.sum())} boxes of {len(boxes)} do. outside='clip' clips them to their images, as SSD "
                "does; outside='keep' keeps them, as the tools of VOC and COCO do."
            )
            self._refuse(away, numbers, what, advice)
        return boxes

    def _warn_of_negative_sides(self, boxes, numbers):
        """Networks that predict corners give such boxes, and so do files with columns in another order."""
        negative = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
        if negative.any():
            what = f"{int(negative.sum())} of {len(boxes)} boxes have a negative side and overlap nothing; the first"
            log.warning("%s", self._of_row(negative, numbers, what))

    def _refuse(self, wrong, numbers, what, advice=""):
        if wrong.any():
            raise ValueError(self._of_row(wrong, numbers, what) + advice)

    def _of_row(self, mask, numbers, what):
        """A message about the first row of a mask, with file, line and numbers."""
        row = int(np.flatnonzero(mask)[0])
        for first, path in self._sources:
            if first <= row:
                self.path = path
        score, *box = numbers[row].tolist()
        return (
            f"{self.where(self._lines[row])}: {what}. Received: image {self._names.names[self._image[row]]!r}, "
            f"score={score:g}, xmin, ymin, xmax, ymax = {', '.join(f'{side:g}' for side in box)}."
        )


def arranged(table: DetectionTable) -> DetectionTable:
    """The rows image by image, best first, unless that would reorder equal scores of one class.

    Of equal scores, the first ranks higher, so the order in a file matters.
    """
    order = np.lexsort((table.class_ids, -table.scores, table.image))
    by_class = np.lexsort((-table.scores, table.class_ids))  # stable: ties keep their order
    after = order[np.lexsort((-table.scores[order], table.class_ids[order]))]
    return table[order] if np.array_equal(by_class, after) else table


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A text file for reading.

    Raises:
        ValueError: the file is not text, or too large; the message names it.
    """
    try:
        with open_text(path, MAX_BYTES) as file:
            yield file
    except TextError as error:
        place = f"{path}:{error.line}" if error.line else path
        raise ValueError(f"{place} cannot be read: {error}.") from None


def number(text: Any, where: str, name: str) -> float:
    """A float from a file's text.

    Raises:
        ValueError: it is not a number.
    """
    try:
        return float(text)
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {name} must be a number. Received: {shortened(text)}") from None
