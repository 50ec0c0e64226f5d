"""Whether rows of detections are what suppression may give where scores are tied.

Of two overlapping boxes of nearly equal scores, the last bit decides which one suppresses the other, and with it what
else is kept: the rows of two right programs may differ in many places. But greedy suppression can be checked without
doing it again. Its rows are candidates of the model, no two of them overlap too much, and whatever candidate is left
out overlaps one of them that is at least as good, or is behind a limit.
"""

from dataclasses import dataclass

import numpy as np

from keras_ssd.boxes import iou_matrix
from keras_ssd.decoding import DecodeOptions

OVERLAP = 10  # differences of overlaps that a difference of sides may make; 1 where boxes are as large as the image


@dataclass(frozen=True)
class Candidates:
    """What the decoder of a model sees of one image.

    Args:
        boxes_xyxy: (N, 4), fractions of the image.
        scores: (N, C), without the background.
        options: the `DecodeOptions`.
        background: (N,) scores of the background; None where there is none.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    options: DecodeOptions
    background: np.ndarray | None = None

    @property
    def shown(self) -> np.ndarray:
        """The boxes as rows have them."""
        return self.boxes_xyxy.clip(0, 1) if self.options.clip_boxes else self.boxes_xyxy


def of_boxes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The largest difference of sides of each pair of boxes; of coordinates beyond 1, as a share of them."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(a - b) / np.maximum(np.abs(a), 1.0)
    differences = np.where(a == b, 0.0, np.nan_to_num(differences, nan=np.inf))  # untrained nets give endless boxes
    return differences.max(axis=-1, initial=0.0)


def from_candidates(candidates: Candidates, rows: np.ndarray, scores: float) -> tuple[np.ndarray, np.ndarray]:
    """(place of the candidate (K,), difference of boxes (K,)) of each row: the nearest one of its class and its score.

    Args:
        candidates: the `Candidates`.
        rows: (K, 6).
        scores: how far its score may be; without such a candidate the place is -1 and the difference infinite.
    """
    places, differences = np.full(len(rows), -1), np.full(len(rows), np.inf)
    for number, row in enumerate(rows):
        same = np.flatnonzero(np.abs(candidates.scores[:, int(row[0])] - row[1]) <= scores)
        if len(same):
            far = of_boxes(candidates.shown[same], row[2:])
            places[number], differences[number] = same[far.argmin()], far.min()
    return places, differences


def possible(candidates: Candidates, rows: np.ndarray, room: int, scores: float, boxes: float) -> np.ndarray | None:
    """How far rows are from the candidates that they are, if suppression may have given them.

    Args:
        candidates: the `Candidates`.
        rows: (K, 6) in use, by falling score.
        room: rows that the list has room for.
        scores, boxes: how far numbers may be from the model's.

    Returns:
        (K, 2) differences of scores and boxes; None where the rows are not what suppression gives of these candidates.
    """
    options = candidates.options
    if not options.is_plain:
        return None
    ids = rows[:, 0].astype(int)
    if (ids >= candidates.scores.shape[1]).any():
        return None
    places, far = from_candidates(candidates, rows, scores)
    if not (far <= boxes).all():
        return None
    cut = rows[-1, 1] if len(rows) and len(rows) >= room else -np.inf
    for number, group in enumerate(_groups(candidates, places, ids, scores)):
        among = np.ones(len(rows), bool) if options.class_agnostic else ids == number
        if not _is_suppression(candidates, group, rows[among], places[among], cut, scores, boxes):
            return None
    return np.stack([np.abs(candidates.scores[places, ids] - rows[:, 1]), far], axis=1)


def _groups(candidates, places, ids, scores):
    """Scores (N,) of the candidates of each suppression; for all classes at once, of the class that counts."""
    if not candidates.options.class_agnostic:
        return list(candidates.scores.T)
    best = candidates.scores.max(axis=1)
    lead = np.full(len(best), np.inf) if candidates.background is None else best - candidates.background
    chosen = np.where(lead > scores, best, -1.0)
    own = candidates.scores[places, ids]
    tied = (lead[places] >= -scores) & (own >= best[places] - scores)  # either class may win, or the background
    chosen[places[tied]] = own[tied]
    return [chosen]


def _is_suppression(candidates, group, rows, places, cut, scores, boxes):
    """Whether rows are what one suppression keeps of its candidates, short of `cut`."""
    options, geometry = candidates.options, candidates.boxes_xyxy
    count, limit, _ = options.sizes(*candidates.scores.shape)
    lowest, least = options.floor, max(options.floor, cut)  # what may take part, and what must be accounted for
    if count < len(group):
        worst = np.partition(group, -count)[-count]
        lowest, least = max(lowest, worst), max(least, worst)
    if limit < count and len(rows) >= limit:
        least = max(least, rows[-1, 1])
    if len(rows) > limit or not (group[places] >= lowest - scores).all():
        return False
    left = np.setdiff1d(np.flatnonzero(group > least + scores), places)
    with np.errstate(invalid="ignore", over="ignore"):
        among = np.triu(iou_matrix(geometry[places], geometry[places]), 1)
        over = iou_matrix(geometry[left], geometry[places])
    slack = min(OVERLAP * boxes, 0.3)
    if (among > options.iou_threshold + slack).any():
        return False
    better = group[places][None] >= group[left][:, None] - scores
    alone = left[~(better & (over > options.iou_threshold - slack)).any(axis=1)]
    return all(_is_there(candidates, place, group[place], rows, scores, boxes) for place in alone)


def _is_there(candidates, place, score, rows, scores, boxes):
    """Whether a row is equal to a candidate: boxes without area overlap nothing, not even themselves."""
    near = of_boxes(rows[:, 2:], candidates.shown[place]) <= boxes
    return bool((near & (np.abs(rows[:, 1] - score) <= scores)).any())
