"""Sources -> batches -> model -> `Detections`."""

import dataclasses
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.detections import Detections, class_ids_of
from keras_ssd.layers.decode_detections import DecodeDetections
from keras_ssd.pictures import MAX_PIXELS, PictureError, read_picture, resize_bilinear, split_sources
from keras_ssd.predictor import Predictor
from keras_ssd.reading_ahead import map_ahead
from keras_ssd.zoo.label_fitting import fitted_names

# The decoder's own threshold is the highest of these below the confidence asked for; the rest goes later.
# Fewer candidates are faster, and a little more confidence compiles nothing anew. Suppression runs from high
# to low scores, so the objects that are reported are the same.
DECODER_THRESHOLDS = (0.01, 0.1, 0.49)


@checked_arguments
def detect(
    model: keras.Model,
    sources: Any,
    *,
    confidence: float = 0.5,
    classes: str | Sequence[str] | None = None,
    batch_size: int = 8,
    iou_threshold: float | None = None,
    keep_top_k: int | None = None,
    decoder: DecodeDetections | None = None,
    class_names: Sequence[str] | None = None,
    workers: int | None = None,
    on_error: str | Callable[[PictureError], Any] = "raise",
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Detections]:
    """Finds objects in pictures of any size, lazily and in the order of the sources.

    Pictures are read and resized in threads while the network computes. Each is warped to the model's input
    size whatever its shape, as the original SSD does, and its boxes are brought back to its own pixels.

    Args:
        model: a `keras_ssd` model that gives raw predictions (B, N, C + 1 + 12), or any model that ends in a
            `DecodeDetections` layer, for example one made by `with_decoder`. It takes RGB in 0..255.
        sources: a path, folder, glob pattern, URL, PIL image or array, or an iterable of these; see
            `keras_ssd.pictures.expand_sources`.
        confidence: lowest score to report, 0..1.
        classes: report these classes alone; a name or several.
        batch_size: pictures that the network sees at once.
        iou_threshold: boxes of one class that overlap more are taken for one object; by default the model's
            own value, which is Caffe's 0.45 unless it says otherwise.
        keep_top_k: most objects in one picture; by default the model's own value or Caffe's 200.
        decoder: a `DecodeDetections` layer with other options, for a model of raw predictions; it stands for
            the two arguments before.
        class_names: names of the classes without background; by default those that the model carries.
        workers: reading threads; by default one a processor, at most 8.
        on_error: "raise" ends at the first picture that cannot be read, after the ones before it. A function
            is called with the `PictureError` instead, and the picture is left out.
        max_pixels: larger pictures are refused, see `keras_ssd.pictures.read_picture`.

    Returns:
        A generator of `Detections` in pixels of the original pictures, clipped to them. Memory does not grow
        with the number of pictures.

    Raises:
        ValueError: an argument out of range, an unknown class, or a model whose output is neither form.
        PictureError: while iterating, see `on_error`.

    Example:
        >>> for found in keras_ssd.detect(model, ["street.jpg", array], classes="person"):
        ...     print(found)
    """
    _check_range("confidence", confidence, 0, 1)
    _check_count("batch_size", batch_size)
    if workers is not None:
        _check_count("workers", workers)
    if on_error != "raise" and not callable(on_error):
        raise ValueError(f"on_error must be 'raise' or a function of the error. Received: on_error={on_error!r}")
    own = getattr(model, "decoding", None) or {}
    predictor = Predictor.of(model, *_decoder_options(own, confidence, iou_threshold, keep_top_k, decoder))
    names = _class_names(model, class_names, predictor.num_classes)
    wanted = None if classes is None else class_ids_of(classes, names)
    report = _Report(names, confidence, None if wanted is None else np.array(wanted, int))
    return _run(predictor, sources, report, batch_size, workers or min(8, os.cpu_count() or 1), on_error, max_pixels)


def _decoder_options(own, confidence, iou_threshold, keep_top_k, decoder):
    """Options for `DecodeDetections` or such a layer, and whether the user asked for them."""
    given = {"iou_threshold": iou_threshold, "keep_top_k": keep_top_k}
    given = {name: value for name, value in given.items() if value is not None}
    if decoder is None:
        threshold = max((low for low in DECODER_THRESHOLDS if low < confidence), default=confidence)
        return {**own, "confidence_threshold": threshold, **given}, bool(given)
    if not isinstance(decoder, DecodeDetections):
        raise TypeError(f"decoder must be a DecodeDetections layer. Received: {type(decoder).__name__}")
    if given:
        raise ValueError(f"Give {' and '.join(given)} to the decoder, not beside it.")
    return decoder, True


def _class_names(model, class_names, num_classes):
    names = class_names if class_names is not None else getattr(model, "class_names", None)
    if names is None:
        raise ValueError("The model carries no class names. Pass class_names=[...], without background.")
    fitted = fitted_names("class_names", names, num_classes)
    if fitted is None:
        raise ValueError(
            f"class_names must name the model's {num_classes} classes, without background. Received: {len(names)} names"
        )
    return fitted


@dataclasses.dataclass(frozen=True)
class _Report:
    """What of the decoder's rows is told to the user."""

    class_names: tuple
    confidence: float
    class_ids: np.ndarray | None

    def detections(self, rows, source, size_hw):
        """`Detections` of one picture from its (K, 6) rows."""
        ids = rows[:, 0]
        keep = (ids >= 0) & (rows[:, 1] >= self.confidence)
        if self.class_ids is not None:
            keep &= np.isin(ids, self.class_ids)
        rows = rows[keep]
        boxes = _to_pixels(rows[:, 2:], size_hw)
        picture = source.picture if source.in_memory else None
        return Detections(boxes, rows[:, 1], rows[:, 0].astype(int), self.class_names, size_hw, source.name, picture)


def _to_pixels(boxes_xyxy, size_hw):
    """(K, 4) fractions -> pixels of a picture, clipped to it."""
    height, width = size_hw
    return boxes_xyxy.clip(0, 1) * np.array([width, height, width, height], np.float32)


def _run(predictor, sources, report, batch_size, workers, on_error, max_pixels):
    def load(job):
        if isinstance(job, PictureError):
            raise job
        picture = read_picture(job.picture, name=job.name, max_pixels=max_pixels)
        return resize_bilinear(picture, predictor.size_hw), picture.shape[:2]

    def finish():
        nonlocal first
        batch = _padded_size(len(waiting), batch_size, first)
        rows = predictor.rows([picture for _, picture, _ in waiting], batch)
        found = [(source, size_hw) for source, _, size_hw in waiting]
        waiting.clear()
        first = False
        for (source, size_hw), row in zip(found, rows, strict=True):
            yield report.detections(row, source, size_hw)

    first, waiting = True, []  # waiting: (source, resized picture, original size)
    for job, future in map_ahead(load, _jobs(sources), workers=workers, ahead=2 * batch_size):
        try:
            waiting.append((job, *future.result()))
        except PictureError as error:
            if on_error == "raise":
                if waiting:
                    yield from finish()
                raise
            on_error(error)
        if len(waiting) == batch_size:
            yield from finish()
    if waiting:
        yield from finish()


def _jobs(sources):
    """Every `Source`, and in its place the error of an item that names none (an empty folder)."""
    for part in split_sources(sources):
        try:
            yield from part()
        except PictureError as error:
            yield error


def _padded_size(count, batch_size, first):
    """With how many pictures to compute: XLA and tf.function compile anew for every number.

    A last incomplete batch is filled up to the size that is compiled already; a run that is smaller than one
    batch takes the next power of two, so that one picture costs one. PyTorch compiles nothing and needs no
    filling.
    """
    if keras.config.backend() == "torch":
        return count
    return min(batch_size, 1 << (count - 1).bit_length()) if first else batch_size


def _check_range(name, value, low, high):
    if not isinstance(value, numbers.Real) or not low <= value <= high:
        raise ValueError(f"{name} must lie in {low}..{high}. Received: {name}={value!r}")


def _check_count(name, value):
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on. Received: {name}={value!r}")
