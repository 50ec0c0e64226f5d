"""Pairs detections with objects, for all images and classes at once.

There are two rules. VOC's takes the object that a detection overlaps most, even if another detection has found it.
ILSVRC's and COCO's take the objects that are still free.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

TRUE, FALSE, IGNORED = 1, 0, -1
NONE = -1  # in the place of an object
_PAIRS = 1 << 19  # pairs per step, about 50 MB


@dataclasses.dataclass(frozen=True, eq=False)
class Pairing:
    """A rule's decision for each detection; rows are those of the `DetectionTable`.

    Args:
        verdicts: (K,) int8: TRUE, FALSE or IGNORED.
        objects: (K,) indices in the `ObjectTable` of the matched objects, NONE for false detections.
        nearest: (K,) the object of the same class that the detection overlaps most, NONE if it overlaps none.
        ious: (K,) float64 overlap with the nearest, 0 if there is none.
    """

    verdicts: np.ndarray
    objects: np.ndarray
    nearest: np.ndarray
    ious: np.ndarray


def nearest(
    found: DetectionTable, truth: ObjectTable, *, same_class: bool = True, plus_one: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The object that each detection overlaps most; the first of equals.

    Args:
        found: `DetectionTable` of K rows.
        truth: `ObjectTable` of the same images and classes.
        same_class: False considers the objects of all classes.
        plus_one: whether xmax and ymax are the last pixel of a box instead of its edge.

    Returns:
        (K,) int64 indices in `truth`, NONE without overlap, and (K,) float64 overlaps 0..1.
    """
    objects, ious = np.full(len(found), NONE), np.zeros(len(found))
    for pairs in all_pairs(found, truth, same_class, plus_one):
        best, place = _best(pairs.ious, pairs.starts)
        touching = best > 0
        rows = pairs.rows[pairs.starts[touching]]
        objects[rows], ious[rows] = pairs.objects[place[touching]], best[touching]
    return objects, ious


def pair_nearest(
    found: DetectionTable, truth: ObjectTable, iou_threshold: ArrayLike = 0.5, *, plus_one: bool = False
) -> Pairing:
    """VOC's rule: the object that a detection overlaps most decides.

    In descending order of score, a detection is true if it is the first that overlaps that object enough; later ones on
    the same object are false. A detection on a difficult object or a crowd is ignored.

    Args:
        found: `DetectionTable`. Of equal scores, the earlier row ranks higher.
        truth: `ObjectTable` of the same images and classes.
        iou_threshold: smallest overlap of a true detection, above 0 to 1, or (M,) one for each object.
        plus_one: as in `nearest`.

    Source: VOCdevkit 2012, VOCevaldet.m.
    """
    near, ious = nearest(found, truth, plus_one=plus_one)
    thresholds = np.broadcast_to(np.asarray(iou_threshold, float), len(truth))
    enough = near != NONE
    enough[enough] = ious[enough] >= thresholds[near[enough]]
    ignored = enough.copy()
    ignored[enough] = _ignored(truth)[near[enough]]
    rows = _by_score(found.scores)
    rows = rows[(enough & ~ignored)[rows]]
    first = rows[np.unique(near[rows], return_index=True)[1]]  # the best detection of each object
    verdicts = np.where(ignored, IGNORED, FALSE).astype(np.int8)
    verdicts[first] = TRUE
    return Pairing(verdicts, np.where(verdicts == FALSE, NONE, near), near, ious)


def pair_free(
    found: DetectionTable,
    truth: ObjectTable,
    iou_threshold: ArrayLike = 0.5,
    *,
    plus_one: bool = False,
    crowd_inside: bool = False,
) -> Pairing:
    """ILSVRC's and COCO's rule: the free object that a detection overlaps most decides.

    In descending order of score, a detection is true if it overlaps a free object of its class enough; it takes the one
    that it overlaps most. Otherwise, it is ignored if it overlaps a difficult object or a crowd, which any number of
    detections may share.

    Args:
        found, truth, iou_threshold, plus_one: as in `pair_nearest`.
        crowd_inside: COCO's rule for crowds and difficult objects: their overlap is the share of the detection inside;
            and of equal overlaps, the last object is taken instead of the first.

    Source: ILSVRC2014 devkit, eval_detection.m; COCO API, cocoeval.py.
    """
    near, ious = nearest(found, truth, plus_one=plus_one)
    ignored = _ignored(truth)
    inside = ignored if crowd_inside else None
    thresholds = np.broadcast_to(np.asarray(iou_threshold, float), len(truth))
    objects = np.full(len(found), NONE)
    taken = np.zeros(len(truth), bool)
    for pairs in _rounds(_candidates(found, truth, thresholds, plus_one, inside), found):
        rank = np.where(ignored[pairs.objects], pairs.ious - 2, pairs.ious)  # objects that count come first
        best, place = _best(np.where(taken[pairs.objects], -np.inf, rank), pairs.starts, last=crowd_inside)
        any_free = best > -np.inf
        chosen = pairs.objects[place[any_free]]
        objects[pairs.rows[pairs.starts[any_free]]] = chosen
        taken[chosen[~ignored[chosen]]] = True
    verdicts = np.full(len(found), FALSE, np.int8)
    paired = objects != NONE
    verdicts[paired] = np.where(ignored[objects[paired]], IGNORED, TRUE)
    return Pairing(verdicts, objects, near, ious)


@dataclasses.dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of detections and objects, grouped by detection; `starts` are the indices of the first pairs."""

    rows: np.ndarray
    objects: np.ndarray
    ious: np.ndarray
    starts: np.ndarray


def all_pairs(
    found: DetectionTable | ObjectTable,
    truth: DetectionTable | ObjectTable,
    same_class: bool,
    plus_one: bool,
    inside: np.ndarray | None = None,
) -> Iterator[Pairs]:
    """`Pairs` of each detection with each object of its image (and class), some detections at a time.

    For the objects of the mask `inside`, the overlap is the share of the detection inside them.
    """
    classes = max(len(truth.class_names), 1) if same_class else 0
    found_keys, truth_keys = (
        table.image * np.int64(classes) + table.class_ids if same_class else table.image for table in (found, truth)
    )
    order = np.argsort(truth_keys, kind="stable")
    truth_keys = truth_keys[order]
    begin = np.searchsorted(truth_keys, found_keys)
    counts = np.searchsorted(truth_keys, found_keys, side="right") - begin
    rows = np.flatnonzero(counts)
    ends = np.cumsum(counts[rows])
    edge = np.array([0, 0, 1, 1], float) if plus_one else np.zeros(4)
    done = 0
    while done < len(rows):
        before = ends[done - 1] if done else 0
        until = max(done + 1, np.searchsorted(ends, before + _PAIRS, side="right"))
        some, count = rows[done:until], counts[rows[done:until]]
        starts = ends[done:until] - count - before
        within = np.arange(count.sum()) - np.repeat(starts, count)
        row, place = np.repeat(some, count), order[np.repeat(begin[some], count) + within]
        boxes, objects = found.boxes_xyxy[row] + edge, truth.boxes_xyxy[place] + edge  # float64 from here
        ious = bx.iou(boxes, objects)
        if inside is not None and inside[place].any():
            part = inside[place]
            ious[part] = _share_inside(boxes[part], objects[part])
        yield Pairs(row, place, ious, starts)
        done = until


def _share_inside(boxes_xyxy, regions_xyxy):
    """The share of each box inside its region, 0..1."""
    low = np.maximum(boxes_xyxy[:, :2], regions_xyxy[:, :2])
    high = np.minimum(boxes_xyxy[:, 2:], regions_xyxy[:, 2:])
    common = bx.area(np.concatenate([low, high], axis=1))
    return common / np.where(common > 0, bx.area(boxes_xyxy), 1)


def _candidates(found, truth, thresholds, plus_one, inside):
    """`Pairs` with enough overlap."""
    kept = []
    for pairs in all_pairs(found, truth, True, plus_one, inside):
        enough = (pairs.ious >= thresholds[pairs.objects]) & (pairs.ious > 0)
        kept.append((pairs.rows[enough], pairs.objects[enough], pairs.ious[enough]))
    rows, objects, ious = (np.concatenate(c) for c in zip(*kept, strict=True)) if kept else (np.zeros(0, int),) * 3
    return Pairs(rows, objects, ious, np.zeros(0, int))


def _rounds(pairs, found):
    """The pairs in rounds with at most one detection per image and class, the best scores first."""
    rows = np.unique(pairs.rows)
    turns = np.zeros(len(found), int)
    turns[rows] = ranks(found[rows])
    order = np.argsort(turns[pairs.rows], kind="stable")
    bounds = np.searchsorted(turns[pairs.rows][order], np.arange(turns[rows].max(initial=-1) + 2))
    for low, high in itertools.pairwise(bounds):
        part = order[low:high]
        own = pairs.rows[part]
        starts = np.flatnonzero(np.concatenate([[True], own[1:] != own[:-1]]))
        yield Pairs(own, pairs.objects[part], pairs.ious[part], starts)


def ranks(found: DetectionTable) -> np.ndarray:
    """(K,) rank of each detection in its image and class, from 0; of equal scores, the earlier row first."""
    order = np.lexsort((-found.scores, found.class_ids, found.image))
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(found.image[order]) != 0) | (np.diff(found.class_ids[order]) != 0)
    places, ranked = np.arange(len(order)), np.empty(len(order), int)
    ranked[order] = places - np.maximum.accumulate(np.where(new, places, 0))
    return ranked


def _best(values, starts, last=False):
    """The largest value of each run that starts at `starts`, and its index: the first of equals, or the last."""
    best = np.maximum.reduceat(values, starts)
    lengths = np.diff(np.append(starts, len(values)))
    places = np.arange(len(values))
    equal = values == np.repeat(best, lengths)
    if last:
        return best, np.maximum.reduceat(np.where(equal, places, -1), starts)
    return best, np.minimum.reduceat(np.where(equal, places, len(values)), starts)


def _by_score(scores):
    return np.argsort(-scores, kind="stable")


def _ignored(truth):
    return truth.difficult | truth.crowd
