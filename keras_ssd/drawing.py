"""Boxes and labels on pictures: legible on a thumbnail and on a poster, and for the colour-blind.

Pillow's drawing and fonts are imported when something is drawn.
"""

import zlib

import numpy as np

# Okabe and Ito, "Color Universal Design" (2008), without black, which is used for outlines.
_HUES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")


def _shade(colour, toward, amount):
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(c + (toward - c) * amount):02X}" for c in channels)


# A picture with more classes than hues gets lighter and darker kinds of each.
PALETTE = (*_HUES, *(_shade(hue, 255, 0.5) for hue in _HUES), *(_shade(hue, 0, 0.45) for hue in _HUES))


def class_colours(class_names):
    """One colour a class, the same in every run.

    The name decides, so that two models mostly paint a person alike; a class whose colour is taken by an
    earlier class moves on to the next free one.

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


def text_colour(background):
    """Black or white, whichever stands out more from a background "#RRGGBB" (WCAG 2 contrast)."""
    linear = (np.array([int(background[i : i + 2], 16) for i in (1, 3, 5)]) / 255) ** 2.2
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#FFFFFF"


def draw_detections(picture, detections, *, line_width=None, font_size=None, labels=True):
    """Draws boxes and labels.

    Args:
        picture: (H, W, 3) uint8 array; boxes are scaled to it.
        detections: `Detections` of that picture.
        line_width, font_size: pixels, or None to derive them from the picture's size.
        labels: whether to write class and score.

    Returns:
        A new PIL image.
    """
    height, width = picture.shape[:2]
    scale = np.array([width, height, width, height]) / np.array(detections.size_hw[::-1] * 2)
    palette = class_colours(detections.class_names)
    colours = [palette[class_id] for class_id in detections.class_ids]
    texts = [f"{name} {score:.2f}" for name, score, _, _ in detections] if labels else None
    boxes = detections.boxes_xyxy * scale
    return draw_boxes(picture, boxes, colours, texts, line_width=line_width, font_size=font_size)


def draw_boxes(picture, boxes_xyxy, colours, texts=None, *, line_width=None, font_size=None):
    """Draws boxes of given colours, with a label each if there are texts.

    Args:
        picture: (H, W, 3) uint8 array.
        boxes_xyxy: (K, 4) pixels of that picture; the first lie on top.
        colours: K of "#RRGGBB".
        texts: K labels, or None for none; an empty one is not drawn.
        line_width, font_size: pixels, or None to derive them from the picture's size.

    Returns:
        A new PIL image.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    height, width = picture.shape[:2]
    boxes = np.asarray(boxes_xyxy)
    if line_width is None:
        line_width = max(1, round((height * width) ** 0.5 / 220))
    pen = ImageDraw.Draw(image)
    for box, colour in reversed([*zip(boxes, colours, strict=True)]):  # the best lie on top
        _draw_box(pen, box, colour, line_width)
    named = [row for row, text in enumerate(texts or ()) if text]
    if named:
        font = _font(font_size or _font_size(boxes[named], (height, width)))
        texts, colours = [texts[row] for row in named], [colours[row] for row in named]
        _draw_labels(pen, boxes[named], texts, colours, font, (height, width), line_width)
    return image


def _draw_box(pen, box, colour, line_width):
    xmin, ymin, xmax, ymax = (round(side) for side in box.tolist())
    xmax, ymax = max(xmin, xmax - 1), max(ymin, ymax - 1)  # Pillow draws the last pixel too
    rim = max(1, line_width // 3)  # a dark rim keeps light colours visible on light pictures
    pen.rectangle((xmin - rim, ymin - rim, xmax + rim, ymax + rim), outline="#000000", width=rim)
    pen.rectangle((xmin, ymin, xmax, ymax), outline=colour, width=line_width)


def _font_size(boxes, size_hw):
    """Grows with the picture; smaller where many boxes share the room; never below what can be read."""
    side = (size_hw[0] * size_hw[1]) ** 0.5
    crowding = min(1.0, max(0.6, (12 / max(1, len(boxes))) ** 0.35))
    return max(10, round(side / 32 * crowding))


def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_labels(pen, boxes, texts, colours, font, size_hw, line_width):
    """Writes the best object's label first; each later one takes the nearest free place."""
    placed = np.zeros((0, 4))
    pad = max(1, round(font.size / 8))
    for box, text, colour in zip(boxes, texts, colours, strict=True):
        left, _, right, _ = pen.textbbox((0, 0), text, font=font)
        ascent, descent = font.getmetrics()
        label_wh = (right - left + 2 * pad, ascent + descent + pad)
        place = _place_label(box, label_wh, size_hw, (placed, boxes), line_width)
        placed = np.vstack([placed, place])
        xmin, ymin, xmax, ymax = (round(side) for side in place.tolist())
        pen.rectangle((xmin, ymin, xmax - 1, ymax - 1), fill=colour)
        pen.text((xmin + pad - left, ymin + pad / 2), text, fill=text_colour(colour), font=font)


def _place_label(box, label_wh, size_hw, avoid, line_width):
    """Where to put a label: (4,) xyxy within the picture, off the labels and boxes in `avoid` if it can."""
    labels, boxes = avoid
    xmin, ymin, xmax, ymax = box
    width, height = label_wh
    lefts = (xmin, xmax - width)
    inside = line_width
    candidates = np.array(
        [(left, ymin - height) for left in lefts]  # above the box
        + [(xmin + inside, ymin + inside), (xmax - width - inside, ymin + inside)]
        + [(left, ymax) for left in lefts]  # below it
        + [(xmin + inside, ymax - height - inside), (xmax - width - inside, ymax - height - inside)]
        + [(xmax, ymin), (xmin - width, ymin)]  # beside it
    )
    limit = np.maximum(0, [size_hw[1] - width, size_hw[0] - height])
    moved = np.clip(candidates, 0, limit)  # (10, 2)
    places = np.hstack([moved, moved + label_wh])  # (10, 4)
    shift = np.abs(moved - candidates).sum(axis=1) / height + np.arange(len(places)) / len(places)
    hidden = _covered(places, labels) * 1e3 + _covered(places, boxes) * 3
    return places[np.argmin(hidden + shift)]


def _covered(places, boxes):
    """(P,) how many of the boxes each place would hide, a box that is half hidden counting half."""
    low = np.maximum(places[:, None, :2], boxes[None, :, :2])
    high = np.minimum(places[:, None, 2:], boxes[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    return (shared / np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1)).sum(axis=1)
