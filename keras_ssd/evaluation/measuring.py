"""One function for all measures."""

import numbers

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.metrics import RULES, coco
from keras_ssd.evaluation.metrics import curves as cv
from keras_ssd.evaluation.result import Result
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable
from keras_ssd.names import unknown_name

MEASURES = tuple(RULES)


@checked_arguments
def measure(
    found: DetectionTable,
    truth: ObjectTable,
    measure: str = "voc07",
    *,
    iou_threshold: float = 0.5,
    plus_one: bool = False,
    dataset: Dataset | None = None,
) -> Result:
    """Measures detections.

    Args:
        found: `DetectionTable`. Of equal scores, the earlier row ranks higher.
        truth: `ObjectTable` of the same images and classes in the same order.
        measure: "voc07" (11 points), "voc12" (area under the curve), "coco" (twelve numbers), "ilsvrc" (less overlap
            for small objects).
        iou_threshold: smallest overlap of a true detection, above 0 to 1. COCO has its own ten; ILSVRC's is for objects
            that are not small.
        plus_one: whether both tables hold inclusive pixels, as VOC's files do, with xmax the last pixel of a box
            instead of its edge. This package's readers give edges, with the same overlaps.
        dataset: the source of the objects, for reports.

    Raises:
        ValueError: an unknown measure, a threshold out of range, tables of different images or classes, or no objects
            to find.
        ImportError: "coco" without the extra `coco`.

    Example:
        >>> result = measure(found, ObjectTable.of(dataset), "voc12", iou_threshold=0.7)
        >>> result.map, result.per_class["dog"]
        (0.412, 0.536)
    """
    _check(found, truth, measure, iou_threshold, plus_one)
    if measure == "coco":
        per_class, curves, figures = coco.evaluate(found, truth)
        settings = {"iou_threshold": 0.5, "iou_thresholds": [round(value, 2) for value in coco.IOU_THRESHOLDS]}
        settings["max_detections"] = coco.MAX_DETECTIONS[-1]
    else:
        per_class, curves = _by_curve(found, truth, RULES[measure], iou_threshold, plus_one)
        figures = {"mAP": cv.mean(per_class)}
        settings = {"iou_threshold": float(iou_threshold), "plus_one": bool(plus_one)}
    names = truth.class_names
    values = dict(zip(names, map(float, per_class), strict=True))
    named = {names[class_id]: curve for class_id, curve in curves.items()}
    return Result(measure, values, named, figures, settings, found, truth, dataset)


def _by_curve(found, truth, rule, iou_threshold, plus_one):
    """(C,) average precision of each class, NaN without objects, and dictionary from class id to `Curve`."""
    wanted = np.bincount(truth.class_ids[~(truth.difficult | truth.crowd)], minlength=len(truth.class_names))
    verdicts = rule.pair(found, truth, iou_threshold, plus_one).verdicts
    curves = cv.class_curves(found, verdicts, wanted)
    values = [rule.value(curves[class_id]) if class_id in curves else np.nan for class_id in range(len(wanted))]
    return np.array(values), curves


def _check(found, truth, measure, iou_threshold, plus_one):
    if measure not in MEASURES:
        raise ValueError(unknown_name("measure", measure, MEASURES))
    real = isinstance(iou_threshold, numbers.Real) and not isinstance(iou_threshold, bool)
    if not real or not 0 < float(iou_threshold) <= 1:
        raise ValueError(f"`iou_threshold` must be above 0 and at most 1. Received: iou_threshold={iou_threshold!r}")
    if measure == "coco" and (iou_threshold != 0.5 or plus_one):
        raise ValueError(
            "COCO's measure has its own ten thresholds, 0.50 to 0.95, and no added pixel. Leave `iou_threshold` and "
            f'`plus_one` out, or take measure="voc12". Received: iou_threshold={iou_threshold}, plus_one={plus_one}'
        )
    for what in ("images", "class_names"):
        ours, theirs = getattr(found, what), getattr(truth, what)
        if ours != theirs:
            place = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
            counts = f"{len(ours)} and {len(theirs)} of them"
            where = counts if place is None else f"{ours[place]!r} and {theirs[place]!r}"
            raise ValueError(f"Both tables must have the same {what} in the same order. Received: {where}")
    if (truth.difficult | truth.crowd).all():
        kind = "no object" if not len(truth) else "only difficult objects and crowds"
        raise ValueError(
            f"The {len(truth.images)} images have no objects to find, so nothing can be measured. Give images with "
            f"objects. Received: {kind}"
        )
