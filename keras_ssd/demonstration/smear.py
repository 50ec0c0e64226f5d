"""A blood smear that is drawn, not photographed: an image for a first try whose truth is known to the pixel.

Light passes through the cells and each takes some of it away, so the image is made as a microscope makes it: a field
of light, times what every cell lets through. Sizes and colours are those of stained smears at a thousandfold
magnification.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.detections import Detections

CLASSES = ("RBC", "WBC", "Platelets")
SIZE_HW = (480, 640)
MOST = {"red_cells": 40, "white_cells": 3, "platelets": 20}

# Light of the lamp behind empty glass, RGB; and what one layer of each stain takes of it: -log of the share that
# passes.
_LAMP = np.array([201.0, 205.0, 203.0])
_RED = np.array([0.10, 0.255, 0.215])
_PLASMA = np.array([0.05, 0.15, -0.02])
_NUCLEUS = np.array([0.43, 0.76, 0.05])
_PLATELET = np.array([0.30, 0.44, 0.00])
# Each further layer of red cells darkens less than the one before.
_LAYERS = 1.6


@dataclass(frozen=True)
class Smear:
    """A drawn smear.

    Args:
        image: (480, 640, 3) uint8 RGB.
        truth: `Detections` of every cell that was drawn, with the score 1.
    """

    image: np.ndarray
    truth: Detections


@dataclass(frozen=True)
class _Kind:
    """How cells of a kind lie.

    Args:
        radii: smallest and largest, in pixels.
        unevenness: of the outline, in shares of the radius.
        distance: between centres, in sums of two radii; below 1 cells may overlap.
        room: radius to keep free for cells that are placed later, in radii.
        inside: smallest distance of the centre from the image's edge, in radii.
        blur: least and most width of the edge, in pixels.
    """

    radii: tuple[float, float]
    unevenness: float
    distance: float
    room: float
    inside: float
    blur: tuple[float, float]


_REDS = _Kind((45, 57), 0.07, distance=0.74, room=1.0, inside=0.35, blur=(3, 6))
_WHITES = _Kind((78, 104), 0.05, distance=0.8, room=1.5, inside=0.5, blur=(7, 7))
_CLOTS = _Kind((16, 23), 0.10, distance=0.95, room=1.0, inside=1.3, blur=(8, 8))


@dataclass(frozen=True)
class _Cell:
    """A closed outline around (x, y) in the middle of an edge `blur` wide, in pixels; `waves` are rows of frequency,
    amplitude and phase."""

    x: float
    y: float
    radius: float
    waves: np.ndarray
    blur: float

    def reach(self, angle):
        """Pixels from the centre to the outline in each direction."""
        frequency, amplitude, phase = self.waves
        return self.radius * (1 + (amplitude * np.cos(np.asarray(angle)[..., None] * frequency + phase)).sum(-1))

    def box_xyxy(self):
        """Around all that is stained, the part in the image."""
        angle = np.linspace(0, 2 * np.pi, 361)
        reach = self.reach(angle) + self.blur / 2
        x, y = self.x + reach * np.cos(angle), self.y + reach * np.sin(angle)
        return np.clip([x.min(), y.min(), x.max(), y.max()], 0, (*SIZE_HW[::-1], *SIZE_HW[::-1]))

    def window(self):
        """The part of the image that the cell may touch, and for each pixel there: x and y from the centre, and the
        distance from it in shares of the outline's."""
        height, width = SIZE_HW
        margin = 1.5 * self.radius + 8
        rows = slice(max(0, int(self.y - margin)), min(height, int(self.y + margin)))
        columns = slice(max(0, int(self.x - margin)), min(width, int(self.x + margin)))
        y, x = np.mgrid[rows, columns] + 0.5 - np.array([self.y, self.x])[:, None, None]
        return (rows, columns), x, y, np.hypot(x, y) / self.reach(np.arctan2(y, x))

    def cover(self, share):
        """1 inside the outline, 0 outside, and between them in the edge."""
        return _step((1 - share) * self.radius / self.blur + 0.5)


def draw_smear(seed: int = 0, *, red_cells: int = 12, white_cells: int = 1, platelets: int = 3) -> Smear:
    """Draws a smear; the same seed and counts draw the same one.

    Args:
        seed: a whole number from 0 on.
        red_cells: 0..40; from about 25 on they lie in heaps.
        white_cells: 0..3.
        platelets: 0..20.

    Returns:
        A `Smear`.

    Raises:
        ValueError: a number out of its range.

    Example:
        >>> smear = draw_smear(seed=3, red_cells=5)
        >>> smear.image.shape, len(smear.truth)
        ((480, 640, 3), 9)
    """
    counts = {"red_cells": red_cells, "white_cells": white_cells, "platelets": platelets}
    for name, value in (("seed", seed), *counts.items()):
        check_count(name, value, MOST.get(name))
    rng = np.random.default_rng(seed)
    placed = []
    whites = _place(rng, white_cells, _WHITES, placed)
    reds = _place(rng, red_cells, _REDS, placed)
    clots = _place(rng, platelets, _CLOTS, placed)
    light = _light(rng)
    layers = np.zeros(SIZE_HW)
    for cell in reds:
        _add_red(rng, cell, layers)
    taken = _RED * (_LAYERS * (1 - np.exp(-layers / _LAYERS)) * 1.35)[..., None]
    for cell in whites:
        _add_white(rng, cell, taken)
    for cell in clots:
        _add_platelet(rng, cell, taken)
    grain = _soft(rng.normal(0, 5, (*SIZE_HW, 3)))
    image = np.clip(np.rint(light * np.exp(-taken) + grain), 0, 255).astype(np.uint8)
    boxes = np.array([cell.box_xyxy() for cell in (*reds, *whites, *clots)]).reshape(-1, 4)
    class_ids = np.repeat([0, 1, 2], [red_cells, white_cells, platelets])
    truth = Detections(boxes, np.ones(len(boxes)), class_ids, CLASSES, SIZE_HW, "drawn smear", image)
    return Smear(image, truth)


def check_count(name: str, value: Any, most: int | None = None) -> None:
    """Raises ValueError unless a value is a whole number from 0 to `most`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < 0 or (most is not None and value > most):
        expected = "a whole number from 0 on" if most is None else f"a whole number, 0..{most}"
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")


def _place(rng, count, kind, placed):
    """Cells at free places: of random places the first that is far enough from all `placed` ones, else the freest.

    Args:
        kind: a `_Kind`.
        placed: list of what is there, (x, y, radius to keep free); grows.
    """
    height, width = SIZE_HW
    cells = []
    for _ in range(count):
        best, clearance = None, -1.0
        for _ in range(60):
            cell = _cell(rng, kind, rng.uniform(0, width), rng.uniform(0, height))
            inside = min(cell.x, cell.y, width - cell.x, height - cell.y) >= kind.inside * cell.radius
            gaps = [np.hypot(cell.x - x, cell.y - y) / (cell.radius + radius) for x, y, radius in placed]
            free = min(gaps, default=np.inf)
            if inside and free > clearance:
                best, clearance = cell, free
            if clearance >= kind.distance:
                break
        if best is None:
            best = _cell(rng, kind, width / 2, height / 2)
        cells.append(best)
        placed.append((best.x, best.y, kind.room * best.radius))
    return cells


def _cell(rng, kind, x, y):
    radius, blur = rng.uniform(*kind.radii), rng.uniform(*kind.blur)
    frequency = np.array([2, 3, 4, 5])
    amplitude = rng.normal(0, kind.unevenness, 4) / np.array([1, 3, 5, 8])
    waves = np.stack([frequency, amplitude.clip(-0.2, 0.2), rng.uniform(0, 2 * np.pi, 4)])
    return _Cell(x, y, radius, waves, blur)


def _light(rng):
    """The lamp seen through empty glass: brighter somewhere near the middle, and not quite even."""
    y, x = np.mgrid[-1 : 1 : SIZE_HW[0] * 1j, -1 : 1 : SIZE_HW[1] * 1j]
    x, y = x - rng.uniform(-0.4, 0.4), y - rng.uniform(-0.4, 0.4)
    fall = 1 - rng.uniform(0.005, 0.018) * (x**2 + y**2)
    tint = 1 + rng.normal(0, 0.012, 3) * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1))[..., None]
    return _LAMP * rng.uniform(0.98, 1.03) * (fall + 0.012 * _clouds(rng, SIZE_HW, 5))[..., None] * tint


def _add_red(rng, cell, layers):
    """A disc, thick at the rim and thin in the middle."""
    place, x, y, share = cell.window()
    aside = rng.uniform(-0.12, 0.12, 2) * cell.radius
    middle = np.hypot(x - aside[0], y - aside[1]) / (rng.uniform(0.45, 0.66) * cell.radius)
    pallor = rng.choice([0.2, 0.6, 0.85], p=[0.25, 0.35, 0.4]) * rng.uniform(0.8, 1.1)
    thickness = 0.88 + 0.22 * np.exp(-(((share - 0.86) / 0.12) ** 2)) - pallor * np.exp(-(middle**4))
    layers[place] += rng.uniform(0.85, 1.1) * thickness.clip(0.05) * cell.cover(share)


def _add_white(rng, cell, taken):
    """Pale grainy plasma around a nucleus: round, or of three to five lobes that hang together."""
    place, x, y, share = cell.window()
    cover = cell.cover(share)
    grains = 1 + 0.45 * _clouds(rng, x.shape, 24) + 0.25 * _clouds(rng, x.shape, 55)
    # It pushes red cells aside rather than lying upon them.
    taken[place] *= (1 - 0.8 * cover)[..., None]
    taken[place] += _PLASMA * (cover * grains.clip(0.2))[..., None]
    if rng.random() < 0.25:
        field = _blob(x, y, 0, 0, 1.05 * cell.radius)
    else:
        lobes, start = rng.integers(3, 6), rng.uniform(0, 2 * np.pi)
        turns = start + np.arange(lobes) * rng.uniform(4.2, 5.4) / lobes
        size = cell.radius * (0.56 - 0.045 * lobes)
        away = cell.radius * rng.uniform(0.42, 0.52)
        field = sum(_blob(x, y, away * np.cos(t), away * np.sin(t), size * rng.uniform(0.85, 1.1)) for t in turns)
    ragged = field * (1 + 0.10 * _clouds(rng, x.shape, 10))
    nucleus = _step((ragged - 0.37) * 7 + 0.5) * cover
    stain = 1 + 0.16 * _clouds(rng, x.shape, 16) + 0.06 * _clouds(rng, x.shape, 50)
    taken[place] += (_NUCLEUS - _PLASMA) * (nucleus * stain * rng.uniform(0.85, 1.1))[..., None]


def _add_platelet(rng, cell, taken):
    """A small granular speck without a sharp edge."""
    place, x, _, share = cell.window()
    grains = (1 + 0.35 * _clouds(rng, x.shape, 9)).clip(0.3)
    middle = 0.55 + 0.6 * np.exp(-((share / 0.6) ** 2))
    taken[place] += _PLATELET * (cell.cover(share) * middle * grains * rng.uniform(0.75, 1.1))[..., None]


def _blob(x, y, at_x, at_y, size):
    """A hill of height 1; where hills meet their sum makes a bridge."""
    return np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / size**2 * 2)


def _step(value):
    """From 0 to 1 without a kink."""
    value = value.clip(0, 1)
    return value * value * (3 - 2 * value)


def _clouds(rng, size_hw, cells):
    """Smooth noise of mean about 0 and deviation below 1, with about `cells` hills and valleys a side."""
    from PIL import Image

    coarse = rng.normal(0, 1, (cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.BICUBIC), np.float64)


def _soft(noise):
    """Noise as a camera's: neighbouring pixels are alike."""
    for axis in (0, 1):
        noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    return noise
