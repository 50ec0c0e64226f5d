"""Scores that mean what they say: a temperature and a shift of the log odds."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_STEPS = 100


@dataclass(frozen=True)
class ScoreCalibration:
    """A map of scores that keeps their order: log odds become (log odds + shift) / temperature.

    A detector is calibrated if 8 of 10 detections with a score of 0.8 are true. A temperature alone leaves a score of
    0.5 where it is, while the scores of a detector are usually all too high or too low. Hence the shift.

    Args:
        temperature: above 1 the scores move towards 0.5, below 1 away from it.
        shift: of the log odds; above 0 all scores rise.

    Raises:
        ValueError: the temperature is not above 0, or a number is not finite.

    Example:
        >>> round(ScoreCalibration(temperature=2.0).apply(0.8), 3)
        0.667

    Source: J. Platt, "Probabilistic Outputs for Support Vector Machines" (1999); for detections F. Küppers et al.,
    "Multivariate Confidence Calibration for Object Detection" (2020).
    """

    temperature: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0 and math.isfinite(self.shift)):
            raise ValueError(
                "A calibration needs a temperature above 0 and a finite shift. Received: "
                f"temperature={self.temperature!r}, shift={self.shift!r}"
            )

    def __bool__(self) -> bool:
        return (self.temperature, self.shift) != (1.0, 0.0)

    def apply(self, scores: Any) -> Any:
        """Calibrated scores; 0 and 1 stay. `scores` must lie in 0..1: a number, an array or a tensor."""
        power, factor = 1 / self.temperature, math.exp(self.shift / self.temperature)
        up, down = factor * scores**power, (1 - scores) ** power
        return up / (up + down)

    def undo(self, score: float) -> float:
        """The score before calibration."""
        return float(ScoreCalibration(1 / self.temperature, -self.shift / self.temperature).apply(score))


def fit_calibration(scores: ArrayLike, true: ArrayLike) -> ScoreCalibration | None:
    """The `ScoreCalibration` under which detections that are true or false are likeliest.

    Args:
        scores: (K,) of detections, strictly within 0..1 where it matters.
        true: (K,) bool.

    Returns:
        None where there is nothing to learn from: no true detection or no false one, or true ones that do not have the
        higher scores.
    """
    scores, hits = np.asarray(scores, np.float64), np.asarray(true, bool)
    if hits.all() or not hits.any():
        return None
    inside = np.clip(scores, 1e-7, 1 - 1e-7)
    inputs = np.stack([np.log(inside / (1 - inside)), np.ones(len(inside))], axis=1)
    # Platt's targets: a little away from 0 and 1, so that few detections of one kind give no infinite slope.
    counts = int(hits.sum()), int((~hits).sum())
    targets = np.where(hits, (counts[0] + 1) / (counts[0] + 2), 1 / (counts[1] + 2))
    slope, shift = _logistic(inputs, targets)
    if not (np.isfinite(slope) and slope > 1e-3):
        return None
    return ScoreCalibration(float(1 / slope), float(shift / slope))


def _logistic(inputs, targets):
    """Weights of a logistic regression, by Newton's method with halved steps."""
    weights = np.array([1.0, 0.0])
    loss = _loss(inputs, targets, weights)
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-inputs @ weights))
        gradient = inputs.T @ (likely - targets)
        curvature = (inputs * (likely * (1 - likely))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (smaller := _loss(inputs, targets, weights - step)) > loss and np.abs(step).max() > 1e-9:
            step = step / 2
        weights, change, loss = weights - step, np.abs(step).max(), smaller
        if change < 1e-9:
            break
    return weights


def _loss(inputs, targets, weights):
    values = inputs @ weights
    return float((np.logaddexp(0, values) - targets * values).sum())
