"""Kinds of errors: each false detection and each object counted once, and what each kind costs."""

import numpy as np
import pytest
from evaluation_scenes import found, random_scene, result, truth
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ssd.evaluation import measure
from keras_ssd.evaluation.analysis import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    ERRORS,
    FOUND,
    KINDS,
    LOCALISATION,
    MISSED,
    UNCOUNTED,
    analyse,
)
from keras_ssd.evaluation.metrics import coco

CAT, DOG = 0, 1
BOX = (50, 50, 90, 90)
HALF = (50, 70, 90, 110)  # IoU 1/3 with BOX
AWAY = (150, 150, 190, 190)
MEASURES = ("voc07", "voc12", "ilsvrc", "coco")
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("detection", "kind", "fate", "partner"),
    [
        ((0, CAT, 0.9, *BOX), FOUND, FOUND, 0),
        ((0, DOG, 0.9, *BOX), CLASSIFICATION, CLASSIFICATION, 0),
        ((0, CAT, 0.9, *HALF), LOCALISATION, LOCALISATION, 0),
        ((0, DOG, 0.9, *HALF), BOTH, MISSED, 0),
        ((0, CAT, 0.9, *AWAY), BACKGROUND, MISSED, -1),
        ((1, CAT, 0.9, *BOX), BACKGROUND, MISSED, -1),  # in the other image
        ((0, CAT, 0.9, 86, 50, 126, 90), BACKGROUND, MISSED, -1),  # IoU 1/19
    ],
)
def test_values_of_one_detection_and_one_object(measure, detection, kind, fate, partner):
    analysis = analyse(result(found(detection), truth((0, CAT, *BOX)), measure))
    assert analysis.kinds.tolist() == [kind]
    assert analysis.fates.tolist() == [fate]
    assert analysis.partners.tolist() == [partner]
    assert analysis.finders.tolist() == [0 if fate != MISSED else -1]
    if kind < len(ERRORS):
        assert analysis.counts == {**dict.fromkeys(KINDS, 0), ERRORS[kind]: 1, "missed": int(fate == MISSED)}


@pytest.mark.parametrize("measure", MEASURES)
def test_values_of_a_duplicate_and_of_the_first_of_equals(measure):
    near = (52, 50, 92, 90)
    analysis = analyse(
        result(found((0, CAT, 0.5, *BOX), (0, CAT, 0.8, *near), (0, CAT, 0.5, *near)), truth((0, CAT, *BOX)), measure)
    )
    assert analysis.kinds.tolist() == [DUPLICATE, FOUND, DUPLICATE]
    assert analysis.partners.tolist() == [0, 0, 0]
    assert analysis.finders.tolist() == [1]
    assert analysis.ious == pytest.approx([1, 38 / 42, 38 / 42])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("flag", ["difficult", "crowd"])
def test_values_of_objects_that_do_not_count(measure, flag):
    objects = truth((0, CAT, *BOX), (1, CAT, *BOX), **{flag: [0]})
    analysis = analyse(result(found((0, CAT, 0.9, *BOX), (0, DOG, 0.8, *BOX)), objects, measure))
    assert analysis.kinds.tolist() == [UNCOUNTED, BACKGROUND]
    assert analysis.fates.tolist() == [UNCOUNTED, MISSED]


def test_values_small_objects_need_less_overlap_in_ilsvrc():
    objects = truth((0, CAT, 50, 50, 60, 60))  # needs IoU 100 / 400
    shifted = found((0, CAT, 0.9, 54, 50, 64, 60))  # IoU 60 / 140
    assert analyse(result(shifted, objects, "ilsvrc")).kinds.tolist() == [FOUND]
    assert analyse(result(shifted, objects, "voc12")).kinds.tolist() == [LOCALISATION]


def test_values_of_costs_by_hand():
    """Two cats and one dog: a cat found after a false alarm, a cat called a dog, a dog not seen."""
    objects = truth((0, CAT, *BOX), (1, CAT, *BOX), (1, DOG, *AWAY))
    detections = found((0, CAT, 0.9, *AWAY), (0, CAT, 0.8, *BOX), (1, DOG, 0.7, *BOX))
    analysis = analyse(result(detections, objects))
    assert analysis.per_class == {"cat": 0.25, "dog": 0.0, "bird": pytest.approx(np.nan, nan_ok=True)}
    assert analysis.map == 0.125
    # Fixed, the cat called a dog is the third of three cat detections: 1/2 * 2/3 + 1/2 * 2/3.
    assert analysis.costs["classification"] == pytest.approx((2 / 3 - 0.25) / 2)
    assert analysis.costs["background"] == pytest.approx((0.5 - 0.25) / 2)
    assert analysis.costs["missed"] == pytest.approx((1 - 0) / 2)  # no dog is left to be found
    assert analysis.costs["localisation"] == analysis.costs["both"] == analysis.costs["duplicate"] == 0
    assert analysis.class_costs["all misses"]["cat"] == pytest.approx(0.5 - 0.25)


# What tidecv 1.0.1 says of `random_scene(default_rng(seed), images=60, digits=6)`: 100 times the mean AP, numbers of
# errors, 100 times their costs, and those of all false alarms and of all misses.
TIDE = {
    1: (29.1722, (34, 82, 28, 48, 80, 59), (4.4361, 17.0963, 2.2828, 1.9373, 1.9951, 11.976), 27.2634, 22.4128),
    2: (28.9183, (46, 83, 40, 70, 85, 64), (10.3621, 13.6444, 1.1324, 2.0045, 1.957, 11.0453), 26.5272, 23.0237),
    3: (28.0026, (39, 74, 27, 62, 84, 60), (7.2006, 17.9997, 1.5638, 1.3821, 2.7525, 10.3817), 28.7630, 20.9967),
}


@pytest.mark.parametrize("seed", TIDE)
def test_reference_tide(seed, monkeypatch):
    # Its recalls are i / 100, COCO's linspace(0, 1, 101): ten of them differ by their last bit, and decide ties.
    monkeypatch.setattr(coco, "RECALLS", np.arange(101) / 100)
    detections, objects = random_scene(np.random.default_rng(seed), images=60, digits=6)
    analysis = analyse(result(detections, objects, "coco"))
    mean, counts, costs, alarms, misses = TIDE[seed]
    assert tuple(analysis.counts.values()) == counts
    assert 100 * analysis.map == pytest.approx(mean, abs=1e-3)
    assert [100 * analysis.costs[kind] for kind in KINDS] == pytest.approx(costs, abs=1e-3)
    assert 100 * analysis.costs["all false alarms"] == pytest.approx(alarms, abs=1e-3)
    assert 100 * analysis.costs["all misses"] == pytest.approx(misses, abs=1e-3)


@given(seeds, st.sampled_from(MEASURES))
@settings(max_examples=40, deadline=None)
def test_values_everything_is_counted_once(seed, name):
    rng = np.random.default_rng(seed)
    detections, objects = random_scene(rng)
    analysis = analyse(result(detections, objects, name))
    assert set(analysis.kinds.tolist()) <= {*range(len(ERRORS)), FOUND, UNCOUNTED}
    assert sum(analysis.counts[kind] for kind in ERRORS) + (analysis.kinds == FOUND).sum() == len(detections)
    assert (analysis.kinds == FOUND).sum() == (analysis.fates == FOUND).sum()
    assert analysis.counts["missed"] == (analysis.fates == MISSED).sum()
    pairs = analysis.partners[analysis.kinds == FOUND]
    assert len(set(pairs.tolist())) == len(pairs)
    per_class = np.bincount(objects.class_ids, minlength=3)
    assert analysis.confusion[:3].sum(axis=1).tolist() == per_class.tolist()
    said = np.bincount(detections.class_ids[analysis.accepted], minlength=3)
    assert analysis.confusion[:, :3].sum(axis=0).tolist() == said.tolist()
    for split in analysis.misses:
        assert sum(group.objects for group in split.groups) + split.unknown == len(objects)
        assert split.missed == analysis.accepted_counts["missed"]
    assert min(analysis.costs.values()) >= -1e-12


@given(seeds, st.sampled_from(("voc07", "voc12", "ilsvrc")))
@settings(max_examples=25, deadline=None)
def test_values_agree_with_the_measure_and_fixing_all_gives_all(seed, name):
    detections, objects = random_scene(np.random.default_rng(seed))
    measured = measure(detections, objects, name)
    analysis = analyse(measured)
    assert analysis.per_class == pytest.approx(measured.per_class, nan_ok=True)
    assert analysis.map == pytest.approx(measured.map)
    for name_, value in analysis.per_class.items():
        if not np.isnan(value):
            point = analysis.working_points[name_]
            best = value + analysis.class_costs["all misses"][name_]
            assert value - 1e-12 <= best <= 1 + 1e-12
            assert 0 <= point.f1 <= 1


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_values_permuting_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    detections, objects = random_scene(rng)
    scores = rng.permutation(len(detections)) / len(detections)  # without ties, whose order decides
    detections = found(
        *np.column_stack([detections.image, detections.class_ids, scores, detections.boxes_xyxy]), images=8
    )
    rows, others = rng.permutation(len(detections)), rng.permutation(len(objects))
    one, two = analyse(result(detections, objects)), analyse(result(detections[rows], objects[others]))
    assert two.kinds.tolist() == one.kinds[rows].tolist()
    assert two.fates.tolist() == one.fates[others].tolist()
    assert two.costs == pytest.approx(one.costs)
    assert (two.confusion == one.confusion).all()


def test_values_without_detections_and_without_some_class():
    analysis = analyse(result(found(), truth((0, CAT, *BOX))))
    assert analysis.counts == {**dict.fromkeys(KINDS, 0), "missed": 1}
    assert analysis.map == 0
    assert analysis.costs["missed"] == 1
    assert "missed          costs 1.000  (1 in all)" in str(analysis)


def test_rejects_a_measure_of_no_known_rule():
    with pytest.raises(ValueError, match="Unknown measure 'cooc'. Did you mean 'coco'?"):
        analyse(result(found(), truth(), "cooc"))
