"""Working points, confusion, calibration, misses by what they have in common, sizes, and the bootstrap."""

import dataclasses

import numpy as np
import pytest
from evaluation_scenes import found, random_scene, result, truth
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_ssd
from keras_ssd.evaluation import measure
from keras_ssd.evaluation.analysis import analyse, compare
from keras_ssd.evaluation.analysis.calibration import calibration
from keras_ssd.evaluation.analysis.comparing import _Resampled
from keras_ssd.evaluation.analysis.working import working_point

CAT, DOG, BIRD = 0, 1, 2
BOX = (50, 50, 90, 90)
AWAY = (150, 150, 190, 190)


def test_values_working_point():
    scores = np.array([0.9, 0.3, 0.8, 0.8, 0.1], np.float32)
    true = np.array([True, True, True, False, False])
    point = working_point(scores, true, wanted=4)
    # F1: 2/5 at 0.9; 4/7 at 0.8 with both that have it; 6/8 at 0.3; 6/9 at 0.1.
    assert point.threshold == np.float32(0.3)
    assert (point.found, point.wrong, point.wanted) == (3, 1, 4)
    assert (point.f1, point.precision, point.recall) == (0.75, 0.75, 0.75)
    # 4/7 is 0.179 below 6/8, and 2/5 is 0.35 below.
    for within, threshold in ((0.17, 0.3), (0.18, 0.8), (0.34, 0.8), (0.36, 0.9)):
        assert working_point(scores, true, 4, within).threshold == np.float32(threshold)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_reference_working_point(rows, unfound):
    scores = np.array([score for score, _ in rows], np.float32)
    true = np.array([hit for _, hit in rows], bool)
    wanted = int(true.sum()) + unfound
    point = working_point(scores, true, wanted)
    if not wanted:
        assert np.isnan(point.f1)
        return
    tried = [0.0]
    for threshold in set(scores.tolist()):
        hits, said = true[scores >= threshold].sum(), (scores >= threshold).sum()
        tried.append(2 * hits / (said + wanted))
    assert point.f1 == pytest.approx(max(tried))
    if point.f1:
        assert point.found == true[scores >= point.threshold].sum()
        assert point.wrong == (~true)[scores >= point.threshold].sum()
    else:
        assert np.isnan(point.threshold)


def test_values_thresholds_keep_their_own_detection():
    """A score of float32 that is no short decimal: the threshold must not lie above it."""
    score = np.float32(0.1)
    analysis = analyse(result(found((0, CAT, score, *BOX)), truth((0, CAT, *BOX))))
    assert analysis.accepted.tolist() == [True]
    assert analysis.found.tolist() == [True]


def test_values_confusion():
    objects = truth((0, CAT, *BOX), (0, DOG, *AWAY), (1, CAT, *BOX), (1, BIRD, *AWAY), (0, BIRD, 0, 0, 40, 40))
    detections = found(
        (0, CAT, 0.9, *BOX),
        (0, DOG, 0.9, *BOX),  # the cat is found already: a false alarm
        (0, DOG, 0.8, *AWAY),
        (1, DOG, 0.9, *BOX),  # a cat taken for a dog
        (1, BIRD, 0.7, *AWAY),
        (1, BIRD, 0.6, 0, 0, 30, 30),
        (0, BIRD, 0.65, 0, 0, 40, 40),
    )
    analysis = analyse(result(detections, objects))
    assert analysis.working_points["bird"].threshold == np.float32(0.65)
    assert analysis.confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 2, 0], [0, 1, 0, 0]]


def test_values_calibration():
    scores = [0.95, 0.91, 0.05, 0.05, 1.0]
    true = [True, True, False, True, False]
    said = calibration(np.array(scores), np.array(true))
    assert said.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 3]
    assert said.precision[[0, 9]] == pytest.approx([0.5, 2 / 3])
    assert said.scores[[0, 9]] == pytest.approx([0.05, 2.86 / 3])
    assert said.ece == pytest.approx((2 * 0.45 + 3 * (2.86 - 2) / 3) / 5)
    assert said.bias == pytest.approx(np.mean(scores) - 0.6)
    assert np.isnan(said.precision[1])


def test_values_calibration_of_logits_and_of_nothing():
    assert calibration(np.array([3.0, -2.0]), np.array([True, False])) is None
    assert np.isnan(calibration(np.zeros(0), np.zeros(0, bool)).ece)


def groups(analysis, name):
    [split] = [split for split in analysis.misses if split.name == name]
    return {group.short: (group.objects, group.missed, group.never) for group in split.groups}


def test_values_misses_by_what_they_have_in_common():
    objects = truth(
        (0, CAT, 100, 100, 120, 120),  # small, apart
        (0, CAT, 10, 10, 60, 60),  # medium
        (0, CAT, 12, 10, 62, 60),  # IoU 48/52 with the one before
        (1, CAT, 0, 20, 150, 60),  # medium, very wide, at the edge
        (1, DOG, 50, 70, 190, 190),  # large
        (1, DOG, 70, 0.5, 80, 12),
        truncated=[4],
        crowd=[5],
    )
    detections = found((0, CAT, 0.9, 10, 10, 60, 60), (1, DOG, 0.8, 50, 70, 190, 190), (1, DOG, 0.9, 0, 100, 40, 150))
    analysis = analyse(result(detections, objects))
    assert groups(analysis, "size in pixels") == {"small": (1, 1, 1), "medium-sized": (3, 2, 2), "large": (1, 0, 0)}
    assert groups(analysis, "aspect ratio") == {"about square": (4, 2, 2), "very wide": (1, 1, 1)}
    assert groups(analysis, "truncation") == {
        "whole": (3, 2, 2),
        "at the image's edge": (1, 1, 1),
        "truncated": (1, 0, 0),
    }
    assert groups(analysis, "crowding") == {
        "apart from others": (3, 2, 2),
        "overlapped by another (IoU above 0.5)": (2, 1, 1),
    }
    assert groups(analysis, "size in the image") == {
        "medium-sized in the image": (1, 1, 1),
        "large in the image": (3, 2, 2),
        "very large in the image": (1, 0, 0),
    }


def test_values_a_threshold_separates_missed_from_never_found():
    objects = truth((0, CAT, *BOX), (1, CAT, *BOX), (0, CAT, *AWAY))
    alarms = [(0, CAT, 0.5, 0, y, 20, y + 10) for y in range(0, 120, 12)]
    analysis = analyse(result(found((0, CAT, 0.9, *BOX), *alarms, (1, CAT, 0.1, *BOX)), objects))
    assert analysis.working_points["cat"].threshold == np.float32(0.9)
    assert groups(analysis, "size in pixels") == {"medium-sized": (3, 2, 1)}
    assert analysis.accepted_counts["missed"] == 2
    assert analysis.counts["missed"] == 1


def test_values_misses_by_anchors():
    level = keras_ssd.AnchorLevel.of_boxes((200, 200), (2, 2), [(100, 100)])
    spec = keras_ssd.AnchorSpec((200, 200), (level,))
    objects = truth(
        (0, CAT, 0, 0, 100, 100),  # an anchor itself
        (0, CAT, 100, 0, 200, 60),  # 0.6 of the second
        (0, CAT, 0, 100, 40, 200),  # 0.4 of the third
        (0, CAT, 150, 150, 160, 160),  # 0.01 of the fourth
        (0, CAT, 110, 150, 118, 160),  # less, and the fourth is taken
    )
    analysis = analyse(result(found(), objects), anchors=spec)
    assert groups(analysis, "anchors") == {
        "matched by no anchor": (1, 1, 1),
        "badly covered by anchors (IoU below 0.3)": (1, 1, 1),
        "badly covered by anchors (IoU below 0.5)": (1, 1, 1),
        "fairly covered by anchors": (1, 1, 1),
        "well covered by anchors": (1, 1, 1),
    }


def test_values_what_is_not_known_is_left_out():
    objects = truth((0, CAT, *BOX), size_hw=(0, 0))
    level = keras_ssd.AnchorLevel.of_boxes((200, 200), (2, 2), [(100, 100)])
    analysis = analyse(result(found(), objects), anchors=keras_ssd.AnchorSpec((200, 200), (level,)))
    names = [split.name for split in analysis.misses]
    assert names == ["size in pixels", "aspect ratio", "truncation", "crowding"]


def test_values_of_sizes_apart():
    objects = truth((0, CAT, 0, 0, 20, 20), (0, CAT, *BOX), (1, CAT, *BOX))
    detections = found(
        (0, CAT, 0.9, 100, 100, 120, 120),  # a small false alarm
        (0, CAT, 0.8, 0, 0, 20, 20),
        (0, CAT, 0.7, *BOX),
    )
    sizes = analyse(result(detections, objects)).sizes
    assert [(size.objects, size.value) for size in sizes.values()][:2] == [(1, 0.5), (2, 0.5)]
    assert sizes["large"].objects == 0
    assert np.isnan(sizes["large"].value)


@pytest.mark.parametrize("name", ["voc07", "voc12", "ilsvrc"])
def test_values_bootstrap_around_the_measure(name):
    detections, objects = random_scene(np.random.default_rng(0), images=40)
    one = measure(detections, objects, name)
    two = measure(detections[::2], objects, name)
    said = compare([one, two], replicates=200)
    for number, measured in enumerate((one, two)):
        assert said.maps[number].value == pytest.approx(measured.map)
        assert said.maps[number].low < measured.map < said.maps[number].high
        for class_name, interval in said.per_class[number].items():
            assert interval.value == pytest.approx(measured.per_class[class_name])
    assert said.differences[0] == dataclasses.replace(said.differences[0], value=0.0, low=0.0, high=0.0)
    assert said.differences[1].value == pytest.approx(two.map - one.map)
    assert said.differences[1].apart
    paired = said.differences[1].high - said.differences[1].low
    apart = sum(interval.high - interval.low for interval in said.maps)
    assert paired < apart


def test_reference_bootstrap():
    """A draw of images is the measure of a data set that holds each as often as it was drawn."""
    detections, objects = random_scene(np.random.default_rng(1), images=10)
    one = measure(detections, objects, "voc12")
    drawn = np.random.default_rng(7).integers(0, 10, 10)

    def again(table):
        rows = [np.flatnonzero(table.image == image) for image in drawn]
        copy = table[np.concatenate(rows)]
        image = np.repeat(np.arange(10), [len(part) for part in rows])
        return dataclasses.replace(copy, image=image, images=[f"d{i}" for i in range(10)])

    scores = np.random.default_rng(2).permutation(len(detections)) / len(detections)
    detections = dataclasses.replace(detections, scores=scores)
    one, expected = (
        measure(table, truths, "voc12")
        for table, truths in ((detections, objects), (again(detections), again(objects)))
    )
    values = _Resampled(one, None).values(np.bincount(drawn, minlength=10).astype(float))
    assert values == pytest.approx([*expected.per_class.values()], nan_ok=True)


def test_reference_bootstrap_with_ignored_objects_and_ten_thresholds():
    detections, objects = random_scene(np.random.default_rng(4), images=20)
    flags = np.random.default_rng(5).random(len(objects)) < 0.2
    objects = dataclasses.replace(objects, difficult=flags)
    for name in ("voc07", "ilsvrc"):
        one = measure(detections, objects, name)
        assert _Resampled(one, None).values(np.ones(20)) == pytest.approx([*one.per_class.values()], nan_ok=True)
    one = result(detections, objects, "coco")
    parts = [_Resampled(dataclasses.replace(one, settings={"iou_threshold": iou}), None) for iou in (0.5, 0.75)]
    mean = np.mean([part.values(np.ones(20)) for part in parts], axis=0)
    assert _Resampled(one, (0.5, 0.75)).values(np.ones(20)) == pytest.approx(mean)
    assert parts[0].values(np.ones(20)) == pytest.approx([*analyse(one).per_class.values()])


def test_values_one_image_has_no_interval():
    one = measure(found((0, CAT, 0.9, *BOX), images=1), truth((0, CAT, *BOX), images=1), "voc12")
    said = compare([one])
    assert said.maps[0].value == 1
    assert np.isnan(said.maps[0].low)
    assert not said.maps[0].apart


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"measure": "voc07"}, "differ in their measure. .* Received: 'voc12' and 'voc07'"),
        (
            {"settings": {"iou_threshold": 0.7}},
            r"differ in their IoU threshold or added pixel. .* Received: \(0.5, False\) and \(0.7, False\)",
        ),
        ({"truth": truth((0, CAT, *AWAY))}, "differ in their objects"),
        ({"truth": truth((0, CAT, *BOX), images=3)}, "differ in their images"),
    ],
)
def test_rejects_results_of_different_data(change, words):
    one = result(found(), truth((0, CAT, *BOX)))
    with pytest.raises(ValueError, match=words):
        compare([one, dataclasses.replace(one, **change)])


def test_rejects_nothing_to_compare():
    with pytest.raises(ValueError, match="Give at least one"):
        compare([])
