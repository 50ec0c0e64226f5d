"""Why a detector fails: `analyse` and its result, `Analysis`."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis import calibration as cal
from keras_ssd.evaluation.analysis import costs as co
from keras_ssd.evaluation.analysis import errors as er
from keras_ssd.evaluation.analysis import misses as ms
from keras_ssd.evaluation.analysis import sizes as sz
from keras_ssd.evaluation.analysis import working as wk
from keras_ssd.evaluation.analysis.rules import rule_of
from keras_ssd.evaluation.metrics import curves as cv
from keras_ssd.evaluation.tables import DetectionTable

if TYPE_CHECKING:
    from keras_ssd.evaluation.result import Result


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """Why a detector fails, at one IoU threshold.

    Args:
        iou_threshold: overlap of a true detection: the result's; 0.5 for COCO; for ILSVRC that of large objects.
        table: the detections.
        per_class: dictionary from class name to average precision at that IoU, NaN without objects.
        kinds: (K,) int8, the kind of each detection: an index in `ERRORS`, `FOUND` for a true one, or `UNCOUNTED`.
        fates: (M,) int8, the fate of each object: `FOUND`; `CLASSIFICATION` or `LOCALISATION` if a detection would have
            found it with the right class or box; `MISSED`; or `UNCOUNTED` (difficult, crowd).
        partners, ious: (K,) the object that belongs to each detection (-1 for none), and the overlap.
        finders: (M,) the detection that found each object or would have, -1 for none.
        accepted: (K,) bool, detections that reach the threshold of their class.
        counts: dictionary from kind of error to its number among all detections (missed: among objects).
        accepted_counts: the same for accepted detections; missed counts all objects that they do not find.
        costs: dictionary from kind of error to the average precision that would be gained without it.
        class_costs: the same for each class: dictionary from kind to dictionary from class name.
        working_points: dictionary from class name to `WorkingPoint`, the threshold of the highest F1.
        working_point: the best threshold for all classes together.
        confusion: (C + 1, C + 1) at the working points; rows are true classes, then false alarms; columns are the
            predicted classes, then missed.
        calibration: `Calibration`, or None if scores are not probabilities.
        misses: tuple of `Split`s of the objects.
        sizes: dictionary from "small", "medium", "large" to `SizeValues`.
    """

    iou_threshold: float
    table: DetectionTable
    per_class: dict[str, float]
    kinds: np.ndarray
    fates: np.ndarray
    partners: np.ndarray
    ious: np.ndarray
    finders: np.ndarray
    accepted: np.ndarray
    counts: dict[str, int]
    accepted_counts: dict[str, int]
    costs: dict[str, float]
    class_costs: dict[str, dict[str, float]]
    working_points: dict[str, wk.WorkingPoint]
    working_point: wk.WorkingPoint
    confusion: np.ndarray
    calibration: cal.Calibration | None
    misses: tuple[ms.Split, ...]
    sizes: dict[str, sz.SizeValues]

    @property
    def map(self) -> float:
        """Mean average precision at `iou_threshold`."""
        return cv.mean(self.per_class.values())

    @functools.cached_property
    def curves(self) -> dict[str, cv.Curve]:
        """Dictionary from class name to `Curve` at `iou_threshold`, for classes with objects."""
        verdicts = np.select([self.kinds == er.FOUND, self.kinds == er.UNCOUNTED], [pr.TRUE, pr.IGNORED], pr.FALSE)
        wanted = np.array([point.wanted for point in self.working_points.values()])
        curves = cv.class_curves(self.table, verdicts, wanted)
        return {self.table.class_names[class_id]: curve for class_id, curve in curves.items()}

    def at(self, threshold: float) -> wk.WorkingPoint:
        """The `WorkingPoint` of one threshold for all classes."""
        return wk.point_at(*self._counted(), threshold)

    def cautious_point(self, within: float) -> wk.WorkingPoint:
        """The `WorkingPoint` of the highest score whose F1, over all classes, is at most `within` below the best."""
        return wk.working_point(*self._counted(), within)

    def _counted(self):
        """(scores, whether true, number of objects) of the detections that count."""
        counted = self.kinds != er.UNCOUNTED
        return self.table.scores[counted], self.kinds[counted] == er.FOUND, self.working_point.wanted

    @property
    def found(self) -> np.ndarray:
        """(M,) bool, objects that an accepted detection finds."""
        hits = (self.fates == er.FOUND).copy()
        rows = np.flatnonzero(hits)
        hits[rows] = self.accepted[self.finders[rows]]
        return hits

    def __str__(self) -> str:
        lines = [f"What is lost, at IoU {self.iou_threshold:g} (mean AP {self.map:.3f}):"]
        for kind in sorted(er.KINDS, key=lambda kind: -self.costs[kind]):
            lines.append(f"  {kind:15} costs {self.costs[kind]:.3f}  ({self.counts[kind]:,} in all)")
        for split in self.misses:
            worst = max(split.groups, key=lambda group: group.missed)
            if worst.missed:
                share = worst.missed / split.missed
                lines.append(f"  missed, by {split.name}: {share:.0%} are {worst.short}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Analysis(map={self.map:.3f}, iou_threshold={self.iou_threshold:g})"


@checked_arguments
def analyse(result: "Result", anchors: Any = None) -> Analysis:
    """Analyses why a detector fails.

    Args:
        result: `Result`. COCO's is analysed at IoU 0.5.
        anchors: `AnchorSpec` of the detector, or its model, to tell which objects its anchors can match; None for those
            of the result.

    Example:
        >>> print(analyse(result, model))
        What is lost, at IoU 0.5 (mean AP 0.909):
          background      costs 0.041  (410 in all)
          ...
    """
    found, truth = result.found, result.truth
    rule, iou_threshold, plus_one = rule_of(result)
    anchors = result.anchors if anchors is None else getattr(anchors, "anchor_spec", anchors)
    thresholds = rule.thresholds(truth.boxes_xyxy, iou_threshold, plus_one)
    pairing = rule.pair(found, truth, iou_threshold, plus_one)
    errors = er.sort_errors(found, truth, pairing, thresholds, plus_one)
    values, gains = co.costs(found, truth, errors, rule.value)
    points, point = wk.working_points(found, truth, errors)
    accepted = wk.accepted(found, points)
    counted, hits = errors.kinds != er.UNCOUNTED, errors.kinds == er.FOUND
    at_all = errors.fates == er.FOUND
    now = at_all.copy()
    now[at_all] = accepted[errors.finders[at_all]]
    wanted = errors.fates != er.UNCOUNTED
    names = truth.class_names
    return Analysis(
        iou_threshold=iou_threshold,
        table=found,
        per_class=dict(zip(names, values.tolist(), strict=True)),
        **{field.name: getattr(errors, field.name) for field in dataclasses.fields(errors)},
        accepted=accepted,
        counts=_counts(errors.kinds, (errors.fates == er.MISSED).sum()),
        accepted_counts=_counts(errors.kinds[accepted], (wanted & ~now).sum()),
        costs={kind: cv.mean(gain) for kind, gain in gains.items()},
        class_costs={kind: dict(zip(names, gain.tolist(), strict=True)) for kind, gain in gains.items()},
        working_points=points,
        working_point=point,
        confusion=wk.confusion(found, truth, errors, accepted, thresholds, plus_one),
        calibration=cal.calibration(found.scores[counted], hits[counted]),
        misses=ms.split_misses(truth, wanted, now, at_all, anchors, plus_one),
        sizes=sz.values_by_size(found, truth, errors, rule.value),
    )


def _counts(kinds, missed):
    numbers = np.bincount(kinds[kinds < len(er.ERRORS)], minlength=len(er.ERRORS)).tolist()
    return dict(zip(er.KINDS, [*numbers, int(missed)], strict=True))
