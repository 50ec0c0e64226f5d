"""Resizing by each of the five interpolations that Caffe's SSD draws from, with or without OpenCV."""

import numpy as np

from keras_ssd.data.augment.pixels import opencv
from keras_ssd.images import resize_bilinear

INTERPOLATIONS = ("linear", "area", "nearest", "cubic", "lanczos4")  # in the order of ssd_pascal.py


def resize(image: np.ndarray, size_hw: tuple[int, int], interpolation: str = "linear") -> np.ndarray:
    """Warps an image to a size as OpenCV's `resize` does; without OpenCV within one grey level of it.

    Args:
        image: (H, W, 3) uint8.
        size_hw: wanted (height, width) in pixels.
        interpolation: one of `INTERPOLATIONS`. None but "area" smooths an image that shrinks.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size_hw
    if image.shape[:2] == (height, width):
        return image
    if interpolation == "linear":
        return resize_bilinear(image, size_hw)
    cv2 = opencv()
    if cv2 is not None:
        return cv2.resize(image, (width, height), interpolation=getattr(cv2, f"INTER_{interpolation.upper()}"))
    return _resize_numpy(image, (height, width), interpolation)


def _resize_numpy(image, size_hw, interpolation):
    lengths = image.shape[:2]
    if interpolation == "nearest":
        rows, columns = map(_nearest, lengths, size_hw)
        return image[rows[:, None], columns]
    shrinks = lengths[0] >= size_hw[0] and lengths[1] >= size_hw[1]
    if interpolation == "area" and shrinks:
        vertical, horizontal = map(_area_weights, lengths, size_hw)
        lines = vertical @ image.reshape(lengths[0], -1).astype(np.float32)  # (height, W * 3)
        lines = lines.reshape(size_hw[0], lengths[1], 3).transpose(1, 0, 2).reshape(lengths[1], -1)
        result = (horizontal @ lines).reshape(size_hw[1], size_hw[0], 3).transpose(1, 0, 2)
        return _rounded(result)
    taps = {"area": _area_taps, "cubic": _cubic_taps, "lanczos4": _lanczos_taps}[interpolation]
    result = _along(image, *taps(lengths[0], size_hw[0]))
    result = _along(result.transpose(1, 0, 2), *taps(lengths[1], size_hw[1]))
    return _rounded(result.transpose(1, 0, 2))


def _scale(length, wanted):
    """Old pixels a new one; in two divisions as OpenCV's, since at whole numbers the last bit decides."""
    return 1 / (wanted / length)


def _nearest(length, wanted):
    return np.minimum((np.arange(wanted) * _scale(length, wanted)).astype(np.intp), length - 1)


def _rounded(result):
    return np.rint(np.clip(result, 0, 255)).astype(np.uint8)


def _along(image, places, weights):
    """Weighted sums of rows: places and weights are (wanted, taps)."""
    places = places.clip(0, image.shape[0] - 1)  # beyond the border its last row is repeated
    result = image[places[:, 0]] * weights[:, 0, None, None]
    for tap in range(1, places.shape[1]):
        result += image[places[:, tap]] * weights[:, tap, None, None]
    return result


def _area_weights(length, wanted):
    """(wanted, length): the share that each old pixel has in each new one, by overlap."""
    edges = np.arange(wanted + 1) * (length / wanted)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(overlap, 0)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


def _area_taps(length, wanted):
    """Where one side grows, OpenCV's INTER_AREA blends two neighbours, only near the edge between them."""
    places = np.arange(wanted)
    before = np.floor(places * _scale(length, wanted)).astype(np.intp)
    weight = ((places + 1) - (before + 1) * (wanted / length)).astype(np.float32)
    weight = np.where(weight <= 0, np.float32(0), weight - np.floor(weight))
    return np.stack([before, before + 1], axis=1), np.stack([1 - weight, weight], axis=1)


def _neighbourhood(length, wanted, taps):
    """Places of the nearest old pixels (wanted, taps), and how far beyond the middle one each centre lies."""
    centre = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    before = np.floor(centre)
    places = before.astype(np.intp)[:, None] + np.arange(1 - taps // 2, taps // 2 + 1)
    return places, (centre - before)[:, None]


def _cubic_taps(length, wanted, sharpness=-0.75):
    places, beyond = _neighbourhood(length, wanted, 4)
    far, near = np.abs(beyond + 1 - np.array([0, 3])), np.abs(beyond + 1 - np.array([1, 2]))
    far = ((sharpness * far - 5 * sharpness) * far + 8 * sharpness) * far - 4 * sharpness
    near = ((sharpness + 2) * near - (sharpness + 3)) * near * near + 1
    return places, np.stack([far[:, 0], near[:, 0], near[:, 1], far[:, 1]], axis=1).astype(np.float32)


def _lanczos_taps(length, wanted):
    places, beyond = _neighbourhood(length, wanted, 8)
    distance = beyond + 3 - np.arange(8)
    weights = np.sinc(distance) * np.sinc(distance / 4)
    return places, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
