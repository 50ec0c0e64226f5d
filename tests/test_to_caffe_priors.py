"""Anchors as PriorBox layers."""

import numpy as np
import pytest

from keras_ssd.anchors import AnchorLevel, AnchorSpec, named_spec
from keras_ssd.caffe.exporter.priors import prior_box
from keras_ssd.exporters.model_graph import ExportError


def settings_of(spec, index=0):
    prior = prior_box(spec, index, spec.image_size)
    named = ("min_size", "max_size", "aspect_ratio", "flip", "step")
    return {key: prior.settings[key] for key in named if key in prior.settings}, prior


def test_values_priors_of_the_original_models():
    settings, prior = settings_of(named_spec("ssd300_voc"), 1)
    wanted = {"min_size": [60.0], "max_size": [111.0], "aspect_ratio": [2.0, 3.0], "flip": True, "step": 16.0}
    assert settings == wanted
    assert (prior.order, prior.fractions) == ((0, 1, 2, 3, 4, 5), ())
    settings, prior = settings_of(named_spec("mobilenet_ssd"))
    assert settings == {"min_size": [60.0], "aspect_ratio": [2.0], "flip": True}  # no max size, step = size / grid
    settings, prior = settings_of(named_spec("ssd7"), 2)
    assert settings == {"min_size": [150.0], "max_size": [210.0], "aspect_ratio": [0.5], "flip": True}
    assert prior.order == (1, 2, 0, 3)  # its own order is 1/2, 1, the second square, 2
    settings, prior = settings_of(named_spec("ssd512_voc", truncate_sizes=False), 0)
    assert settings["min_size"] == [35.84]
    assert prior.fractions == (35.84, 76.8)


LEVELS = [
    ((60,), (111,), (2, 3), True),
    ((30, 60, 95), (60, 95, 140), (2,), True),
    ((30, 60), (), (2, 1.5), True),
    ((21,), (45,), (), True),
    ((21, 40, 60), (), (), True),
    ((38,), (), (1, 2, 3, 5, 7, 10), False),  # TextBoxes
    ((64,), (80,), (0.5, 2, 1 / 3, 3), False),
    ((33.3, 50.1), (71.7, 99.9), (1.25,), True),
]


@pytest.mark.parametrize("case", LEVELS)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_roundtrip_priors(case, seed):
    min_sizes, max_sizes, ratios, flip = case
    options = {"flip": flip, "step": (9.5, 8), "offset": 0.4, "truncate_sizes": False}
    level = AnchorLevel.prior_box((100, 90), (10, 11), min_sizes, max_sizes, ratios, **options)
    boxes = list(level.boxes_hw)
    if seed is not None:
        np.random.default_rng(seed).shuffle(boxes)
    spec = AnchorSpec((100, 90), (AnchorLevel(level.grid_hw, level.step_hw, tuple(map(tuple, boxes)), 0.4),))
    prior = prior_box(spec, 0, (100, 90))
    s = prior.settings
    made = AnchorLevel.prior_box(
        (100, 90),
        (10, 11),
        s["min_size"],
        s.get("max_size", ()),
        s.get("aspect_ratio", ()),
        flip=s["flip"],
        step=(s["step_h"], s["step_w"]),
        offset=s["offset"],
        truncate_sizes=False,
    )
    np.testing.assert_allclose(made.boxes_hw, [boxes[i] for i in prior.order], rtol=1e-6)
    assert sorted(prior.order) == list(range(len(boxes)))
    if seed is None:
        assert prior.order == tuple(range(len(boxes)))


@pytest.mark.parametrize(
    "boxes", [((10, 20),), ((10, 10), (20, 41)), ((10, 10), (10, 20), (20, 20)), ((8, 8), (9, 9), (4, 16), (9, 18))]
)
def test_rejects_anchors_that_no_prior_box_makes(boxes):
    spec = AnchorSpec((64, 64), (AnchorLevel((8, 8), 8, ((10, 10),)), AnchorLevel((4, 4), 16, boxes)))
    prior_box(spec, 0, (64, 64))
    with pytest.raises(ExportError, match=rf"level 1 \(grid \(4, 4\)\): boxes.*{boxes[-1][0]}x{boxes[-1][1]}"):
        prior_box(spec, 1, (64, 64))


def test_values_steps_and_offsets():
    spec = AnchorSpec((100, 90), (AnchorLevel.prior_box((100, 90), (7, 7), (20,)), AnchorLevel((7, 7), 8, ((9, 9),))))
    assert not {"step", "step_h", "step_w"} & set(prior_box(spec, 0, (100, 90)).settings)
    assert prior_box(spec, 1, (100, 90)).settings["step"] == 8.0
    assert prior_box(spec, 1, (200, 90)).settings["img_h"] == 100
    uneven = AnchorSpec((100, 90), (AnchorLevel((7, 7), 8, ((9, 9),), (0.5, 0.25)),))
    with pytest.raises(ExportError, match="one offset"):
        prior_box(uneven, 0, (100, 90))
