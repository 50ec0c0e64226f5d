"""One call for all measures."""

import numbers

import numpy as np

from keras_ssd.evaluation.measures import curves as cv
from keras_ssd.evaluation.measures import ilsvrc, voc
from keras_ssd.evaluation.result import Result
from keras_ssd.names import unknown_name

# Name -> how detections are paired with objects, and what a curve comes to.
_BY_CURVE = {
    "voc07": (voc.pairing, voc.eleven_points),
    "voc12": (voc.pairing, voc.area),
    "ilsvrc": (ilsvrc.pairing, voc.area),
}
MEASURES = tuple(_BY_CURVE)


def measure(found, truth, measure="voc07", *, iou_threshold=0.5, plus_one=False, dataset=None):
    """How good detections are.

    Args:
        found: `DetectionTable`. Of equal scores, the earlier row comes first.
        truth: `ObjectTable` of the same pictures and classes in the same order.
        measure: "voc07" (11 points), "voc12" (area under the curve), "coco" (twelve numbers), "ilsvrc" (small objects
            need less overlap).
        iou_threshold: smallest overlap of a true detection, above 0 to 1. COCO has its own ten; ILSVRC's is for
            objects that are not small.
        plus_one: whether both tables hold inclusive pixels, as VOC's files do, with xmax the last pixel of a box and
            not the edge behind it. Readers of this package give edges, and the same overlaps.
        dataset: what the objects come from, for reports.

    Returns:
        `Result`.

    Raises:
        ValueError: another measure, a threshold out of range, tables of other pictures or classes, or no object that
            is to be found.
        ImportError: "coco" without the extra `coco`.

    Example:
        >>> result = measure(found, ObjectTable.of(dataset), "voc12", iou_threshold=0.7)
        >>> result.map, result.per_class["dog"]
        (0.412, 0.536)
    """
    _check(found, truth, measure, iou_threshold, plus_one)
    wanted = np.bincount(truth.class_ids[~(truth.difficult | truth.crowd)], minlength=len(truth.class_names))
    pairing, value = _BY_CURVE[measure]
    verdicts = pairing(found, truth, iou_threshold, plus_one).verdicts
    curves = cv.class_curves(found, verdicts, wanted)
    per_class = {
        name: value(curves[class_id]) if class_id in curves else float("nan")
        for class_id, name in enumerate(truth.class_names)
    }
    return Result(
        measure,
        per_class,
        {truth.class_names[class_id]: curve for class_id, curve in curves.items()},
        {"mAP": cv.mean(per_class.values())},
        {"iou_threshold": float(iou_threshold), "plus_one": bool(plus_one)},
        found,
        truth,
        dataset,
    )


def _check(found, truth, measure, iou_threshold, plus_one):
    if measure not in MEASURES:
        raise ValueError(unknown_name("measure", measure, MEASURES))
    real = isinstance(iou_threshold, numbers.Real) and not isinstance(iou_threshold, bool)
    if not real or not 0 < iou_threshold <= 1:
        raise ValueError(f"`iou_threshold` must be above 0 and at most 1. Received: iou_threshold={iou_threshold!r}")
    if measure == "coco" and (iou_threshold != 0.5 or plus_one):
        raise ValueError(
            "COCO's measure has its own ten thresholds, 0.50 to 0.95, and no added pixel. Leave `iou_threshold` and "
            f'`plus_one` out, or take measure="voc12". Received: iou_threshold={iou_threshold}, plus_one={plus_one}'
        )
    for what in ("pictures", "class_names"):
        ours, theirs = getattr(found, what), getattr(truth, what)
        if ours != theirs:
            place = next((i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]), None)
            where = (
                f"{len(ours)} and {len(theirs)} of them" if place is None else f"{ours[place]!r} and {theirs[place]!r}"
            )
            raise ValueError(f"Both tables must have the same {what} in the same order. Received: {where}")
    if (truth.difficult | truth.crowd).all():
        kind = "no object" if not len(truth) else "difficult objects and crowds alone"
        raise ValueError(
            f"There is nothing to be found in the {len(truth.pictures)} pictures, so nothing can be measured. "
            f"Give pictures with objects. Received: {kind}"
        )
