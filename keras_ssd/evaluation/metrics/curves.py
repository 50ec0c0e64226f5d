"""Curves of precision over recall, and means."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_ssd.evaluation.pairing import FALSE, IGNORED, TRUE
from keras_ssd.evaluation.tables import DetectionTable


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Precision over recall of one class, in descending order of score.

    Args:
        recall, precision: (K,) 0..1, of the first k detections; ignored detections are left out. A COCO curve has its
            101 recalls instead, with the best precision from there on.
        scores: (K,) the score at each point; NaN if no detection reaches the recall.
    """

    recall: np.ndarray
    precision: np.ndarray
    scores: np.ndarray


def class_curves(found: DetectionTable, verdicts: np.ndarray, wanted: np.ndarray) -> dict[int, Curve]:
    """Dictionary from class id to `Curve`, for classes with objects.

    Args:
        found: `DetectionTable` of K rows. Of equal scores, the earlier row ranks higher.
        verdicts: (K,) TRUE, FALSE or IGNORED.
        wanted: (C,) numbers of objects to find.
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
    """The `Curve` of one class, from (K,) descending scores, (K,) verdicts TRUE or FALSE, and at least 1 object."""
    true = np.cumsum(verdicts == TRUE)
    false = np.cumsum(verdicts == FALSE)
    return Curve(true / wanted, true / (true + false), scores)


def best_from_here(precision: np.ndarray) -> np.ndarray:
    """(K,) the highest precision at this recall or higher."""
    return np.maximum.accumulate(precision[::-1])[::-1]


def mean(values: Iterable[float]) -> float:
    """The mean without NaN; NaN if nothing is left."""
    values = np.asarray(list(values), float)
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")
