"""A written file beside its model: the detections of both, and on annotated images the AP of both."""

import functools
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.detections import Detections
from keras_ssd.evaluation import Collector, evaluate
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporting import models
from keras_ssd.exporting.images import Sample, samples
from keras_ssd.exporting.parity import TOLERANCES, Candidates, Parity, Runner, compare, together

AT_ONCE = 8  # images that are read before both compute
FREE = 2  # images in a batch of a file that takes any number: more than one, so that this is tried


def checked(model: Any, runner: Runner, check: Any, precision: str) -> tuple[Parity, tuple[float, float] | None]:
    """How a file compares with the model that it was written from.

    Args:
        model: the detector.
        runner: the file.
        check: as of `keras_ssd.export`.
        precision: of the file.

    Returns:
        The `Parity`, and (AP of the model, AP of the file) where `check` is a `Dataset`.
    """
    detector = models.decoded(model)
    floor = models.options_of(detector).floor
    seen: list[Sample] = []
    expected, found, parities = [], [], []
    for some in _chunks(samples(check, detector.input_size)):
        images = np.stack([sample.image for sample in some]).astype(np.float32)
        expected.append(models.rows_of(detector, images))
        found.append(rows_in_batches(runner, images))
        candidates = functools.partial(_candidates, detector, images)
        parities.append(compare(expected[-1], found[-1], runner.runtime, TOLERANCES[precision], floor, candidates))
        seen += [Sample(sample.image[:0], sample.name, sample.size_hw) for sample in some]
    parity = together(parities)
    if not isinstance(check, Dataset):
        return parity, None
    before, after = (_ap(np.concatenate(rows), seen, check, detector.class_names) for rows in (expected, found))
    return parity, (before, after)


def _candidates(detector, images, place) -> Candidates:
    return Detector.of(detector).candidates(images[place])


def _chunks(stream: Iterator[Sample]) -> Iterator[list[Sample]]:
    while some := list(islice(stream, AT_ONCE)):
        yield some


def rows_in_batches(runner: Runner, images: np.ndarray) -> np.ndarray:
    """Rows (B, K, 6) of any number of images, in batches that the file takes.

    Args:
        runner: the file.
        images: (B, H, W, 3) float32 RGB in 0..255.
    """
    batch = runner.batch or FREE
    parts = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        if runner.batch is not None and len(part) < batch:
            part = np.concatenate([part, np.repeat(part[-1:], batch - len(part), axis=0)])
        parts.append(runner.rows(part)[: len(images) - start])
    return np.concatenate(parts)


def _ap(rows, seen: Sequence[Sample], dataset, class_names):
    collector = Collector(class_names)
    for one, sample in zip(rows, seen, strict=True):
        one = one[one[:, 0] >= 0]
        height, width = sample.size_hw
        boxes = one[:, 2:].clip(0, 1) * np.array([width, height, width, height], np.float32)
        found = Detections(boxes, one[:, 1], one[:, 0].astype(int), class_names, sample.size_hw, sample.name)
        collector.add(sample.name, found)
    return float(evaluate(collector.table(), dataset, progress=False).map)
