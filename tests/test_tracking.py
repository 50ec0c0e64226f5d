"""Tracking: identities as another program gives them, gaps, classes, counts, and MOTChallenge's files."""

import dataclasses
import json
import sys

import numpy as np
import pytest
from tracking_scenes import NAMES, REFERENCE, SCENES, SIZE_HW, detected, scene, truth

from keras_ssd.detections import Detections
from keras_ssd.tracking import ByteTrack, CountLine, CountZone, read_mot, write_mot


def found_at(*rows, time=None):
    """Detections of (xmin, ymin, width, height, score, class id)."""
    boxes = [(x, y, x + width, y + height) for x, y, width, height, *_ in rows]
    scores, classes = [row[4] for row in rows], [row[5] for row in rows]
    boxes, classes = np.array(boxes, float).reshape(-1, 4), np.array(classes, int)
    return Detections(boxes, scores, classes, NAMES, SIZE_HW, time=time)


def ids_of(tracker, frames):
    return [tracker.update(frame).track_ids.tolist() for frame in frames]


# -- identities --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", REFERENCE["options"])
@pytest.mark.parametrize("name", SCENES)
def test_reference_identities_equal_those_of_trackers(name, options):
    arrays = scene(name)
    times = arrays["times"].tolist() if options == "timed" else [None] * len(arrays["times"])
    tracker = ByteTrack(**REFERENCE["options"][options])
    got = [tracker.update(frame, time) for frame, time in zip(detected(arrays), times, strict=True)]
    want = arrays[f"ids/{options}"]  # from 0
    np.testing.assert_array_equal(np.concatenate([one.track_ids for one in got]), np.where(want < 0, -1, want + 1))


def test_values_an_identity_begins_in_the_second_frame_and_outlives_a_gap():
    tracker = ByteTrack(lost_track_buffer=5)
    seen = [found_at((10 + 2 * i, 20, 40, 30, 0.9, 0)) for i in range(20)]
    nothing = [found_at()] * 5
    assert ids_of(tracker, seen[:4]) == [[-1], [1], [1], [1]]
    assert ids_of(tracker, nothing[:4] + seen[8:10]) == [[]] * 4 + [[1], [1]]
    assert ids_of(tracker, [*nothing, found_at(), *seen[16:18]]) == [[]] * 6 + [[-1], [2]]


def test_values_the_box_is_expected_where_its_velocity_leads():
    tracker = ByteTrack(lost_track_buffer=30)
    moving = [found_at((10 * i, 20, 30, 30, 0.9, 0)) for i in range(40)]
    assert ids_of(tracker, moving[:10])[-1] == [1]
    ids_of(tracker, [found_at()] * 8)
    assert ids_of(tracker, moving[18:19]) == [[1]]  # 90 pixels on, three times its width


def test_values_low_scores_continue_tracks_and_begin_none():
    tracker = ByteTrack()
    high, low = found_at((10, 20, 40, 30, 0.9, 0)), found_at((11, 20, 40, 30, 0.15, 0))
    assert ids_of(tracker, [high, high, low, low, high]) == [[-1], [1], [1], [1], [1]]
    assert ids_of(ByteTrack(), [low, low, low]) == [[-1]] * 3


def test_values_classes_are_tracked_together_or_apart():
    frames = [found_at((10, 20, 40, 30, 0.9, kind)) for kind in (0, 0, 1, 1)]
    assert ids_of(ByteTrack(), frames) == [[-1], [1], [1], [1]]
    assert ids_of(ByteTrack(per_class=True), frames) == [[-1], [1], [-1], [2]]
    # A pair that is not allowed takes no track from a pair that is.
    crossing = found_at((10, 20, 40, 30, 0.9, 0), (14, 20, 40, 30, 0.8, 1))
    swapped = found_at((14, 20, 40, 30, 0.9, 0), (10, 20, 40, 30, 0.8, 1))
    assert ids_of(ByteTrack(per_class=True), [crossing, crossing, swapped]) == [[-1, -1], [1, 2], [1, 2]]
    assert ids_of(ByteTrack(), [crossing, crossing, swapped]) == [[-1, -1], [1, 2], [2, 1]]
    anywhere = ByteTrack(per_class=True, minimum_iou_threshold=0)
    assert ids_of(anywhere, [frames[0], frames[0], frames[2]]) == [[-1], [1], [-1]]


def test_values_reset_begins_anew():
    tracker = ByteTrack(minimum_consecutive_frames=1)
    frame = found_at((10, 20, 40, 30, 0.9, 0))
    assert ids_of(tracker, [frame, frame]) == [[-1], [1]]
    tracker.reset()
    assert ids_of(tracker, [frame, frame]) == [[-1], [1]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"high_conf_det_threshold": 1.5}, "high_conf_det_threshold must be a number in 0..1. Received: "),
        ({"lost_track_buffer": -1}, "lost_track_buffer must be a number from 0 on"),
        ({"minimum_consecutive_frames": 0}, "minimum_consecutive_frames must be a number from 1 on"),
        ({"frame_rate": 0}, "frame_rate must be a number in 0.001"),
    ],
)
def test_rejects_numbers_out_of_range(options, said):
    with pytest.raises(ValueError, match=said):
        ByteTrack(**options)


def test_rejects_a_time_that_stands_still():
    tracker = ByteTrack()
    tracker.update(found_at(), 1.0)
    with pytest.raises(ValueError, match="must be after that of the frame before, 1.0. Received: time=1.0"):
        tracker.update(found_at(), 1.0)


def test_rejects_tracking_without_scipy(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    tracker, frame = ByteTrack(), found_at((10, 20, 40, 30, 0.9, 0))
    tracker.update(frame)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[track\]'"):
        tracker.update(frame)


# -- what Detections carry ---------------------------------------------------------------------------


def test_values_tracks_follow_their_rows():
    boxes, scores = [[0, 0, 1, 1], [1, 1, 2, 2], [2, 2, 3, 3]], [0.5, 0.9, 0.7]
    found = Detections(boxes, scores, [0, 1, 2], NAMES, (9, 9), track_ids=[7, -1, 3], frame=4, time=0.16)
    assert found.track_ids.tolist() == [-1, 3, 7]
    assert found[found.track_ids > 0].track_ids.tolist() == [3, 7]
    assert found.filter(classes="car").track_ids.tolist() == [7]
    assert not found.track_ids.flags.writeable
    assert found != dataclasses.replace(found, track_ids=[-1, 3, 8])
    assert found != dataclasses.replace(found, frame=5)


def test_roundtrip_of_json():
    found = Detections([[0, 0, 1, 1]], [0.5], [0], NAMES, (9, 9), "a.mp4", track_ids=[7], frame=4, time=0.16)
    told = json.loads(found.to_json())
    assert (told["frame"], told["time"], told["detections"][0]["track_id"]) == (4, 0.16, 7)
    assert Detections.from_dict(told) == found
    empty = dataclasses.replace(found[:0], frame=0, time=0.0)
    assert Detections.from_dict(empty.to_dict()) == empty


@pytest.mark.parametrize(
    ("ids", "said"), [([1, 2], "one number for each of 1 objects"), ([1.5], "track_ids must be whole numbers")]
)
def test_rejects_tracks_that_do_not_fit(ids, said):
    with pytest.raises((ValueError, TypeError), match=said):
        Detections([[0, 0, 1, 1]], [0.5], [0], NAMES, (9, 9), track_ids=ids)


# -- counts ------------------------------------------------------------------------------------------


def walk(*middles, track=1):
    """A track along (x, y)."""
    for x, y in middles:
        yield Detections([[x - 2, y - 3, x + 2, y + 3]], [0.9], [0], NAMES, SIZE_HW, track_ids=[track])


def test_values_a_line_counts_each_direction():
    line = CountLine((100, 200), (300, 200))  # looking along +x, y above 200 is to the left
    for found in walk((150, 100), (160, 190), (170, 200), (180, 230), (190, 199), (190, 150)):
        line.update(found)
    assert (line.right, line.left) == (1, 1)
    for found in walk((50, 100), (60, 250), (150, 260), track=2):  # around its end
        line.update(found)
    for found in walk((150, 100), track=-1):
        line.update(found)
    assert (line.right, line.left) == (1, 1)
    for found in walk((150, 190), (150, 230), track=3):
        line.update(found)
    assert (line.right, line.left) == (2, 1)


def test_values_a_zone_counts_who_is_inside_and_who_was():
    zone = CountZone([(0, 0), (100, 0), (100, 100), (50, 20), (0, 100)])  # with a notch from below
    for found, now in zip(walk((10, 10), (50, 80), (90, 50), (200, 50)), (1, 0, 1, 0), strict=True):
        zone.update(found)
        assert zone.now == now
    for found in walk((20, 20), track=2):
        zone.update(found)
    assert (zone.now, zone.total) == (1, 2)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CountLine((1, 2), (1, 2)), "two different points. Received: (1.0, 2.0) twice"),
        (lambda: CountZone([(0, 0), (1, 1)]), "corners must be at least 3 points"),
        (lambda: CountLine((1, 2, 3), (4, 5)), "start and end must be at least 2 points"),
        (lambda: CountLine((0, 0), (1, 1)).update(found_at()), "Counting needs track_ids"),
    ],
)
def test_rejects_lines_and_zones_that_are_none(make, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace(")", r"\)")):
        make()


# -- MOTChallenge ------------------------------------------------------------------------------------


def test_values_lines_of_mot(tmp_path):
    found = Detections(
        [[10.5, 20, 40.25, 60], [0, 0, 5, 5]], [0.9, 0.8], [0, 0], NAMES, SIZE_HW, track_ids=[3, -1], frame=6
    )
    write_mot([found], tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "7,3,10.5,20,29.75,40,0.9,-1,-1,-1\n"


def test_roundtrip_of_mot(tmp_path):
    frames = truth(scene("few"))
    write_mot(frames, tmp_path / "truth.txt")
    read = read_mot(tmp_path / "truth.txt", size_hw=SIZE_HW)
    assert len(read) == len(frames)
    for before, after in zip(frames, read, strict=True):
        assert (after.frame, sorted(after.track_ids)) == (before.frame, sorted(before.track_ids))
        np.testing.assert_allclose(
            after.boxes_xyxy[np.argsort(after.track_ids)], before.boxes_xyxy[np.argsort(before.track_ids)], atol=0.02
        )


def test_values_annotations_of_mot(tmp_path):
    lines = "1,1,10,20,30,40,1,1,0.9\n1,2,10,20,30,40,0,1,1\n3,1,11,20,30,40,1,3,0.5\n"
    (tmp_path / "gt.txt").write_text(lines)
    read = read_mot(tmp_path / "gt.txt", class_names=NAMES, annotations=True)
    assert [one.track_ids.tolist() for one in read] == [[1], [], [1]]
    assert [one.names for one in read] == [("car",), (), ("dog",)]
    read = read_mot(tmp_path / "gt.txt", annotations=True, classes=[1])
    assert [one.track_ids.tolist() for one in read] == [[1], [], []]
    (tmp_path / "det.txt").write_text("1,-1,10,20,30,40,0.25,-1,-1,-1\n")
    [one] = read_mot(tmp_path / "det.txt")
    assert (one.scores.tolist(), one.track_ids.tolist(), one.boxes_xyxy.tolist()) == ([0.25], [-1], [[10, 20, 40, 60]])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,1,10,20,30", "line 2: expected frame, track, xmin, ymin, width, height, score"),
        ("1,1,10,20,30,x,1", "line 2: expected frame, track"),
        ("0,1,10,20,30,40,1", "line 2: frame and track must be whole numbers, and frames count from 1"),
        ("1,1,10,20,-3,40,1", "line 2: width and height must not be negative"),
        ("1,5,11,20,30,40,1", "line 2: track 5 has a second box in frame 1"),
        ("1,1,10,20,30,nan,1", "line 2: expected frame"),
    ],
)
def test_rejects_lines_that_are_not_mot(tmp_path, line, said):
    (tmp_path / "bad.txt").write_text(f"1,5,10,20,30,40,1,-1,-1,-1\n{line}\n")
    with pytest.raises(ValueError, match=f"bad.txt, {said}"):
        read_mot(tmp_path / "bad.txt")


def test_rejects_untracked_detections_for_mot(tmp_path):
    with pytest.raises(ValueError, match="need track_ids"):
        write_mot([found_at()], tmp_path / "a.txt")
    assert not list(tmp_path.iterdir())
