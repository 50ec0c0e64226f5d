"""Drawings of a training: its curves, and what the model finds beside what is there.

Drawn with Pillow, which the package needs anyway: a few lines on axes are no reason to require matplotlib.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_ssd.data.dataset import Dataset
from keras_ssd.models.model import SSD
from keras_ssd.training.checkpoint import replacing
from keras_ssd.training.sheet import sheet

if TYPE_CHECKING:
    from PIL import Image

CURVES, SHEET = "curves.png", "predictions.png"
FINER = 2  # curves are drawn so much larger and then made smaller, which smooths them
PANEL_HW = (240 * FINER, 720 * FINER)
MARGINS = (34 * FINER, 16 * FINER, 30 * FINER, 70 * FINER)  # top, right, bottom, left
INK, GRID = "#333333", "#DDDDDD"
LINES = ("#0072B2", "#D55E00", "#009E73")  # Okabe and Ito's, those that show on white
PANELS = (
    ("loss and its parts", ("loss", "localization_loss", "confidence_loss")),
    ("AP at IoU 0.5 on the validation set", ("val_mAP",)),
    ("learning rate", ("learning_rate",)),
)


def write(model: SSD, history: Any, dataset: Dataset) -> None:
    """Writes both images into the folder of a training.

    Args:
        model: the trained `SSD`.
        history: `History`.
        dataset: from which the images of the sheet are taken.
    """
    with replacing(history.out / CURVES) as temporary:
        curves(history.rows).save(temporary)
    with replacing(history.out / SHEET) as temporary:
        sheet(model, dataset).save(temporary)


def curves(rows: Sequence[Mapping[str, float]]) -> "Image.Image":
    """A PIL image with the loss, the shares and the rate over the epochs.

    Args:
        rows: dictionaries of `History.rows`.
    """
    from PIL import Image

    panels = [(title, {name: _points(rows, name) for name in names}) for title, names in PANELS]
    panels = [(title, {name: points for name, points in lines.items() if points}) for title, lines in panels]
    panels = [(title, lines) for title, lines in panels if lines]
    image = Image.new("RGB", (PANEL_HW[1], PANEL_HW[0] * max(1, len(panels))), "white")
    for place, (title, lines) in enumerate(panels):
        image.paste(_panel(title, lines), (0, place * PANEL_HW[0]))
    return image.resize((image.width // FINER, image.height // FINER), Image.Resampling.BOX)


def _points(rows, name):
    return [(row["epoch"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]


def _panel(title, lines):
    """One diagram: axes, grid, lines, and what they are."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (PANEL_HW[1], PANEL_HW[0]), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(12 * FINER)
    epochs = [x for points in lines.values() for x, _ in points]
    ticks_x = _ticks(min(epochs), max(max(epochs), min(epochs) + 1), whole=True)
    ticks_y = _ticks(0.0, max(y for points in lines.values() for _, y in points) or 1.0)
    place = _axes(pen, font, ticks_x, ticks_y)
    top, right, _, left = MARGINS
    pen.text((left, top // 2), title, fill=INK, font=font, anchor="lm")
    label = PANEL_HW[1] - right
    for (name, points), colour in [*zip(lines.items(), LINES, strict=False)][::-1]:
        corners = [place(*point) for point in points]
        pen.line(corners, fill=colour, width=2 * FINER, joint="curve")
        x, y = corners[-1]
        pen.ellipse((x - 3 * FINER, y - 3 * FINER, x + 3 * FINER, y + 3 * FINER), fill=colour)
        pen.text((label, top // 2), name, fill=colour, font=font, anchor="rm")
        label -= font.getlength(name) + 12 * FINER
    return image


def _axes(pen, font, ticks_x, ticks_y):
    """Draws grid and numbers; returns the function from (epoch, value) to a place on the image."""
    top, right, bottom, left = MARGINS
    width, height = PANEL_HW[1] - left - right, PANEL_HW[0] - top - bottom

    def place(x, y):
        share_x = (x - ticks_x[0]) / (ticks_x[-1] - ticks_x[0])
        share_y = (y - ticks_y[0]) / (ticks_y[-1] - ticks_y[0])
        return left + share_x * width, top + (1 - share_y) * height

    for x in ticks_x:
        pen.line((*place(x, ticks_y[0]), *place(x, ticks_y[-1])), fill=GRID, width=FINER)
        pen.text((place(x, 0)[0], top + height + 6 * FINER), f"{x:g}", fill=INK, font=font, anchor="ma")
    for y in ticks_y:
        pen.line((*place(ticks_x[0], y), *place(ticks_x[-1], y)), fill=GRID, width=FINER)
        pen.text((left - 6 * FINER, place(0, y)[1]), f"{y:.4g}", fill=INK, font=font, anchor="rm")
    return place


def _ticks(low, high, whole=False):
    """Round numbers from at most `low` to at least `high`, about five."""
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [place * step for place in range(first, max(last, first + 1) + 1)]
