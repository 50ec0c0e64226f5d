"""`evaluate`: measures a detector on annotated images."""

import dataclasses
import os
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.data.sizes import check_sizes
from keras_ssd.evaluation.aligning import aligned
from keras_ssd.evaluation.collecting import class_names_of, collect, no_detections, seen_in
from keras_ssd.evaluation.formats import read_detections, write_detections
from keras_ssd.evaluation.measuring import measure as measured
from keras_ssd.evaluation.origin import origin_of
from keras_ssd.evaluation.result import Result
from keras_ssd.evaluation.tables import DetectionTable


@checked_arguments
def evaluate(
    detector: Any,
    dataset: Dataset,
    measure: str = "voc12",
    *,
    iou_threshold: float = 0.5,
    plus_one: bool = False,
    confidence: float = 0.01,
    batch_size: int = 8,
    save: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    progress: bool = True,
    engine: str = "auto",
    precision: str = "float32",
    tiles: int | None = None,
    overlap: float = 0.2,
) -> Result:
    """Measures how good a detector is on annotated images.

    Classes are matched by name, and so are images. With `save`, a run that is interrupted goes on where it stopped
    when it is started again.

    Args:
        detector: a model, see `keras_ssd.detect`; a `DetectionTable` of what any detector found; or the path of a file
            that `read_detections` reads.
        dataset: `keras_ssd.data.Dataset`.
        measure: "voc07" (11 points, as for VOC2007), "voc12" (area under the curve, as from VOC2010 on), "coco" (the
            twelve numbers) or "ilsvrc".
        iou_threshold: smallest overlap of a true detection, for the VOC measures and, where objects are not small,
            ILSVRC's.
        plus_one: whether the VOC measures count the last pixel of a box as part of it in boxes that say so; ours do
            not, see docs/evaluation.md.
        confidence: lowest score that a model's detections have; 0.01 as in the original SSD's evaluation.
        batch_size: images that a model sees at once.
        save: file for the detections, see `write_detections`; what was found so far lies beside it while the model
            runs.
        workers: threads that read images; None is one per processor.
        progress: whether to show a bar with the time left on a terminal.
        engine, precision: what computes a model's network, see `keras_ssd.detect`.
        tiles, overlap: of tiles that a model's large images are cut into, see `keras_ssd.detect`.

    Returns:
        `Result`: `print` shows a table of the classes; `result.map`, `result.per_class`, `result.curves`.

    Raises:
        ValueError: images of another size than their annotations say, objects of classes that the detector does not
            know, other images, no object to be found, a wrong argument, or as `read_detections` and `collect`.
        DataError: images cannot be read and the dataset's policy is "error"; else they are left out, as `collect` says.
        ImportError: COCO's measure without the extra `coco`.

    Example:
        >>> test = keras_ssd.data.read("VOCdevkit/VOC2007", "test")
        >>> result = keras_ssd.evaluation.evaluate(keras_ssd.ssd300(weights="voc07+12"), test)
        >>> print(result)
    """
    options = {"iou_threshold": iou_threshold, "plus_one": plus_one}
    check_sizes(dataset, progress)
    if isinstance(detector, (str, os.PathLike)):
        detector = read_detections(detector, dataset)
    if isinstance(detector, DetectionTable):
        result = _measured(detector, dataset, measure, options)
        if save is not None:
            write_detections(detector, save, dataset=dataset)
        return result
    # Measuring no detections finds wrong arguments now rather than after hours.
    _measured(no_detections(dataset, class_names_of(detector)), dataset, measure, options)
    found = collect(
        detector,
        dataset,
        confidence=confidence,
        batch_size=batch_size,
        save=save,
        workers=workers,
        progress=progress,
        engine=engine,
        precision=precision,
        tiles=tiles,
        overlap=overlap,
    )
    result = _measured(found, seen_in(found, dataset), measure, options)
    return dataclasses.replace(result, anchors=getattr(detector, "anchor_spec", None), origin=origin_of(detector))


def _measured(found, dataset, measure, options):
    found, truth = aligned(found, dataset)
    return measured(found, truth, measure, dataset=dataset, **options)
