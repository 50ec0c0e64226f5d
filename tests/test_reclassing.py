"""`with_classes`: the same detector for other classes, whatever its layers are called."""

import keras
import numpy as np
import pytest
from caffe_nets import random_weights
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.coding import Predictions
from keras_ssd.models.composing import freeze_layers

PICTURES = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)


def parts(model):
    return Predictions.split(keras.ops.convert_to_numpy(model(PICTURES)))


@pytest.fixture(scope="module")
def model():
    net = random_weights(small_net())
    return keras_ssd.from_caffe(net, net, mean=128, scale=0.02, classes=["cat", "dog", "cow"])


@pytest.mark.numerical
def test_values_kept_classes_detect_as_before(model):
    mine = keras_ssd.with_classes(model, ["cow", "helmet", "cat"])
    before, after = parts(model), parts(mine)
    np.testing.assert_array_equal(after.logits[..., [0, 1, 3]], before.logits[..., [0, 3, 1]])
    np.testing.assert_array_equal(after.offsets, before.offsets)
    assert mine.class_names == ("cow", "helmet", "cat")
    assert mine.decoding == model.decoding
    assert mine.anchor_spec == model.anchor_spec
    assert mine.weights_report.initialised == ("helmet",)


def test_values_the_given_model_is_unchanged(model):
    before = parts(model).logits
    mine = keras_ssd.with_classes(model, ["cow", "helmet", "cat"])
    for weight in mine.weights:
        weight.assign(keras.ops.zeros_like(weight))
    np.testing.assert_array_equal(parts(model).logits, before)
    assert model.class_names == ("cat", "dog", "cow")


def test_values_of_a_factory_too_with_what_is_frozen():
    model = keras_ssd.ssd7(classes=["a", "b"], input_size=(64, 64))
    freeze_layers(model, ["conv1"])
    mine = keras_ssd.with_classes(model, ["b"])
    assert not mine.get_layer("conv1").trainable
    assert mine.get_layer("conv2").trainable
    assert mine.output_shape == (None, model.output_shape[1], 2 + 12)


def test_roundtrip_of_a_saved_one(model, tmp_path):
    mine = keras_ssd.with_classes(model, ["dog"])
    mine.save(tmp_path / "mine.keras")
    np.testing.assert_array_equal(parts(keras_ssd.load(tmp_path / "mine.keras")).logits, parts(mine).logits)


def test_rejects_models_without_heads_of_their_own(model):
    with pytest.raises(ValueError, match="the one that a decoder was put on"):
        keras_ssd.with_classes(keras_ssd.with_decoder(model), ["a"])
    moved = random_weights(small_net(more="background_label_id: 2"))
    moved = keras_ssd.from_caffe(moved, moved, mean=0)
    with pytest.raises(ValueError, match=r"come out of .*\(ClassColumns\)"):
        keras_ssd.with_classes(moved, ["a"])
    with pytest.raises(ValueError, match="twice|more than once"):
        keras_ssd.with_classes(model, ["a", "a"])


def test_values_of_a_model_whose_input_has_no_name():
    pictures = keras.Input((64, 64, 3))
    maps = keras.layers.Conv2D(8, 3, strides=8, padding="same", name="body")(pictures)
    body = keras.Model(pictures, maps)
    recipe = keras_ssd.AnchorRecipe((64, 64), (keras_ssd.RecipeLevel((8, 8), 16, 32, (2,)),))
    model = keras_ssd.ssd(body, taps=["body"], classes=["cat", "dog"], anchors=recipe)
    assert keras_ssd.with_classes(model, ["dog"]).class_names == ("dog",)
