"""Mean average precision at one overlap, in VOC's manner: what a training watches."""

import dataclasses

import numpy as np

from keras_ssd import boxes as bx


@dataclasses.dataclass(frozen=True)
class AveragePrecision:
    """The area under the curve of precision over recall, a class and on average.

    Args:
        by_class: dictionary from class name to its value 0..1; NaN for a class without objects.
    """

    by_class: dict

    @property
    def mean(self):
        """The mean over the classes that have objects; NaN if none has."""
        values = [value for value in self.by_class.values() if not np.isnan(value)]
        return float(np.mean(values)) if values else float("nan")

    def __str__(self):
        classes = ", ".join(f"{name} {value:.3f}" for name, value in self.by_class.items())
        return f"{self.mean:.3f} ({classes})"


def average_precision(found, truth, class_names, iou_threshold=0.5):
    """Compares detections with annotations.

    In falling order of score, a detection is true if the object of its class that it overlaps most is overlapped
    enough and has not been found before; a second detection of an object is false. Objects marked difficult or crowd
    need not be found, and finding them counts neither way.

    Args:
        found: `Detections`, one a picture.
        truth: `Annotation`s of the same pictures in the same order.
        class_names: names of the class ids of both.
        iou_threshold: smallest overlap of a true detection, 0..1.

    Returns:
        `AveragePrecision`.

    Raises:
        ValueError: not as many detections as annotations.

    Example:
        >>> found = model.detect([one.picture for one in val], confidence=0.01)
        >>> print(average_precision(found, val, val.classes))
        0.914 (RBC 0.861, WBC 0.972, Platelets 0.908)

    Source: VOCdevkit 2010 and later, VOCevaldet.m (area under the curve).
    """
    found, truth = list(found), list(truth)
    if len(found) != len(truth):
        raise ValueError(
            f"Expected detections of as many pictures as there are annotations. Received: {len(found)} and {len(truth)}"
        )
    values = {}
    for class_id, name in enumerate(class_names):
        scores, verdicts, wanted = [], [], 0
        for detections, annotation in zip(found, truth, strict=True):
            is_class = annotation.class_ids == class_id
            ignored = (annotation.difficult | annotation.crowd)[is_class]
            rows = detections.class_ids == class_id
            scores.append(detections.scores[rows])
            verdicts.append(
                _verdicts(detections.boxes_xyxy[rows], annotation.boxes_xyxy[is_class], ignored, iou_threshold)
            )
            wanted += int((~ignored).sum())
        values[name] = _area(np.concatenate(scores), np.concatenate(verdicts), wanted) if scores else float("nan")
    return AveragePrecision(values)


TRUE, FALSE, NEITHER = 1, 0, -1


def _verdicts(boxes_xyxy, objects_xyxy, ignored, iou_threshold):
    """(K,) TRUE, FALSE or NEITHER for each box of one picture and class, best score first."""
    verdicts = np.full(len(boxes_xyxy), FALSE)
    if not len(objects_xyxy) or not len(boxes_xyxy):
        return verdicts
    overlaps = bx.iou(boxes_xyxy[:, None], objects_xyxy[None], np)  # (K, M)
    nearest = overlaps.argmax(axis=1)
    taken = np.zeros(len(objects_xyxy), bool)
    for row, place in enumerate(nearest):
        if overlaps[row, place] < iou_threshold:
            continue
        if ignored[place]:
            verdicts[row] = NEITHER
        elif not taken[place]:
            verdicts[row] = TRUE
            taken[place] = True
    return verdicts


def _area(scores, verdicts, wanted):
    """The area under the curve, precision made to fall with recall; NaN where there is nothing to find."""
    if not wanted:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    verdicts = verdicts[order]
    verdicts = verdicts[verdicts != NEITHER]
    true = np.cumsum(verdicts == TRUE)
    precision = true / np.arange(1, len(verdicts) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[verdicts == TRUE].sum() / wanted)
