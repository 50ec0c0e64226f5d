"""Boxes and labels on images: legible on a thumbnail and on a poster, in a crowd, and for the colour-blind.

Pillow's drawing and fonts are imported when something is drawn.
"""

import math
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.fonts import fitted
from keras_ssd.label_places import Placing

if TYPE_CHECKING:
    from PIL.Image import Image

    from keras_ssd.detections import Detections

# Okabe and Ito, "Color Universal Design" (2008), without black, which is used for outlines.
_HUES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def _shade(colour, toward, amount):
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c + (toward - c) * amount):02X}" for c in channels)


# An image with more classes than hues gets lighter and darker kinds of each.
PALETTE = (*_HUES, *(_shade(hue, 255, 0.5) for hue in _HUES), *(_shade(hue, 0, 0.45) for hue in _HUES))


def class_colours(class_names: Sequence[str]) -> tuple[str, ...]:
    """One colour per class, the same in every run.

    The name decides, so that two models mostly draw a person in one colour; a class whose colour an earlier class
    has taken gets the next free one.

    Args:
        class_names: sequence of names.

    Returns:
        Tuple of "#RRGGBB", in the order of the names; all different for up to 21 classes.
    """
    colours = []
    for name in class_names:
        # crc32 because Python's own hash of a string changes from run to run
        start = zlib.crc32(name.encode()) % len(_HUES)
        wanted = [*_HUES[start:], *_HUES[:start], *PALETTE[len(_HUES) :]]
        free = (colour for colour in wanted if colour not in colours)
        colours.append(next(free, PALETTE[zlib.crc32(name.encode()) % len(PALETTE)]))
    return tuple(colours)


def text_colour(background: Any) -> Any:
    """Black or white, whichever has the higher contrast (WCAG 2) with a background "#RRGGBB"."""
    linear = (np.array([int(background[i : i + 2], 16) for i in (1, 3, 5)]) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#FFFFFF"


class Label(NamedTuple):
    """The label of a box.

    Attributes:
        text: in full.
        short: if there is no room for it; "" for nothing.
        name: the meaning of the box's colour, for the key of boxes without their full text; "" for nothing.
    """

    text: str
    short: str = ""
    name: str = ""


def score_text(score: float) -> str:
    """A score in few letters: .52, and 1.0."""
    text = f"{score:.2f}"
    return text[1:] if text.startswith("0") else "1.0"


def draw_detections(
    image: np.ndarray,
    detections: "Detections",
    *,
    line_width: int | None = None,
    font_size: int | None = None,
    labels: bool = True,
) -> "Image":
    """Draws boxes and labels.

    Args:
        image: (H, W, 3) uint8 array; boxes are scaled to it.
        detections: `Detections` of that image.
        line_width, font_size: pixels, or None to derive them from the image's size.
        labels: whether to write class and score.

    Returns:
        A new PIL image.
    """
    height, width = image.shape[:2]
    scale = np.array([width, height, width, height]) / np.array(detections.size_hw[::-1] * 2)
    palette = class_colours(detections.class_names)
    colours = [palette[class_id] for class_id in detections.class_ids.tolist()]
    texts = None
    if labels:
        scores = map(score_text, detections.scores.tolist())
        texts = [Label(f"{name} {score}", score, name) for name, score in zip(detections.names, scores, strict=True)]
    boxes = detections.boxes_xyxy * scale
    return draw_boxes(image, boxes, colours, texts, line_width=line_width, font_size=font_size)


def draw_boxes(
    image: np.ndarray,
    boxes_xyxy: ArrayLike,
    colours: Sequence[str],
    labels: Sequence[Label] | None = None,
    *,
    line_width: int | None = None,
    font_size: int | None = None,
) -> "Image":
    """Draws boxes in given colours, with optional labels.

    A label is at its box, or near it with a line between them. It never covers another label, and all labels together
    cover little of a box (`label_places.MOST_HIDDEN`). Without room, it is written smaller, then in short, and finally
    left out; a key in the image then explains the colours of such boxes.

    Args:
        image: (H, W, 3) uint8 array.
        boxes_xyxy: (K, 4) pixels of that image; the first are on top, and their labels have the best places.
        colours: K of "#RRGGBB".
        labels: K of `Label`, or None for none; one without text is not drawn.
        line_width, font_size: pixels, or None to derive them from the image's size.

    Returns:
        A new PIL image.
    """
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(image)
    height, width = image.shape[:2]
    boxes = np.asarray(boxes_xyxy)
    if line_width is None:
        line_width = max(1, round((height * width) ** 0.5 / (220 if len(boxes) <= 20 else 320)))
    pen = ImageDraw.Draw(canvas)
    for box, colour in reversed([*zip(boxes, colours, strict=True)]):  # the best on top
        _draw_box(pen, box, colour, line_width)
    if labels is not None:
        fonts = _fonts(font_size, len(boxes), (height, width))
        _Labels(pen, boxes, colours, labels, fonts).draw((height, width), line_width)
    return canvas


def _draw_box(pen, box, colour, line_width):
    xmin, ymin, xmax, ymax = (round(side) for side in box.tolist())
    xmax, ymax = max(xmin, xmax - 1), max(ymin, ymax - 1)  # Pillow draws the last pixel too
    line_width = min(line_width, max(1, min(xmax - xmin, ymax - ymin) // 8))  # or it hides a small object
    rim = max(1, line_width // 3)  # a dark rim keeps light colours visible on light images
    pen.rectangle((xmin - rim, ymin - rim, xmax + rim, ymax + rim), outline="#000000", width=rim)
    pen.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=line_width)


def _fonts(size, count, size_hw):
    """Fonts of full and of short labels: they grow with the image, are smaller where many boxes share the room, and
    never below what can be read."""
    from PIL import ImageFont

    if size is not None:
        return (ImageFont.load_default(size),) * 2
    side = (size_hw[0] * size_hw[1]) ** 0.5
    crowding = min(1.0, max(0.55, (12 / max(1, count)) ** 0.35))
    sizes = max(10, round(side / 34 * crowding)), max(9, round(side / 34 * crowding * 0.75))
    return tuple(ImageFont.load_default(each) for each in sizes)


class _Labels:
    """Labels of one image.

    Args:
        pen: Pillow's `ImageDraw`.
        boxes, colours, labels: as of `draw_boxes`.
        fonts: of full and of short labels.
    """

    def __init__(self, pen, boxes, colours, labels, fonts):
        self._pen, self._boxes, self._colours, self._labels = pen, boxes, colours, labels
        self._rungs = ((fonts[0], "text"), (fonts[1], "text"), (fonts[1], "short"))
        self._widths, self._heights = {}, {}

    def draw(self, size_hw, line_width):
        """Places the labels and draws them; lines first, so that they are below."""
        rows = [row for row, label in enumerate(self._labels) if label.text]
        sizes = {
            row: [self._size(getattr(self._labels[row], part), font) for font, part in self._rungs] for row in rows
        }
        placing = Placing(self._boxes, size_hw)
        key = None
        if sum(width * height for (width, height), *_ in sizes.values()) > 0.1 * size_hw[0] * size_hw[1]:
            key = self._key(rows, size_hw)  # before labels take the room
            key = key and placing.at_the_rim(key[0])
        places = {row: placing.near(row, sizes[row]) for row in rows}
        cut = [row for row, place in places.items() if place is None or self._rungs[place.rung][1] != "text"]
        places = {row: place for row, place in places.items() if place is not None}
        for row, place in places.items():
            if place.leader is not None:
                self._pen.line(place.leader, fill=self._colours[row], width=max(2, line_width // 2))
        for row, place in places.items():
            font, part = self._rungs[place.rung]
            self._write(place.xyxy, getattr(self._labels[row], part), self._colours[row], font)
        colours = {self._colours[row] for row in cut}
        if cut:  # every class of such a colour: with many classes some share one
            self._draw_key([row for row in rows if self._colours[row] in colours], key, placing, size_hw)

    def _size(self, text, font):
        if not text:
            return 0, 0
        font, text = fitted(text, font)
        # Word by word, for scores and names come again and again
        width = sum(self._width(word, font) for word in text.split(" ")) + text.count(" ") * self._width(" ", font)
        return math.ceil(width) + 2 * _pad(font), self._height(font)

    def _height(self, font):
        if font not in self._heights:
            self._heights[font] = sum(font.getmetrics()) + _pad(font)
        return self._heights[font]

    def _width(self, word, font):
        if (word, font) not in self._widths:
            self._widths[word, font] = font.getlength(word)
        return self._widths[word, font]

    def _write(self, place, text, colour, font):
        xmin, ymin, xmax, ymax = place
        self._pen.rectangle((xmin, ymin, xmax - 1, ymax - 1), fill=colour)
        at = (xmin + _pad(font), ymin + _pad(font) / 2)
        font, text = fitted(text, font)
        self._pen.text(at, text, fill=text_colour(colour), font=font)

    def _key(self, rows, size_hw):
        """((width, height) of the key to the colours of rows, its (name, colour)s, the most frequent first)."""
        counts: dict[tuple[str, str], int] = {}
        for row in rows:
            entry = self._labels[row].name, self._colours[row]
            counts[entry] = counts.get(entry, 0) + 1
        font = self._rungs[-1][0]
        most = max(1, size_hw[0] // (2 * self._height(font)))
        entries = [entry for entry in sorted(counts, key=lambda entry: counts[entry], reverse=True) if entry[0]][:most]
        if not entries:
            return None
        sizes = [self._size(name, font) for name, _ in entries]
        width, height = max(width for width, _ in sizes), max(height for _, height in sizes)
        return (width, len(entries) * height), entries

    def _draw_key(self, cut, reserved, placing, size_hw):
        key = self._key(cut, size_hw)
        if key is None:
            return
        size, entries = key
        place = reserved or placing.at_the_rim(size)
        if place is None:
            return
        font, height = self._rungs[-1][0], size[1] // len(entries)
        left, top = place[0], place[1]
        if reserved:  # in its corner, for it may be smaller by now
            left = max(0, place[2] - size[0]) if place[2] == size_hw[1] else left
            top = max(0, place[3] - size[1]) if place[3] == size_hw[0] else top
        for number, (name, colour) in enumerate(entries):
            ymin = top + number * height
            self._write((left, ymin, left + size[0], ymin + height), name, colour, font)
        self._pen.rectangle((left, top, left + size[0] - 1, top + size[1] - 1), outline="#FFFFFF")


def _pad(font):
    return max(1, round(font.size / 8))
