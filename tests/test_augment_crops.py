"""Crops and canvases on hand-made cases: which boxes stay, and where they are afterwards."""

import numpy as np
import pytest

from keras_ssd.data import Sample
from keras_ssd.data.augment import (
    BatchSampler,
    BoxRule,
    Chain,
    CropPad,
    DropSmall,
    Expand,
    Flip,
    Labels,
    MaxCropToAspect,
    Need,
    PadToAspect,
    PatchSampler,
    RandomPatch,
    Translate,
    sample_rng,
)
from keras_ssd.data.augment.batch_sampler import patch_window
from keras_ssd.data.augment.steps import Window

RNG = sample_rng(0, 0, 0)


def sample(boxes_pixels, size_hw=(80, 100)):
    """A grey sample whose boxes are given in pixels; class ids count up."""
    boxes = np.array(boxes_pixels, np.float32).reshape(-1, 4) / np.array([size_hw[1], size_hw[0]] * 2, np.float32)
    return Sample(np.full((*size_hw, 3), 99, np.uint8), boxes, np.arange(len(boxes)), np.arange(len(boxes)) % 2 == 1)


def labels(boxes, size_hw=(100, 100)):
    return Labels.of(sample(np.array(boxes) * 100, size_hw))


def test_values_the_centre_rule_counts_the_edge_as_inside():
    # The window is x 20..60, y 10..50.
    boxes = [
        [10, 20, 30, 40],  # centre x = 20, on the left edge
        [9, 20, 30, 40],  # centre x = 19.5, outside
        [50, 40, 70, 60],  # centre (60, 50), on the corner
        [50, 40, 71, 60],  # centre x = 60.5
        [0, 0, 100, 80],  # centre (50, 40), larger than the window
        [30, 0, 40, 19],  # centre y = 9.5
    ]
    cut = CropPad(top=10, left=20, height=40, width=40, keep=BoxRule("center"))(sample(boxes), RNG)
    assert cut.class_ids.tolist() == [0, 2, 4]
    assert cut.difficult.tolist() == [False, False, False]
    expected = [[0, 10, 10, 30], [30, 30, 40, 40], [0, 0, 40, 40]]  # moved by (20, 10), clipped to 40 x 40
    np.testing.assert_allclose(cut.boxes_xyxy * 40, expected, atol=1e-4)
    assert cut.image.shape == (40, 40, 3)


def test_values_the_area_rule_counts_what_is_visible():
    boxes = [[0, 0, 10, 10], [15, 0, 35, 10], [16, 0, 36, 10], [90, 0, 100, 10], [10, 10, 20, 20]]
    rule = BoxRule("area", (0.5, 1.0))  # the window is x 0..25: 1, 0.5, 0.45, 0 and 1 of them are seen
    cut = CropPad(0, 0, 80, 25, keep=rule)(sample(boxes), RNG)
    assert cut.class_ids.tolist() == [0, 1, 4]
    halves = CropPad(0, 0, 80, 25, keep=BoxRule("area", (0.3, 0.5)))(sample(boxes), RNG)
    assert halves.class_ids.tolist() == [1, 2]


def test_values_the_iou_rule_compares_with_the_image():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 0.5, 0.5], [0, 0, 2, 1]], np.float32)  # 1, 0.5, 0.25, 0.5
    assert BoxRule("iou", (0.3, 0.9))(boxes).tolist() == [False, True, False, True]
    assert BoxRule("iou", (0.5, 1.0))(boxes).tolist() == [True, False, False, False]


def test_values_boxes_without_area_and_outside_never_come_out():
    boxes = [[5, 5, 5, 9], [-20, -20, -1, -1], [9, 5, 5, 9], [-5, -5, 5, 5]]
    result = DropSmall(0)(sample(boxes), RNG)
    assert result.class_ids.tolist() == [3]
    np.testing.assert_allclose(result.boxes_xyxy, [[0, 0, 0.05, 5 / 80]], atol=1e-6)


def test_values_a_box_that_only_touches_the_window_leaves_no_sliver():
    # In float32, the edges of such boxes seldom meet those of the window exactly.
    for edge in range(1, 97):
        touching = sample([[0, 0, edge, 80], [edge, 0, 97, 80], [edge - 1, 0, edge, 80]], (80, 97))
        right, left = (Chain([Flip(), CropPad(0, start, 80, 97)]) for start in (97 - edge, -edge))
        assert right(touching, RNG).class_ids.tolist() == [0, 2]
        assert left(touching, RNG).class_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (PatchSampler(), [True, True, True]),
        (PatchSampler(jaccard=(0.5, None)), [True, False, False]),  # IoU 0.5, 0.25, 0
        (PatchSampler(jaccard=(None, 0.3)), [False, True, True]),
        (PatchSampler(jaccard=(0.2, 0.3)), [False, True, False]),
        (PatchSampler(sample_coverage=(0.5, None)), [True, False, False]),  # 0.5, 0.25, 0 of the patch
        (PatchSampler(object_coverage=(0.9, None)), [True, True, False]),  # 1, 1, 0 of the object
        (PatchSampler(object_coverage=(0.9, None), sample_coverage=(None, 0.3)), [False, True, False]),
    ],
)
def test_values_conditions_of_a_sampler(sampler, expected):
    one_object = np.array([[0.0, 0.0, 0.5, 0.25]], np.float32)
    patches = np.array([[0, 0, 0.5, 0.5], [0, 0, 1, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    assert sampler.accepts(patches, one_object).tolist() == expected
    nothing = sampler.accepts(patches, np.zeros((0, 4), np.float32))
    assert nothing.tolist() == [sampler.unconditional] * 3


def test_values_one_object_must_meet_a_condition_and_any_may():
    boxes = np.array([[0.9, 0.9, 1, 1], [0, 0, 0.5, 0.5]], np.float32)
    assert PatchSampler(jaccard=(0.9, None)).accepts(np.array([[0, 0, 0.5, 0.5]], np.float32), boxes).tolist() == [True]
    # Neither covers enough of the patch and is covered enough itself.
    both = PatchSampler(sample_coverage=(0.5, None), object_coverage=(1.0, None))
    patch = np.array([[0.25, 0, 0.75, 0.5]], np.float32)
    boxes = np.array([[0, 0, 1, 0.5], [0.5, 0, 0.6, 0.1]], np.float32)
    assert both.accepts(patch, boxes).tolist() == [False]


def test_values_patches_are_cut_in_whole_pixels_as_caffe_does():
    patch = np.array([0.255, 0.129, 0.755, 0.859], np.float32)  # of 100 x 80: x 25.5..75.5, y 10.32..68.72
    assert patch_window(patch, (80, 100), None) == Window((80, 100), 10, 25, 58, 50)
    assert patch_window(np.array([0, 0, 1, 1], np.float32), (80, 100), None) == Window((80, 100), 0, 0, 80, 100)
    assert patch_window(np.array([0.7, 0.7, 1, 1], np.float32), (1, 1), None) == Window((1, 1), 0, 0, 1, 1)


def test_values_a_crop_may_be_empty_only_where_caffes_may_be():
    # IoU 0.1 with an object whose centre lies outside the patch: kept as a patch, and no box in it.
    block = BatchSampler((PatchSampler(scale=(0.5, 0.5), aspect=(1, 1), jaccard=(0.1, None)),))
    one = labels([[0.0, 0.0, 1.0, 1.0]])
    results = [block.draw(one, sample_rng(0, 0, index)) for index in range(300)]
    for [window], after in results:
        inside = window.top <= 50 <= window.top + window.height and window.left <= 50 <= window.left + window.width
        assert len(after) == int(inside)
    small = labels([[0.3, 0.3, 0.7, 0.7]])
    sizes = [len(block.draw(small, sample_rng(1, 0, index))[1]) for index in range(300)]
    assert 0 in sizes
    assert 1 in sizes
    needy = RandomPatch((0.3, 1.0), need=Need(BoxRule("area", (0.5, 1.0))))
    assert all(len(needy.draw(small, sample_rng(1, 0, index))[1]) == 1 for index in range(300))


def test_values_expansion_keeps_all_boxes_and_their_pixels():
    before = sample([[10, 20, 30, 60], [0, 0, 100, 80]])
    for index in range(20):
        [window], after = Expand().draw(Labels.of(before), sample_rng(0, 0, index))
        assert window.height >= 80
        assert window.top <= 0 <= window.top + window.height - 80
        assert window.left <= 0 <= window.left + window.width - 100
        pixels = after.boxes_xyxy * np.array([window.width, window.height] * 2)
        moved = np.array([[10, 20, 30, 60], [0, 0, 100, 80]]) - [window.left, window.top] * 2
        np.testing.assert_allclose(pixels, moved, atol=1e-3)


def test_values_needs_are_met_or_the_image_stays():
    corner = labels([[0.0, 0.0, 0.1, 0.1]])
    away = Translate((0.5, 0.5), (0.5, 0.5), trials=1)  # three of four directions push the object out
    results = [away.draw(corner, sample_rng(0, 0, index)) for index in range(400)]
    assert all(len(after) == 1 for _, after in results)
    moved = sum(bool(steps) for steps, _ in results)
    assert abs(moved - 100) < 35
    assert {(step.top, step.left) for steps, _ in results for step in steps} == {(-50, -50)}
    everything = Need(BoxRule("center"), boxes=None)
    boxes = np.array([[0, 0, 0.1, 0.1], [-1, 0, 0, 0.1]], np.float32)
    assert not everything(boxes)
    assert everything(boxes[:1])
    assert everything(boxes[:0])
    assert Need(BoxRule("center"), boxes=1)(boxes)


@pytest.mark.parametrize(
    ("block", "size_hw"),
    [
        (MaxCropToAspect(1.0), (80, 80)),
        (MaxCropToAspect(2.0), (50, 100)),
        (MaxCropToAspect(0.5), (80, 40)),
        (PadToAspect(1.0), (100, 100)),
        (PadToAspect(2.0, centered=True), (80, 160)),
        (PadToAspect(0.5), (200, 100)),
    ],
)
def test_values_of_fixed_shapes(block, size_hw):
    result = block(sample([[40, 30, 60, 50]]), sample_rng(0, 0, 1))
    assert result.image.shape[:2] == size_hw
    if isinstance(block, PadToAspect):
        assert (result.image == 99).all(axis=-1).sum() == 80 * 100
        if block.centered:
            np.testing.assert_allclose(result.boxes_xyxy * 160, [[70, 60, 90, 100]], atol=1e-4)


def test_values_small_boxes_are_dropped_by_their_pixels():
    result = DropSmall(16)(sample([[0, 0, 4, 4], [0, 0, 5, 3], [0, 0, 1, 40]]), RNG)
    assert result.class_ids.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoxRule("middle"), 'criterion is "center", "area" or "iou". Received'),
        (lambda: BoxRule("area", (0.7, 0.3)), "bounds are"),
        (lambda: Need(boxes=0), "boxes is a number from 1"),
        (lambda: PatchSampler(scale=(0.5, 1.5)), "scale is"),
        (lambda: PatchSampler(aspect=(2, 1)), "aspect is"),
        (lambda: PatchSampler(trials=0), "at least once"),
        (lambda: RandomPatch((0, 1)), "scale is"),
        (lambda: RandomPatch(aspect=(2, 1)), "aspect is"),
        (lambda: CropPad(0, 0, 0, 5), "at least one pixel"),
        (lambda: Expand(0.5), "at least as large"),
        (lambda: MaxCropToAspect(0), "aspect is width / height"),
        (lambda: PadToAspect(float("inf")), "aspect is width / height"),
        (lambda: CropPad(90, 0, 10, 10)(sample([]), RNG), "shows nothing of an image of height 80"),
        (lambda: Translate((0.5, 0.1)), "down is"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(ValueError, match=message):
        make()
