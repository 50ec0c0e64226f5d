"""Average precision of small, medium and large objects, for every measure."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.evaluation import pairing as pr
from keras_ssd.evaluation.analysis import errors as er
from keras_ssd.evaluation.analysis.costs import class_values
from keras_ssd.evaluation.metrics.coco import AREAS
from keras_ssd.evaluation.metrics.curves import Curve
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

SIZES = dict(zip(("small", "medium", "large"), AREAS[1:], strict=True))  # square pixels of the image


@dataclasses.dataclass(frozen=True, eq=False)
class SizeValues:
    """Average precision of the objects of one size.

    Args:
        objects: number of objects.
        value: mean of the classes with objects, NaN if there are none.
        per_class: dictionary from class name to average precision, NaN without objects.
    """

    objects: int
    value: float
    per_class: dict[str, float]


def values_by_size(
    found: DetectionTable, truth: ObjectTable, sorted_: er.Sorted, value: Callable[[Curve], float]
) -> dict[str, SizeValues]:
    """Dictionary from the name of a size to `SizeValues`.

    As in COCO, objects of other sizes are ignored with the detections that find them, and so are false detections of
    another size.
    """
    counted = sorted_.fates != er.UNCOUNTED
    areas = bx.area(found.boxes_xyxy)
    true = sorted_.kinds == er.FOUND
    areas = np.where(true, truth.areas[sorted_.partners] if len(truth) else 0, areas)
    result = {}
    for name, (low, high) in SIZES.items():
        wanted_rows = counted & (truth.areas >= low) & (truth.areas < high)
        wanted = np.bincount(truth.class_ids[wanted_rows], minlength=len(truth.class_names))
        verdicts = np.where(true, pr.TRUE, pr.FALSE)
        verdicts[~((areas >= low) & (areas < high)) | (sorted_.kinds == er.UNCOUNTED)] = pr.IGNORED
        values = class_values(found, verdicts, wanted, value)
        mean = float(np.nanmean(values)) if wanted.any() else float("nan")
        per_class = dict(zip(truth.class_names, values.tolist(), strict=True))
        result[name] = SizeValues(int(wanted.sum()), mean, per_class)
    return result
