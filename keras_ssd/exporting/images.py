"""The images that a file and its model are compared on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.demonstration.smear import draw_smear
from keras_ssd.images import expand_sources, read_image, resize_bilinear

MOST = 16  # of images without annotations: more would only take longer


@dataclass(frozen=True)
class Sample:
    """An image as the model sees it.

    Args:
        image: (H, W, 3) uint8 RGB of the model's size.
        name: of the image, or of its annotation.
        size_hw: of the original.
    """

    image: np.ndarray
    name: str
    size_hw: tuple[int, int]


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


def samples(check: Any, size_hw: tuple[int, int]) -> Iterator[Sample]:
    """The images that a check asks for, one after the other.

    Args:
        check: None for drawn ones; a `Dataset` for all of its images; else sources as of `detect`, of which the first
            `MOST` are taken.
        size_hw: of the model.

    Raises:
        ValueError: no image is among the sources.
        ImageError: an image cannot be read.
    """
    if check is None:
        for number, image in enumerate(drawn_images(size_hw), start=1):
            yield Sample(image, f"drawn {number}", size_hw)
    elif isinstance(check, Dataset):
        for annotation in check.annotations:
            yield _read(annotation.image, annotation.name, size_hw)
    else:
        yield from _of_sources(check, size_hw)


def _of_sources(sources, size_hw):
    count = 0
    for source in expand_sources(sources):
        if isinstance(source, Exception):
            raise source
        yield _read(source.image, source.name, size_hw)
        count += 1
        if count == MOST:
            return
    if not count:
        raise ValueError(f"There is no image to compare with. Received: check={sources!r:.200}")


def _read(image, name, size_hw):
    image = read_image(image, name=name)
    return Sample(resize_bilinear(image, size_hw), name, image.shape[:2])


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
        found.append(_read(source.image, source.name, size_hw).image)
        if len(found) == most:
            break
    if not found:
        raise ValueError(f"There is no image to calibrate on. Received: calibrate={sources!r:.200}")
    return found
