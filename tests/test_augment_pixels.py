"""Colours and interpolation: as OpenCV has them and without it, and work left out that changes nothing."""

import numpy as np
import pytest
from augment_markers import noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_ssd.data.augment import (
    INTERPOLATIONS,
    Brightness,
    Chain,
    ChannelOrder,
    Contrast,
    CropPad,
    Expand,
    Gamma,
    Grayscale,
    HistogramEqualization,
    Hue,
    JpegNoise,
    QuarterTurns,
    Resize,
    Saturation,
    distortion,
    named_chain,
    sample_rng,
)
from keras_ssd.data.augment import pixels as pixel_work
from keras_ssd.data.augment.color_steps import (
    PowerLevels,
    ScaleLevels,
    ScaleSaturation,
    ShiftHue,
    ShiftLevels,
)
from keras_ssd.data.augment.interpolation import resize
from keras_ssd.data.augment.rendering import render
from keras_ssd.data.augment.steps import Mirror, Window
from keras_ssd.images import resizing

IMAGE = noise((24, 33)).image


def both_ways(monkeypatch, function):
    """An image with OpenCV and the same without, as integers."""
    pytest.importorskip("cv2")
    with_it = function().astype(int)
    with monkeypatch.context() as patch:
        patch.setattr(resizing, "_opencv", lambda: None)
        return with_it, function().astype(int)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size_hw", [(7, 9), (30, 40), (12, 60), (50, 11), (24, 50), (1, 1), (24, 33)])
def test_reference_interpolation_as_opencv(monkeypatch, interpolation, size_hw):
    for image in (IMAGE, IMAGE[:1, :1], IMAGE[:5], IMAGE[:, 3:4]):
        ours, numpys = both_ways(monkeypatch, lambda p=image: resize(p, size_hw, interpolation))
        assert ours.shape == numpys.shape == (*size_hw, 3)
        assert np.abs(ours - numpys).max() <= 1


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_reference_interpolation_as_opencv_where_sizes_share_divisors(monkeypatch, interpolation):
    """There, places fall on whole pixels, and the last bit decides between neighbours."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    for height, width, *size_hw in rng.integers(1, 129, (150, 4)) // 6 * 6 + 6:
        part = np.ascontiguousarray(image[:height, :width])
        ours, numpys = both_ways(monkeypatch, lambda p=part, s=size_hw: resize(p, tuple(map(int, s)), interpolation))
        assert np.abs(ours - numpys).max() <= 1, (part.shape, size_hw)


def all_colours():
    """Each seventh red, green and blue: (37, 1369, 3)."""
    levels = np.arange(0, 256, 7, dtype=np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(len(levels), -1, 3)


def test_reference_hue_saturation_value_as_opencv():
    cv2 = pytest.importorskip("cv2")
    colours = all_colours()
    ours = np.stack(pixel_work.rgb_to_hsv(colours), axis=-1)
    np.testing.assert_array_equal(ours, cv2.cvtColor(colours, cv2.COLOR_RGB2HSV))
    back = pixel_work.hsv_to_rgb(*np.moveaxis(ours, -1, 0)).astype(int)
    assert np.abs(back - cv2.cvtColor(ours, cv2.COLOR_HSV2RGB)).max() <= 1


@pytest.mark.parametrize(
    "step",
    [
        *(ShiftLevels(-20.4), ScaleLevels(1.37), ScaleLevels(0.6, 127.5), PowerLevels(1.8), ScaleSaturation(0.55)),
        *(ScaleSaturation(1.5), ShiftHue(-17.6), ShiftHue(13.2), ShiftHue(-9, wrap=True), Mirror(0), Mirror(1)),
    ],
    ids=repr,
)
def test_reference_steps_without_opencv(monkeypatch, step):
    ours, numpys = both_ways(monkeypatch, lambda: step.pixels(all_colours()))
    assert np.abs(ours - numpys).max() <= 1


@pytest.mark.parametrize("name", ["ssd", "satellite", "constant", "variable", "light", "light-turns"])
def test_reference_chains_without_opencv(monkeypatch, name):
    smooth = np.asarray(Image.fromarray(IMAGE).resize((90, 70)))
    sample = noise((70, 90))
    sample = type(sample)(smooth, sample.boxes_xyxy, sample.class_ids)
    for index in range(25):
        rng = lambda index=index: sample_rng(9, 0, index)  # noqa: E731
        ours, numpys = both_ways(monkeypatch, lambda rng=rng: named_chain(name, (50, 60))(sample, rng()).image)
        # A level more before the resizing may become some more after it, since cubic and Lanczos weights go below 0.
        assert np.abs(ours - numpys).max() <= 4
        assert np.abs(ours - numpys).mean() <= 0.75


def caffe_distort(image, steps):
    """Caffe's `convertTo` and `cvtColor`, step by step."""
    import cv2

    for step in steps:
        if isinstance(step, ShiftLevels):
            image = cv2.convertScaleAbs(np.maximum(image.astype(np.float32) + step.delta, 0))
        elif isinstance(step, ScaleLevels):
            image = cv2.convertScaleAbs(image, alpha=step.factor)
        else:
            hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
            if isinstance(step, ScaleSaturation):
                hsv[..., 1] *= step.factor
            else:
                hsv[..., 0] += step.delta
            image = cv2.cvtColor(np.rint(hsv.clip(0, 255)).astype(np.uint8), cv2.COLOR_HSV2RGB)
    return image


@pytest.mark.parametrize(
    "steps",
    [
        (ShiftLevels(17.3),),
        (ShiftLevels(-31.9), ScaleLevels(1.4)),
        (ScaleLevels(0.51),),
        (ScaleSaturation(1.45),),
        (ShiftHue(-11.8),),
        (ShiftHue(15.2),),
        (ShiftLevels(9), ScaleLevels(1.2), ShiftHue(15.2)),
    ],
)
def test_reference_distortion_as_caffe(steps):
    pytest.importorskip("cv2")
    ours = render(all_colours(), steps).astype(int)
    assert np.abs(ours - caffe_distort(all_colours(), steps)).max() <= 1


def test_reference_one_trip_to_hue_and_saturation_instead_of_two_stays_close():
    pytest.importorskip("cv2")
    steps = (ScaleSaturation(0.7), ShiftHue(12.5))
    difference = np.abs(render(all_colours(), steps).astype(int) - caffe_distort(all_colours(), steps))
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.999) <= 8


COLOURS = [ShiftLevels(20), ScaleLevels(0.8), ScaleSaturation(1.3), ShiftHue(5)]


@st.composite
def programs(draw):
    """Steps in any order, with windows in and beyond an image of 24 x 33."""
    size_hw, steps = (24, 33), []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.integers(0, 5))
        if kind < 3:
            steps.append(draw(st.sampled_from(COLOURS)))
        elif kind < 5:
            place = [draw(st.integers(-9, 14)) for _ in range(2)]
            sides = [draw(st.integers(1, 40)) for _ in range(2)]
            steps.append(Window(size_hw, *place, *sides, draw(st.sampled_from([(1, 2, 3), (200, 100, 0)]))))
            size_hw = tuple(sides)
        else:
            steps.append(Mirror(draw(st.integers(0, 1))))
    return steps


@settings(max_examples=300, deadline=None)
@given(steps=programs())
def test_values_work_left_out_changes_nothing(steps):
    plain = IMAGE
    for previous, step in zip([None, *steps], steps, strict=False):
        if isinstance(step, ScaleSaturation | ShiftHue) and isinstance(previous, ScaleSaturation | ShiftHue):
            return  # these two are joined on purpose, and lose less by rounding
        plain = step.pixels(plain)
    np.testing.assert_array_equal(render(IMAGE, steps), plain)


def test_values_a_late_crop_spares_the_colours_of_what_it_cuts(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "keras_ssd.data.augment.color_steps.look_up",
        lambda image, table: seen.append(image.shape) or table[image],
    )
    chain = Chain([Brightness(5, 5), Contrast(2, 2), Expand(4.0), CropPad(0, 0, 5, 6)])
    chain(noise((24, 33)), sample_rng(0, 0, 3))
    assert len(seen) <= 1  # both tables at once, or nothing where only canvas is left
    assert all(shape[0] <= 5 and shape[1] <= 6 for shape in seen)


def test_values_of_colours_by_hand():
    image = np.array([[[10, 100, 250], [0, 0, 0]]], np.uint8)
    assert ShiftLevels(10.6).pixels(image).tolist() == [[[21, 111, 255], [11, 11, 11]]]
    assert ScaleLevels(0.25).pixels(image).tolist() == [[[2, 25, 62], [0, 0, 0]]]  # 62.5 to the even neighbour
    assert ScaleLevels(2.0, 127.5).pixels(image)[0, 0].tolist() == [0, 72, 255]
    assert PowerLevels(2.0).pixels(image)[0, 0].tolist() == [50, 160, 252]
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert ShiftHue(-10).pixels(red).tolist() == red.tolist()  # Caffe stops at red
    assert ShiftHue(-10, wrap=True).pixels(red).tolist() == [[[255, 0, 85]]]
    assert ShiftHue(60).pixels(red).tolist() == [[[0, 255, 0]]]
    assert ScaleSaturation(0).pixels(red).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    "block",
    [
        *(Brightness(), Contrast(), Saturation(), Hue(), Gamma(), HistogramEqualization(), ChannelOrder()),
        *(Grayscale(), JpegNoise(30, 60), distortion()),
    ],
    ids=lambda block: type(block).__name__,
)
def test_values_colour_blocks_leave_boxes_and_their_input_alone(block):
    sample = noise((24, 33), seed=4)
    before = sample.image.copy()
    results = [block(sample, sample_rng(0, 0, index)) for index in range(12)]
    for result in results:
        np.testing.assert_array_equal(result.boxes_xyxy, sample.boxes_xyxy)
        assert result.image.shape == before.shape
    assert any((result.image != before).any() for result in results)
    np.testing.assert_array_equal(sample.image, before)


def test_values_of_channel_order_grey_equalized_and_jpeg():
    sample = noise((24, 33))
    rng = sample_rng(0, 0, 0)
    np.testing.assert_array_equal(ChannelOrder((2, 1, 0))(sample, rng).image, sample.image[..., ::-1])
    orders = {tuple(ChannelOrder().steps(None, sample_rng(0, 0, index))[0].order) for index in range(60)}
    assert len(orders) == 6
    grey = Grayscale()(sample, rng).image
    assert (grey == grey[..., :1]).all()
    assert np.abs(grey[..., 0] - np.asarray(Image.fromarray(sample.image).convert("L")).astype(int)).max() <= 1
    dull = type(sample)((sample.image // 4 + 50), sample.boxes_xyxy, sample.class_ids)
    spread = HistogramEqualization()(dull, rng).image.max(axis=-1)
    assert spread.min() == 0
    assert spread.max() == 255
    flat = type(sample)(np.full((4, 4, 3), 77, np.uint8), [], [])
    np.testing.assert_array_equal(HistogramEqualization()(flat, rng).image, flat.image)
    coarse, fine = (JpegNoise(q, q)(sample, rng).image.astype(int) - sample.image for q in (5, 100))
    assert np.abs(fine).mean() < np.abs(coarse).mean()


def test_values_float_images_are_rounded():
    sample = noise((24, 33))
    floats = type(sample)(sample.image.astype(np.float32) + 0.3, sample.boxes_xyxy, sample.class_ids)
    for block in (Brightness(), QuarterTurns(), Resize((9, 9)), named_chain("ssd")):
        ours, theirs = (block(one, sample_rng(0, 0, 1)).image for one in (floats, sample))
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Brightness(5, -5), "Brightness takes low and high, the smaller first. Received: low=5, high=-5"),
        (lambda: Contrast(-1, 1), "Contrast takes low and high, the smaller first, from 0"),
        (lambda: Saturation(2, 1), "Saturation takes"),
        (lambda: Hue(-1), "Hue takes a limit in half degrees"),
        (lambda: Gamma(0, 1), "A gamma is above 0"),
        (lambda: ChannelOrder((0, 0, 1)), "order holds 0, 1 and 2 once each"),
        (lambda: JpegNoise(0, 50), "JpegNoise takes"),
        (lambda: JpegNoise(50, 101), "at most 100"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(ValueError, match=message):
        make()
