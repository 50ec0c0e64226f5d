"""`with_anchors`: the same detector with other anchors."""

import dataclasses

import keras
import numpy as np
import pytest
from caffe_nets import random_weights
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.anchors import AnchorRecipe, RecipeLevel
from keras_ssd.box_coder import Predictions
from keras_ssd.models.composing import freeze_layers

IMAGES = np.random.default_rng(5).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)


def parts(model, images=IMAGES):
    return Predictions.split(keras.ops.convert_to_numpy(model(images)))


def trained():
    """ssd7 with random biases, so that a row in a wrong place is seen."""
    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 96))
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        if weight.path.endswith("bias"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return trained()


def changed(spec, boxes_of):
    """A spec with other boxes: a function from the level's index and its boxes."""
    levels = [
        dataclasses.replace(level, boxes_hw=tuple(boxes_of(index, level.boxes_hw)))
        for index, level in enumerate(spec.levels)
    ]
    return dataclasses.replace(spec, levels=tuple(levels))


def columns(array, level, box, spec):
    """The rows (B, cells, ...) of one box of one level."""
    start = sum(each.num_anchors for each in spec.levels[:level])
    each = spec.levels[level]
    return array[:, start + box : start + each.num_anchors : each.boxes_per_cell]


@pytest.mark.numerical
def test_values_the_same_anchors_give_the_same_predictions(model):
    mine = keras_ssd.with_anchors(model, model.anchor_spec)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(mine(IMAGES)), keras.ops.convert_to_numpy(model(IMAGES)))
    assert not mine.weights_report.adapted + mine.weights_report.fresh
    assert str(mine.weights_report) == "Anchors: 16 of 16 boxes keep their trained rows."


@pytest.mark.numerical
def test_values_boxes_that_stay_keep_their_rows_wherever_they_stand(model):
    spec = changed(model.anchor_spec, lambda index, boxes: (boxes[2], (200, 9), boxes[0]) if index == 1 else boxes)
    mine = keras_ssd.with_anchors(model, spec)
    assert mine.anchor_spec == spec
    assert mine.class_names == model.class_names
    before, after = parts(model), parts(mine)
    for new, old in ((0, 2), (2, 0)):
        for name in ("logits", "offsets"):
            was = columns(getattr(before, name), 1, old, model.anchor_spec)
            np.testing.assert_array_equal(columns(getattr(after, name), 1, new, spec), was)
    report = mine.weights_report
    assert report.fresh == ((1, 1),)
    assert len(report.kept) == sum(spec.boxes_per_cell) - 1
    assert str(report).endswith("to be trained from nothing: 200x9 on level 1.")


@pytest.mark.numerical
@pytest.mark.parametrize("variances", [(1.0,) * 4, (0.1, 0.1, 0.2, 0.2)])
def test_values_a_new_box_predicts_what_the_nearest_one_did(model, variances):
    spec = changed(model.anchor_spec, lambda index, boxes: ((boxes[0][0] * 1.2, boxes[0][1] * 0.9), boxes[1]))
    spec = dataclasses.replace(spec, variances=variances)
    mine = keras_ssd.with_anchors(model, spec)
    assert {place for _, place in mine.weights_report.adapted} == {0}
    before, after = parts(model), parts(mine)

    def boxes(found):
        anchors, offsets = found.anchors_cxcywh, found.offsets * found.variances
        centres = anchors[..., :2] + offsets[..., :2] * anchors[..., 2:]
        return np.concatenate([centres, anchors[..., 2:] * np.exp(offsets[..., 2:])], axis=-1)

    for level in range(4):
        for box in (0, 1):
            theirs = columns(boxes(before), level, box, model.anchor_spec)
            np.testing.assert_allclose(columns(boxes(after), level, box, spec), theirs, rtol=2e-5, atol=1e-6)
            logits = columns(before.logits, level, box, model.anchor_spec)
            np.testing.assert_array_equal(columns(after.logits, level, box, spec), logits)


def test_values_without_nearest_new_boxes_start_fresh(model):
    spec = changed(model.anchor_spec, lambda index, boxes: [(height * 1.1, width) for height, width in boxes])
    report = keras_ssd.with_anchors(model, spec, nearest=False).weights_report
    assert len(report.fresh) == 16
    assert not report.kept + report.adapted
    report = keras_ssd.with_anchors(model, spec).weights_report
    assert len(report.adapted) == 16
    assert str(report) == (
        "Anchors: 0 of 16 boxes keep their trained rows, 16 start from those of the nearest box of their level."
    )


def test_values_the_given_model_is_unchanged_and_what_is_frozen_stays_so():
    model = trained()
    freeze_layers(model, ["conv1"])
    before = parts(model).logits
    mine = keras_ssd.with_anchors(model, model.anchor_spec)
    for weight in mine.weights:
        weight.assign(keras.ops.zeros_like(weight))
    np.testing.assert_array_equal(parts(model).logits, before)
    assert not mine.get_layer("conv1").trainable
    assert mine.get_layer("conv2").trainable


def test_values_of_an_imported_net_with_other_numbers_of_boxes():
    net = random_weights(small_net())
    model = keras_ssd.from_caffe(net, net, mean=128, scale=0.02, classes=["cat", "dog", "cow"])
    spec = changed(model.anchor_spec, lambda index, boxes: (*boxes, *[(side, side) for side in (9, 11)[: index + 1]]))
    mine = keras_ssd.with_anchors(model, spec)
    counts = tuple(n + min(index + 1, 2) for index, n in enumerate(model.anchor_spec.boxes_per_cell))
    assert mine.anchor_spec.boxes_per_cell == counts
    assert mine.output_shape[1] == spec.num_anchors
    assert mine.decoding == model.decoding


def test_roundtrip_of_a_saved_one_with_fitted_anchors(model, tmp_path):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.5, (50, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.1, 0.4, (50, 2))], axis=1)
    mine = keras_ssd.with_anchors(model, keras_ssd.anchors.fit(boxes, model.levels, boxes_per_cell=3))
    mine.save(tmp_path / "mine.keras")
    again = keras_ssd.load(tmp_path / "mine.keras")
    assert again.anchor_spec == mine.anchor_spec
    np.testing.assert_array_equal(parts(again).offsets, parts(mine).offsets)


def test_values_a_recipe_adapts(model):
    rows = tuple(RecipeLevel((1, 1), boxes_hw=((size, size),)) for size in (8, 16, 32, 40))
    mine = keras_ssd.with_anchors(model, AnchorRecipe((64, 96), rows))
    assert mine.anchor_spec.grids == model.anchor_spec.grids
    assert mine.anchor_spec.levels[1].boxes_hw == ((16, 16),)


def test_rejects_what_does_not_fit(model):
    with pytest.raises(ValueError, match="the one that a decoder was put on"):
        keras_ssd.with_anchors(keras_ssd.with_decoder(model), model.anchor_spec)
    with pytest.raises(TypeError, match="must be an AnchorSpec or an AnchorRecipe. Received: anchors='voc'"):
        keras_ssd.with_anchors(model, "voc")
    with pytest.raises(ValueError, match=r"grids .* model 'ssd7' has \(64, 96\)"):
        keras_ssd.with_anchors(model, keras_ssd.anchors.named_spec("ssd300_voc"))


def composed(head):
    """Three feature maps of random convolutions."""
    keras.utils.set_random_seed(3)
    images = keras.Input((64, 96, 3))
    x, names = images, []
    for index, filters in enumerate((8, 8, 8)):
        x = keras.layers.Conv2D(filters, 3, strides=(8, 2, 2)[index], padding="same", name=f"map{index}")(x)
        names.append(x._keras_history.operation.name)
    rows = tuple(RecipeLevel((1, 1), boxes_hw=((size, size), (size, 2 * size))) for size in (10, 20, 40))
    body = keras.Model(images, x)
    return keras_ssd.ssd(body, names, ["cat"], AnchorRecipe((64, 96), rows), extras=(), head=head)


@pytest.mark.numerical
@pytest.mark.parametrize("head", ["separable", "shared"])
def test_values_of_separable_and_shared_heads(head):
    model = composed(head)
    spec = changed(model.anchor_spec, lambda index, boxes: (boxes[1], (boxes[0][0] * 1.3, boxes[0][1]), boxes[0]))
    mine = keras_ssd.with_anchors(model, spec)
    assert len(mine.weights_report.kept) == 6
    assert mine.weights_report.adapted == ((0, 1), (1, 1), (2, 1))
    before, after = parts(model), parts(mine)
    for level in range(3):
        for new, old in ((0, 1), (2, 0)):
            for name in ("logits", "offsets"):
                was = columns(getattr(before, name), level, old, model.anchor_spec)
                np.testing.assert_allclose(columns(getattr(after, name), level, new, spec), was, rtol=0, atol=1e-5)
        heights = [
            each.anchors_cxcywh[..., 3] * np.exp(each.offsets[..., 3] * each.variances[..., 3])
            for each in (before, after)
        ]
        was, now = columns(heights[0], level, 0, model.anchor_spec), columns(heights[1], level, 1, spec)
        np.testing.assert_allclose(now, was, rtol=1e-4)
    if head == "shared":
        with pytest.raises(ValueError, match="shared by 3 levels, which need the same number of boxes per cell"):
            keras_ssd.with_anchors(model, changed(spec, lambda index, boxes: boxes[: index + 1]))
