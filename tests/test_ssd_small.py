"""The compact detector: its tables, its anchors, and weights in and out."""

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd.anchors import RecipeLevel, named_recipe
from keras_ssd.box_coder import Predictions

CELLS = ["RBC", "WBC", "Platelets"]


def test_values_size_and_grids():
    model = keras_ssd.ssd_small(classes=CELLS, anchors="cells")
    assert model.count_params() == 1_493_848
    assert model.anchor_spec.grids == ((30, 40), (15, 20), (8, 10))
    assert model.anchor_spec.boxes_per_cell == (3, 5, 5)
    assert [level.step_hw for level in model.anchor_spec.levels] == [(8, 8), (16, 16), (32, 32)]
    assert model.anchor_spec.levels[1].boxes_hw[3:] == ((43.5, 62.5), (62.5, 43.5))


def test_values_boxes_grow_with_the_shorter_side():
    recipe = named_recipe("ssd_small_cells")
    large = recipe.spec((480, 960), ((60, 120), (30, 60), (15, 30)))
    assert large.levels[0].boxes_hw == ((32, 32), (42, 42), (58, 58))
    assert large.levels[0].step_hw == (8, 8)


@pytest.mark.parametrize("input_size", [(32, 32), (65, 97), (320, 240)])
def test_values_other_sizes(input_size):
    model = keras_ssd.ssd_small(classes=["a"], input_size=input_size)
    predictions = keras.ops.convert_to_numpy(model(np.zeros((1, *input_size, 3), np.float32)))
    assert predictions.shape == (1, model.anchor_spec.num_anchors, 14)
    assert np.isfinite(predictions).all()


def test_roundtrip_weights_and_sub_sampling(tmp_path):
    model = keras_ssd.ssd_small(classes=CELLS, anchors="cells", input_size=(96, 128))
    path = tmp_path / "cells.keras"
    model.save(path)
    mine = keras_ssd.ssd_small(weights=path, classes=["Platelets", "parasite"])
    assert mine.anchor_spec == model.anchor_spec
    image = np.random.default_rng(0).uniform(0, 255, (1, 96, 128, 3)).astype(np.float32)
    before, after = (Predictions.split(keras.ops.convert_to_numpy(m(image))) for m in (model, mine))
    np.testing.assert_allclose(after.logits[..., :2], before.logits[..., [0, 3]], rtol=0, atol=1e-5)
    np.testing.assert_allclose(after.offsets, before.offsets, rtol=0, atol=1e-5)
    model.save_weights(tmp_path / "cells.weights.h5")
    opened = keras_ssd.open_model(path)
    assert opened.class_names == tuple(CELLS)


def test_rejects_what_makes_no_model(tmp_path):
    with pytest.raises(ValueError, match="needs `classes="):
        keras_ssd.ssd_small()
    with pytest.raises(ValueError, match="at least 32 pixels"):
        keras_ssd.ssd_small(classes=["a"], input_size=(31, 64))
    with pytest.raises(ValueError, match="general, cells"):
        keras_ssd.ssd_small(classes=["a"], anchors="faces")
    keras_ssd.ssd7(classes=["a"], input_size=(64, 64)).save(tmp_path / "ssd7.keras")
    with pytest.raises(ValueError, match="holds ssd7, not ssd_small"):
        keras_ssd.ssd_small(weights=tmp_path / "ssd7.keras")


@pytest.mark.parametrize("row", [{}, {"min_size": 3, "boxes_hw": ((1, 1),)}])
def test_rejects_recipe_rows_that_say_nothing_or_too_much(row):
    with pytest.raises(ValueError, match="either `min_size` or `boxes_hw`"):
        RecipeLevel((1, 1), **row)
