"""From sources to `Detections`: read in threads, computed in batches, returned in order."""

import dataclasses
from collections.abc import Generator, Iterable, Sequence
from typing import Any

import keras
import numpy as np

from keras_ssd.detections import Detections
from keras_ssd.images import ImageError, read_image, resize_bilinear
from keras_ssd.reading_ahead import map_ahead
from keras_ssd.tiling import Tiling

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
        tiling: how large images are cut into tiles; None computes each image as a whole alone.
    """

    predictor: Any
    class_names: tuple[str, ...]
    confidence: float
    class_ids: np.ndarray | None
    batch_size: int
    workers: int
    max_pixels: int
    tiling: Tiling | None = None

    def run(self, jobs: Iterable[Any], at_once: bool = False, ahead: int | None = None) -> Generator[Any, None, None]:
        """What is found, or the `ImageError` in its place, in the order of the jobs.

        Args:
            jobs: iterable of `Source`, or of a `ImageError` where something names no image.
            at_once: whether an error is told as soon as it is met, rather than when its batch is full.
            ahead: how many images are read before they are needed; None for two batches, 0 for none.

        Yields:
            `Detections` or `ImageError`, one per job.
        """
        self.predictor.begin()
        first, waiting, count = True, [], 0  # waiting: (job, its error or (resized views, original size))
        ahead = 2 * self.batch_size if ahead is None else ahead
        for job, future in map_ahead(self.load, jobs, workers=self.workers, ahead=ahead):
            try:
                waiting.append((job, future.result()))
                count += len(waiting[-1][1][0])
            except ImageError as error:
                waiting.append((job, error))
            failed = isinstance(waiting[-1][1], ImageError)
            many = len(waiting) >= MOST_WAITING * self.batch_size
            if count >= self.batch_size or (failed and (at_once or not count or many)):
                done, waiting = waiting, []
                yield from self._finished(done, first)
                first, count = first and not count, 0
        yield from self._finished(waiting, first)

    def load(self, job: Any) -> tuple[list[np.ndarray], tuple[int, int]]:
        """Reads an image: (its views in the size of the network's input, its own height and width).

        Raises:
            ImageError: it cannot be read, or the job is such an error.
        """
        if isinstance(job, ImageError):
            raise job
        image = read_image(job.image, name=job.name, max_pixels=self.max_pixels)
        size_hw = image.shape[:2]
        views = [image]
        if self.tiling is not None:
            views = [image[ymin:ymax, xmin:xmax] for xmin, ymin, xmax, ymax in self.tiling.views(size_hw)]
        return [resize_bilinear(view, self.predictor.size_hw) for view in views], size_hw

    def _finished(self, waiting, first):
        read = [view for _, loaded in waiting if not isinstance(loaded, ImageError) for view in loaded[0]]
        rows = self._rows(read, first)
        for job, loaded in waiting:
            if isinstance(loaded, ImageError):
                yield loaded
            else:
                views, size_hw = loaded
                yield self.detections([next(rows) for _ in views], job, size_hw)

    def _rows(self, images, first):
        """(K, 6) rows of each image; computed in batches, since tiles may be many."""
        size = self.batch_size
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            yield from self.predictor.rows(batch, padded_size(len(batch), size, first and len(images) <= size))

    def detections(self, views: Sequence[np.ndarray], source: Any, size_hw: tuple[int, int]) -> Detections:
        """`Detections` of one image from the (K, 6) rows of its views."""
        kept = [self._reported(rows) for rows in views]
        rows = kept[0] if self.tiling is None else self.tiling.merged(kept, size_hw)
        boxes = _to_pixels(rows[:, 2:], size_hw)
        image = source.image if source.in_memory else None
        return Detections(boxes, rows[:, 1], rows[:, 0].astype(int), self.class_names, size_hw, source.name, image)

    def _reported(self, rows):
        keep = (rows[:, 0] >= 0) & (rows[:, 1] >= self.confidence)
        if self.class_ids is not None:
            keep &= np.isin(rows[:, 0], self.class_ids)
        return rows[keep]


def _to_pixels(boxes_xyxy, size_hw):
    """(K, 4) fractions -> pixels of an image, clipped to it."""
    height, width = size_hw
    return boxes_xyxy.clip(0, 1) * np.array([width, height, width, height], np.float32)


def padded_size(count: int, batch_size: int, first: bool) -> int:
    """With how many images to compute: XLA and tf.function compile anew for every number.

    A last incomplete batch is filled up to the size that is compiled already; a run that is smaller than one
    batch takes the next power of two, so that one image costs one. PyTorch compiles nothing and needs no
    filling.
    """
    if keras.config.backend() == "torch":
        return count
    return min(batch_size, 1 << (count - 1).bit_length()) if first else batch_size
