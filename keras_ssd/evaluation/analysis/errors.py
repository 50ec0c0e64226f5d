"""The kind of error of each false detection and each missed object.

Source: Bolya, Foley, Hays, Hoffman 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", 2.2.
"""

import dataclasses

import numpy as np

from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis.overlaps import overlaps
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

BACKGROUND_IOU = 0.1  # a detection that overlaps every object less than this is on background
ERRORS: tuple[str, ...] = ("classification", "localisation", "both", "duplicate", "background")
KINDS: tuple[str, ...] = (*ERRORS, "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED, FOUND, UNCOUNTED = range(8)


@dataclasses.dataclass(frozen=True, eq=False)
class Sorted:
    """The kind of every detection and the fate of every object.

    Args:
        kinds: (K,) int8, an index in `ERRORS`, FOUND for a true detection, or UNCOUNTED for one that the measure
            ignores.
        partners: (K,) the object that belongs to each detection; -1 for none.
        ious: (K,) overlap with that object; without one, the highest with any.
        fates: (M,) int8, FOUND; CLASSIFICATION or LOCALISATION if a detection would have found the object with the
            right class or box; MISSED; or UNCOUNTED for difficult objects and crowd regions.
        finders: (M,) the detection that found each object, or would have; -1 for none.
    """

    kinds: np.ndarray
    partners: np.ndarray
    ious: np.ndarray
    fates: np.ndarray
    finders: np.ndarray


def sort_errors(
    found: DetectionTable, truth: ObjectTable, pairing: pr.Pairing, thresholds: np.ndarray, plus_one: bool = False
) -> Sorted:
    """Assigns one kind to every detection and one fate to every object.

    The kind of a false detection is the first that applies:

    - localisation: it overlaps objects of its class, but none of them enough;
    - classification: it overlaps an object of another class enough;
    - duplicate: it overlaps an object of its class enough, which another detection has found;
    - background: it overlaps every object less than `BACKGROUND_IOU`;
    - both: any other: another class, and not enough overlap.

    Args:
        found, truth: the two tables.
        pairing: the measure's `Pairing` of them.
        thresholds: (M,) the IoU from which a detection finds each object.
        plus_one: whether a pixel is added to boxes, as for the pairing.
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
    """(M,) the fate of each object, and (M,) the best detection that found it or would have."""
    fates = np.where(counted, MISSED, UNCOUNTED).astype(np.int8)
    finders = np.full(len(counted), pr.NONE)
    near = np.flatnonzero((kinds == CLASSIFICATION) | (kinds == LOCALISATION))
    near = near[np.lexsort((-near, scores[near]))]  # the best last, the first of equals, so that it overwrites others
    for rows in (near, np.flatnonzero(kinds == FOUND)):
        finders[partners[rows]] = rows
        fates[partners[rows]] = kinds[rows]
    return fates, finders
