"""The best score threshold, and the confusion of classes at it."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from keras_ssd.evaluation.analysis import errors as er
from keras_ssd.evaluation.analysis.overlaps import overlaps
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

NAN = float("nan")


@dataclasses.dataclass(frozen=True)
class WorkingPoint:
    """A score threshold, such as that of the highest F1, and its results.

    Args:
        threshold: detections with this score or a higher one count; NaN if no threshold gives a true detection.
        f1, precision, recall: 0..1 at this threshold; 0, NaN and 0 without one. NaN without objects.
        found, wrong, wanted: numbers of true and of false detections, and of objects.
    """

    threshold: float
    f1: float
    precision: float
    recall: float
    found: int
    wrong: int
    wanted: int


def working_point(scores: np.ndarray, true: np.ndarray, wanted: int, within: float = 0.0) -> WorkingPoint:
    """The `WorkingPoint` of the highest F1; `wanted` is the number of objects.

    Of the thresholds whose F1 is at most `within` below the highest, the highest threshold is taken.
    """
    order = np.argsort(-scores, kind="stable")
    scores, true = scores[order], true[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)) if len(scores) else np.zeros(0, int)
    found = np.cumsum(true)[last]
    if not wanted:
        return WorkingPoint(NAN, NAN, NAN, NAN, 0, 0, 0)
    if not found.any():
        return WorkingPoint(NAN, 0.0, NAN, 0.0, 0, 0, int(wanted))
    f1 = 2 * found / (last + 1 + wanted)
    best = int(np.argmax(f1 >= f1.max() - within))
    count, hits = int(last[best]) + 1, int(found[best])
    score = float(scores[last[best]])
    return WorkingPoint(score, float(f1[best]), hits / count, float(hits / wanted), hits, count - hits, int(wanted))


def point_at(scores: np.ndarray, true: np.ndarray, wanted: int, threshold: float) -> WorkingPoint:
    """The `WorkingPoint` of a given threshold."""
    if not wanted:
        return WorkingPoint(NAN, NAN, NAN, NAN, 0, 0, 0)
    taken = scores >= np.float32(threshold)
    count, hits = int(taken.sum()), int(true[taken].sum())
    f1 = 2 * hits / (count + wanted)
    precision = hits / count if count else NAN
    return WorkingPoint(float(threshold), f1, precision, float(hits / wanted), hits, count - hits, int(wanted))


def working_points(
    found: DetectionTable, truth: ObjectTable, sorted_: er.Sorted
) -> tuple[dict[str, WorkingPoint], WorkingPoint]:
    """A `WorkingPoint` for each class (a dictionary by name), and one for all classes under one threshold."""
    counted = sorted_.kinds != er.UNCOUNTED
    true = sorted_.kinds == er.FOUND
    objects = truth.class_ids[sorted_.fates != er.UNCOUNTED]
    wanted = np.bincount(objects, minlength=len(truth.class_names))
    points = {}
    for class_id, name in enumerate(truth.class_names):
        rows = counted & (found.class_ids == class_id)
        points[name] = working_point(found.scores[rows], true[rows], wanted[class_id])
    return points, working_point(found.scores[counted], true[counted], len(objects))


def accepted(found: DetectionTable, points: Mapping[str, WorkingPoint]) -> np.ndarray:
    """(K,) whether each detection reaches the threshold of its class."""
    thresholds = np.array([points[name].threshold for name in found.class_names], np.float32)
    return found.scores >= np.nan_to_num(thresholds, nan=np.inf)[found.class_ids]


def confusion(
    found: DetectionTable,
    truth: ObjectTable,
    sorted_: er.Sorted,
    accepted: np.ndarray,
    thresholds: np.ndarray,
    plus_one: bool = False,
) -> np.ndarray:
    """The confusion matrix, (C + 1, C + 1).

    Rows are the true classes, then false alarms; columns are the predicted classes, then missed. Each object that
    counts and each accepted detection is in one cell: true detections on the diagonal. Of the rest, a detection and an
    object of another class that overlap enough make a pair, the highest score first. The others are missed or false
    alarms.

    Args:
        found, truth, sorted_: the tables, and the kinds and fates of their rows.
        accepted: (K,) bool, detections that count.
        thresholds: (M,) the IoU from which a detection finds each object.
        plus_one: whether a pixel is added to boxes.
    """
    classes = len(truth.class_names)
    table = np.zeros((classes + 1, classes + 1), np.int64)
    hits = accepted & (sorted_.kinds == er.FOUND)
    np.add.at(table, (truth.class_ids[sorted_.partners[hits]], found.class_ids[hits]), 1)
    free = sorted_.fates != er.UNCOUNTED
    free[sorted_.partners[hits]] = False
    waiting = accepted & (sorted_.kinds != er.FOUND) & (sorted_.kinds != er.UNCOUNTED)
    places, objects = np.flatnonzero(waiting), np.flatnonzero(free)
    for detection, one in _pairs_of_other_classes(found[places], truth[objects], thresholds[objects], plus_one):
        detection, one = places[detection], objects[one]
        table[truth.class_ids[one], found.class_ids[detection]] += 1
        waiting[detection] = free[one] = False
    table[classes, :classes] += np.bincount(found.class_ids[waiting], minlength=classes)
    table[:classes, classes] += np.bincount(truth.class_ids[free], minlength=classes)
    return table


def _pairs_of_other_classes(found, truth, thresholds, plus_one):
    """(detection, object) of different classes that overlap enough; each once, the highest score first."""
    pairs = overlaps(found, truth, plus_one)
    other = found.class_ids[pairs.rows] != truth.class_ids[pairs.others]
    pairs = pairs[other & (pairs.ious >= thresholds[pairs.others])]
    order = np.lexsort((pairs.others, -pairs.ious, pairs.rows, -found.scores[pairs.rows]))
    used, taken = set(), set()
    for detection, one in zip(pairs.rows[order].tolist(), pairs.others[order].tolist(), strict=True):
        if detection not in used and one not in taken:
            used.add(detection)
            taken.add(one)
            yield detection, one
