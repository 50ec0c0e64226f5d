"""From sources to `Detections`: read in threads, computed in batches, returned in order."""

import dataclasses
from collections.abc import Generator, Iterable
from typing import Any

import keras
import numpy as np

from keras_ssd.detections import Detections
from keras_ssd.images import ImageError, read_image, resize_bilinear
from keras_ssd.reading_ahead import map_ahead

MOST_WAITING = 8  # batches' worth of errors after which a batch that is not full is computed


@dataclasses.dataclass(frozen=True)
class Detecting:
    """How images are read and computed, and which results are reported.

    Args:
        predictor: `Predictor`, or another object with its `size_hw`, `begin` and `rows`.
        class_names: names of the class ids, without background.
        confidence: lowest score that is reported.
        class_ids: the classes that are reported, (C,); None for all.
        batch_size: images that the network sees at once.
        workers: reading threads.
        max_pixels: see `keras_ssd.images.read_image`.
    """

    predictor: Any
    class_names: tuple[str, ...]
    confidence: float
    class_ids: np.ndarray | None
    batch_size: int
    workers: int
    max_pixels: int

    def run(self, jobs: Iterable[Any], at_once: bool = False) -> Generator[Any, None, None]:
        """What is found, or the `ImageError` in its place, in the order of the jobs.

        Args:
            jobs: iterable of `Source`, or of a `ImageError` where something names no image.
            at_once: whether an error is told as soon as it is met, rather than when its batch is full.

        Yields:
            `Detections` or `ImageError`, one per job.
        """
        self.predictor.begin()
        first, waiting, count = True, [], 0  # waiting: (job, its error or (resized image, original size))
        for job, future in map_ahead(self._load, jobs, workers=self.workers, ahead=2 * self.batch_size):
            try:
                waiting.append((job, future.result()))
                count += 1
            except ImageError as error:
                waiting.append((job, error))
            failed = isinstance(waiting[-1][1], ImageError)
            many = len(waiting) >= MOST_WAITING * self.batch_size
            if count == self.batch_size or (failed and (at_once or not count or many)):
                done, waiting = waiting, []
                yield from self._finished(done, first)
                first, count = first and not count, 0
        yield from self._finished(waiting, first)

    def _load(self, job):
        if isinstance(job, ImageError):
            raise job
        image = read_image(job.image, name=job.name, max_pixels=self.max_pixels)
        return resize_bilinear(image, self.predictor.size_hw), image.shape[:2]

    def _finished(self, waiting, first):
        read = [loaded[0] for _, loaded in waiting if not isinstance(loaded, ImageError)]
        rows = iter(self.predictor.rows(read, _padded_size(len(read), self.batch_size, first)) if read else ())
        del read
        for job, loaded in waiting:
            yield loaded if isinstance(loaded, ImageError) else self._detections(next(rows), job, loaded[1])

    def _detections(self, rows, source, size_hw):
        """`Detections` of one image from its (K, 6) rows."""
        ids = rows[:, 0]
        keep = (ids >= 0) & (rows[:, 1] >= self.confidence)
        if self.class_ids is not None:
            keep &= np.isin(ids, self.class_ids)
        rows = rows[keep]
        boxes = _to_pixels(rows[:, 2:], size_hw)
        image = source.image if source.in_memory else None
        return Detections(boxes, rows[:, 1], rows[:, 0].astype(int), self.class_names, size_hw, source.name, image)


def _to_pixels(boxes_xyxy, size_hw):
    """(K, 4) fractions -> pixels of an image, clipped to it."""
    height, width = size_hw
    return boxes_xyxy.clip(0, 1) * np.array([width, height, width, height], np.float32)


def _padded_size(count, batch_size, first):
    """With how many images to compute: XLA and tf.function compile anew for every number.

    A last incomplete batch is filled up to the size that is compiled already; a run that is smaller than one
    batch takes the next power of two, so that one image costs one. PyTorch compiles nothing and needs no
    filling.
    """
    if keras.config.backend() == "torch":
        return count
    return min(batch_size, 1 << (count - 1).bit_length()) if first else batch_size
