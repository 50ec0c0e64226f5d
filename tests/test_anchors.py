"""Anchors against Caffe's PriorBox and ssd_keras, bit for bit where Caffe is the source."""

import json
from itertools import pairwise

import numpy as np
import pytest

from keras_ssd.anchors import AnchorLevel, AnchorSpec, named_recipe, named_spec, recipe_names

CAFFE = ("ssd300_voc", "ssd300_coco", "ssd512_voc", "ssd512_coco")
MISC = (
    *("nonsquare_nostep", "nonsquare_step", "clip", "noflip", "several_min", "several_min_nomax"),
    *("mobilenet_first", "mobilenet_second", "offset03", "step_wh", "img_size_given", "one_variance"),
    *("no_variance", "no_aspect", "fractional"),
)


@pytest.mark.parametrize("name", CAFFE)
def test_reference_caffe_priors_are_bit_identical(oracle, name):
    reference = oracle("caffe", f"priorbox_{name}.npz")
    spec = named_spec(name)
    np.testing.assert_array_equal(spec.anchors_xyxy(), reference["priors"])
    np.testing.assert_allclose(reference["variances"], np.tile(spec.variances, (spec.num_anchors, 1)), 1e-7)


@pytest.mark.parametrize("name", CAFFE)
def test_reference_ssd_keras_anchors_keep_fractions(oracle, name):
    reference = oracle("ssd_keras", f"encode_{name}.npz")["anchors_cxcywh"]
    anchors = named_spec(name, truncate_sizes=False).anchors_cxcywh()
    np.testing.assert_allclose(anchors, reference, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "pixels"), [("ssd300_voc", 0), ("ssd300_coco", 0), ("ssd512_voc", 0.69), ("ssd512_coco", 0.83)]
)
def test_values_cutting_moves_corners_only_in_ssd512(name, pixels):
    corners = [named_spec(name, truncate_sizes=cut).anchors_xyxy() for cut in (True, False)]
    moved = abs(corners[0] - corners[1]).max() * named_spec(name).image_size[0]
    assert moved == pytest.approx(pixels, abs=0.006)


@pytest.mark.parametrize("case", MISC)
def test_reference_prior_box_options(oracle, case):
    reference = oracle("caffe", "priorbox_misc.npz")
    settings = json.loads(str(reference["params"]))
    assert set(settings) == set(MISC)
    given = settings[case]
    image = (given.get("img_h", given["image_hw"][0]), given.get("img_w", given["image_hw"][1]))
    step = (given["step_h"], given["step_w"]) if "step_h" in given else given.get("step")
    level = AnchorLevel.prior_box(
        image,
        given["map_hw"],
        given["min_size"],
        given.get("max_size", ()),
        given.get("aspect_ratio", ()),
        flip=given.get("flip", True),
        step=step,
        offset=given.get("offset", 0.5),
    )
    spec = AnchorSpec(image, (level,), given.get("variance") or (0.1,), given.get("clip", False))
    np.testing.assert_array_equal(spec.anchors_xyxy(), reference[f"{case}_priors"])
    variances = reference[f"{case}_variances"]
    np.testing.assert_allclose(variances, np.tile(spec.variances, (len(variances), 1)), rtol=1e-7)
    centres = spec.anchors_cxcywh()
    corners = np.concatenate([centres[:, :2] - centres[:, 2:] / 2, centres[:, :2] + centres[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(corners, reference[f"{case}_priors"], rtol=0, atol=3e-7)


def test_reference_ssd7_ratios_in_given_order(oracle):
    reference = oracle("ssd_keras", "encode_ssd7_300x480.npz")
    scales = (0.08, 0.16, 0.32, 0.64, 0.96)
    grids = ((37, 60), (18, 30), (9, 15), (4, 7))
    levels = tuple(
        AnchorLevel.scaled((300, 480), grid, scale, following, (0.5, 1.0, 2.0))
        for grid, (scale, following) in zip(grids, pairwise(scales), strict=True)
    )
    spec = AnchorSpec((300, 480), levels, (1.0,))
    assert spec.num_anchors == 11692
    np.testing.assert_allclose(spec.anchors_cxcywh(), reference["anchors_cxcywh"], rtol=0, atol=1e-6)


def test_values_named_specs():
    assert named_spec("ssd300_voc").num_anchors == 8732
    assert named_spec("ssd512_coco").num_anchors == 24564
    assert named_spec("ssd7").num_anchors == 11692
    assert named_spec("ssd7").variances == (1.0,) * 4
    assert named_spec("ssd300_voc").variances == (0.1, 0.1, 0.2, 0.2)
    mobilenet = named_spec("mobilenet_ssd")
    assert mobilenet.num_anchors == 1917
    assert mobilenet.boxes_per_cell == (3, 6, 6, 6, 6, 6)
    assert mobilenet.levels[0].boxes_hw[0] == (60.0, 60.0)
    assert mobilenet.levels[0].step_hw == pytest.approx((300 / 19, 300 / 19))


def test_values_one_level_by_hand():
    level = AnchorLevel.prior_box((100, 200), (1, 2), (40,), (90,), (2,), truncate_sizes=False)
    spec = AnchorSpec((100, 200), (level,))
    expected = [
        [0.25, 0.5, 40 / 200, 40 / 100],
        [0.25, 0.5, 60 / 200, 60 / 100],
        [0.25, 0.5, 40 * 2**0.5 / 200, 40 / 2**0.5 / 100],
        [0.25, 0.5, 40 / 2**0.5 / 200, 40 * 2**0.5 / 100],
    ]
    np.testing.assert_allclose(spec.anchors_cxcywh()[:4], expected, rtol=1e-6)
    np.testing.assert_allclose(spec.anchors_cxcywh()[4:, 0], 0.75, rtol=1e-6)


def test_values_offsets_and_steps_of_rows_and_columns():
    level = AnchorLevel((2, 3), (10, 20), ((8, 4),), offset_hw=(0.25, 0.75))
    x, y, w, h = AnchorSpec((40, 80), (level,)).anchors_cxcywh().T
    np.testing.assert_allclose(x * 80, [15, 35, 55, 15, 35, 55])
    np.testing.assert_allclose(y * 40, [2.5, 2.5, 2.5, 12.5, 12.5, 12.5])
    np.testing.assert_allclose((w * 80, h * 40), [[4] * 6, [8] * 6], rtol=1e-6)


def test_values_other_image_size_scales_boxes_and_keeps_strides():
    spec = named_spec("ssd300_voc", (600, 900), [(75, 113), (38, 57), (19, 29), (10, 15), (8, 13), (6, 11)])
    assert spec.levels[0].boxes_hw[0] == (60.0, 60.0)  # 30 px of 300, so 60 of 600
    assert spec.levels[0].step_hw == (8.0, 8.0)
    assert spec.levels[5].step_hw == (600 / 6, 900 / 11)


def test_roundtrip_plain_data_is_exact():
    for name in recipe_names():
        spec = named_spec(name)
        again = AnchorSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
        assert again == spec
        np.testing.assert_array_equal(again.anchors_cxcywh(), spec.anchors_cxcywh())


def test_values_arrays_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="read-only"):
        named_spec("ssd300_voc").anchors_cxcywh()[0] = 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_sizes": (0,)}, "min_sizes.*positive"),
        ({"min_sizes": (30,), "max_sizes": (20,)}, "larger than its min size"),
        ({"min_sizes": (30, 40), "max_sizes": (50,)}, "one entry for each"),
        ({"min_sizes": (30,), "aspect_ratios": (-2,)}, "aspect_ratios.*positive"),
        ({"min_sizes": (30,), "step": (1, 2, 3)}, "step.*one number or"),
        ({"min_sizes": (30,), "step": 0}, "step_hw.*positive"),
    ],
)
def test_rejects_impossible_levels(arguments, message):
    with pytest.raises(ValueError, match=message):
        AnchorLevel.prior_box((300, 300), (3, 3), **arguments)


def test_rejects_bad_specs():
    level = AnchorLevel((1, 1), 300, ((30, 30),))
    with pytest.raises(ValueError, match="at least one AnchorLevel"):
        AnchorSpec((300, 300), ())
    with pytest.raises(ValueError, match="1 or 4 entries"):
        AnchorSpec((300, 300), (level,), (0.1, 0.1))
    with pytest.raises(ValueError, match="ssd300_voc"):
        named_spec("ssd300_vok")
    with pytest.raises(ValueError, match=r"grids.*needed for an image size other"):
        named_recipe("ssd300_voc").spec((512, 512))
    with pytest.raises(ValueError, match="must have 6 entries"):
        named_recipe("ssd300_voc").spec((512, 512), [(1, 1)])
    with pytest.raises(ValueError, match="Update keras_ssd"):
        AnchorSpec.from_dict({**AnchorSpec((300, 300), (level,)).to_dict(), "version": 99})
