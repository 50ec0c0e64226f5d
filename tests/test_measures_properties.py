"""What holds for every measure: order does not matter, and a false detection less is never worse."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from measure_tables import random_tables

from keras_ssd.evaluation import MEASURES, measure
from keras_ssd.evaluation.pairing import FALSE
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TABLES = st.builds(
    random_tables,
    st.integers(0, 10**6),
    images=st.integers(1, 5),
    classes=st.integers(1, 4),
    objects=st.integers(0, 6),
    detections=st.integers(0, 20),
    ties=st.just(False),
)


@pytest.fixture(params=MEASURES)
def name(request):
    if request.param == "coco":
        pytest.importorskip("faster_coco_eval", reason="COCO's numbers need the extra `coco`")
    return request.param


def same(one, other):
    assert one.per_class == pytest.approx({c: other.per_class[c] for c in one.per_class}, abs=1e-12, nan_ok=True)
    assert one.numbers == pytest.approx(other.numbers, abs=1e-12, nan_ok=True)


@QUICK
@given(tables=TABLES, seed=st.integers(0, 10**6))
def test_values_order_of_detections_does_not_matter(name, tables, seed):
    found, truth = tables
    order = np.random.default_rng(seed).permutation(len(found))
    one, other = measure(found, truth, name), measure(found[order], truth, name)
    same(one, other)
    assert one.pairing.verdicts[order].tolist() == other.pairing.verdicts.tolist()
    assert one.pairing.objects[order].tolist() == other.pairing.objects.tolist()


@QUICK
@given(tables=TABLES, seed=st.integers(0, 10**6))
def test_values_order_of_images_does_not_matter(name, tables, seed):
    found, truth = tables
    order = np.random.default_rng(seed).permutation(len(truth.images))
    place = np.argsort(order)
    images = tuple(truth.images[i] for i in order)

    def moved(table, **more):
        table = dataclasses.replace(table, images=images, image=place[table.image], **more)
        return table[np.argsort(table.image, kind="stable")]

    same(measure(found, truth, name), measure(moved(found), moved(truth, sizes_hw=truth.sizes_hw[order]), name))


@QUICK
@given(tables=TABLES, seed=st.integers(0, 10**6))
def test_values_order_of_classes_does_not_matter(name, tables, seed):
    found, truth = tables
    order = np.random.default_rng(seed).permutation(len(truth.class_names))
    place = np.argsort(order)
    names = tuple(truth.class_names[i] for i in order)
    moved = (dataclasses.replace(t, class_names=names, class_ids=place[t.class_ids]) for t in tables)
    same(measure(found, truth, name), measure(*moved, name))


@QUICK
@given(tables=TABLES, pick=st.integers(0, 10**6))
def test_values_a_false_detection_less_is_never_worse(name, tables, pick):
    found, truth = tables
    before = measure(found, truth, name)
    false = before.pairing.verdicts == FALSE
    if name == "coco":
        false &= before.pairing.ious < 0.5  # the others are true at a higher threshold, if a better one is not
    false = np.flatnonzero(false)
    if not len(false):
        return
    after = measure(found[np.arange(len(found)) != false[pick % len(false)]], truth, name)
    for class_name, value in before.per_class.items():
        assert np.isnan(value) or after.per_class[class_name] >= value - 1e-12
    for number, value in before.numbers.items():
        assert np.isnan(value) or after.numbers[number] >= value - 1e-12


@QUICK
@given(tables=TABLES)
def test_values_every_object_is_found_once_at_most(name, tables):
    found, truth = tables
    pairs = measure(found, truth, name).pairing
    answered = pairs.objects[pairs.verdicts == 1]
    assert len(answered) == len(set(answered.tolist()))
    assert (truth.class_ids[answered] == found.class_ids[pairs.verdicts == 1]).all()
    assert (truth.image[answered] == found.image[pairs.verdicts == 1]).all()
    assert not (truth.difficult | truth.crowd)[answered].any()


@QUICK
@given(tables=TABLES)
def test_values_objects_as_detections_are_perfect(name, tables):
    _, truth = tables
    counted = truth[~(truth.difficult | truth.crowd)]
    scores = np.linspace(1, 0.5, len(counted))
    columns = (counted.image, counted.class_ids, scores, counted.boxes_xyxy)
    found = DetectionTable(truth.images, truth.class_names, *columns)
    result = measure(found, counted, name)
    twins = len(np.unique(np.column_stack([counted.image, counted.class_ids, counted.boxes_xyxy]), axis=0))
    if twins == len(counted):  # VOC counts the second detection of two equal objects as false
        values = [value for value in result.per_class.values() if not np.isnan(value)]
        np.testing.assert_allclose(values, 1, atol=1e-12)
    assert isinstance(counted, ObjectTable)
