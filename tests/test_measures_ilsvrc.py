"""ILSVRC DET's measure: small objects need less overlap, and each detection takes an object that is free."""

import numpy as np
import pytest
from measure_tables import detection_table, naive_ilsvrc, object_table, random_tables

from keras_ssd.evaluation import measure
from keras_ssd.evaluation.metrics import ilsvrc
from keras_ssd.evaluation.pairing import FALSE, IGNORED, TRUE


def test_values_thresholds():
    boxes = [(0, 0, 10, 10), (5, 5, 35, 15), (0, 0, 30, 20), (0, 0, 40, 15), (0, 0, 200, 100), (0, 0, 1, 1)]
    expected = [1 / 4, 300 / (40 * 20), 600 / (40 * 30), 600 / (50 * 25), 0.5, 1 / 121]
    np.testing.assert_allclose(ilsvrc.thresholds(boxes), expected, rtol=1e-12)
    assert expected[1:4] == [0.375, 0.5, 0.48]
    np.testing.assert_allclose(ilsvrc.thresholds([(0, 0, 200, 100)], most=0.7), 0.7)
    np.testing.assert_allclose(ilsvrc.thresholds([(1, 1, 10, 10)], plus_one=True), 1 / 4)


@pytest.mark.parametrize(
    ("box", "width", "found"),
    [
        # A 10 x 10 object needs an overlap of 1/4: a box of the same height, inside, must be 2.5 wide.
        ((0, 0, 10, 10), 2.5, True),
        ((0, 0, 10, 10), 2.4375, False),
        # A 30 x 10 object needs 0.375: 11.25 of its width.
        ((50, 20, 80, 30), 11.25, True),
        ((50, 20, 80, 30), 11.125, False),
        # A 200 x 100 object needs 1/2, as all large ones.
        ((0, 0, 200, 100), 100, True),
        ((0, 0, 200, 100), 99.75, False),
    ],
)
def test_values_at_the_threshold(box, width, found):
    x, y, _, bottom = box
    detections = detection_table([(0, 0, 0.9, (x, y, x + width, bottom))])
    result = measure(detections, object_table([(0, 0, box)]), "ilsvrc")
    assert result.map == float(found)
    assert result.pairing.verdicts.tolist() == [TRUE if found else FALSE]


def test_values_small_objects_are_found_where_voc_sees_none():
    truth = object_table([(0, 0, (0, 0, 10, 10))])
    found = detection_table([(0, 0, 0.9, (-5, -5, 15, 15))])  # five pixels on each side: exactly the tolerance
    assert measure(found, truth, "ilsvrc").map == 1
    assert measure(found, truth, "voc12").map == 0


def test_values_a_taken_object_gives_way_to_a_free_one():
    # The second detection overlaps the first object most, which is taken, and the second enough.
    truth = object_table([(0, 0, (0, 0, 100, 60)), (0, 0, (0, 0, 100, 40))])
    found = detection_table([(0, 0, 0.9, (0, 0, 100, 60)), (0, 0, 0.8, (0, 0, 100, 55)), (0, 0, 0.7, (0, 0, 100, 55))])
    result = measure(found, truth, "ilsvrc")
    assert result.pairing.verdicts.tolist() == [TRUE, TRUE, FALSE]
    assert result.pairing.objects.tolist() == [0, 1, -1]
    assert result.pairing.nearest.tolist() == [0, 0, 0]
    assert result.map == 1
    assert measure(found, truth, "voc12").map == 0.5


def test_values_difficult_objects_are_ignored_after_the_others():
    truth = object_table([(0, 0, (0, 0, 100, 60), "difficult"), (0, 0, (0, 0, 100, 50))])
    found = detection_table([(0, 0, 0.9, (0, 0, 100, 60)), (0, 0, 0.8, (0, 0, 100, 60)), (0, 0, 0.7, (0, 0, 100, 60))])
    assert measure(found, truth, "ilsvrc").pairing.verdicts.tolist() == [TRUE, IGNORED, IGNORED]


@pytest.mark.parametrize("seed", range(20))
def test_reference_naive_loops(seed):
    found, truth = random_tables(seed, detections=20)
    truth = truth[~(truth.difficult | truth.crowd)]
    for plus_one in (False, True):
        result = measure(found, truth, "ilsvrc", plus_one=plus_one)
        expected = naive_ilsvrc(found, truth, extra=int(plus_one))
        np.testing.assert_allclose(list(result.per_class.values()), expected, rtol=0, atol=1e-12)
