"""VOC's measure: the devkit's figures on the images of VOC 2007, hand-made cases, and plain loops."""

import csv
import time

import numpy as np
import pytest
from measure_tables import detection_table, naive_voc, object_table, random_tables

from keras_ssd.evaluation import measure
from keras_ssd.evaluation.pairing import FALSE, IGNORED, NONE, TRUE
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

BOX, NEAR, FAR = (0, 0, 100, 60), (0, 0, 100, 50), (150, 100, 250, 160)  # IoU of BOX and NEAR: 5/6


def devkit_tables(oracle, as_edges):
    """The reference detections and objects: inclusive pixels as in VOC's files, or edges as readers give them."""
    data = oracle("voc_eval", "voc07_test_detections.npz")
    images, names = (tuple(map(str, data[key])) for key in ("image_ids", "class_names"))
    first = np.array([1, 1, 0, 0]) if as_edges else 0
    no = np.zeros(len(data["gt_class_id"]), bool)
    found = DetectionTable(
        images, names, data["image_index"], data["class_id"], data["score"], data["boxes_xyxy"] - first
    )
    truth = ObjectTable(
        images,
        names,
        np.zeros((len(images), 2)),
        data["gt_image_index"],
        data["gt_class_id"],
        data["gt_boxes_xyxy"] - first,
        data["gt_difficult"],
        no,
        no,
        no,
    )
    return found, truth


@pytest.mark.parametrize("as_edges", [True, False], ids=["edges", "inclusive pixels"])
def test_reference_devkit(oracle, shared, as_edges):
    found, truth = devkit_tables(oracle, as_edges)
    with open(shared("oracle", "voc_eval", "expected_ap.csv"), encoding="utf-8") as file:
        expected = {row["class"]: row for row in csv.DictReader(file)}
    mean = expected.pop("mean")
    assert (len(found.images), len(found), len(truth), len(expected)) == (4952, 19727, 14976, 20)
    for name, column in (("voc07", "ap_11_points"), ("voc12", "ap_all_points")):
        start = time.perf_counter()
        result = measure(found, truth, name, plus_one=not as_edges)
        seconds = time.perf_counter() - start
        assert seconds < 2, f"{name} took {seconds:.1f} s"
        assert result.per_class == {c: pytest.approx(float(row[column]), abs=1e-6) for c, row in expected.items()}
        assert result.map == pytest.approx(float(mean[column]), abs=1e-6)


def test_reference_the_added_pixel_matters(oracle):
    found, truth = devkit_tables(oracle, as_edges=False)
    assert measure(found, truth, "voc12").map != pytest.approx(
        measure(found, truth, "voc12", plus_one=True).map, abs=1e-4
    )


@pytest.mark.parametrize("seed", range(20))
def test_reference_naive_loops(seed):
    found, truth = random_tables(seed)
    for threshold in (0.3, 0.5, 0.75):
        for plus_one in (False, True):
            points, areas = naive_voc(found, truth, threshold, extra=int(plus_one))
            for name, expected in (("voc07", points), ("voc12", areas)):
                result = measure(found, truth, name, iou_threshold=threshold, plus_one=plus_one)
                np.testing.assert_allclose(list(result.per_class.values()), expected, rtol=0, atol=1e-12)


def test_values_curve_and_both_rules():
    # Of four objects two are found, by the first and the third detection.
    truth = object_table([(p, 0, BOX) for p in range(4)], images=4)
    found = detection_table([(0, 0, 0.9, BOX), (1, 0, 0.8, FAR), (2, 0, 0.7, NEAR)], images=4)
    result = measure(found, truth, "voc07")
    curve = result.curves["c0"]
    assert curve.recall.tolist() == [0.25, 0.25, 0.5]
    assert curve.precision.tolist() == [1, 1 / 2, 2 / 3]
    np.testing.assert_allclose(curve.scores, [0.9, 0.8, 0.7], atol=1e-7)
    # 11 points: precision 1 at recalls 0, 0.1 and 0.2, 2/3 at 0.3, 0.4 and 0.5, 0 at the five above.
    assert result.map == pytest.approx((3 * 1 + 3 * 2 / 3) / 11)
    assert measure(found, truth, "voc12").map == pytest.approx(0.25 * 1 + 0.25 * 2 / 3)


def test_values_recalls_are_the_devkits():
    # Three of ten found: 0.3 is not 0:0.1:1's fourth, which is 0.30000000000000004, but 2 of 10 is its third.
    truth = object_table([(p, 0, BOX) for p in range(10)], images=10)
    for count, points in ((2, 3), (3, 3), (4, 5)):
        found = detection_table([(p, 0, 0.9, BOX) for p in range(count)], images=10)
        assert measure(found, truth, "voc07").map == pytest.approx(points / 11)


def test_values_second_detection_of_an_object_is_false_even_if_another_object_is_free():
    truth = object_table([(0, 0, BOX), (0, 0, (0, 0, 100, 40))])
    found = detection_table([(0, 0, 0.9, BOX), (0, 0, 0.8, (0, 0, 100, 55))])  # IoU 11/12 and 8/11
    pairs = measure(found, truth, "voc12").pairing
    assert pairs.verdicts.tolist() == [TRUE, FALSE]
    assert pairs.objects.tolist() == [0, NONE]
    assert pairs.nearest.tolist() == [0, 0]
    np.testing.assert_allclose(pairs.ious, [1, 11 / 12])


def test_values_difficult_objects_are_ignored():
    truth = object_table([(0, 0, BOX, "difficult"), (0, 0, FAR), (0, 0, (0, 100, 60, 140), "crowd")])
    found = detection_table(
        [(0, 0, 0.9, BOX), (0, 0, 0.8, NEAR), (0, 0, 0.7, (0, 100, 60, 140)), (0, 0, 0.6, FAR), (0, 0, 0.5, FAR)]
    )
    result = measure(found, truth, "voc12")
    assert result.pairing.verdicts.tolist() == [IGNORED, IGNORED, IGNORED, TRUE, FALSE]
    assert result.objects == {"c0": 1}
    assert result.map == 1


def test_values_threshold_is_reached_by_equality():
    truth = object_table([(0, 0, BOX)])
    found = detection_table([(0, 0, 0.9, (0, 0, 100, 30))])
    assert measure(found, truth, "voc12", iou_threshold=0.5).map == 1
    assert measure(found, truth, "voc12", iou_threshold=0.5001).map == 0


def test_values_added_pixel():
    # Inclusive pixels 0..3 and 0..1: 4 and 2 wide, so the overlap is 1/2; as edges 3 and 1 wide, 1/3.
    truth, found = object_table([(0, 0, (0, 0, 3, 9))]), detection_table([(0, 0, 0.9, (0, 0, 1, 9))])
    assert measure(found, truth, "voc12", plus_one=True).map == 1
    assert measure(found, truth, "voc12").map == 0
    # A single pixel has no area as edges.
    truth, found = object_table([(0, 0, (5, 5, 5, 5))]), detection_table([(0, 0, 0.9, (5, 5, 5, 5))])
    assert measure(found, truth, "voc12", plus_one=True).map == 1
    assert measure(found, truth, "voc12").map == 0


def test_values_equal_scores_keep_the_order_of_the_table():
    truth = object_table([(0, 0, BOX)], images=2)
    rows = [(0, 0, 0.5, BOX), (1, 0, 0.5, BOX)]
    assert measure(detection_table(rows, images=2), truth, "voc12").map == 1
    assert measure(detection_table(rows[::-1], images=2), truth, "voc12").map == 0.5


def test_values_other_images_and_classes_do_not_help():
    truth = object_table([(0, 0, BOX)], images=2, classes=2)
    found = detection_table([(1, 0, 0.9, BOX), (0, 1, 0.8, BOX)], images=2, classes=2)
    result = measure(found, truth, "voc12")
    assert result.per_class["c0"] == 0
    assert np.isnan(result.per_class["c1"])
    assert result.map == 0


def test_values_many_pairs_are_compared_in_parts(monkeypatch):
    found, truth = random_tables(5, images=12)
    whole = measure(found, truth, "voc12")
    monkeypatch.setattr("keras_ssd.evaluation.pairing._PAIRS", 3)
    parts = measure(found, truth, "voc12")
    assert parts.per_class == pytest.approx(whole.per_class, nan_ok=True, abs=0)
    assert parts.pairing.nearest.tolist() == whole.pairing.nearest.tolist()
