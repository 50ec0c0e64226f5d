"""Whether 8 of 10 detections with score 0.8 are true."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

BINS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """How often detections with a score are true.

    Args:
        edges: (BINS + 1,) bounds of the bins of scores.
        counts: (BINS,) detections per bin.
        scores, precision: (BINS,) mean score of a bin and share of true detections in it; NaN for an empty bin.
        ece: expected calibration error: the mean distance of the two, weighted by the detections of each bin; NaN
            without detections.
        bias: mean score minus share of true detections; above 0, scores are too high.

    Source: Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks"; for detections Küppers et al.
    2020, "Multivariate Confidence Calibration for Object Detection".
    """

    edges: np.ndarray
    counts: np.ndarray
    scores: np.ndarray
    precision: np.ndarray
    ece: float
    bias: float


def calibration(scores: ArrayLike, true: np.ndarray) -> Calibration | None:
    """The `Calibration` of detections with (K,) scores and (K,) bool `true`; None if the scores are not probabilities.

    A bin includes its lower edge, the last bin also 1.
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
