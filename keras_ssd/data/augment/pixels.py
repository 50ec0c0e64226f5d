"""What augmentation does to pixels, with OpenCV where it is installed and with numpy otherwise.

Images are (H, W, 3) uint8 RGB. Both ways give results that differ by at most one grey level.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.images import resizing


def opencv() -> Any:
    """The module `cv2`, or None where it is not installed."""
    return resizing._opencv()


def as_uint8(image: np.ndarray) -> np.ndarray:
    """A float image (0..255) rounded to whole grey levels; uint8 comes back as it is."""
    if image.dtype == np.uint8:
        return image
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def look_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Each grey level replaced by its entry in a (256,) uint8 table."""
    cv2 = opencv()
    return cv2.LUT(image, table) if cv2 is not None else np.take(table, image)


def look_up_hsv(image: np.ndarray, hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The same in hue (0..179), saturation and value, with a (256,) uint8 table each."""
    cv2 = opencv()
    if cv2 is not None:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        cv2.LUT(hsv, np.stack([hue, saturation, value], axis=-1)[None], hsv)
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    h, s, v = rgb_to_hsv(image)
    return hsv_to_rgb(hue[h], saturation[s], value[v])


@functools.cache
def _divisions():
    """OpenCV divides by 12-bit reciprocals: of the value for saturation, of the range for hue."""
    numbers = np.arange(1, 256)
    saturation = np.rint((255 << 12) / numbers).astype(np.int32)
    hue = np.rint((180 << 12) / (6 * numbers)).astype(np.int32)
    return np.insert(saturation, 0, 0), np.insert(hue, 0, 0)


def rgb_to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Planes of hue in 0..179 (half degrees), saturation and value in 0..255, as OpenCV computes them for uint8."""
    red, green, blue = (np.ascontiguousarray(image[..., i]).astype(np.int32) for i in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    by_value, by_spread = _divisions()
    saturation = (spread * by_value[value] + (1 << 11)) >> 12
    hue = np.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    hue = np.where(value == red, green - blue, hue)
    hue = (hue * by_spread[spread] + (1 << 11)) >> 12
    hue += 180 * (hue < 0)
    return hue.astype(np.uint8), saturation.astype(np.uint8), value.astype(np.uint8)


@functools.cache
def _shades():
    """(3, 256): by hue, the share of value * saturation that red, green and blue lose."""
    sector = np.arange(256) / 30.0
    return np.stack([np.clip(np.minimum(k, 4 - k), 0, 1) for k in ((n + sector) % 6 for n in (5, 3, 1))]).astype("f4")


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of planes as `rgb_to_hsv` gives them."""
    image = np.empty((*hue.shape, 3), np.uint8)
    value = value.astype(np.float32)
    chroma = value * saturation.astype(np.float32) * np.float32(1 / 255)
    value += 0.5  # truncation then rounds to the nearest grey level
    for channel, shade in enumerate(_shades()):
        image[..., channel] = value - chroma * shade[hue]
    return image


def mirrored(image: np.ndarray, axis: int) -> np.ndarray:
    """Turned over along an axis of the array: 1 swaps left and right, 0 top and bottom."""
    cv2 = opencv()
    if cv2 is not None:
        return cv2.flip(image, axis)
    return np.ascontiguousarray(np.flip(image, axis))


def on_canvas(image: np.ndarray, corner: tuple[int, int], size_hw: tuple[int, int], fill: Sequence[int]) -> np.ndarray:
    """Lays an image on a canvas of one colour.

    Args:
        image: (H, W, 3) uint8; it must fit on the canvas.
        corner: (top, left) of the image on the canvas.
        size_hw: of the canvas.
        fill: (red, green, blue) in 0..255.
    """
    (top, left), (height, width) = corner, image.shape[:2]
    if (height, width) == tuple(size_hw):
        return image
    # Whole rows are copied: numpy would lay the three numbers of a colour down pixel by pixel.
    canvas = np.empty((size_hw[0], size_hw[1], 3), np.uint8)
    row = np.tile(np.asarray(fill, np.uint8), size_hw[1]).reshape(-1, 3)
    canvas[:top] = row
    canvas[top + height :] = row
    middle = canvas[top : top + height]
    middle[:, :left] = row[:left]
    middle[:, left + width :] = row[left + width :]
    middle[:, left : left + width] = image
    return canvas


def blended(image: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
    """`share` of one image and the rest of another of the same size."""
    cv2 = opencv()
    if cv2 is not None:
        return cv2.addWeighted(image, share, other, 1 - share, 0)
    mixed = image.astype(np.float32) * np.float32(share)
    mixed += other.astype(np.float32) * np.float32(1 - share)
    mixed += 0.5
    return mixed.astype(np.uint8)


def equalized(levels: np.ndarray) -> np.ndarray:
    """The (256,) uint8 table that spreads these grey levels evenly, as OpenCV's equalizeHist."""
    counts = np.bincount(levels.ravel(), minlength=256)
    lowest = int(np.argmax(counts > 0))
    rest = levels.size - counts[lowest]
    if rest == 0:
        return np.full(256, lowest, np.uint8)
    above = np.cumsum(counts) - counts[lowest]
    above[:lowest] = 0
    return np.clip(np.rint(above * (255 / rest)), 0, 255).astype(np.uint8)
