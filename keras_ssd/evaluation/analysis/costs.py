"""The cost of each kind of error: average precision with these errors corrected, minus average precision."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis import errors as er
from keras_ssd.evaluation.metrics import curves as cv
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

KINDS = (*er.KINDS, "all false alarms", "all misses")


def class_values(
    found: DetectionTable, verdicts: np.ndarray, wanted: np.ndarray, value: Callable[[cv.Curve], float]
) -> np.ndarray:
    """(C,) average precision of each class, NaN without objects."""
    curves = cv.class_curves(found, verdicts, wanted)
    return np.array([value(curves[c]) if c in curves else np.nan for c in range(len(wanted))])


def costs(
    found: DetectionTable, truth: ObjectTable, sorted_: er.Sorted, value: Callable[[cv.Curve], float]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(C,) average precision of each class, NaN without objects, and a dictionary from `KINDS` to (C,) gains.

    Classification and localisation errors: the best detection of each object without a correct one is counted as
    correct; the others of that kind are removed. All other false detections of a kind are removed. Missed objects are
    no longer counted as objects. "all false alarms" removes every false detection, and "all misses" every object not
    found.

    Source: TIDE (see `errors`), section 2.3. There a class whose objects are all missed gains nothing; here it gains
    all that it lacks.
    """
    counted = sorted_.fates != er.UNCOUNTED
    wanted = np.bincount(truth.class_ids[counted], minlength=len(truth.class_names))
    verdicts = np.full(len(found), pr.FALSE)
    verdicts[sorted_.kinds == er.FOUND] = pr.TRUE
    verdicts[sorted_.kinds == er.UNCOUNTED] = pr.IGNORED
    now = class_values(found, verdicts, wanted, value)
    gains = {}
    for kind, name in enumerate(er.ERRORS):
        better, right = _put_right(found, truth, sorted_, verdicts, kind)
        gains[name] = class_values(better, right, wanted, value) - now
    clean = np.where(verdicts == pr.FALSE, pr.IGNORED, verdicts)
    for name, missed in (("missed", [er.MISSED]), ("all misses", [er.MISSED, er.CLASSIFICATION, er.LOCALISATION])):
        lost = np.bincount(truth.class_ids[np.isin(sorted_.fates, missed)], minlength=len(wanted))
        left = class_values(found, verdicts, wanted - lost, value)
        gains[name] = np.where(wanted > lost, left, np.where(wanted > 0, 1.0, np.nan)) - now
    gains["all false alarms"] = class_values(found, clean, wanted, value) - now
    return now, {name: gains[name] for name in KINDS}


def _put_right(found, truth, sorted_, verdicts, kind):
    """The detections and verdicts with all errors of one kind corrected."""
    wrong = np.flatnonzero(sorted_.kinds == kind)
    verdicts = verdicts.copy()
    verdicts[wrong] = pr.IGNORED
    if kind not in (er.CLASSIFICATION, er.LOCALISATION):
        return found, verdicts
    objects = sorted_.partners[wrong]
    best = (sorted_.finders[objects] == wrong) & (sorted_.fates[objects] == kind)
    verdicts[wrong[best]] = pr.TRUE
    class_ids = found.class_ids.copy()
    class_ids[wrong[best]] = truth.class_ids[objects[best]]
    return dataclasses.replace(found, class_ids=class_ids), verdicts
