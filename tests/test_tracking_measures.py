"""HOTA, MOTA and IDF1: as another program computes them, and by hand."""

import numpy as np
import pytest
from tracking_scenes import NAMES, REFERENCE, SCENES, SIZE_HW, frames_of, scene, truth

from keras_ssd.detections import Detections
from keras_ssd.evaluation import measure_tracks


def tracks(*frames):
    """Detections of each frame from {track: xmin}; boxes are 10 x 10."""
    for number, places in enumerate(frames):
        boxes = np.array([[x, 0, x + 10, 10] for x in places.values()], float).reshape(-1, 4)
        ids = np.array([*places], int)
        yield Detections(
            boxes, np.ones(len(boxes)), np.zeros(len(boxes), int), NAMES, SIZE_HW, track_ids=ids, frame=number
        )


def test_reference_measures_equal_those_of_trackers():
    true, found = {}, {}
    for name in SCENES:
        arrays = scene(name)
        ids = arrays["ids/defaults"]
        found[name] = list(frames_of(arrays, scores="scores", ids=np.where(ids < 0, -1, ids + 1)))
        true[name] = truth(arrays)
    measured = measure_tracks(true, found)
    for name, one in {**measured.videos, "all": measured}.items():
        assert len(one.values) == 18
        for key, value in one.values.items():
            assert value == pytest.approx(REFERENCE["measures"][name][key], abs=1e-9), (name, key)
    assert str(measured).splitlines()[-1].split() == ["all", "0.799", "0.833", "0.768", "0.909", "0.889", "10"]


def test_values_by_hand():
    # Object 1 keeps its track; object 2 is found by track 20, then by 30, and one box is of nothing.
    true = tracks({1: 0, 2: 100}, {1: 0, 2: 100}, {1: 0, 2: 100}, {1: 0, 2: 100})
    found = tracks({10: 0, 20: 100}, {10: 0, 20: 100}, {10: 0, 30: 100}, {10: 0, 40: 300})
    measured = measure_tracks(true, found)
    assert measured["MOTA"] == pytest.approx(1 - (1 + 1 + 1) / 8)  # a miss, a box of nothing, a switch
    assert (measured["IDSW"], measured["MT"], measured["PT"], measured["MOTP"]) == (1, 1, 1, 1.0)
    assert measured["IDF1"] == pytest.approx(6 / 8)
    assert measured["DetA"] == pytest.approx(7 / 9)
    assert measured["AssA"] == pytest.approx((4 * 1 + 2 * (2 / 4) + 1 * (1 / 4)) / 7)


def test_values_of_one_side_alone():
    nothing = measure_tracks(tracks({1: 0}), tracks({}))
    assert (nothing["HOTA"], nothing["MOTA"], nothing["IDF1"], nothing["ML"]) == (0, 0, 0, 1)
    assert measure_tracks(tracks({}), tracks({1: 0}))["HOTA"] == 0
    assert measure_tracks(tracks({1: 5}), tracks({7: 5}))["HOTA"] == 1


def test_rejects_what_cannot_be_compared():
    untracked = Detections([[0, 0, 1, 1]], [1.0], [0], NAMES, SIZE_HW)
    with pytest.raises(ValueError, match="truth must be Detections with track_ids"):
        measure_tracks([untracked], tracks({1: 0}))
    with pytest.raises(ValueError, match="Only one of them has: b"):
        measure_tracks({"a": tracks({1: 0}), "b": tracks({1: 0})}, {"a": tracks({1: 0})})
    with pytest.raises(ValueError, match="both be lists"):
        measure_tracks({"a": tracks({1: 0})}, tracks({1: 0}))
    with pytest.raises(ValueError, match="found has two Detections of frame 0"):
        measure_tracks(tracks({1: 0}), [*tracks({1: 0}), *tracks({1: 0})])
    twice = Detections([[0, 0, 1, 1]] * 2, [1, 1], [0, 0], NAMES, SIZE_HW, track_ids=[1, 1])
    with pytest.raises(ValueError, match="frame 0 has two boxes of one track"):
        measure_tracks(tracks({1: 0}), [twice])
