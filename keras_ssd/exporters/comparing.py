"""How the detections of an exported file compare with those of its model."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.exporters.tied import Candidates as Candidates
from keras_ssd.exporters.tied import from_candidates, of_boxes, possible


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from its model.

    Args:
        scores: difference of the scores of one detection.
        boxes: difference of its box sides, as fractions of the image.
        unmatched: share of the detections that may have no partner.
        mean: what counts is the mean difference, not the largest: whole numbers move single detections far, where one
            of two boxes of nearly equal scores is suppressed instead of the other.
    """

    scores: float
    boxes: float
    unmatched: float = 0.0
    mean: bool = False


@dataclass(frozen=True)
class Parity:
    """How the detections of a file compare with those of its model; `print` it.

    Args:
        runtime: what ran the file.
        images: number of images.
        expected, found: detections of the model and of the file.
        matched: those that both found.
        scores, boxes: the largest differences of matched detections, or the mean ones, as `tolerance` says; boxes as
            fractions of the image.
        tolerance: what was allowed.
    """

    runtime: str
    images: int
    expected: int
    found: int
    matched: int
    scores: float
    boxes: float
    tolerance: Tolerance

    @property
    def holds(self) -> bool:
        """Whether every difference is within the tolerance."""
        unmatched = max(self.expected, self.found) - self.matched
        return (
            self.scores <= self.tolerance.scores
            and self.boxes <= self.tolerance.boxes
            and unmatched <= self.tolerance.unmatched * max(self.expected, self.found)
        )

    def __str__(self) -> str:
        count = "1 image" if self.images == 1 else f"{self.images} images"
        if not self.expected and not self.found:
            return f"{self.runtime}, {count}: neither the model nor the file finds anything, so little is compared"
        which = "mean" if self.tolerance.mean else "largest"
        return (
            f"{self.runtime}, {count}: {self.matched} of {self.expected} detections matched, {self.found} found, "
            f"{which} difference: scores {self.scores:.1e}, boxes {self.boxes:.1e}"
        )


def compare(
    expected: Sequence[np.ndarray] | np.ndarray,
    found: Sequence[np.ndarray] | np.ndarray,
    runtime: str,
    tolerance: Tolerance,
    floor: float = -1.0,
    candidates: Callable[[int], Candidates] | None = None,
) -> Parity:
    """Compares the rows of a model with those of a file, image by image.

    Rows of equal scores may stand in another order. A row that only one has does not count where its score is within
    the tolerance of the threshold, or of the last row of a full list: rounding decides there. Of two overlapping boxes
    of equal score, rounding decides which one suppresses the other, and what is kept in their wake; both are right, see
    `keras_ssd.exporters.tied`.

    Args:
        expected, found: (K, 6) rows of each image.
        runtime: what ran the file.
        tolerance: the `Tolerance`.
        floor: the threshold of the scores.
        candidates: function of an image's place that gives the model's `Candidates`; it is asked only where rows
            differ.
    """
    totals = np.zeros(3, int)
    differences = [np.zeros((0, 2))]
    for place, (ours, theirs) in enumerate(zip(expected, found, strict=True)):
        before = None if candidates is None else functools.partial(candidates, place)
        counts, found_there = _compared(ours, theirs, tolerance, floor, before)
        totals += counts
        differences.append(found_there)
    scores, boxes = _summed_up(np.concatenate(differences), tolerance)
    wanted, given, matched = map(int, totals)
    return Parity(runtime, len(expected), wanted, given, matched, scores, boxes, tolerance)


def together(parts: Sequence[Parity]) -> Parity:
    """One `Parity` of those of several sets of images, each with the same runtime and tolerance."""
    sums = {name: sum(getattr(part, name) for part in parts) for name in ("images", "expected", "found", "matched")}
    differences = {name: max(getattr(part, name) for part in parts) for name in ("scores", "boxes")}
    if parts[0].tolerance.mean and sums["matched"]:
        shares = [part.matched / sums["matched"] for part in parts]
        for name in differences:
            differences[name] = sum(
                share * getattr(part, name) for share, part in zip(shares, parts, strict=True) if share
            )
    return replace(parts[0], **sums, **differences)


def _compared(ours, theirs, tolerance, floor, candidates):
    """((expected, found, matched), (difference of scores, of boxes) of each match) of one image."""
    room = max(len(ours), len(theirs))
    border = max(floor, *(_last_score(rows, room) for rows in (ours, theirs))) + tolerance.scores
    a, b = (rows[rows[:, 0] >= 0].astype(np.float64) for rows in (ours, theirs))
    partners = _partners(a, b)
    in_a = np.array([i for i, _ in partners], int)
    in_b = np.array([j for _, j in partners], int)
    alone = [_clear(rows, places, border) for rows, places in ((a, in_a), (b, in_b))]
    scores = np.abs(a[in_a, 1] - b[in_b, 1])
    boxes = of_boxes(a[in_a, 2:], b[in_b, 2:])
    matched, together = len(partners), np.stack([scores, boxes], axis=1)
    wrong = np.array([scores > tolerance.scores, boxes > tolerance.boxes])
    if candidates is not None and (wrong.any() or any(alone)):
        seen = candidates()
        possibly = possible(seen, b, room, tolerance.scores, tolerance.boxes)
        if possibly is not None:
            return (matched, matched, matched), possibly
        tied = wrong[1] & ~wrong[0]
        together[tied, 1] = np.minimum(boxes[tied], from_candidates(seen, b[in_b[tied]], tolerance.scores)[1])
    return (matched + alone[0], matched + alone[1], matched), together


def _last_score(rows, room):
    """The score of the last row of a full list: what stands behind it was cut off; -1 for a list with room."""
    return float(rows[-1, 1]) if len(rows) == room > 0 and rows[-1, 0] >= 0 else -1.0


def _clear(rows, places, border):
    """How many rows without partners are not at the border."""
    without = np.ones(len(rows), bool)
    without[places] = False
    return int((rows[without, 1] > border).sum())


def _summed_up(differences, tolerance):
    """(of scores, of boxes): the largest differences, or the mean ones; infinite where one is no number."""
    if not len(differences):
        return 0.0, 0.0
    found = differences.mean(axis=0) if tolerance.mean else differences.max(axis=0)
    scores, boxes = (float(one) if np.isfinite(one) else float("inf") for one in found)
    return scores, boxes


def _partners(a, b):
    """[(row of a, row of b)] of one object: of one class, overlapping most, of nearest score where boxes are equal."""
    if not len(a) or not len(b):
        return []
    overlap = iou_matrix(a[:, 2:], b[:, 2:])
    same_box = np.abs(a[:, None, 2:] - b[None, :, 2:]).max(axis=-1) < 1e-6  # boxes without area have no overlap
    worth = np.where(same_box, 1.0, overlap) - np.abs(a[:, None, 1] - b[None, :, 1])
    worth = np.where(a[:, None, 0] == b[None, :, 0], worth, -np.inf)
    possible = np.argwhere(worth > 0)
    order = np.argsort(-worth[tuple(possible.T)], kind="stable")
    used_a, used_b, partners = set(), set(), []
    for i, j in possible[order]:
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            partners.append((int(i), int(j)))
    return partners
