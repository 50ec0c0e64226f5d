"""Mean AP at one overlap: hand-made cases, and a slow loop over recall."""

import math

import numpy as np
import pytest

from keras_ssd import boxes as bx
from keras_ssd.data import Annotation
from keras_ssd.detections import Detections
from keras_ssd.training.average_precision import AveragePrecision, average_precision

A, B, FAR = [0, 0, 10, 10], [20, 0, 30, 10], [40, 40, 50, 50]
HALF_OFF = [0, 0, 10, 4]  # IoU 0.4 with A


def found(boxes, scores, ids=None, names=("a", "b")):
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, ids or [0] * len(boxes), names, (60, 60))


def truth(boxes, ids=None, **marks):
    return Annotation("picture", "picture.png", boxes, ids or [0] * len(boxes), (60, 60), **marks)


def of(detections, annotation):
    return average_precision([detections], [annotation], ["a", "b"]).by_class["a"]


@pytest.mark.parametrize(
    ("boxes", "scores", "expected"),
    [
        ([A, B], [0.9, 0.8], 1.0),
        ([A], [0.9], 0.5),
        ([FAR, A], [0.9, 0.8], 0.25),  # precision 1/2 up to recall 1/2
        ([A, FAR, B], [0.9, 0.8, 0.7], 0.5 + 0.5 * 2 / 3),
        ([A, A, B], [0.9, 0.8, 0.7], 0.5 + 0.5 * 2 / 3),  # the second find of A is false
        ([HALF_OFF, B], [0.9, 0.8], 0.25),
        ([FAR, A, B], [0.9, 0.8, 0.7], 2 / 3),  # precision 1/2 at recall 1/2 counts as the later 2/3
        ([], [], 0.0),
    ],
    ids=["all", "half", "false first", "false between", "duplicate", "too little overlap", "envelope", "nothing"],
)
def test_values_one_picture(boxes, scores, expected):
    assert of(found(boxes, scores), truth([A, B])) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("mark", ["difficult", "crowd"])
def test_values_what_is_difficult_counts_neither_way(mark):
    annotation = truth([A, B], **{mark: [True, False]})
    assert of(found([A, A, B], [0.9, 0.8, 0.7]), annotation) == 1.0
    assert of(found([B], [0.7]), annotation) == 1.0
    assert math.isnan(of(found([A], [0.7]), truth([A], **{mark: [True]})))


def test_values_classes_are_apart_and_one_without_objects_is_no_zero():
    result = average_precision([found([A, A], [0.9, 0.8], [1, 0])], [truth([A])], ["a", "b"])
    assert result.by_class["a"] == 1.0
    assert math.isnan(result.by_class["b"])
    assert result.mean == 1.0
    assert math.isnan(AveragePrecision({"a": math.nan}).mean)
    assert str(AveragePrecision({"a": 1.0, "b": 0.5})) == "0.750 (a 1.000, b 0.500)"


def test_values_scores_are_compared_over_all_pictures():
    pictures = [found([FAR], [0.95]), found([A], [0.9]), found([], [])]
    result = average_precision(pictures, [truth([A]), truth([A]), truth([])], ["a"])
    assert result.by_class["a"] == pytest.approx(0.25)


def naive(pictures, annotations, threshold):
    """Class 0's area by a sum over recalls, boxes one by one, over all pictures together."""
    rows = [(s, p, b) for p, d in enumerate(pictures) for _, s, b, c in d if c == 0]
    rows.sort(key=lambda row: -row[0])
    taken, hits = set(), []
    for _, p, box in rows:
        overlaps = [
            (float(bx.iou(np.array(box), other, np)), i)
            for i, (other, c) in enumerate(zip(annotations[p].boxes_xyxy, annotations[p].class_ids, strict=True))
            if c == 0
        ]
        best, place = max(overlaps, key=lambda pair: (pair[0], -pair[1]), default=(0.0, -1))
        if best >= threshold and annotations[p].difficult[place]:
            continue
        hits.append(best >= threshold and (p, place) not in taken)
        if hits[-1]:
            taken.add((p, place))
    wanted = sum(int(((a.class_ids == 0) & ~a.difficult).sum()) for a in annotations)
    area = 0.0
    for k in range(1, sum(hits) + 1):  # the best precision among all cuts with a recall of at least k / wanted
        cuts = [sum(hits[:n]) / n for n in range(1, len(hits) + 1) if sum(hits[:n]) >= k]
        area += max(cuts) / wanted
    return area


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_reference_naive_loop_on_random_pictures(threshold):
    rng = np.random.default_rng(7)
    pictures, annotations = [], []
    for _ in range(12):
        boxes = rng.uniform(0, 40, (rng.integers(1, 7), 2))
        boxes = np.hstack([boxes, boxes + rng.uniform(5, 20, boxes.shape)])
        annotations.append(
            truth(boxes, list(rng.integers(0, 2, len(boxes))), difficult=rng.uniform(size=len(boxes)) < 0.2)
        )
        moved = np.repeat(boxes, 2, axis=0) + rng.normal(0, 2, (2 * len(boxes), 4))
        moved = np.clip(np.hstack([moved[:, :2], np.maximum(moved[:, 2:], moved[:, :2])]), 0, 60)
        pictures.append(found(moved, rng.uniform(size=len(moved)), list(rng.integers(0, 2, len(moved)))))
    result = average_precision(pictures, annotations, ["a", "b"], threshold).by_class["a"]
    assert 0.1 < result < 0.9
    assert result == pytest.approx(naive(pictures, annotations, threshold), abs=1e-12)


def test_rejects_another_number_of_pictures():
    with pytest.raises(ValueError, match="Received: 0 and 1"):
        average_precision([], [truth([A])], ["a"])
