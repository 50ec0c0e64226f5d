"""Curves of precision over recall, and means."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_ssd.evaluation.pairing import FALSE, IGNORED, TRUE
from keras_ssd.evaluation.tables import DetectionTable


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of one class, in falling order of score.

    Args:
        recall, precision: (K,) 0..1, each with all detections down to and with the k-th; detections that count
            neither way are left out. A COCO curve has its 101 recalls instead, and the best precision from there on.
        scores: (K,) the score of the detection that gives the point; NaN where none reaches the recall.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray


def class_curves(found: DetectionTable, verdicts: np.ndarray, wanted: np.ndarray) -> dict[int, Curve]:
    """Dictionary from class id to `Curve`, of the classes that have objects.

    Args:
        found: `DetectionTable` of K rows. Of equal scores, the earlier row is first.
        verdicts: (K,) TRUE, FALSE or IGNORED.
        wanted: (C,) how many objects of each class are to be found.
    """
    rows = np.lexsort((-found.scores, found.class_ids))
    rows = rows[verdicts[rows] != IGNORED]
    bounds = np.searchsorted(found.class_ids[rows], np.arange(len(wanted) + 1))
    return {
        class_id: curve(found.scores[part], verdicts[part], count)
        for class_id, count in enumerate(wanted.tolist())
        if count
        for part in [rows[bounds[class_id] : bounds[class_id + 1]]]
    }


def curve(scores: np.ndarray, verdicts: np.ndarray, wanted: int) -> Curve:
    """The `Curve` of one class.

    Args:
        scores: (K,) in falling order.
        verdicts: (K,) TRUE or FALSE.
        wanted: how many objects are to be found, at least 1.
    """
    true = np.cumsum(verdicts == TRUE)
    false = np.cumsum(verdicts == FALSE)
    return Curve(true / wanted, true / (true + false), scores)


def best_from_here(precision: np.ndarray) -> np.ndarray:
    """(K,) the highest precision at this recall or a higher one."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def mean(values: Iterable[float]) -> float:
    """The mean of the values that are not NaN; NaN if there is none."""
    values = np.asarray(list(values), float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
