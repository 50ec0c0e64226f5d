"""COCO's tables of precision and recall from faster-coco-eval, which only this module imports.

pycocotools gives the same tables, but needs several times as much time and memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_ssd import boxes as bx
from keras_ssd._environment import without_collecting
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

_ROWS = 100_000  # detections and objects that the library gets at once, as Python objects: about 100 MB


def import_library() -> Any:
    """The package `faster_coco_eval`.

    Raises:
        ImportError: it is not installed; the message tells how to install it.
    """
    try:
        import faster_coco_eval
    except ImportError as error:
        raise ImportError(
            "COCO's measure needs the package `faster-coco-eval`: pip install 'keras-ssd[coco]'"
        ) from error
    return faster_coco_eval


def tables(
    found: DetectionTable,
    truth: ObjectTable,
    iou_thresholds: ArrayLike,
    recalls: ArrayLike,
    areas: Sequence[Sequence[float]],
    most: Sequence[int],
) -> tuple[np.ndarray, ...]:
    """pycocotools's precision, scores and recall, equal to the last bit.

    Args:
        found, truth: the two tables, with C classes.
        iou_thresholds: (T,).
        recalls: (R,) of the precision.
        areas: (A, 2) smallest and largest area of an object that counts.
        most: (D,) numbers of detections of a class that count in an image.

    Returns:
        Precision and scores, (T, R, C, A, D), and recall, (T, C, A, D). Precision and recall are -1 if no object
        counts.
    """
    library = import_library()
    counts = _counts(truth, areas)
    # The recall between one object found and two, for `_with_epsilon`.
    between = {1.5 / count for count in np.unique(counts) if count > 1}
    asked = np.union1d(recalls, sorted(between))
    kept = np.searchsorted(asked, recalls)
    parts = []
    for class_ids in _groups(found, truth):
        some = (found[np.isin(found.class_ids, class_ids)], truth[np.isin(truth.class_ids, class_ids)])
        with without_collecting():  # none of the many small dictionaries can be freed before the end
            evaluation = library.COCOeval_faster(*_handed_over(library, some, class_ids), iouType="bbox")
            evaluation.params.iouThrs = np.asarray(iou_thresholds, float)
            evaluation.params.recThrs = asked
            evaluation.params.areaRng = [list(area) for area in areas]
            evaluation.params.maxDets = list(most)
            evaluation.evaluate()
            evaluation.accumulate()
        precision, scores, recall = (np.asarray(evaluation.eval[name]) for name in ("precision", "scores", "recall"))
        parts.append((_with_epsilon(precision, asked, counts[class_ids])[:, kept], scores[:, kept], recall))
    return tuple(np.concatenate(part, axis) for part, axis in zip(zip(*parts, strict=True), (2, 2, 1), strict=True))


def _with_epsilon(precision, recalls, counts):
    """Precision as in pycocotools, which adds 2**-52 to the number of detections; the library does not.

    The difference shows only if that number is 1: the first detection is true, and the second, if any, is not.
    """
    for place, area in np.argwhere(counts):
        count = counts[place, area]
        part = precision[:, :, place, area]  # (T, R, D), a view
        first = recalls <= 1 / count  # reached with one detection
        values = part[:, first]
        two = part[:, np.searchsorted(recalls, 1.5 / count)] == 1 if count > 1 else np.zeros_like(part[:, 0], bool)
        part[:, first] = np.where((values == 1) & ~two[:, None], 1 / (1 + np.spacing(1)), values)
    return precision


def _counts(truth, areas):
    """(C, A) numbers of objects to find."""
    counts = np.zeros((len(truth.class_names), len(areas)), int)
    sizes = truth.areas.astype(float)
    for place, (least, largest) in enumerate(areas):
        counted = (sizes >= least) & (sizes <= largest) & ~(truth.difficult | truth.crowd)
        counts[:, place] = np.bincount(truth.class_ids[counted], minlength=len(counts))
    return counts


def _groups(found, truth):
    """Class ids in lists, each with at most `_ROWS` rows, or one class."""
    rows = np.bincount(np.concatenate([found.class_ids, truth.class_ids]), minlength=len(truth.class_names))
    groups, size = [[]], 0
    for class_id, count in enumerate(rows.tolist()):
        if groups[-1] and size + count > _ROWS:
            groups.append([])
            size = 0
        groups[-1].append(class_id)
        size += count
    return groups


def _handed_over(library, some, class_ids):
    """Objects and detections of some classes as the library's `COCO`."""
    found, truth = some
    shared = {
        "images": [{"id": place} for place in range(len(truth.images))],
        "categories": [{"id": class_id, "name": truth.class_names[class_id]} for class_id in class_ids],
    }
    objects = _rows(truth, truth.areas, truth.difficult | truth.crowd)
    detections = _rows(found, signed_areas(found), np.zeros(len(found)))
    for detection, score in zip(detections, found.scores.tolist(), strict=True):
        detection["score"] = score
    return [library.COCO({**shared, "annotations": rows}) for rows in (objects, detections)]


def signed_areas(table: DetectionTable | ObjectTable) -> np.ndarray:
    """(K,) width times height, as in COCO's tools: a box with one negative side is below 0 and is ignored."""
    return np.prod(table.boxes_xyxy[:, 2:].astype(float) - table.boxes_xyxy[:, :2], axis=1)


def _rows(table, areas, crowd):
    """A table as COCO's list of dictionaries. Ids start at 1, since 0 means "not paired" in COCO's tools."""
    boxes_xywh = bx.xyxy_to_xywh(table.boxes_xyxy.astype(float))
    columns = (table.image, table.class_ids, boxes_xywh, np.asarray(areas, float), np.asarray(crowd, int))
    return [
        {"id": place, "image_id": image, "category_id": class_id, "bbox": box, "area": area, "iscrowd": is_crowd}
        for place, (image, class_id, box, area, is_crowd) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True), start=1
        )
    ]
