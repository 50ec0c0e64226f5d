"""Anchors in float64 with the order of operations of ssd_keras.

An object inside several anchors of one shape overlaps them all equally in exact arithmetic, so rounding decides which
anchor is matched. To match as ssd_keras does, its rounding must be repeated from the numbers that it starts with.
"""

from fractions import Fraction

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.anchors.spec import AnchorSpec


def _as_written(value):
    """The number before float32 rounded it: a short decimal or a ratio such as 1/3 if one is close, else the value."""
    guesses = (round(value, 4), float(Fraction(value).limit_denominator(100)))
    return next((guess for guess in guesses if abs(guess - value) < 3e-7 * abs(value)), value)


def _boxes_wh(level, shorter):
    """(width, height) in pixels of each box of a cell, from scales and ratios as ssd_keras's encoder has them."""
    boxes, scale = [], 1.0
    for height, width in level.boxes_hw:
        ratio = _as_written(width / height)
        if ratio == 1 and boxes and boxes[-1][0] == boxes[-1][1]:  # the second square, of this scale and the next
            following = _as_written((width / shorter) ** 2 / scale)
            side = np.sqrt(scale * following) * shorter
        else:
            scale = _as_written(np.sqrt(height * width) / shorter)
            side = scale * shorter
        boxes.append((side * np.sqrt(ratio), side / np.sqrt(ratio)))
    return np.array(boxes)


def corners(spec: AnchorSpec) -> np.ndarray:
    """The anchors' corners (N, 4) as fractions of the image, float64.

    Source: pierluigiferrari/ssd_keras, ssd_input_encoder.py, generate_anchor_boxes_for_layer.
    """
    height, width = spec.image_size
    levels = []
    for level in spec.levels:
        sizes = _boxes_wh(level, min(spec.image_size))
        y, x = (
            np.linspace(offset * step, (offset + cells - 1) * step, cells)
            for offset, step, cells in zip(level.offset_hw, level.step_hw, level.grid_hw, strict=True)
        )
        anchors = np.empty((*level.grid_hw, len(sizes), 4))
        anchors[..., 0], anchors[..., 1] = x[None, :, None], y[:, None, None]
        if level.shifts_hw:
            anchors[..., :2] += np.array(level.shifts_hw)[:, ::-1]
        anchors[..., 2:] = sizes
        levels.append(bx.cxcywh_to_xyxy(anchors).reshape(-1, 4))
    fractions = np.concatenate(levels)
    if spec.clip:
        fractions = bx.clip(fractions, spec.image_size)
    return there_and_back(fractions / [width, height, width, height])


def there_and_back(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Corners converted to centre and size and back, as ssd_keras does; their last bits may differ."""
    return bx.cxcywh_to_xyxy(bx.xyxy_to_cxcywh(boxes_xyxy))
