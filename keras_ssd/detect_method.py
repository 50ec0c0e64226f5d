"""The method `detect` of whatever detects: a model of Keras, or a file for another runtime."""

from collections.abc import Callable, Sequence
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.images import MAX_PIXELS
from keras_ssd.layers.decode_detections import DecodeDetections
from keras_ssd.results import Results


@checked_arguments
def detect(
    self: Any,
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
    on_error: str | Callable[[Exception], Any] = "raise",
    max_pixels: int = MAX_PIXELS,
    recursive: bool = False,
    engine: str = "auto",
    precision: str = "float32",
    tiles: int | None = None,
    overlap: float = 0.2,
) -> Results:
    """Finds objects in images.

    Args:
        sources: one or many of: path, folder, glob, URL, bytes, open file, PIL image, numpy array.
        confidence and those after it: as of `keras_ssd.detect`.

    Returns:
        `keras_ssd.results.Results`: one `Detections` per image, in input order, computed when you ask for them.

    Example:
        >>> for found in model.detect(["street.jpg", array], confidence=0.4):
        ...     print(found)
        >>> model.detect("street.jpg")[0].draw().show()
    """
    from keras_ssd.detecting import detect as of_sources

    return of_sources(
        self,
        sources,
        confidence=confidence,
        classes=classes,
        batch_size=batch_size,
        iou_threshold=iou_threshold,
        keep_top_k=keep_top_k,
        decoder=decoder,
        class_names=class_names,
        workers=workers,
        on_error=on_error,
        max_pixels=max_pixels,
        recursive=recursive,
        engine=engine,
        precision=precision,
        tiles=tiles,
        overlap=overlap,
    )
