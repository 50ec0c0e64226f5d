"""COCO's measure: the twelve numbers, and its rule at one threshold.

Difficult objects count as crowds: COCO has no other objects that need not be found.

Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; cocodataset.org, "Detection evaluation".
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd.evaluation.metrics import curves as cv
from keras_ssd.evaluation.metrics.coco_library import signed_areas, tables
from keras_ssd.evaluation.pairing import IGNORED, NONE, Pairing, pair_free, ranks
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())  # as in pycocotools: 0.9 is slightly below 9 / 10
MAX_DETECTIONS = (1, 10, 100)  # the best detections of a class in an image that count
RECALLS = np.linspace(0, 1, 101)
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)  # places in AREAS
AREAS = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))  # square pixels: any, small, medium, large


def pairing(found: DetectionTable, truth: ObjectTable, iou_threshold: ArrayLike, plus_one: bool = False) -> Pairing:
    """`Pairing` by COCO's rule at one threshold.

    Detections beyond the best 100 of a class in an image are ignored, and so are boxes of negative area.
    """
    counted = np.flatnonzero((ranks(found) < MAX_DETECTIONS[-1]) & (signed_areas(found) >= 0))
    pairs = pair_free(found[counted], truth, iou_threshold, plus_one=plus_one, crowd_inside=True)
    fills = {"verdicts": IGNORED, "objects": NONE, "nearest": NONE, "ious": 0}
    columns = {}
    for name, fill in fills.items():
        part = getattr(pairs, name)
        columns[name] = np.full(len(found), fill, part.dtype)
        columns[name][counted] = part
    return dataclasses.replace(pairs, **columns)


def hundred_points(curve: cv.Curve) -> float:
    """The mean of the highest precisions at recalls of at least 0, 0.01, ..., 1."""
    best = np.append(cv.best_from_here(curve.precision), 0)
    return float(best[np.searchsorted(curve.recall, RECALLS)].mean())


def evaluate(found: DetectionTable, truth: ObjectTable) -> tuple[np.ndarray, dict[int, cv.Curve], dict[str, float]]:
    """The twelve numbers and the data behind them.

    Args:
        found: `DetectionTable`. Of equal scores, the earlier image ranks higher, then the earlier row.
        truth: `ObjectTable` of the same images and classes.

    Returns:
        (C,) average precision of each class at IoU 0.50 to 0.95, NaN without objects; dictionary from class id to
        `Curve` at IoU 0.5; and dictionary of the numbers, NaN if no object has the size.

    Raises:
        ImportError: the extra `coco` is not installed.
    """
    precision, scores, recall = tables(found, truth, IOU_THRESHOLDS, RECALLS, AREAS, MAX_DETECTIONS)
    whole = precision[:, :, :, _ALL, -1]  # thresholds, recalls, C
    per_class = np.array([_mean(whole[:, :, class_id]) for class_id in range(len(truth.class_names))])
    curves = {
        class_id: cv.Curve(RECALLS, own, np.where(own > 0, scores[0, :, class_id, _ALL, -1], np.nan))
        for class_id in np.flatnonzero(~np.isnan(per_class)).tolist()
        for own in [whole[0, :, class_id]]
    }
    return per_class, curves, _numbers(precision, recall)


def _numbers(precision, recall):
    """COCO's twelve numbers.

    Args:
        precision: (thresholds, recalls, C, areas, most), -1 if no object has the size.
        recall: (thresholds, C, areas, most), likewise.
    """
    sizes = {"s": _SMALL, "m": _MEDIUM, "l": _LARGE}
    whole = precision[..., _ALL, -1]
    return {
        "AP": _mean(whole),
        "AP50": _mean(whole[IOU_THRESHOLDS.index(0.5)]),
        "AP75": _mean(whole[IOU_THRESHOLDS.index(0.75)]),
        **{f"AP{name}": _mean(precision[..., size, -1]) for name, size in sizes.items()},
        **{f"AR{most}": _mean(recall[..., _ALL, place]) for place, most in enumerate(MAX_DETECTIONS)},
        **{f"AR{name}": _mean(recall[..., size, -1]) for name, size in sizes.items()},
    }


def _mean(values):
    """The mean without -1, which marks no object; NaN if nothing is left."""
    values = values[values > -1]  # a new array, summed in the order of pycocotools
    return float(np.mean(values)) if len(values) else float("nan")
