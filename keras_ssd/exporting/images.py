"""The images that a file and its model are compared on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ssd.demonstration.smear import draw_smear
from keras_ssd.images import expand_sources, read_image, resize_bilinear

DRAWN = 4
MOST = 16  # of the user's images: more would only take longer


def drawn_images(size_hw: tuple[int, int]) -> np.ndarray:
    """(4, H, W, 3) uint8: a drawn smear, coloured blocks on a gradient, soft waves, and noise. The same every time."""
    height, width = size_hw
    smear = resize_bilinear(draw_smear(0).image, size_hw)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    blocks = np.stack([200 * x + 30, 160 * y + 60, 220 - 120 * x], axis=-1)
    for _ in range(12):
        top, left = rng.integers(0, height), rng.integers(0, width)
        tall, wide = rng.integers(height // 10, height // 2 + 1), rng.integers(width // 10, width // 2 + 1)
        blocks[top : top + tall, left : left + wide] = rng.integers(0, 256, 3)
    waves = 127.5 + 127.5 * np.sin(np.stack([9 * x + 3 * y, 14 * y - 4 * x, 6 * (x + y)], axis=-1) * 2)
    noise = rng.integers(0, 256, (height, width, 3))
    return np.stack([np.round(np.clip(image, 0, 255)).astype(np.uint8) for image in (smear, blocks, waves, noise)])


def images_for(sources: Any, size_hw: tuple[int, int]) -> np.ndarray:
    """(B, H, W, 3) float32 RGB of the model's size: the first images of `sources`, or drawn ones for None."""
    if sources is None:
        return drawn_images(size_hw).astype(np.float32)
    return np.stack(read_for(sources, size_hw, MOST)).astype(np.float32)


def read_for(sources: Any, size_hw: tuple[int, int], most: int) -> Sequence[np.ndarray]:
    """At most so many images, read and resized as `detect` does: (H, W, 3) uint8 each.

    Raises:
        ValueError: no image is among the sources.
        ImageError: an image cannot be read.
    """
    found = []
    for source in expand_sources(sources):
        if isinstance(source, Exception):
            raise source
        found.append(resize_bilinear(read_image(source.image, name=source.name), size_hw))
        if len(found) == most:
            break
    if not found:
        raise ValueError(f"There is no image to compare with. Received: {sources!r:.200}")
    return found
