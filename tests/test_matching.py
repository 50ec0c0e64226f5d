"""Which anchor answers for which object: held to Caffe's own matches, to naive loops, and host against graph."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import load_oracle
from gradients import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from naive_matching import NEUTRAL
from naive_matching import match as naive_match

from keras_ssd import boxes as bx
from keras_ssd.anchors import named_spec, recipe_names
from keras_ssd.matching import METHODS, MatchRules, match, match_in_graph
from keras_ssd.matching.arrays import AnchorOverlaps

CAFFE = load_oracle("caffe", "multibox_matches.npz")
CASES = json.loads(str(CAFFE["params"]))

RULES = (
    MatchRules(),
    MatchRules(iou_threshold=0.3, neutral_iou=0.2, ignore_cross_boundary=True),
    MatchRules(per_anchor=False, neutral_iou=0.4),
    MatchRules("ssd_keras", neutral_iou=0.3),
    MatchRules("ssd_keras", per_anchor=False, neutral_iou=None),
    MatchRules("torchvision"),
    MatchRules("torchvision", per_anchor=False, neutral_iou=0.1),
)


def rules_of(params):
    return MatchRules(
        "caffe",
        iou_threshold=params["overlap_threshold"],
        neutral_iou=params["neg_overlap"],
        per_anchor=params["match_type"] == "PER_PREDICTION",
        ignore_cross_boundary=params["ignore_cross_boundary_bbox"],
    )


def caffe_case(name):
    """Anchors, the objects of each image, rules, and for each image Caffe's object of each anchor."""
    params, anchors = CASES[name], CAFFE[name.split("__")[0] + "__priors"]
    gt = CAFFE[name + "__gt"]
    if not params["use_difficult_gt"]:
        gt = gt[gt[:, 7] == 0]
    images = [gt[gt[:, 0] == item, 3:7] for item in range(params["items"])]
    owners = np.full((params["items"], len(anchors)), -1)
    items, places, objects = CAFFE[name + "__matches"].T
    owners[items, places] = objects
    return anchors, images, rules_of(params), owners


def padded(images, rows=None):
    """Boxes (B, M, 4) and valid (B, M) from lists; padding is NaN, which nothing may let through."""
    rows = max(1, *(len(boxes) for boxes in images)) if rows is None else rows
    boxes = np.full((len(images), rows, 4), np.nan, np.float32)
    valid = np.zeros((len(images), rows), bool)
    for index, each in enumerate(images):
        boxes[index, : len(each)], valid[index, : len(each)] = each, True
    return boxes, valid


def in_graph(boxes, valid, anchors, rules):
    """(B, N) like `naive_match`, by one compiled function."""
    function = compiled(lambda boxes, valid: match_in_graph(boxes, valid, anchors, rules))
    owner, neutral = (
        ops.convert_to_numpy(x) for x in function(ops.convert_to_tensor(boxes), ops.convert_to_tensor(valid))
    )
    return np.where(neutral, NEUTRAL, owner)


def on_host(boxes, anchors, rules):
    found = match(boxes, anchors, rules)
    assert not (found.neutral & (found.object_of_anchor >= 0)).any()
    return np.where(found.neutral, NEUTRAL, found.object_of_anchor)


@pytest.mark.parametrize("name", CASES)
def test_reference_caffe_matches(name):
    anchors, images, rules, owners = caffe_case(name)
    for boxes, owner in zip(images, owners, strict=True):
        np.testing.assert_array_equal(match(boxes, anchors, rules).object_of_anchor, owner)


@pytest.mark.numerical
@pytest.mark.parametrize(
    "name",
    ["8732__usual", "small__neg_overlap_0_2", "small__bipartite", "no_positives__far"]
    + [name for name in CASES if name.startswith("edge")],
)
def test_reference_caffe_matches_in_graph(name):
    anchors, images, rules, owners = caffe_case(name)
    found = in_graph(*padded(images), anchors, rules)
    np.testing.assert_array_equal(np.where(found == NEUTRAL, -1, found), owners)


@pytest.mark.parametrize(
    "name", [n for n in CASES if CASES[n]["mining_type"] == "MAX_NEGATIVE" and not CASES[n]["nms"]]
)
def test_reference_caffe_takes_negatives_from_the_background_alone(name):
    anchors, images, rules, owners = caffe_case(name)
    negatives = CAFFE[name + "__negatives"]
    for item, boxes in enumerate(images):
        found = on_host(boxes, anchors, rules)
        background, chosen = np.flatnonzero(found == -1), negatives[negatives[:, 0] == item, 1]
        assert np.isin(chosen, background).all()
        wanted = int(CASES[name]["neg_pos_ratio"] * (owners[item] >= 0).sum())
        assert len(chosen) == min(wanted, len(background))  # so where they run out, they are all of it


def test_reference_negatives_do_run_out_somewhere():
    anchors, images, rules, _ = caffe_case("small__neg_overlap_0_2")
    found = [on_host(boxes, anchors, rules) for boxes in images]
    matched = [owner for owner in found if (owner >= 0).any()]
    assert sum((owner == -1).sum() for owner in matched) == len(CAFFE["small__neg_overlap_0_2__negatives"]) == 19
    assert sum((owner == NEUTRAL).sum() for owner in matched) > 0


def grid_anchors(cells=3):
    """Anchors whose corners are eighths, so that overlaps are equal again and again."""
    centres = (np.stack(np.meshgrid(range(cells), range(cells)), -1).reshape(-1, 1, 2) + 0.5) / cells
    sizes = np.array([[0.25, 0.25], [0.5, 0.25], [0.25, 0.75]])[None] / 2
    anchors = np.concatenate([centres - sizes, centres + sizes], -1).reshape(-1, 4)
    return np.concatenate([anchors, anchors[:5]]).astype(np.float32)  # and some twice


eighths = st.integers(-1, 9).map(lambda x: x / 8)
anything = st.floats(-0.25, 1.25, width=32)
boxes = st.tuples(eighths | anything, eighths | anything, eighths | anything, eighths | anything).map(
    lambda b: [min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])]
)


@pytest.mark.parametrize("rules", RULES, ids=str)
@settings(max_examples=60, deadline=None, database=None)
@given(objects=st.lists(boxes, max_size=12), repeat=st.integers(0, 3))
def test_reference_naive_loops(rules, objects, repeat):
    anchors = grid_anchors()
    objects = np.array(objects + objects[:1] * repeat, np.float32).reshape(-1, 4)
    np.testing.assert_array_equal(on_host(objects, anchors, rules), naive_match(objects, anchors, rules))


@pytest.mark.numerical
@pytest.mark.parametrize("rules", RULES, ids=str)
def test_reference_graph_equals_naive_loops(rules):
    rng = np.random.default_rng(0)
    anchors = grid_anchors()
    images = []
    for count in (0, 1, 2, 5, 9, 12, 40):  # 40 objects for 32 anchors
        corners = rng.integers(-1, 10, (count, 2, 2)) / 8 + rng.choice([0, 0.03], (count, 1, 2))
        images.append(np.concatenate([corners.min(1), corners.max(1)], -1).astype(np.float32))
    images[4][3:6] = images[4][2]
    images[5][:2] = [3, 3, 4, 4]  # away from all anchors, the first object among them
    for boxes, found in zip(images, in_graph(*padded(images), anchors, rules), strict=True):
        np.testing.assert_array_equal(found, naive_match(boxes, anchors, rules))


@pytest.mark.numerical
@pytest.mark.parametrize("rules", RULES, ids=str)
def test_reference_graph_equals_host_with_padding_in_between(rules):
    rng = np.random.default_rng(1)
    anchors = named_spec("ssd300_voc").anchors_xyxy()
    centres, sizes = rng.uniform(0, 1, (4, 20, 2)), np.exp(rng.uniform(-5, -0.1, (4, 20, 2)))
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], -1).astype(np.float32)
    boxes[1, 3:9] = boxes[1, 2]  # rivals for the same anchors
    boxes[2, 4] = [2, 2, 3, 3]
    valid = rng.uniform(size=(4, 20)) > 0.3
    valid[3] = False
    boxes[~valid] = np.nan
    found = in_graph(boxes, valid, anchors, rules)
    for index in range(4):
        objects = np.flatnonzero(valid[index])
        owner = on_host(boxes[index, objects], anchors, rules)
        expected = np.where(owner >= 0, np.append(objects, 0)[np.maximum(owner, 0)], owner)
        np.testing.assert_array_equal(found[index], expected)


def test_reference_overlaps_equal_the_formula_to_the_last_bit():
    rng = np.random.default_rng(2)
    anchors = named_spec("ssd300_coco").anchors_xyxy()
    low = rng.uniform(-0.1, 0.9, (19, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 0.6, (19, 2))], -1).astype(np.float32)
    boxes[4, 2:] = boxes[4, :2]  # no area
    overlaps = AnchorOverlaps(anchors, MatchRules())
    rows = np.concatenate([iou.copy() for _, iou in overlaps.blocks(boxes)])
    np.testing.assert_array_equal(rows, bx.iou_matrix(boxes, anchors))


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", recipe_names())
def test_reference_windows_hold_every_anchor_that_matters(name, clip):
    spec = replace(named_spec(name), clip=clip)
    rng = np.random.default_rng(3)
    for rules in (MatchRules(), MatchRules("torchvision", neutral_iou=0.1), MatchRules("caffe", iou_threshold=0.2)):
        windows = AnchorOverlaps(spec.anchors_xyxy(), rules, spec.levels)
        everything = AnchorOverlaps(spec.anchors_xyxy(), rules)
        assert windows.windows is not None
        for count in (0, 1, 3, 8, 20):
            sizes = np.exp(rng.uniform(np.log(0.005), np.log(1.2), (count, 2)))
            centres = rng.uniform(-0.05, 1.05, (count, 2))
            boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], 1)
            boxes[: count // 2] = np.round(boxes[: count // 2] * 32) / 32  # equal overlaps
            found, expected = match(boxes, windows, rules), match(boxes, everything, rules)
            np.testing.assert_array_equal(found.object_of_anchor, expected.object_of_anchor)
            np.testing.assert_array_equal(found.neutral, expected.neutral)
            np.testing.assert_array_equal(found.best_iou, expected.best_iou)


def test_values_anchors_off_their_grid_are_all_compared():
    spec = named_spec("mobilenet_ssd")
    anchors = spec.anchors_xyxy().copy()
    anchors[100] += np.float32(0.01)
    assert AnchorOverlaps(anchors, MatchRules(), spec.levels).windows is None
    assert AnchorOverlaps(anchors, MatchRules(ignore_cross_boundary=True), spec.levels).windows is None


QUARTERS = np.float32([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1]])


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # Object 0 has IoU 1/4 with anchor 3; objects 1 and 2 are away from all anchors.
        (MatchRules(), [-1, -1, -1, 0]),
        (MatchRules("ssd_keras"), [2, -1, -1, -1]),  # object 0 loses its anchor to anchor 0, and that to object 2
        (MatchRules("torchvision"), [2, -1, -1, 0]),
    ],
)
def test_values_objects_that_no_anchor_overlaps(rules, expected):
    boxes = np.float32([[0.625, 0.625, 0.875, 0.875], [2, 2, 3, 3], [-3, 0, -2, 1]])
    found = match(boxes, QUARTERS, rules)
    np.testing.assert_array_equal(found.object_of_anchor, expected)
    np.testing.assert_array_equal(found.not_overlapped, [1, 2])
    np.testing.assert_array_equal(found.unmatched, sorted({0, 1, 2} - set(expected)))
    np.testing.assert_allclose(found.best_iou, [0.25, 0, 0])


def test_values_more_objects_than_anchors():
    boxes = np.tile(np.float32([[0, 0, 0.5, 0.5], [0.25, 0, 0.75, 0.5]]), (4, 1))
    found = match(boxes, QUARTERS)
    # The first object takes anchor 0, the next has IoU 1/3 with 0 and 1; nobody reaches 2 and 3.
    np.testing.assert_array_equal(found.object_of_anchor, [0, 1, -1, -1])
    np.testing.assert_array_equal(found.counts, [1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(found.anchors_of(1), [1])
    np.testing.assert_array_equal(found.unmatched, np.arange(2, 8))


@pytest.mark.numerical
def test_values_thresholds_are_reached_by_equality():
    half = np.float32([[0, 0, 0.5, 0.25], [0, 0, 0.5, 0.375]])
    assert match(half[:1], QUARTERS, MatchRules(neutral_iou=None)).counts == [1]
    crowd = np.float32([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25]])
    anchors = np.float32([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.25], [0, 0, 0.5, 0.125]])
    found = match(crowd, anchors)
    np.testing.assert_array_equal(found.object_of_anchor, [0, 1, 1])  # IoU exactly 0.5
    alone = match(crowd, anchors, MatchRules(per_anchor=False, neutral_iou=0.5))
    np.testing.assert_array_equal(alone.object_of_anchor, [0, 1, -1])
    np.testing.assert_array_equal(alone.neutral, [False, False, True])
    given = crowd[None], np.ones((1, 2), bool)
    np.testing.assert_array_equal(in_graph(*given, anchors, MatchRules()), [[0, 1, 1]])
    np.testing.assert_array_equal(in_graph(*given, anchors, MatchRules(per_anchor=False)), [[0, 1, NEUTRAL]])


@pytest.mark.parametrize("method", METHODS)
def test_values_no_objects(method):
    found = match(np.zeros((0, 4)), QUARTERS, MatchRules(method))
    assert (found.object_of_anchor == -1).all()
    assert not found.neutral.any()
    assert found.counts.shape == found.unmatched.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"method": "cafe"}, "Unknown matching method 'cafe'. Did you mean 'caffe'"),
        ({"iou_threshold": 0}, "`iou_threshold` must be above 0 and at most 1. Received: iou_threshold=0"),
        ({"iou_threshold": None}, "Received: iou_threshold=None"),
        ({"neutral_iou": 1.5}, "Received: neutral_iou=1.5"),
        ({"neutral_iou": float("nan")}, "Received: neutral_iou=nan"),
        ({"float64": True}, "Caffe and torchvision match in float32"),
    ],
)
def test_rejects_rules(arguments, text):
    with pytest.raises(ValueError, match=text.replace("(", "\\(")):
        MatchRules(**arguments)


def test_rejects_float64_in_graph():
    with pytest.raises(ValueError, match="host only"):
        match_in_graph(np.zeros((1, 1, 4)), np.ones((1, 1), bool), QUARTERS, MatchRules("ssd_keras", float64=True))
