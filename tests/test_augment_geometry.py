"""Boxes follow the pixels through every geometric block, and come back through the track."""

import numpy as np
import pytest
from augment_markers import FILL, GROUND, MARK, find_mark, in_pixels, marked, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_ssd import Detections
from keras_ssd.data.augment import (
    INTERPOLATIONS,
    BatchSampler,
    Block,
    Chain,
    CropPad,
    DropSmall,
    Expand,
    Flip,
    MaxCropToAspect,
    PadToAspect,
    PatchSampler,
    QuarterTurns,
    RandomPatch,
    Resize,
    Translate,
    Zoom,
    batch_sampler,
    geometry,
    named_chain,
    patches,
    sample_rng,
)

# Each with every box kept of which anything is seen, so that a marker in sight always has a box.
EXACT = {
    "horizontal": Flip(),
    "vertical": Flip("vertical"),
    "turns": QuarterTurns(),
    "turns in place": QuarterTurns(keep_size=True, fill=FILL, keep=None),
    "expand": Expand(3.0, FILL),
    "patch": RandomPatch((0.3, 1.5), (0.5, 2.0), fill=FILL, keep=None, need=None),
    "patch of both sides": RandomPatch((0.3, 1.5), None, fill=FILL, keep=None, need=None),
    "uniform patch": RandomPatch((0.3, 1.5), None, uniform=True, fill=FILL, keep=None, need=None),
    "translate": Translate((0.0, 0.9), (0.0, 0.9), fill=FILL, keep=None, need=None),
    "sampler": BatchSampler((PatchSampler(),), keep=None),
    "crop and pad": CropPad(-3, 4, 15, 30, fill=FILL),
    "crop to shape": MaxCropToAspect(1.3, keep=None, need=None),
    "pad to shape": PadToAspect(1.3, fill=FILL),
}
WARPING = {
    "zoom": Zoom(0.5, 2.0, fill=FILL, keep=None, need=None),
    "zoom anywhere": Zoom(0.5, 2.0, anywhere=True, fill=FILL, keep=None, need=None),
    **{f"resize {name}": Resize((37, 53), (name,)) for name in INTERPOLATIONS},
}


def test_values_every_geometric_block_is_tried():
    tried = {type(block) for block in (EXACT | WARPING).values()}
    for module in (geometry, patches, batch_sampler):
        blocks = {each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Block)}
        own = {each for each in blocks if each.__module__ == module.__name__}
        assert own - tried <= {DropSmall}, module.__name__  # which moves nothing


@st.composite
def marked_samples(draw):
    height, width = draw(st.integers(12, 48)), draw(st.integers(12, 48))
    left, top = draw(st.integers(0, width - 5)), draw(st.integers(0, height - 5))
    right, bottom = draw(st.integers(left + 4, width)), draw(st.integers(top + 4, height))
    return marked((height, width), (left, top, right, bottom))


def moved(block, sample, seed):
    """The sample after the block with its boxes in pixels, where the marker is found, and the track."""
    result, track = block.trace(sample, sample_rng(seed, 0, 0))
    assert result.boxes_xyxy.dtype == np.float32
    assert result.image.dtype == np.uint8
    return result, find_mark(result.image), track


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=60, deadline=None)
@given(sample=marked_samples(), seed=st.integers(0, 10**6))
def test_values_boxes_follow_the_pixels_exactly(name, sample, seed):
    result, mark, track = moved(EXACT[name], sample, seed)
    assert len(result) == (mark is not None)
    if mark is None:
        return
    np.testing.assert_allclose(in_pixels(result)[0], mark, atol=1e-3)
    assert (result.class_ids.tolist(), result.difficult.tolist(), result.name) == ([3], [True], "marked")
    colours = {tuple(colour) for colour in np.unique(result.image.reshape(-1, 3), axis=0).tolist()}
    assert colours <= {GROUND, MARK, FILL}
    back = track.invert(result.boxes_xyxy)[0] * np.array([*sample.size_hw[::-1]] * 2)
    before = in_pixels(sample)[0]
    assert (back >= before - [1e-2, 1e-2, -1e-2, -1e-2] * np.array([1, 1, -1, -1])).sum() >= 2
    if (mark[2:] - mark[:2]).prod() == (before[2:] - before[:2]).prod():  # all of it is in sight
        np.testing.assert_allclose(back, before, atol=1e-2)


@pytest.mark.parametrize("name", WARPING)
@settings(max_examples=60, deadline=None)
@given(sample=marked_samples(), seed=st.integers(0, 10**6))
def test_values_boxes_follow_the_pixels_of_a_warp(name, sample, seed):
    result, mark, track = moved(WARPING[name], sample, seed)
    if mark is None:  # at most a sliver is left, which no pixel's centre meets
        assert all((box[2:] - box[:2]).min() < 1.5 for box in in_pixels(result))
        return
    # Edges between colours lie at most about a pixel off, of the coarser of the two images.
    coarse = max(1.0, *np.divide(result.image.shape[:2], sample.size_hw), 2.0 if "zoom" in name else 1.0)
    np.testing.assert_allclose(in_pixels(result)[0], mark, atol=1.01 * coarse)
    assert track.invert(result.boxes_xyxy).shape == (1, 4)


@pytest.mark.parametrize("name", [*EXACT, *WARPING])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_roundtrip_boxes_come_back(name, seed):
    """Boxes that were not clipped come back where they were, whatever the block did."""
    block = (EXACT | WARPING)[name]
    sample = noise((30, 40), seed % 7)
    _, track = block.trace(sample, sample_rng(seed, 0, 0))
    boxes = sample.boxes_xyxy
    for step in track.steps:
        boxes = step.project(boxes)
    np.testing.assert_allclose(track.invert(boxes), sample.boxes_xyxy, atol=2e-5)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(["ssd", "satellite", "constant", "variable", "light", "light-turns"]),
    boxes=st.integers(0, 12),
)
def test_values_results_are_valid_by_construction(seed, name, boxes):
    sample = noise((23, 31), seed % 11, boxes)
    result, track = named_chain(name, (20, 24)).trace(sample, sample_rng(seed, 0, 0))
    assert result.image.shape == (20, 24, 3)
    assert result.image.dtype == np.uint8
    assert (result.boxes_xyxy >= 0).all()
    assert (result.boxes_xyxy <= 1).all()
    assert (result.boxes_xyxy[:, 2:] > result.boxes_xyxy[:, :2]).all()
    assert len(result.boxes_xyxy) == len(result.class_ids) == len(result.difficult)
    # Each object still has its own class and mark, and its box lies where the original was.
    for box, class_id, difficult in zip(
        track.invert(result.boxes_xyxy), result.class_ids, result.difficult, strict=True
    ):
        same = (sample.class_ids == class_id) & (sample.difficult == difficult)
        inside = (sample.boxes_xyxy[same, :2] <= box[:2] + 1e-4) & (sample.boxes_xyxy[same, 2:] >= box[2:] - 1e-4)
        assert inside.all(axis=1).any()


@settings(max_examples=60, deadline=None)
@given(sample=marked_samples(), seed=st.integers(0, 10**6))
def test_values_boxes_follow_the_pixels_through_chains(sample, seed):
    chain = Chain([Expand(2.0, FILL, probability=0.5), BatchSampler(keep=None), Flip(probability=0.5), QuarterTurns()])
    result, mark, _ = moved(chain, sample, seed)
    assert len(result) == (mark is not None)
    if mark is not None:
        np.testing.assert_allclose(in_pixels(result)[0], mark, atol=2e-3)


def test_roundtrip_detections_by_hand():
    # A window of x 20..60, y 10..50 of 100 x 80, mirrored and doubled: x = 80 - 2 * (x - 20).
    chain = Chain([CropPad(10, 20, 40, 40), Flip(), Resize((80, 80))])
    result, track = chain.trace(marked((80, 100), (25, 20, 45, 30)), sample_rng(0, 0, 0))
    np.testing.assert_allclose(in_pixels(result), [[30, 20, 70, 40]], atol=1e-3)
    found = Detections([[30, 20, 70, 40], [0, 0, 80, 80]], [0.9, 0.5], [0, 1], ("a", "b"), (80, 80), source="x.jpg")
    back = track.restore(found, (80, 100))
    np.testing.assert_allclose(back.boxes_xyxy, [[25, 20, 45, 30], [20, 10, 60, 50]], atol=1e-3)
    assert (back.size_hw, back.source, back.names) == ((80, 100), "x.jpg", ("a", "b"))


def test_roundtrip_detections_in_a_padded_border_are_clipped_or_dropped():
    padded, track = CropPad(-40, -50, 160, 200).trace(marked((80, 100), (0, 0, 10, 10)), sample_rng(0, 0, 0))
    assert padded.image.shape == (160, 200, 3)
    found = Detections([[40, 30, 60, 50], [0, 0, 50, 40]], [0.9, 0.5], [0, 0], ("a",), (160, 200))
    back = track.restore(found, (80, 100))
    np.testing.assert_allclose(back.boxes_xyxy, [[0, 0, 10, 10]], atol=1e-3)
    nothing = Detections.empty(("a",), (160, 200))
    assert len(track.restore(nothing, (80, 100))) == 0


@pytest.mark.parametrize(
    ("turns", "expected", "size_hw"),
    [
        (1, [20, 55, 30, 75], (100, 80)),  # counterclockwise: x' = y, y' = 100 - x
        (2, [55, 50, 75, 60], (80, 100)),
        (3, [50, 25, 60, 45], (100, 80)),
    ],
)
def test_values_of_quarter_turns(turns, expected, size_hw):
    result = QuarterTurns((turns,))(marked((80, 100), (25, 20, 45, 30)), sample_rng(0, 0, 0))
    assert result.image.shape[:2] == size_hw
    np.testing.assert_allclose(in_pixels(result), [expected], atol=1e-3)
    np.testing.assert_array_equal(find_mark(result.image), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Resize((0, 5)), "size_hw is"),
        (lambda: Resize((5, 5), ("bilinear",)), "interpolations is a tuple of names out of"),
        (lambda: Resize((5, 5), "linear"), "interpolations is a tuple"),
        (lambda: Flip("sideways"), 'direction is "horizontal" or "vertical"'),
        (lambda: Flip(probability=1.5), "A probability must be in 0..1. Received: probability=1.5"),
        (lambda: QuarterTurns(()), "whole numbers of quarters"),
        (lambda: Zoom(2.0, 1.0), "Zoom takes low and high, the smaller first"),
        (lambda: Zoom(0.0, 1.0), "A factor is above 0"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(ValueError, match=message):
        make()
