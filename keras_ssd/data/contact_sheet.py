"""Many images with their boxes on one: the look at the data that comes before training."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.calling import checked_arguments
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.sample import Sample
from keras_ssd.drawing import Label, class_colours, draw_boxes, text_colour
from keras_ssd.fonts import fitted
from keras_ssd.images import resize_bilinear

_GAP = 8
_BACKGROUND = "#202020"
_LEGEND_CLASSES = 7  # as many as have a colour of their own that everyone tells from the others


@checked_arguments
def contact_sheet(
    images: Iterable[Annotation | Sample], classes: Sequence[str], *, columns: int | None = None, cell: int = 320
) -> Any:
    """Draws images side by side, each with its boxes and name; a legend tells the classes' colours.

    Args:
        images: `Annotation`s or `Sample`s, at least one; a `Dataset` is a list of them.
        classes: names of the classes.
        columns: how many stand side by side; by default as many as make the sheet about square.
        cell: longest side of an image on the sheet, in pixels.

    Returns:
        A PIL image.

    Raises:
        ValueError: there is no image.
        ImageError: one cannot be read.

    Example:
        >>> contact_sheet(train.sample(16), train.classes).save("sheet.png")
    """
    samples = [Sample.of(item) if isinstance(item, Annotation) else item for item in images]
    if not samples:
        raise ValueError("A contact sheet needs at least one image.")
    labels = len(classes) > _LEGEND_CLASSES
    tiles = [_tile(sample, classes, cell, labels) for sample in samples]
    columns = columns or math.ceil(math.sqrt(len(tiles)))
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return _paste(rows, cell, None if labels else classes)


def _tile(sample, classes, cell, labels):
    """(PIL image of the image with its boxes, its name)."""
    height, width = sample.size_hw
    factor = min(1.0, cell / max(height, width))
    size_hw = max(1, round(height * factor)), max(1, round(width * factor))
    image = np.clip(np.rint(sample.image), 0, 255).astype(np.uint8)
    palette = class_colours(classes)
    colours = [palette[class_id] for class_id in sample.class_ids]
    small = _shrunk(image, size_hw)
    order = np.argsort(bx.area(sample.boxes_xyxy), kind="stable")  # small objects lie on top of large ones
    boxes = bx.scale(sample.boxes_xyxy, size_hw)[order]
    colours = [colours[row] for row in order]
    texts = [_label(sample, row, classes) for row in order] if labels else None
    return draw_boxes(small, boxes, colours, texts, line_width=max(2, cell // 100), font_size=11), sample.name


def _shrunk(image, size_hw):
    """Smoothed, unlike what SSD sees: a sheet is for eyes."""
    from PIL import Image

    if min(size_hw) >= min(image.shape[:2]):
        return resize_bilinear(image, size_hw)
    return np.asarray(Image.fromarray(image).resize(size_hw[::-1], Image.Resampling.LANCZOS))


def _label(sample, row, classes):
    name = classes[sample.class_ids[row]]
    return Label(name + (" (difficult)" if sample.difficult[row] else ""), name=name)


def _paste(rows, cell, legend):
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(12)
    line = 18
    top = line + _GAP if legend else 0
    heights = [max(tile.height for tile, _ in row) + line for row in rows]
    wide = max(tile.width for row in rows for tile, _ in row)
    written = [fitted(name, font) for name in legend or ()]
    legend_width = sum(own.getlength(text) + 12 + _GAP for own, text in written)
    width = _GAP + max((wide + _GAP) * max(map(len, rows)), math.ceil(legend_width))
    size = (width, _GAP + top + sum(heights) + _GAP * len(rows))
    sheet = Image.new("RGB", size, _BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    if legend:
        _draw_legend(pen, legend, font)
    y = _GAP + top
    for row, height in zip(rows, heights, strict=True):
        for column, (tile, name) in enumerate(row):
            x = _GAP + column * (wide + _GAP)
            sheet.paste(tile, (x, y))
            own, name = fitted(name, font)
            pen.text((x, y + tile.height + 2), _shortened(name, pen, own, wide), fill="#DDDDDD", font=own)
        y += height + _GAP
    return sheet


def _draw_legend(pen, classes, font):
    x = _GAP
    for name, colour in zip(classes, class_colours(classes), strict=True):
        own, text = fitted(name, font)
        width = pen.textlength(text, font=own)
        pen.rectangle((x, _GAP, x + width + 12, _GAP + 18), fill=colour)
        pen.text((x + 6, _GAP + 2), text, fill=text_colour(colour), font=own)
        x += width + 12 + _GAP


def _shortened(name, pen, font, width):
    """The name, or its end where it is wider than the image: ends tell files apart."""
    if pen.textlength(name, font=font) <= width:
        return name
    while name and pen.textlength("..." + name, font=font) > width:
        name = name[1:]
    return "..." + name
