"""Data of readers before they are checked: `Record`, and the meaning of the four numbers of a box: `BoxFormat`."""

import dataclasses
import math
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx


@dataclasses.dataclass(frozen=True)
class BoxFormat:
    """The meaning of four numbers in a file.

    Args:
        columns: their names in the file.
        corners: whether they are xmin, ymin, xmax, ymax.
        centre: if they are not corners, whether the first two are the centre; else the upper left corner.
        fractions: whether they are fractions of the image rather than pixels.
        whole: what stands for the whole image where they are fractions: 1, or 100 for percent.
        inclusive: whether they are the first and the last pixel, counted from 1 (VOC).
    """

    columns: tuple[str, str, str, str]
    corners: bool = True
    centre: bool = False
    fractions: bool = False
    inclusive: bool = False
    whole: float = 1.0

    def to_pixels(self, raw: np.ndarray, size_hw: tuple[int, int] | None) -> np.ndarray:
        """(M, 4) corners in continuous pixels, float64; `size_hw` may be None if the numbers are pixels.

        VOC's pixels reach from xmin - 1 to xmax. A box of one pixel in either direction comes from a click, and has no
        area here.
        """
        boxes = raw
        if self.centre:
            boxes = bx.cxcywh_to_xyxy(raw)
        elif not self.corners:
            boxes = bx.xywh_to_xyxy(raw)
        if self.fractions:
            boxes = bx.scale(boxes / self.whole, size_hw)
        if self.inclusive:
            first, last = boxes[:, :2], boxes[:, 2:]
            away = np.sign(last - first)  # of swapped corners the larger is the last pixel
            boxes = np.hstack([first - (away >= 0), last - (away <= 0)])
        return boxes

    def from_pixels(self, boxes: ArrayLike, size_hw: tuple[int, int]) -> np.ndarray:
        """The numbers of boxes (M, 4) in continuous pixels, float64: the inverse of `to_pixels`."""
        boxes = np.asarray(boxes, np.float64)
        if self.inclusive:
            boxes = boxes + np.array([1, 1, 0, 0])
        if self.fractions:
            boxes = boxes * self.whole / (*size_hw[::-1], *size_hw[::-1])
        if self.centre:
            return bx.xyxy_to_cxcywh(boxes)
        return boxes if self.corners else bx.xyxy_to_xywh(boxes)

    def told(self, raw: Iterable[float]) -> str:
        """One box as its file has it, for messages."""
        return ", ".join(f"{name}={value:.10g}" for name, value in zip(self.columns, raw, strict=True))


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
VOC_BOXES: BoxFormat = BoxFormat(_CORNERS, inclusive=True)
COCO_BOXES: BoxFormat = BoxFormat(("x", "y", "width", "height"), corners=False)
YOLO_BOXES: BoxFormat = BoxFormat(
    ("centre x", "centre y", "width", "height"), corners=False, centre=True, fractions=True
)
PERCENT_BOXES: BoxFormat = BoxFormat(("x", "y", "width", "height"), corners=False, fractions=True, whole=100.0)
CORNER_BOXES: BoxFormat = BoxFormat(_CORNERS)
CENTRE_BOXES: BoxFormat = BoxFormat(("centre x", "centre y", "width", "height"), corners=False, centre=True)


@dataclasses.dataclass
class Record:
    """One image of a reader; its numbers are finite, nothing else is checked.

    Args:
        name: unique name of the image.
        image: its path, or an array; None if there is none.
        source: the file that annotates it.
        size_hw: (height, width), None if the source does not state it.
        labels: a class name per object.
        raw: four numbers per object, as in the file.
        lines, difficult, truncated, crowd, areas: one per object; `areas` None if the source has none.
        image_id: the source's own id.
        lost: number of objects of the source that could not be read.
    """

    name: str
    image: Any
    source: str
    size_hw: tuple[int, int] | None = None
    labels: list[Any] = dataclasses.field(default_factory=list)
    raw: list[Any] = dataclasses.field(default_factory=list)
    lines: list[int] = dataclasses.field(default_factory=list)
    difficult: list[bool] = dataclasses.field(default_factory=list)
    truncated: list[bool] = dataclasses.field(default_factory=list)
    crowd: list[bool] = dataclasses.field(default_factory=list)
    areas: list[float] | None = None
    image_id: object = None
    lost: int = 0

    def add(
        self,
        label: Any,
        raw: Sequence[float],
        line: int = 0,
        *,
        difficult: bool = False,
        truncated: bool = False,
        crowd: bool = False,
    ) -> None:
        """Adds an object."""
        self.labels.append(label)
        self.raw.append(raw)
        self.lines.append(line)
        self.difficult.append(difficult)
        self.truncated.append(truncated)
        self.crowd.append(crowd)

    def remove(self, row: int) -> None:
        """Removes an object, and counts it as lost."""
        for column in (self.labels, self.raw, self.lines, self.difficult, self.truncated, self.crowd, self.areas):
            if column is not None:
                del column[row]
        self.lost += 1


class EntryError(ValueError):
    """An entry of an annotation file that is not an object; the text explains why."""


def finite(value: Any, what: str) -> float:
    """A finite float from a file's text or number; another value raises EntryError."""
    try:
        number = float(value) if _is_plain(value) and len(str(value)) < 64 else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise EntryError(f"{what} must be a finite number, and is {shortened(value)}")
    return number


def flag(value: Any, what: str) -> bool:
    """A mark that is 0 or 1; empty is 0. Another value raises EntryError."""
    text = "" if value is None else str(value).strip().lower() if _is_plain(value, bool) else "no mark"
    if text in ("", "0", "false", "0.0"):
        return False
    if text in ("1", "true", "1.0"):
        return True
    raise EntryError(f"{what} must be 0 or 1, and is {shortened(value)}")


def mark(value: Any) -> tuple[bool, bool]:
    """(value of a mark of an object, whether it is a valid mark).

    A mark matters little, so a bad one never drops its object: a share or a degree above 0 is true, and "Unspecified",
    -1 or other text is false.

    Example:
        >>> mark("1"), mark("0.06"), mark("Unspecified"), mark(None)
        ((True, True), (True, False), (False, False), (False, True))
    """
    try:
        return flag(value, "mark"), True
    except EntryError:
        pass
    text = shortened(value).strip("'").strip().lower()
    if text in ("yes", "no"):
        return text == "yes", True
    try:
        return finite(text, "mark") > 0, False
    except EntryError:
        return False, False


def side(value: Any) -> int | None:
    """An image's side in whole pixels, or None if the file does not know it (0 or empty, as some tools write)."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if 1 <= number <= 1e6 and number == int(number) else None


def size_of(height: Any, width: Any) -> tuple[int, int] | None:
    """(height, width), or None unless both are known."""
    rows, columns = side(height), side(width)
    return None if rows is None or columns is None else (rows, columns)


def shortened(value: Any) -> str:
    """A value of a file for a message, however long or deep it is."""
    text = "missing" if value is None else _SHORT.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _is_plain(value, *more):
    return isinstance(value, (int, float, str, *more)) and (bool in more or not isinstance(value, bool))
