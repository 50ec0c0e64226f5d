"""The diagram of an anchor report: objects and anchors by width and height, and how well objects are matched.

It is drawn with Pillow, which the package needs anyway.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from keras_ssd.anchors.reasons import MATCHED
from keras_ssd.fonts import fitted

if TYPE_CHECKING:
    from PIL import Image

    from keras_ssd.anchors.reporting import AnchorReport

FINER = 2  # factor by which the diagram is drawn larger and then reduced, which smooths lines
SIDE, RIGHT, TOP = 620, 560, 76  # of the square diagram, the column beside it and the title, in pixels of the result
HISTOGRAM = 190
INK, GRID, PALE = "#333333", "#E2E2E2", "#8A8A8A"
HIT, MISS = "#56B4E9", "#D55E00"  # of Okabe and Ito, as are the levels'
LEVELS = ("#000000", "#009E73", "#0072B2", "#CC79A7", "#E69F00", "#7A5C00", "#666666")
MOST_DOTS = 20_000
MOST_BARS = 12  # per table


def draw_report(report: AnchorReport) -> Image.Image:
    """A PIL image of an `AnchorReport`."""
    from PIL import Image, ImageDraw

    width, height = SIDE + RIGHT, TOP + SIDE + HISTOGRAM
    tables = [report.by_class(), report.by_size(), report.by_ratio()]
    height = max(height, TOP + sum(_bars_height(rows) for rows in tables) + _reasons_height(report) + 10)
    image = Image.new("RGB", (width * FINER, height * FINER), "white")
    pen = _Pen(ImageDraw.Draw(image))
    first, *rest = report.summary()
    pen.text((24, 22), first, size=15)
    pen.text((24, 46), "; ".join(rest[:1] + rest[2:3]), size=13, colour=PALE)
    _scatter(pen, report)
    _histogram(pen, report, (0, TOP + SIDE))
    top = TOP
    for rows in tables:
        top = _bars(pen, rows, (SIDE, top))
    _reasons(pen, report, (SIDE, top))
    return image.resize((width, height), Image.Resampling.BOX)


class _Pen:
    """Draws with Pillow in pixels of the result."""

    def __init__(self, draw):
        self._draw = draw
        self._fonts = {}

    def _font(self, size):
        from PIL import ImageFont

        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size * FINER)
        return self._fonts[size]

    def text(self, place, text, *, size=12, colour=INK, anchor="lm"):
        font, text = fitted(text, self._font(size))
        self._draw.text(_finer(place), text, fill=colour, font=font, anchor=anchor)

    def line(self, *corners, colour=INK, width=1.0):
        self._draw.line([_finer(corner) for corner in corners], fill=colour, width=max(1, round(width * FINER)))

    def box(self, low, high, *, fill=None, outline=None, width=1.0):
        self._draw.rectangle(
            (*_finer(low), *_finer(high)), fill=fill, outline=outline, width=max(1, round(width * FINER))
        )

    def dot(self, place, radius, colour):
        x, y = _finer(place)
        radius *= FINER
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _finer(place):
    return tuple(each * FINER for each in place)


def _scatter(pen, report):
    """Objects as dots and boxes of cells as squares, by width and height on logarithmic axes."""
    sizes = report.objects.sizes_hw(report.spec.image_size)
    shapes = [(index, box) for index, level in enumerate(report.spec.levels) for box in level.boxes_hw]
    every = np.concatenate([np.quantile(sizes, (0.001, 0.999), axis=0), [box for _, box in shapes]])
    low, high = math.log2(every.min()) - 0.3, math.log2(every.max()) + 0.3
    left, top, side = 62, TOP + 34, SIDE - 62 - 30

    def place(height_width):
        y, x = (min(max((math.log2(each) - low) / (high - low), 0), 1) for each in height_width)
        return left + x * side, top + (1 - y) * side

    pen.text((left, TOP + 16), "width and height in pixels of the input: objects (dots), boxes of a cell (squares)")
    for power in range(math.ceil(low), math.floor(high) + 1):
        x, y = place((2**power, 2**power))
        pen.line((x, top), (x, top + side), colour=GRID)
        pen.line((left, y), (left + side, y), colour=GRID)
        pen.text((x, top + side + 12), f"{2**power:g}", colour=PALE, anchor="mm")
        pen.text((left - 8, y), f"{2**power:g}", colour=PALE, anchor="rm")
    pen.line(place((2**low, 2**low)), place((2**high, 2**high)), colour=GRID)
    missed = report.reasons != MATCHED
    order = np.random.default_rng(0).permutation(len(sizes))[:MOST_DOTS]
    for row in sorted(order, key=lambda row: missed[row]):  # the unmatched lie on top
        pen.dot(place(sizes[row]), 1.6 if missed[row] else 1.2, MISS if missed[row] else HIT)
    for index, box in shapes:
        x, y = place(box)
        pen.box((x - 4, y - 4), (x + 4, y + 4), outline="white", width=3)
        pen.box((x - 4, y - 4), (x + 4, y + 4), outline=LEVELS[index % len(LEVELS)], width=2)
    _legend(pen, report, (left + side - 4, top + side - 14))


def _legend(pen, report, corner):
    """The legend, in the lower right corner, where common objects do not lie."""
    x, y = corner
    for index, level in reversed([*enumerate(report.spec.levels)]):
        pen.text((x - 16, y), f"level {index}, step {level.step_hw[0]:.3g}", anchor="rm")
        pen.box((x - 8, y - 4), (x, y + 4), outline=LEVELS[index % len(LEVELS)], width=2)
        y -= 18
    for title, colour in ((f"best IoU below {report.iou_threshold:g}", MISS), ("matched", HIT)):
        pen.text((x - 16, y), title, anchor="rm")
        pen.dot((x - 4, y), 3.5, colour)
        y -= 18


def _histogram(pen, report, corner):
    """Number of objects by their best IoU."""
    left, top = corner[0] + 62, corner[1] + 28
    width, height = SIDE - 62 - 30, HISTOGRAM - 28 - 34
    counts, edges = np.histogram(report.best_iou, bins=40, range=(0, 1))
    pen.text((left, corner[1] + 12), f"best IoU of the objects; the highest bar is {counts.max():,} objects")
    for count, start, end in zip(counts, edges, edges[1:], strict=False):
        colour = MISS if start < report.iou_threshold - 1e-9 else HIT
        bar = height * count / counts.max()
        if count:
            pen.box(
                (left + start * width, top + height - max(bar, 1)), (left + end * width - 1, top + height), fill=colour
            )
    pen.line((left, top + height), (left + width, top + height), colour=PALE)
    for tick in np.arange(0, 1.01, 0.1):
        pen.text((left + tick * width, top + height + 12), f"{tick:.1f}", colour=PALE, anchor="mm")


def _bars_height(rows):
    return 34 + 20 * min(len(rows), MOST_BARS) + 10


def _bars(pen, rows, corner):
    """A bar with the recall of each row, and the number of objects; returns where the table ends."""
    title = next(iter(rows[0]))
    label, bar = 150, 200
    left, top = corner[0] + 10 + label, corner[1] + 34
    pen.text((corner[0] + 10, corner[1] + 16), f"recall by {title}", size=13)
    pen.text((left + bar + 70, corner[1] + 16), "objects", colour=PALE, anchor="rm")
    pen.text((left + bar + 160, corner[1] + 16), "anchors each", colour=PALE, anchor="rm")
    shown = sorted(rows, key=lambda row: -row["objects"])[:MOST_BARS] if len(rows) > MOST_BARS else rows
    for index, row in enumerate(shown):
        y = top + 20 * index + 8
        name = str(row[title])
        pen.text((left - 10, y), name if len(name) <= 22 else name[:20] + "...", anchor="rm")
        pen.box((left, y - 7), (left + bar, y + 7), fill=MISS if row["objects"] else GRID)
        if row["objects"]:
            pen.box((left, y - 7), (left + bar * row["recall"], y + 7), fill=HIT)
            pen.text((left + 6, y), f"{row['recall']:.1%}", size=11)
            pen.text((left + bar + 160, y), f"{row['anchors each']:g}", anchor="rm")
        pen.text((left + bar + 70, y), f"{row['objects']:,}", anchor="rm")
    return corner[1] + _bars_height(rows)


def _reasons_height(report):
    return 34 + 36 * len(report.by_reason()) + 10


def _reasons(pen, report, corner):
    """Why objects are not matched."""
    x, y = corner[0] + 10, corner[1] + 16
    rows = report.by_reason()
    missed = sum(row["objects"] for row in rows)
    title = f"{missed:,} objects that no anchor matches, and why" if rows else "an anchor matches every object"
    pen.text((x, y), title, size=13)
    for index, row in enumerate(rows):
        line = y + 24 + 36 * index
        pen.text((x + 10, line), f"{row['objects']:,} {row['why no anchor matches']} ({row['share']})", colour=MISS)
        pen.text((x + 20, line + 16), row["meaning"], colour=PALE, size=11)
