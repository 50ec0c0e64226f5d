"""Which images are most worth labelling next: those that the detector is least certain of, and that differ most."""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

LOWEST = 0.5  # share of the confidence threshold from which a score says anything: below it are crowds of chance boxes


@dataclasses.dataclass(frozen=True)
class Chosen:
    """An image that was chosen.

    Args:
        place: in the images that were given.
        uncertainty: see `uncertainty`.
        distance: to the nearest image that is labelled or was chosen before, 0..2; infinity for the first.
    """

    place: int
    uncertainty: float
    distance: float


def uncertainty(scores: ArrayLike, confidence: float) -> float:
    """How uncertain a detector is of an image: about the number of its doubtful boxes.

    The doubt of a box is 1 at the confidence threshold, where showing it is a coin toss. It falls to 0 at a score of 1,
    and at half of the threshold. The doubts of an image are added: images with many mistakes to correct teach most.

    Args:
        scores: of the image's boxes, from half of the threshold on.
        confidence: the threshold.

    Returns:
        A number from 0 on.

    Example:
        >>> uncertainty([0.5, 0.75, 1.0], confidence=0.5)
        1.5

    Source: the sum of the doubts of all boxes did best in C.-A. Brust, C. Käding, J. Denzler, "Active Learning for Deep
    Object Detection" (2018).
    """
    threshold = min(max(confidence, 0.02), 0.98)
    doubts = np.interp(np.asarray(scores, np.float64), [LOWEST * threshold, threshold, 1.0], [0.0, 1.0, 0.0])
    return float(doubts.sum())


def choose(uncertainties: ArrayLike, features: np.ndarray, count: int, known: np.ndarray | None = None) -> list[Chosen]:
    """The images most worth labelling, the most valuable first; the same for the same input.

    An image's value is the share of images that are at most as uncertain, times the distance of its features to the
    nearest image that is labelled or chosen already. The next image is the one of the highest value: greedy
    farthest-point sampling (k-center), weighted by uncertainty. Copies of a chosen image have no value.

    Args:
        uncertainties: (n,) of each image.
        features: (n, D) of each image.
        count: how many to choose; all if there are fewer.
        known: (m, D) features of images that are labelled already.

    Returns:
        List of `Chosen`.

    Raises:
        ValueError: the shapes do not agree.

    Source: O. Sener, S. Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach" (2018).
    """
    values = np.asarray(uncertainties, np.float64)
    if values.ndim != 1 or features.ndim != 2 or len(features) != len(values):
        raise ValueError(
            "choose takes one uncertainty and one row of features per image. Received: "
            f"uncertainties of shape {values.shape}, features of shape {features.shape}"
        )
    if not len(values):
        return []
    shares = np.searchsorted(np.sort(values), values, side="right") / len(values)
    known = np.zeros((0, features.shape[1]), np.float32) if known is None else known
    points = _comparable(np.concatenate([features, known]))
    points, labelled = points[: len(values)], points[len(values) :]
    nearest = np.full(len(values), np.inf)
    for point in labelled:
        nearest = np.minimum(nearest, _distances(points, point))
    left, found = np.ones(len(values), bool), []
    for _ in range(min(count, len(values))):
        place = _best(np.where(np.isinf(nearest), shares, shares * nearest), shares, left)
        found.append(Chosen(place, float(values[place]), float(nearest[place])))
        left[place] = False
        nearest = np.minimum(nearest, _distances(points, points[place]))
    return found


def _best(worth, shares, left):
    """The place of the highest worth; of equals the most uncertain, and of those the first."""
    best = np.flatnonzero(left & (worth == worth[left].max()))
    return int(best[shares[best].argmax()])


def _comparable(features):
    """Features of mean 0 and variance 1 in each column, and of length 1 in each row."""
    points = np.asarray(features, np.float64)
    points = points - points.mean(axis=0)
    deviation = points.std(axis=0)
    points = points / np.where(deviation > 1e-6, deviation, 1.0)
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.where(lengths > 0, lengths, 1.0)


def _distances(points, point):
    return np.linalg.norm(points - point, axis=1)
