"""Sources -> batches -> model -> `Detections`."""

import numbers
import os
from collections.abc import Callable, Generator, Sequence
from typing import Any

import keras
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.decoding import confidence_of
from keras_ssd.detections import class_ids_of
from keras_ssd.engines import AUTO, FLOAT32
from keras_ssd.engines.choosing import choose
from keras_ssd.engines.predicting import EnginePredictor
from keras_ssd.images import MAX_PIXELS, ImageError, expand_sources
from keras_ssd.layers.decode_detections import DecodeDetections
from keras_ssd.models.belongings import belongings_of
from keras_ssd.pipeline import Detecting
from keras_ssd.predictor import Predictor, check_model, check_options
from keras_ssd.results import Results
from keras_ssd.tiling import Tiling
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
    confidence: float | None = None,
    classes: str | Sequence[str] | None = None,
    batch_size: int = 8,
    iou_threshold: float | None = None,
    keep_top_k: int | None = None,
    decoder: DecodeDetections | None = None,
    class_names: Sequence[str] | None = None,
    workers: int | None = None,
    on_error: str | Callable[[ImageError], Any] = "raise",
    max_pixels: int = MAX_PIXELS,
    recursive: bool = False,
    engine: str = AUTO,
    precision: str = FLOAT32,
    tiles: int | None = None,
    overlap: float = 0.2,
) -> Results:
    """Finds objects in images of any size, lazily and in the order of the sources.

    Images are read and resized in threads while the network computes. Each is warped to the model's input
    size whatever its shape, as the original SSD does, and its boxes are brought back to its own pixels.

    Args:
        model: a `keras_ssd` model that gives raw predictions (B, N, C + 1 + 12), or any model that ends in a
            `DecodeDetections` layer, for example one made by `with_decoder`. It takes RGB in 0..255.
        sources: a path, folder, glob pattern, URL, PIL image, array, the bytes of an image file or an open file, or
            an iterable of these; see `keras_ssd.images.expand_sources`.
        confidence: lowest score to report, 0..1; None is the model's own (`model.confidence`, found when it was
            trained), or else 0.5.
        classes: report these classes alone; a name or several.
        batch_size: images that the network sees at once.
        iou_threshold: boxes of one class that overlap more are taken for one object; by default the model's
            own value, which is Caffe's 0.45 unless it says otherwise.
        keep_top_k: most objects in one image; by default the model's own value or Caffe's 200.
        decoder: a `DecodeDetections` layer with other options, for a model of raw predictions; it stands for
            the two arguments before.
        class_names: names of the classes without background; by default those that the model carries.
        workers: reading threads; by default one a processor, at most 8.
        on_error: "raise" ends at the first image that cannot be read, after the ones before it. A function
            is called with the `ImageError` instead, and the image is left out.
        max_pixels: larger images are refused, see `keras_ssd.images.read_image`.
        recursive: whether a folder stands for the images in folders below, too.
        engine: what computes the network: "keras", "onnxruntime", "openvino" or "litert"; "auto" takes the fastest
            that is installed and supports the model. Scores differ by less than 1e-4 between them. The environment
            variable `KERAS_SSD_ENGINE` says what "auto" stands for.
        precision: "float32"; "bfloat16", for OpenVINO on processors with units for it, which changes scores by some
            hundredths; or "auto": bfloat16 where it is fast.
        tiles: side of a tile in pixels, for small objects on large images. An image that is larger is also cut into
            overlapping tiles, each of which the network sees in full. An object at the border of tiles is reported
            once. An image takes as many times longer as it has tiles. None looks at each image as a whole alone.
        overlap: share of a tile that its neighbour has too, 0..0.9; small objects should fit into it.

    Returns:
        `keras_ssd.results.Results`: `Detections` in pixels of the original images, clipped to them, computed when they
        are asked for. It can be gone through, indexed and sliced like a list. A loop keeps nothing, so that memory does
        not grow with the number of images, and a second loop detects anew; `list(...)` keeps all.

    Raises:
        ValueError: an argument out of range, an unknown class, a model whose output is neither form, or an engine that
            cannot compute it.
        ImportError: the engine that is asked for is not installed.
        ImageError: while iterating, see `on_error`.

    Example:
        >>> for found in keras_ssd.detect(model, ["street.jpg", array], classes="person"):
        ...     print(found)
        >>> keras_ssd.detect(model, "street.jpg")[0].draw().show()
    """
    if on_error != "raise" and not callable(on_error):
        raise ValueError(f"on_error must be 'raise' or a function of the error. Received: on_error={on_error!r}")
    detecting = make_detecting(
        model,
        confidence,
        classes,
        batch_size,
        (iou_threshold, keep_top_k, decoder),
        class_names,
        workers,
        max_pixels,
        (engine, precision),
        (tiles, overlap),
    )
    return Results(detecting, sources, on_error, recursive)


def detections_or_errors(
    model: keras.Model,
    sources: Sequence[Any],
    *,
    confidence: float | None = None,
    batch_size: int = 8,
    workers: int | None = None,
    engine: str = AUTO,
    precision: str = FLOAT32,
    tiles: int | None = None,
    overlap: float = 0.2,
) -> Generator[Any, None, None]:
    """As `detect`, but a generator, with the `ImageError` of an image that cannot be read in its place.

    Args:
        model, confidence, batch_size, workers, engine, precision, tiles, overlap: see `detect`.
        sources: list of `keras_ssd.images.Source`.
    """
    detecting = make_detecting(
        model,
        confidence,
        None,
        batch_size,
        (None, None, None),
        None,
        workers,
        MAX_PIXELS,
        (engine, precision),
        (tiles, overlap),
    )
    return detecting.run(expand_sources(sources))


def prepared(
    model: keras.Model, confidence: float, *, batch_size: int, max_pixels: int, engine: str, precision: str
) -> Detecting:
    """What `detect` does with each image, for those who get images one by one; arguments as there."""
    nothing = (None, None, None)
    return make_detecting(model, confidence, None, batch_size, nothing, None, None, max_pixels, (engine, precision))


def decoder_threshold(confidence: float) -> float:
    """The threshold that a decoder gets where this confidence is asked for."""
    return max((low for low in DECODER_THRESHOLDS if low < confidence), default=confidence)


def make_detecting(
    model: Any,
    confidence: float | None,
    classes: Any,
    batch_size: int,
    decoding: tuple[Any, Any, Any],
    class_names: Any,
    workers: int | None,
    max_pixels: int,
    computing: tuple[str, str],
    tiling: tuple[int | None, float] = (None, 0.2),
) -> Detecting:
    """The checked arguments of `detect` as a `Detecting`.

    Args:
        model, confidence, classes, batch_size, class_names, workers, max_pixels: see `detect`.
        decoding: iou_threshold, keep_top_k and decoder.
        computing: engine and precision.
        tiling: tiles and overlap.
    """
    known = belongings_of(model)
    confidence = confidence_of(known).value if confidence is None else confidence
    _check_range("confidence", confidence, 0, 1)
    _check_count("batch_size", batch_size)
    if workers is not None:
        _check_count("workers", workers)
    predictor = _predictor(model, *_decoder_options(known.decoding or {}, confidence, *decoding), *computing)
    names = _class_names(known.class_names, class_names, predictor.num_classes)
    wanted = None if classes is None else np.array(class_ids_of(classes, names), int)
    workers = workers or min(8, os.cpu_count() or 1)
    tiling_used = None
    if tiling[0] is not None:
        threshold = decoding[0] if decoding[0] is not None else (known.decoding or {}).get("iou_threshold", 0.45)
        tiling_used = Tiling(tiling[0], tiling[1], threshold)
    return Detecting(predictor, names, confidence, wanted, batch_size, workers, max_pixels, tiling_used)


def _predictor(model, options, insist, engine, precision):
    """What computes the model: Keras, or an engine; a file for another runtime says it itself."""
    if hasattr(model, "engine_predictor"):
        return model.engine_predictor(options, insist, engine, precision)
    check_model(model)
    choice = choose(model, engine, precision)
    if choice.engine.is_keras:
        return Predictor.of(model, options, insist)
    found = EnginePredictor(model, choice, options, None if choice.asked else lambda: Predictor.of(model, options))
    if insist:
        check_options(found)
    return found


def _decoder_options(own, confidence, iou_threshold, keep_top_k, decoder):
    """Options for `DecodeDetections` or such a layer, and whether the user asked for them."""
    given = {"iou_threshold": iou_threshold, "keep_top_k": keep_top_k}
    given = {name: value for name, value in given.items() if value is not None}
    if decoder is None:
        return {**own, "confidence_threshold": decoder_threshold(confidence), **given}, bool(given)
    if not isinstance(decoder, DecodeDetections):
        raise TypeError(f"decoder must be a DecodeDetections layer. Received: {type(decoder).__name__}")
    if given:
        raise ValueError(f"Give {' and '.join(given)} to the decoder, not beside it.")
    return decoder, True


def _class_names(own, class_names, num_classes):
    names = own if class_names is None else class_names
    if names is None:
        raise ValueError("The model carries no class names. Pass class_names=[...], without background.")
    fitted = fitted_names("class_names", names, num_classes)
    if fitted is None:
        raise ValueError(
            f"class_names must name the model's {num_classes} classes, without background. Received: {len(names)} names"
        )
    return fitted


def _check_range(name, value, low, high):
    if not isinstance(value, numbers.Real) or not low <= value <= high:
        raise ValueError(f"{name} must lie in {low}..{high}. Received: {name}={value!r}")


def _check_count(name, value):
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name} must be a whole number from 1 on. Received: {name}={value!r}")
