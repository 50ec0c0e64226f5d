"""`keras_ssd.anchors.report`: what anchors match, held against comparing everything with everything."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorLevel, AnchorSpec, draw_anchors, named_spec, report
from keras_ssd.anchors.reasons import LARGE, MATCHED, PLACE, REASONS, SHAPE, SMALL, TALL, WIDE
from keras_ssd.data import Annotation, Dataset, Sample
from keras_ssd.matching import MatchRules, match

SMALL_SPEC = AnchorSpec(
    (120, 200),
    (
        AnchorLevel((15, 25), (8, 8), ((10, 10), (14, 8), (8, 18))),
        AnchorLevel((8, 13), (16, 16), ((24, 24), (30, 20)), (0.4, 0.6)),
        AnchorLevel((2, 3), (60, 66.7), ((70, 90),)),
    ),
)


def random_boxes(count, seed, low=0.01, high=0.9):
    """(count, 4) of all sizes and places, some touching the edges."""
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(low), np.log(high), (count, 2)))
    centres = rng.uniform(sides / 2, 1 - sides / 2)
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def dataset(boxes, ids, size_hw=(60, 100)):
    """A dataset whose images hold these boxes, fractions of the image."""
    scale = np.array([*size_hw[::-1], *size_hw[::-1]])
    annotations = [
        Annotation(str(place), f"{place}.jpg", box * scale, each, size_hw)
        for place, (box, each) in enumerate(zip(boxes, ids, strict=True))
    ]
    return Dataset("made", ("cat", "dog"), annotations)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["ssd300_voc", "ssd7", "own"])
def test_reference_best_iou_is_that_of_all_anchors(name, clip):
    spec = dataclasses.replace(SMALL_SPEC if name == "own" else named_spec(name), clip=clip)
    boxes = random_boxes(300, 0)
    table = bx.iou_matrix(boxes, spec.anchors_xyxy())
    found = report(spec, boxes)
    np.testing.assert_allclose(found.best_iou, table.max(axis=1), rtol=0, atol=2e-6)
    np.testing.assert_array_equal(found.best_iou, table[np.arange(len(boxes)), found.best_anchor])
    np.testing.assert_array_equal(found.matched, (table >= 0.5).sum(axis=1))  # an image each: no rivals
    assert found.recall == pytest.approx((table.max(axis=1) >= 0.5).mean())
    hits, start = (table >= 0.5).sum(axis=0), 0
    for level, wins in zip(spec.levels, found.wins, strict=True):
        mine = hits[start : start + level.num_anchors].reshape(-1, level.boxes_per_cell)
        assert wins == tuple(mine.sum(axis=0))
        start += level.num_anchors


side = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(side, side, side, side), min_size=1, max_size=6), st.booleans(), st.sampled_from((0.3, 0.5)))
def test_reference_any_boxes(corners, clip, threshold):
    corners = np.array(corners, np.float32).reshape(-1, 2, 2)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2]).min(axis=1) > 1e-4]
    if not len(boxes):
        return
    spec = dataclasses.replace(SMALL_SPEC, clip=clip)
    table = bx.iou_matrix(boxes, spec.anchors_xyxy())
    found = report(spec, boxes, threshold)
    np.testing.assert_allclose(found.best_iou, table.max(axis=1), rtol=0, atol=5e-6)
    np.testing.assert_array_equal(found.matched, (table >= threshold).sum(axis=1))


def test_reference_matched_anchors_are_those_of_matching():
    # The second stage alone: what matching gives beyond the anchor that each object gets for itself.
    rules = MatchRules(neutral_iou=None)
    boxes = [random_boxes(count, seed, 0.1, 0.6) for seed, count in enumerate((1, 9, 0, 25))]
    data = dataset(boxes, [np.zeros(len(each), int) for each in boxes])
    spec = named_spec("ssd300_voc")
    found = report(spec, data)
    start = 0
    for annotation in data:
        stop = start + len(annotation)
        mine = annotation.boxes_fraction
        table = bx.iou_matrix(mine, spec.anchors_xyxy())
        best = table.max(axis=0, initial=0)
        counts = [
            int(((table[row] == best) & (best >= 0.5) & (table[:row] < best).all(axis=0)).sum())
            for row in range(len(mine))
        ]
        np.testing.assert_array_equal(found.matched[start:stop], counts)
        matched = match(mine, spec.anchors_xyxy(), rules)
        own = matched.counts - counts
        assert np.abs(own).max(initial=0) <= 1  # the first stage's anchor, or one that a neighbour's took
        np.testing.assert_array_equal(matched.counts[found.saved[start:stop]], 1)
        start = stop
    assert found.objects.num_images == 4
    assert 0 < found.saved.sum() < len(found.objects)


def test_values_a_neighbour_wins_anchors():
    level = AnchorLevel((1, 1), (100, 100), ((50, 50),))
    spec = AnchorSpec((100, 100), (level,))
    boxes = np.array([[0.25, 0.25, 0.7, 0.75], [0.25, 0.25, 0.75, 0.75]], np.float32)
    apart, together = report(spec, boxes), report(spec, [Sample(np.zeros((9, 9, 3), np.uint8), boxes, [0, 0])])
    assert apart.matched.tolist() == [1, 1]
    assert together.matched.tolist() == [0, 1]
    assert together.recall == 1
    assert together.saved.tolist() == [True, False]
    assert "only bipartite matching saves 1 (50.0%); of these 1 lose their anchors to a neighbour" in str(together)


@pytest.mark.parametrize(
    ("box_hw", "centre_yx", "reason"),
    [
        ((20, 20), (52, 52), MATCHED),
        ((5, 5), (52, 52), SMALL),
        ((95, 95), (52, 52), LARGE),
        ((6, 60), (52, 52), WIDE),
        ((60, 6), (52, 52), TALL),
        ((20, 20), (40, 40), PLACE),  # in the middle of four cells, whose centres stand 24 pixels apart
        ((24, 45), (52, 52), SHAPE),  # as large as others, as wide as others, but none is both
    ],
)
def test_values_reasons(box_hw, centre_yx, reason):
    centres = 1 / 6  # at 4, 28, 52, 76
    level = AnchorLevel((4, 8), (24, 24), ((20, 20), (35, 70), (70, 35)), (centres, centres))
    spec = AnchorSpec((100, 200), (level,))
    (height, width), (y, x) = box_hw, centre_yx
    box = np.array([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]]) / [200, 100, 200, 100]
    found = report(spec, box.astype(np.float32))
    assert REASONS[found.reasons[0]] == REASONS[reason]
    assert (reason == MATCHED) == (found.recall == 1)


def test_values_tables_and_dictionary():
    boxes = [np.array([[0.1, 0.1, 0.5, 0.6], [0.2, 0.2, 0.21, 0.21]]), np.zeros((0, 4)), np.array([[0, 0, 1, 0.9]])]
    found = report(SMALL_SPEC, dataset(boxes, [[0, 1], [], [0]]))
    assert found.objects.num_images == 3
    rows = {row["class"]: row for row in found.by_class()}
    assert (rows["cat"]["objects"], rows["dog"]["objects"]) == (2, 1)
    assert rows["dog"]["recall"] == 0
    for part in (found.by_class(), found.by_size(), found.by_ratio()):
        assert sum(row["objects"] for row in part) == 3
        share = sum(row["recall"] * row["objects"] for row in part if row["objects"]) / 3
        assert share == pytest.approx(found.recall)
    assert sum(row["best for"] for row in found.by_level()) == 3
    assert sum(row["objects"] for row in found.by_reason()) == round(3 * (1 - found.recall))
    data = json.loads(json.dumps(found.to_dict()))
    assert data["recall"] == found.recall
    text = str(found)
    assert "3 objects in 3 images, warped to 200 x 120" in text
    assert "too small" in text
    assert max(map(len, text.splitlines())) < 160


def test_values_images_are_warped_and_crowds_left_out():
    # 30 x 30 of 60 x 100 pixels are 60 x 60 of 120 x 200.
    annotation = Annotation("a", "a.jpg", [[0, 0, 30, 30], [0, 0, 60, 60]], [0, 0], (60, 100), crowd=[False, True])
    found = report(SMALL_SPEC, [annotation])
    np.testing.assert_allclose(found.sizes, [60])
    np.testing.assert_allclose(found.ratios, [1])
    assert report(SMALL_SPEC, [annotation]).objects.class_name(0) == "class_0"


def test_values_boxes_without_area_and_outside_of_all_anchors():
    boxes = np.array([[0.5, 0.5, 0.5, 0.9], [0.1, 0.1, 0.2, 0.2], [1.5, 1.5, 1.6, 1.6]], np.float32)
    found = report(SMALL_SPEC, boxes)
    assert found.objects.left_out == 1
    assert found.lost.tolist() == [False, True]
    assert "no anchor overlaps 1: a network cannot learn them" in str(found)
    assert "1 boxes without area are left out" in str(found)
    assert "levels 1, 2 match no object: the network could do without" in str(found)


def test_values_the_image_shows_what_is_not_matched():
    many = report(named_spec("ssd_small"), random_boxes(400, 3))
    image = many.draw()
    assert image.size[0] == 1180
    assert image.size[1] >= 886
    pixels = np.asarray(image).reshape(-1, 3)
    assert (pixels == (0xD5, 0x5E, 0x00)).all(axis=1).sum() > 1000  # bars of what is missed
    assert report(named_spec("ssd_small"), random_boxes(1, 0, 0.2, 0.21)).draw().size[0] == 1180


def test_values_anchors_over_an_image():
    image = np.full((50, 90, 3), 200, np.uint8)
    plain = draw_anchors(SMALL_SPEC, image)
    assert plain.size == (3 * (480 + 8) + 8, 288 + 44 + 16)
    boxes = np.array([[0.4, 0.3, 0.52, 0.5]], np.float32)
    matched = np.asarray(draw_anchors(SMALL_SPEC, image, boxes))
    assert (np.asarray(plain) != matched).any()
    assert draw_anchors(named_spec("ssd300_voc"), image, boxes).size == (3 * 488 + 8, 2 * (480 + 44 + 8) + 8)


def test_rejects_what_is_no_data():
    spec = named_spec("ssd_small")
    with pytest.raises(ValueError, match=r"fractions of the image, 0 to 1; these look like pixels.*box 1 is"):
        report(spec, np.array([[0, 0, 1, 1], [3, 4, 50, 60]], np.float32))
    with pytest.raises(ValueError, match="no objects with an area to look at. Received: 1 boxes"):
        report(spec, np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match="must be finite. Received: box 0"):
        report(spec, np.full((1, 4), np.nan, np.float32))
    with pytest.raises(TypeError, match="Received: an item of type dict"):
        report(spec, [{"boxes": []}])
    with pytest.raises(TypeError, match="must be an AnchorSpec or a model"):
        report("ssd300_voc", random_boxes(2, 0))
    with pytest.raises(ValueError, match="above 0 and at most 1. Received: iou_threshold=0"):
        report(spec, random_boxes(2, 0), 0)
    with pytest.raises(ValueError, match=r"must be an RGB array.*Received: float64 of shape \(5, 5\)"):
        draw_anchors(spec, np.zeros((5, 5)))
