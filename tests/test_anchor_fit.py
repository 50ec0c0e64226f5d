"""`keras_ssd.anchors.fit`: boxes that suit the objects, on the grids that there are."""

import dataclasses
import json

import numpy as np
import pytest
from test_anchor_report import SMALL_SPEC, dataset, random_boxes

import keras_ssd
from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorLevel, AnchorRecipe, AnchorSpec, FittedSpec, fit, named_recipe, named_spec, report
from keras_ssd.anchors.kmeans import kmeans
from keras_ssd.anchors.nearest import iou_at, nearest_cells
from keras_ssd.anchors.objects import Objects
from keras_ssd.anchors.search import Goal, Search


def planted(count=400, seed=0):
    """Boxes of three sizes (a small square, a medium wide, a large tall) anywhere in 240 x 320 pixels."""
    rng = np.random.default_rng(seed)
    shapes = np.array([(18, 18), (44, 80), (150, 90)])[rng.integers(0, 3, count)] * rng.uniform(0.97, 1.03, (count, 1))
    sides = shapes[:, ::-1] / (320, 240)
    centres = rng.uniform(sides / 2, 1 - sides / 2)
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


@pytest.mark.numerical
def test_values_finds_what_was_planted():
    spec = fit(planted(), named_spec("ssd_small"), boxes_per_cell=1)
    boxes = [level.boxes_hw[0] for level in spec.levels]
    np.testing.assert_allclose(boxes, [(18, 18), (44, 80), (150, 90)], rtol=0.1)
    found = {row["anchors"]: row for row in spec.account.rows}
    assert list(found) == ["before", "k-means", "search"]
    assert found["before"]["mean best IoU"] < found["k-means"]["mean best IoU"] <= found["search"]["mean best IoU"]
    assert found["search"]["mean best IoU"] == pytest.approx(report(spec, planted()).mean_best_iou)


@pytest.mark.parametrize("goal", ["mean_iou", "matched"])
def test_values_beats_kmeans_and_what_was_there_at_its_goal(goal):
    boxes = random_boxes(600, 1, 0.03, 0.6)
    spec = fit(boxes, SMALL_SPEC, goal=goal)
    assert spec.boxes_per_cell == SMALL_SPEC.boxes_per_cell
    clusters = fit(boxes, SMALL_SPEC, method="kmeans")
    key = "mean_best_iou" if goal == "mean_iou" else "recall"
    after, kmeans_found, before = (getattr(report(each, boxes), key) for each in (spec, clusters, SMALL_SPEC))
    assert after > kmeans_found
    assert after > before + 0.02
    assert [row["anchors"] for row in clusters.account.rows] == ["before", "k-means"]


def test_reference_no_single_side_is_left_to_improve():
    # Every side changed by a few per cent either way, scored on all anchors: no neighbour may be clearly better.
    boxes = random_boxes(120, 2, 0.04, 0.5)
    spec = fit(boxes, SMALL_SPEC, reach=(0, 100))
    table = bx.iou_matrix(boxes, spec.anchors_xyxy()).max(axis=1).mean()
    for index, level in enumerate(spec.levels):
        for place in range(level.boxes_per_cell):
            for factor in ((1.03, 1), (1 / 1.03, 1), (1, 1.03), (1, 1 / 1.03), (1.03, 1.03), (1 / 1.03, 1 / 1.03)):
                shapes = [list(box) for box in level.boxes_hw]
                shapes[place] = [side * by for side, by in zip(shapes[place], factor, strict=True)]
                levels = list(spec.levels)
                levels[index] = dataclasses.replace(level, boxes_hw=shapes)
                other = AnchorSpec(spec.image_size, tuple(levels))
                assert bx.iou_matrix(boxes, other.anchors_xyxy()).max(axis=1).mean() < table + 5e-4


def test_reference_the_nearest_cell_has_the_highest_iou():
    boxes = random_boxes(200, 4)
    objects = Objects.of(boxes)
    sizes, centres = objects.sizes_hw(SMALL_SPEC.image_size), objects.centres_yx(SMALL_SPEC.image_size)
    for level in SMALL_SPEC.levels:
        _, distances = nearest_cells(level, centres)
        for shape in level.boxes_hw:
            alone = AnchorSpec(SMALL_SPEC.image_size, (dataclasses.replace(level, boxes_hw=(shape,)),))
            table = bx.iou_matrix(boxes, alone.anchors_xyxy()).max(axis=1)
            np.testing.assert_allclose(iou_at(sizes.T, distances.T, shape), table, rtol=0, atol=5e-6)


def test_values_reach_holds_levels_to_what_they_see():
    boxes = random_boxes(500, 5, 0.1, 0.9)
    near, far = fit(boxes, SMALL_SPEC, reach=(1, 2)), fit(boxes, SMALL_SPEC, reach=(0, 100))
    sizes = [[np.sqrt(height * width) / level.step_hw[0] for height, width in level.boxes_hw] for level in near.levels]
    assert max(sizes[0]) <= 2.01  # smaller boxes are the finest level's business, larger ones the coarsest's
    assert 0.99 <= min(sizes[1]) <= max(sizes[1]) <= 2.01
    assert min(sizes[2]) >= 0.99
    assert max(near.levels[-1].boxes_hw[0]) > 66
    assert max(np.sqrt(height * width) for height, width in far.levels[0].boxes_hw) > 16
    assert report(far, boxes).mean_best_iou >= report(near, boxes).mean_best_iou


def test_values_balanced_classes_help_the_rare_one():
    many, few = random_boxes(500, 6, 0.3, 0.5), random_boxes(20, 7, 0.04, 0.06)
    data = dataset([many, few], [np.zeros(500, int), np.ones(20, int)])
    plain, balanced = (fit(data, SMALL_SPEC, (1, 1, 1), balance_classes=each, reach=(0, 100)) for each in (False, True))
    rare = [report(spec, data).by_class()[1]["mean best IoU"] for spec in (plain, balanced)]
    assert rare[1] > rare[0] + 0.05


def test_values_the_same_seed_gives_the_same_anchors():
    boxes = random_boxes(300, 8)
    first, second = (fit(boxes, SMALL_SPEC, 2, seed=3) for _ in range(2))
    assert first == second
    assert first.levels == second.levels


def test_values_every_way_to_name_the_levels():
    boxes = random_boxes(60, 9, 0.1, 0.5)
    model = keras_ssd.ssd_small(classes=["a"], input_size=(96, 128))
    grids = model.anchor_spec.grids
    by_model = fit(boxes, model)
    assert fit(boxes, levels=model.levels, boxes_per_cell=None) == by_model
    assert fit(boxes, model.anchor_spec) == by_model
    assert fit(boxes, list(model.anchor_spec.levels), image_size=(96, 128)).grids == grids
    bare = fit(boxes, [(12, 16), 4], image_size=(96, 128))
    assert bare.grids == ((12, 16), (4, 4))
    assert bare.boxes_per_cell == (6, 6)
    assert bare.levels[1].step_hw == (24, 32)
    assert [row["anchors"] for row in bare.account.rows] == ["k-means", "search"]
    assert fit(boxes, named_recipe("ssd_small"), (1, 2, 1)).boxes_per_cell == (1, 2, 1)
    other = fit(boxes, named_spec("ssd300_voc"), 1)
    assert [level.step_hw for level in other.levels] == [level.step_hw for level in named_spec("ssd300_voc").levels]


def test_roundtrip_equal_to_a_plain_spec_of_the_same_anchors():
    spec = fit(random_boxes(60, 10), SMALL_SPEC)
    plain = AnchorSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    assert type(plain) is AnchorSpec
    assert spec == plain
    assert plain == spec
    assert hash(spec) == hash(dataclasses.replace(spec, account=None))
    assert spec != SMALL_SPEC
    assert isinstance(spec, FittedSpec)
    text = str(spec)
    assert text.startswith("Anchors fitted to 60 objects\nanchors ")
    assert "level 2, step 60: boxes (height x width)" in text


@pytest.mark.numerical
def test_values_factories_take_it_and_its_recipe():
    boxes = random_boxes(60, 11, 0.1, 0.5)
    spec = fit(boxes, named_spec("ssd_small"), boxes_per_cell=2)
    model = keras_ssd.ssd_small(classes=["a"], anchors=spec)
    assert model.anchor_spec == spec
    assert model.output_shape == (None, spec.num_anchors, 14)
    wider = keras_ssd.ssd_small(classes=["a"], anchors=spec.recipe, input_size=(96, 160))
    np.testing.assert_allclose(wider.anchor_spec.levels[0].boxes_hw, np.array(spec.levels[0].boxes_hw) * 0.4)
    assert spec.recipe.spec() == spec
    assert AnchorRecipe.of(named_spec("ssd300_voc")).spec().levels == named_spec("ssd300_voc").levels


def test_values_one_object_and_more_boxes_than_objects():
    spec = fit(np.array([[0.4, 0.4, 0.6, 0.7]], np.float32), SMALL_SPEC, boxes_per_cell=4)
    assert report(spec, np.array([[0.4, 0.4, 0.6, 0.7]], np.float32)).mean_best_iou > 0.7


def test_values_objects_that_anchors_hit_exactly():
    level = AnchorLevel((4, 4), (25, 25), ((20, 30),))
    spec = AnchorSpec((100, 100), (level,))
    boxes = spec.anchors_xyxy()
    again = fit(boxes, spec, boxes_per_cell=2)
    assert report(again, boxes).mean_best_iou > 0.999
    assert (20, 30) in [tuple(np.round(box, 0)) for box in again.levels[0].boxes_hw]


def test_reference_kmeans_of_clear_clusters():
    rng = np.random.default_rng(0)
    sizes = np.concatenate([rng.normal(10, 0.1, (50, 2)), rng.normal(40, 0.1, (30, 2)), rng.normal(90, 0.1, (20, 2))])
    shapes = kmeans(sizes, 3, np.full(100, 0.01), np.random.default_rng(1))
    np.testing.assert_allclose(shapes, [[10, 10], [40, 40], [90, 90]], rtol=0.01)


def test_values_the_search_weighs_objects():
    boxes = np.array([[0.3, 0.3, 0.4, 0.4], [0.2, 0.2, 0.8, 0.8]], np.float32)
    level = AnchorLevel((50, 50), (2, 2), ((10, 10),))
    for place, side in ((0, 10), (1, 60)):
        weights = np.array([0.01, 0.01], np.float32)
        weights[place] = 0.99
        search = Search(Objects.of(boxes), (100, 100), (level,), Goal(weights), (0, 1000))
        [shape] = search.run(np.array([0]), [np.array([[25.0, 25.0]])], np.random.default_rng(0))
        np.testing.assert_allclose(shape, side, rtol=0.05)


def test_rejects_what_does_not_fit():
    boxes = random_boxes(10, 0)
    with pytest.raises(ValueError, match="Unknown fitting method 'k-means'. Did you mean 'kmeans'"):
        fit(boxes, SMALL_SPEC, method="k-means")
    with pytest.raises(ValueError, match="Unknown goal 'iou'"):
        fit(boxes, SMALL_SPEC, goal="iou")
    for reach in (5, (5, 2), (1, 2, 3), (-1, 2), "25"):
        with pytest.raises(ValueError, match="`reach` must be"):
            fit(boxes, SMALL_SPEC, reach=reach)
    with pytest.raises(ValueError, match="at most 1. Received: iou_threshold=1.5"):
        fit(boxes, SMALL_SPEC, iou_threshold=1.5)
    with pytest.raises(ValueError, match=r"one for each of the 3 levels. Received: boxes_per_cell=\(1, 2\)"):
        fit(boxes, SMALL_SPEC, boxes_per_cell=(1, 2))
    with pytest.raises(ValueError, match="Received: boxes_per_cell=0"):
        fit(boxes, SMALL_SPEC, boxes_per_cell=0)
    with pytest.raises(ValueError, match="AnchorLevels do not know the size of the images"):
        fit(boxes, list(SMALL_SPEC.levels))
    with pytest.raises(ValueError, match=r"those of images of \(120, 200\)"):
        fit(boxes, SMALL_SPEC, image_size=(300, 300))
    with pytest.raises(ValueError, match="With grids alone, pass image_size"):
        fit(boxes, [(3, 4)])
    with pytest.raises(ValueError, match="Grids must be"):
        fit(boxes, [(3, 4.5)], image_size=(30, 40))
    with pytest.raises(TypeError, match="`levels` must be a model"):
        fit(boxes, "ssd300_voc")
    with pytest.raises(ValueError, match="offset 0.5 and no clipping"):
        _ = fit(boxes, dataclasses.replace(SMALL_SPEC, clip=True)).recipe
