"""Whether a score of 0.8 means that 8 of 10 such detections are true."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

BINS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """How often detections of a score are true.

    Args:
        edges: (BINS + 1,) bounds of the scores of a bin.
        counts: (BINS,) detections in each bin.
        scores, precision: (BINS,) mean score of a bin and share of its detections that are true; NaN for an empty one.
        ece: expected calibration error: the mean distance of the two, each bin counting as it has detections; NaN
            without detections.
        bias: mean score minus share of true detections; above 0 the scores promise too much.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks"; for detections Küppers et
    al. 2020, "Multivariate Confidence Calibration for Object Detection".
    """

    edges: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    precision: np.ndarray
    ece: float
    bias: float


def calibration(scores: ArrayLike, true: np.ndarray) -> Calibration | None:
    """The `Calibration` of detections that count, or None if their scores are no probabilities.

    Args:
        scores: (K,) numbers; a bin holds its lower edge, the last bin 1 too.
        true: (K,) bool.
    """
    scores = np.asarray(scores, np.float64)
    if len(scores) and not (scores.min() >= 0 and scores.max() <= 1 + 1e-6):
        return None
    edges = np.linspace(0, 1, BINS + 1)
    places = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    some = np.maximum(counts, 1)
    mean = np.where(counts > 0, np.bincount(places, scores, minlength=BINS) / some, np.nan)
    precision = np.where(counts > 0, np.bincount(places, true, minlength=BINS) / some, np.nan)
    if not len(scores):
        return Calibration(edges, counts, mean, precision, float("nan"), float("nan"))
    ece = float(np.nansum(np.abs(mean - precision) * counts) / len(scores))
    return Calibration(edges, counts, mean, precision, ece, float(scores.mean() - np.mean(true)))
