"""What kind of error each false detection and each object not found is.

Source: Bolya, Foley, Hays, Hoffman 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", 2.2.
"""

import dataclasses

import numpy as np

from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis.overlaps import overlaps
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

BACKGROUND_IOU = 0.1  # a detection that overlaps every object less than this lies on background
ERRORS: tuple[str, ...] = ("classification", "localisation", "both", "duplicate", "background")
KINDS: tuple[str, ...] = (*ERRORS, "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED, FOUND, UNCOUNTED = range(8)


@dataclasses.dataclass(frozen=True, eq=False)
class Sorted:
    """Every detection and every object with what became of it.

    Args:
        kinds: (K,) int8, a detection's place in `ERRORS`, or FOUND for a true one, or UNCOUNTED for one that the
            measure ignores.
        partners: (K,) the object that a detection found, spoilt or repeated; -1 for none.
        ious: (K,) overlap with that object; where there is none, the highest with any.
        fates: (M,) int8, FOUND; or CLASSIFICATION or LOCALISATION where a detection would have found the object if its
            class or its box had been right; or MISSED; or UNCOUNTED for difficult objects and crowd regions.
        finders: (M,) the detection that found an object, or would have; -1 for none.
    """

    kinds: np.ndarray
    partners: np.ndarray
    ious: np.ndarray
    fates: np.ndarray
    finders: np.ndarray


def sort_errors(
    found: DetectionTable, truth: ObjectTable, pairing: pr.Pairing, thresholds: np.ndarray, plus_one: bool = False
) -> Sorted:
    """Gives every detection its kind and every object its fate, each exactly one.

    A false detection is the first of these that fits:

    - localisation: it overlaps an object of its class, but none of them enough;
    - classification: it overlaps an object of another class enough;
    - duplicate: it overlaps an object of its class enough, which is another detection's;
    - background: it overlaps every object less than `BACKGROUND_IOU`;
    - both: all others: another class, and not enough overlap.

    Args:
        found, truth: the two tables.
        pairing: the measure's `Pairing` of them.
        thresholds: (M,) the IoU from which a detection finds each object.
        plus_one: whether a pixel is added to boxes, as for the pairing.

    Returns:
        `Sorted`.
    """
    count = len(found)
    counted = ~(truth.difficult | truth.crowd)
    pairs = overlaps(found, truth, plus_one)
    pairs = pairs[counted[pairs.others]]
    same = found.class_ids[pairs.rows] == truth.class_ids[pairs.others]
    enough = pairs.ious >= thresholds[pairs.others]
    any_iou, any_object = pairs.best(count)
    own_iou, own_object = pairs[same].best(count)
    other_iou, other_object = pairs[~same & enough].best(count)
    again_iou, again_object = pairs[same & enough].best(count)
    cases = (  # condition, kind, object, IoU
        (pairing.verdicts == pr.TRUE, FOUND, pairing.objects, pairing.ious),
        (pairing.verdicts == pr.IGNORED, UNCOUNTED, pairing.objects, pairing.ious),
        ((own_iou >= BACKGROUND_IOU) & (again_object < 0), LOCALISATION, own_object, own_iou),
        (other_object >= 0, CLASSIFICATION, other_object, other_iou),
        (again_object >= 0, DUPLICATE, again_object, again_iou),
        (any_iou < BACKGROUND_IOU, BACKGROUND, np.full(count, pr.NONE), any_iou),
        (np.ones(count, bool), BOTH, any_object, any_iou),
    )
    conditions, kinds, partners, ious = zip(*cases, strict=True)
    kinds = np.select(conditions, kinds).astype(np.int8)
    partners = np.select(conditions, partners)
    return Sorted(kinds, partners, np.select(conditions, ious), *_fates(found.scores, counted, kinds, partners))


def _fates(scores, counted, kinds, partners):
    """(M,) what became of each object, and (M,) the best detection that found it, or else would have."""
    fates = np.where(counted, MISSED, UNCOUNTED).astype(np.int8)
    finders = np.full(len(counted), pr.NONE)
    near = np.flatnonzero((kinds == CLASSIFICATION) | (kinds == LOCALISATION))
    near = near[np.lexsort((-near, scores[near]))]  # the best last, of equals the first: what is written last stays
    for rows in (near, np.flatnonzero(kinds == FOUND)):
        finders[partners[rows]] = rows
        fates[partners[rows]] = kinds[rows]
    return fates, finders
