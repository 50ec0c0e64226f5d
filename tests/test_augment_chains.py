"""Chains: reproducible, named, nested; images mixed of several."""

import concurrent.futures

import numpy as np
import pytest
from augment_markers import assert_equal, find_mark, in_pixels, marked, noise

from keras_ssd.data.augment import (
    CHAINS,
    Brightness,
    Chain,
    Flip,
    Labels,
    MixUp,
    Mosaic,
    OneOf,
    QuarterTurns,
    Resize,
    named_chain,
    sample_rng,
)
from keras_ssd.data.augment.steps import Mirror, Warp

SAMPLES = [noise((30 + 3 * n, 44 - 2 * n), seed=n, boxes=n) for n in range(6)]


def other(rng):
    return SAMPLES[int(rng.integers(len(SAMPLES)))]


def run(chain, index, epoch=0, seed=0):
    return chain(SAMPLES[index % len(SAMPLES)], sample_rng(seed, epoch, index), other)


@pytest.mark.parametrize("name", CHAINS)
def test_values_every_chain_is_the_same_again_in_any_order_and_by_many_workers(name):
    chain = named_chain(name, (20, 26))
    once = [run(chain, index) for index in range(16)]
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        again = dict(workers.map(lambda index: (index, run(named_chain(name, (20, 26)), index)), reversed(range(16))))
    for index, result in enumerate(once):
        assert_equal(result, again[index])
        assert result.image.shape == (20, 26, 3)
        assert result.name == "noise"
    if name != "resize":
        later = [run(chain, index, epoch=1) for index in range(16)]
        assert sum((a.image != b.image).any() for a, b in zip(once, later, strict=True)) > 12
        reseeded = [run(chain, index, seed=1) for index in range(16)]
        assert sum((a.image != b.image).any() for a, b in zip(once, reseeded, strict=True)) > 12


def test_values_chains_change_the_size_alone_in_validation():
    before = noise((20, 26))
    assert_equal(named_chain("resize", (20, 26))(before, sample_rng(0, 0, 0)), before)


def test_values_a_chain_in_a_chain_is_the_chain_and_blocks_compare():
    blocks = [Brightness(probability=0.5), Flip(probability=0.5), QuarterTurns(), Resize((9, 9))]
    flat, nested = Chain(blocks), Chain([Chain(blocks[:2]), Chain([Chain(blocks[2:3]), *blocks[3:]])])
    for index in range(8):
        assert_equal(run(flat, index), run(nested, index))
    assert flat == Chain(list(blocks))
    assert flat != nested
    assert hash(flat) == hash(Chain(tuple(blocks)))


def test_values_probability_of_a_chain_and_of_one_of_several():
    labels = Labels.of(noise((9, 9)))
    sometimes = Chain([Flip()], probability=0.25)
    changed = sum(bool(sometimes.draw(labels, sample_rng(0, 0, n))[0]) for n in range(2000))
    assert abs(changed - 500) < 70  # 3.6 standard deviations
    one = OneOf([Flip(), Flip("vertical"), Resize((3, 3))], weights=(2, 1, 1))
    drawn = [one.draw(labels, sample_rng(0, 0, n))[0][0] for n in range(2000)]
    for step, share in ((Mirror(1), 1000), (Mirror(0), 500), (Warp((3, 3)), 500)):
        assert abs(drawn.count(step) - share) < 80
    assert not Flip(probability=0.0).draw(labels, sample_rng(0, 0, 0))[0]


def test_values_functions_stand_in_chains_and_cannot_be_undone():
    def darker(sample, rng):
        return type(sample)(sample.image // 2, sample.boxes_xyxy, sample.class_ids, sample.difficult, sample.name)

    sample = noise((20, 30))
    chain = Chain([Flip(), darker, Flip()])
    result, track = chain.trace(sample, sample_rng(0, 0, 0))
    np.testing.assert_array_equal(result.image, sample.image // 2)
    np.testing.assert_allclose(result.boxes_xyxy, sample.boxes_xyxy, atol=1e-6)
    with pytest.raises(ValueError, match=r"cannot be mapped back through .*darker"):
        track.invert(result.boxes_xyxy)


def test_values_of_a_mosaic():
    sample = marked((40, 60), (0, 0, 60, 40))  # red all over, one box
    block = Mosaic((50, 70), meeting=(0.4, 0.6))
    assert block.partners == Chain([block, Flip()]).partners == 3
    for index in range(20):
        result = block(sample, sample_rng(0, 0, index), lambda rng: noise((33, 44), seed=int(rng.integers(9)), boxes=0))
        [(_, _, height, width), *_] = block.tiles(np.random.default_rng((0, 0, index)))
        [box] = in_pixels(result)
        np.testing.assert_allclose(box, [0, 0, width, height], atol=1e-3)
        assert 0.4 * 50 - 1 <= height <= 0.6 * 50 + 1
        assert 0.4 * 70 - 1 <= width <= 0.6 * 70 + 1
        assert result.image.shape == (50, 70, 3)
        assert (result.image[:height, :width] == (250, 10, 10)).all()
    together = block(noise((30, 30), boxes=4), sample_rng(1, 0, 0), lambda rng: noise((30, 30), seed=5, boxes=4))
    assert 4 < len(together) <= 16
    assert (together.boxes_xyxy[:, 2:] > together.boxes_xyxy[:, :2]).all()


def test_values_boxes_follow_the_pixels_in_a_mosaic():
    plain = noise((30, 40), boxes=0)
    plain = type(plain)(plain.image // 8, [], [])
    sample = marked((30, 40), (12, 9, 27, 21))
    for index in range(30):
        samples = iter([plain, sample, plain])
        result = Mosaic((60, 80), keep=None)(plain, sample_rng(2, 0, index), lambda rng, s=samples: next(s))
        mark = find_mark(result.image)
        assert len(result) == (mark is not None)
        if mark is not None:
            np.testing.assert_allclose(in_pixels(result)[0], mark, atol=2.5)


def test_values_of_mixup():
    light, dark = noise((20, 30), boxes=2), noise((10, 50), seed=3, boxes=3)
    light = type(light)(np.full((20, 30, 3), 200, np.uint8), light.boxes_xyxy, light.class_ids, light.difficult)
    dark = type(dark)(np.full((10, 50, 3), 100, np.uint8), dark.boxes_xyxy, dark.class_ids, dark.difficult)
    result, track = MixUp((0.75, 0.75)).trace(light, sample_rng(0, 0, 0), lambda rng: dark)
    assert (result.image == 175).all()
    assert result.image.shape == (20, 30, 3)
    np.testing.assert_array_equal(result.boxes_xyxy, np.concatenate([light.boxes_xyxy, dark.boxes_xyxy]))
    np.testing.assert_array_equal(result.difficult, np.concatenate([light.difficult, dark.difficult]))
    np.testing.assert_array_equal(track.invert(light.boxes_xyxy), light.boxes_xyxy)
    with pytest.raises(ValueError, match="cannot be mapped back through Mosaic"):
        Mosaic((9, 9)).trace(light, sample_rng(0, 0, 0), lambda rng: dark)[1].invert(light.boxes_xyxy)


@pytest.mark.parametrize("block", [Mosaic((20, 20)), MixUp(), named_chain("mosaic", (20, 20))])
def test_rejects_mixing_without_others(block):
    assert block.partners
    with pytest.raises(ValueError, match="mixes several images, and has one. Call it with `others`"):
        [block(noise((20, 20)), sample_rng(0, 0, index)) for index in range(20)]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Chain([3]), TypeError, "A chain holds blocks"),
        (lambda: Chain([Flip]), TypeError, "make one of it first"),
        (lambda: OneOf([]), ValueError, "at least one block"),
        (lambda: OneOf([Flip()], weights=(1, 2)), ValueError, "a weight for each"),
        (lambda: OneOf([Flip()], weights=(-1,)), ValueError, "numbers from 0"),
        (
            lambda: named_chain("sdd"),
            ValueError,
            "Unknown augmentation 'sdd'. Did you mean 'ssd'",
        ),
        (lambda: Mosaic((1, 9)), ValueError, "two pixels a side"),
        (lambda: Mosaic((9, 9), (0, 1)), ValueError, "meeting is"),
        (lambda: MixUp((0.9, 0.1)), ValueError, "share is"),
    ],
)
def test_rejects(make, error, message):
    with pytest.raises(error, match=message):
        make()
