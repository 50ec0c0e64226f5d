"""Draws anchors over an image, one tile per level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.overlaps import GridOverlaps, winners
from keras_ssd.anchors.reporting import places_of, spec_of
from keras_ssd.calling import checked_arguments
from keras_ssd.drawing import PALETTE, draw_boxes

if TYPE_CHECKING:
    from PIL import Image

TILE = 480  # longest side of an image's copy in pixels
TITLE = 44
COLOURS = PALETTE[:14]  # the dark colours are not visible on a darkened image
DOTS = 4.0  # least distance between the dots that mark cells, in pixels


@checked_arguments
def draw_anchors(
    spec: Any,
    image: np.ndarray,
    boxes_xyxy: ArrayLike | None = None,
    *,
    at: Sequence[float] = (0.5, 0.5),
    iou_threshold: float = 0.5,
) -> Image.Image:
    """Draws the anchors of each level over an image as the network sees it: warped to the input size.

    Dots mark the centres of cells. Without objects, the boxes of the cell nearest to `at` are drawn. With objects, the
    anchors that match them are drawn, each in the colour of its object, and the objects in white.

    Args:
        spec: `AnchorSpec`, or a model.
        image: (H, W, 3) uint8 RGB.
        boxes_xyxy: (M, 4) objects in fractions of the image, or None.
        at: (y, x) in fractions of the image; used if there are no objects.
        iou_threshold: lowest IoU at which an anchor matches.

    Returns:
        A PIL image with a tile for each level.

    Raises:
        TypeError: `spec` is neither a spec nor a model.
        ValueError: objects are in pixels or not finite, or `image` is no RGB image.

    Example:
        >>> keras_ssd.anchors.draw_anchors(model, image, annotation.boxes_fraction).save("matches.png")
    """
    from PIL import Image

    spec = spec_of(spec)
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            "`image` must be an RGB array (H, W, 3) of uint8; `keras_ssd.images.read_image` makes one. "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    scale = TILE / max(spec.image_size)
    height, width = (max(1, round(side * scale)) for side in spec.image_size)
    warped = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    warped = (warped * 0.55).astype(np.uint8)  # so that thin lines stand out
    given = np.zeros((0, 4), np.float32) if boxes_xyxy is None else np.asarray(boxes_xyxy, np.float32)
    if not len(given):
        drawn = [_cell(spec, level, at) for level in range(len(spec.levels))]
        objects = np.zeros((0, 4))
    else:
        held = Objects.of(given)
        held = Objects(held.boxes_xyxy, held.class_ids, np.zeros_like(held.images), (), 1)
        drawn, objects = _matches(spec, held, iou_threshold), held.boxes_xyxy
    tiles = [_tile(spec, level, warped, drawn[level], objects) for level in range(len(spec.levels))]
    columns = min(len(tiles), 3)
    rows = -(-len(tiles) // columns)
    width, height = tiles[0].size
    canvas = Image.new("RGB", (columns * (width + 8) + 8, rows * (height + 8) + 8), "#202020")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        canvas.paste(tile, (8 + column * (width + 8), 8 + row * (height + 8)))
    return canvas


def _cell(spec, level, at):
    """(boxes (K, 4), colours, caption) of the cell nearest to a place."""
    each = spec.levels[level]
    start = sum(other.num_anchors for other in spec.levels[:level])
    cells = (np.array(at) * spec.image_size / each.step_hw - each.offset_hw).round().astype(int)
    row, column = np.clip(cells, 0, np.array(each.grid_hw) - 1)
    first = start + (row * each.grid_hw[1] + column) * each.boxes_per_cell
    boxes = spec.anchors_xyxy()[first : first + each.boxes_per_cell]
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(boxes))]
    return boxes, colours, f"the {len(boxes)} boxes of a cell"


def _matches(spec, objects, iou_threshold):
    """The same for the anchors that match objects, for each level."""
    pairs = GridOverlaps(spec).pairs(objects.boxes_xyxy, iou_threshold)
    won = winners(objects, pairs, spec.num_anchors)
    rows, anchors = pairs[0][won], pairs[1][won]
    level, _ = places_of(spec, anchors)
    found = []
    for index in range(len(spec.levels)):
        mine = level == index
        colours = [COLOURS[row % len(COLOURS)] for row in rows[mine]]
        text = f"{mine.sum()} anchors match {len(set(rows[mine].tolist()))} of {len(objects)} objects"
        found.append((spec.anchors_xyxy()[anchors[mine]], colours, text))
    return found


def _tile(spec, level, image, drawn, objects):
    from PIL import Image, ImageDraw, ImageFont

    size_hw = image.shape[:2]
    boxes, colours, text = drawn
    canvas = Image.fromarray(image)
    _dots(ImageDraw.Draw(canvas), spec, spec.levels[level], size_hw)
    canvas = draw_boxes(np.asarray(canvas), bx.scale(np.asarray(boxes), size_hw), colours, line_width=2)
    canvas = draw_boxes(np.asarray(canvas), bx.scale(objects, size_hw), ["#FFFFFF"] * len(objects), line_width=1)
    tile = Image.new("RGB", (size_hw[1], size_hw[0] + TITLE), "#202020")
    tile.paste(canvas, (0, TITLE))
    pen = ImageDraw.Draw(tile)
    each = spec.levels[level]
    height, width = each.grid_hw
    title = f"level {level}: {height} x {width} cells (rows x columns), step {each.step_hw[0]:.4g}"
    pen.text((6, 3), title, fill="#FFFFFF", font=ImageFont.load_default(15))
    pen.text((6, 23), text, fill="#BBBBBB", font=ImageFont.load_default(13))
    return tile


def _dots(pen, spec, level, size_hw):
    """Draws the centres of the cells; only every second, third, ... where they are close together."""
    scale = np.array(size_hw) / spec.image_size
    step = np.array(level.step_hw) * scale
    down, right = np.maximum(1, np.ceil(DOTS / step)).astype(int)
    for row in range(0, level.grid_hw[0], down):
        for column in range(0, level.grid_hw[1], right):
            for shift in dict.fromkeys(level.shifts_hw) or ((0, 0),):
                y, x = (np.array([row, column]) + level.offset_hw) * step + np.array(shift) * scale
                pen.rectangle((x - 0.5, y - 0.5, x + 0.5, y + 0.5), fill="#FFE08A")
