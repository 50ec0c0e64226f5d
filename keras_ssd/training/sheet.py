"""A sheet of images after a training: annotated boxes on the left, detections with scores on the right."""

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.data.dataset import Dataset
from keras_ssd.detecting import detections_or_errors
from keras_ssd.drawing import Label, class_colours, draw_boxes, draw_detections
from keras_ssd.fonts import fitted
from keras_ssd.images import ImageError, Source, read_image
from keras_ssd.models.model import SSD

if TYPE_CHECKING:
    from PIL import Image

IMAGES = 6
CONFIDENCE = 0.3  # of a model that has none of its own
CELL_HW = (330, 400)  # bounds of an image on the sheet
COLUMNS = 2  # pairs side by side
GAP, TITLE = 10, 24
INK, PAPER = "#222222", "#FFFFFF"
SIDES = (("truth", "#E4E4E4"), ("found", "#CFE3F5"))  # title and its background


def sheet(model: SSD, dataset: Dataset) -> "Image.Image":
    """Draws a grid of pairs of images.

    Args:
        model: `SSD`.
        dataset: `Dataset` with the model's classes.

    Returns:
        A PIL image.
    """
    from PIL import Image, ImageDraw, ImageFont

    chosen = [dataset[place] for place in telling(dataset)]
    sources = [Source(annotation.image, annotation.name) for annotation in chosen]
    least = CONFIDENCE if model.confidence is None else model.confidence.value
    found = detections_or_errors(model, sources, confidence=least, engine="keras")
    pairs = [
        _pair(annotation, detections)
        for annotation, detections in zip(chosen, found, strict=True)
        if not isinstance(detections, ImageError)  # it was there when the training began
    ]
    columns = min(COLUMNS, len(pairs))
    rows = [pairs[start : start + columns] for start in range(0, len(pairs), columns)]
    wide = max(pair.width for pair in pairs)
    width = columns * (wide + 2 * GAP)
    image = Image.new("RGB", (width, TITLE + GAP + sum(max(p.height for p in row) + GAP for row in rows)), PAPER)
    text = f"truth on the left, on the right what the model finds with a score of {least:g} or more"
    ImageDraw.Draw(image).text((GAP, GAP // 2), text, fill=INK, font=ImageFont.load_default(14))
    top = TITLE + GAP
    for row in rows:
        for column, pair in enumerate(row):
            image.paste(pair, (GAP + column * (wide + 2 * GAP), top))
        top += max(pair.height for pair in row) + GAP
    return image


def telling(dataset: Dataset, count: int = IMAGES) -> list[int]:
    """Places of the images that show most, the same for every model and run.

    Each image shows as many classes as it can that were not shown yet, then again from the first; of equals the one
    whose number of objects is the most usual, then the one furthest from those that were chosen. The last is one
    without objects, if there is one, for that is where false alarms show.

    Args:
        dataset: `Dataset`.
        count: how many.

    Returns:
        List of at most `count` places, as many as there are images if these are fewer.
    """
    shown = [frozenset(annotation.class_ids.tolist()) for annotation in dataset]
    objects = np.array([len(annotation) for annotation in dataset])
    some = np.flatnonzero(objects > 0).tolist()
    usual = float(np.median(objects[some])) if some else 0.0
    empty = np.flatnonzero(objects == 0).tolist()
    room = count - 1 if empty and count > 1 and some else count
    chosen, seen = [], set()
    while some and len(chosen) < room:
        if not any(shown[place] - seen for place in some):
            seen = set()

        def worth(place, seen=seen):
            apart = min((abs(place - other) for other in chosen), default=0)
            return len(shown[place] - seen), -abs(objects[place] - usual), apart, -place

        best = max(some, key=worth)
        some.remove(best)
        chosen.append(best)
        seen = seen | shown[best]
    middle = len(empty) // 2
    return chosen + (empty[middle:] + empty[:middle])[: count - len(chosen)]


def _pair(annotation, found):
    """The truth of one image beside what was found in it."""
    from PIL import Image

    image = read_image(annotation.image, name=None if isinstance(annotation.image, str) else annotation.name)
    height, width = image.shape[:2]
    scale = min(CELL_HW[0] / height, CELL_HW[1] / width)
    size_hw = max(1, round(height * scale)), max(1, round(width * scale))
    small = np.asarray(Image.fromarray(image).resize((size_hw[1], size_hw[0]), Image.Resampling.LANCZOS))
    pair = Image.new("RGB", (2 * CELL_HW[1] + 4, TITLE + size_hw[0]), PAPER)
    truth = _truth(small, annotation.boxes_xyxy * scale, annotation.class_ids, found.class_names)
    drawn = truth, draw_detections(small, found)
    counts = len(annotation), len(found)
    for side, (part, many, (title, back)) in enumerate(zip(drawn, counts, SIDES, strict=True)):
        text = f"{title}: {many or 'nothing'}"
        if not side:
            text += f"   {annotation.name}"
        left = side * (CELL_HW[1] + 4)
        pair.paste(_titled(part, text, back), (left, 0))
    return pair


def _truth(image, boxes_xyxy, class_ids, class_names):
    """The image with its objects, small ones on top."""
    order = np.argsort(bx.area(boxes_xyxy), kind="stable")
    palette = class_colours(class_names)
    ids = class_ids[order].tolist()
    labels = [Label(class_names[class_id], name=class_names[class_id]) for class_id in ids]
    return draw_boxes(image, boxes_xyxy[order], [palette[class_id] for class_id in ids], labels)


def _titled(part, text, back):
    from PIL import Image, ImageDraw, ImageFont

    font, text = fitted(text, ImageFont.load_default(13))
    most = CELL_HW[1] - 2 * GAP
    if font.getlength(text) > most:
        text = text[: max(1, math.floor(len(text) * most / font.getlength(text)) - 3)] + "..."
    image = Image.new("RGB", (CELL_HW[1], TITLE + part.height), back)
    ImageDraw.Draw(image).text((GAP, 3), text, fill=INK, font=font)
    image.paste(part, ((CELL_HW[1] - part.width) // 2, TITLE))
    return image
