"""`with_classes`: the same detector for other classes, whatever its layers are called."""

import keras
import numpy as np
import pytest
from caffe_nets import random_weights
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.box_coder import NO_BACKGROUND, Predictions, Targets
from keras_ssd.losses import ConfidenceLoss
from keras_ssd.models.composing import freeze_layers

SIGMOID = 'layer { name: "scores" type: "Sigmoid" bottom: "conf" top: "scores" }'
IMAGES = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)


def parts(model):
    return Predictions.split(keras.ops.convert_to_numpy(model(IMAGES)))


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


@pytest.mark.numerical
@pytest.mark.parametrize(("background", "known"), [(-1, ["cat", "dog", "cow", "pig"]), (3, ["cat", "dog", "cow"])])
def test_values_heads_without_a_background_or_with_it_last(background, known, tmp_path):
    net = random_weights(small_net(SIGMOID, more=f"background_label_id: {background}"))
    model = keras_ssd.from_caffe(net, net, mean=128, scale=0.02, classes=known)
    mine = keras_ssd.with_classes(model, ["cow", "helmet", "cat"])
    before, after = parts(model), parts(mine)
    np.testing.assert_array_equal(after.logits[..., [0, 1, 3]], before.logits[..., [0, 3, 1]])
    np.testing.assert_array_equal(after.offsets, before.offsets)
    assert mine.weights_report.initialised == ("helmet",)
    assert (after.logits[..., 0] == NO_BACKGROUND).all() == (background == -1)
    mine.save(tmp_path / "mine.keras")
    np.testing.assert_array_equal(parts(keras_ssd.load(tmp_path / "mine.keras")).logits, after.logits)


@pytest.mark.numerical
@pytest.mark.parametrize("focal", [{}, {"mining": None, "focal_gamma": 2.0, "focal_alpha": 0.25}])
def test_reference_a_net_without_a_background_trains(focal):
    net = random_weights(small_net(SIGMOID, more="background_label_id: -1"))
    model = keras_ssd.from_caffe(net, net, mean=128, scale=0.02, classes=["cat", "dog", "cow", "pig"])
    encoder = keras_ssd.TargetEncoder.from_model(model)
    objects = [([[0.1, 0.1, 0.6, 0.7]], [1]), ([[0.3, 0.2, 0.9, 0.9], [0.0, 0.0, 0.4, 0.5]], [0, 3])]
    targets = np.stack([encoder.encode(np.float32(boxes), np.int32(ids)) for boxes, ids in objects])
    loss = keras_ssd.SSDLoss(confidence="sigmoid", **focal)
    predictions = keras.ops.convert_to_numpy(model(IMAGES))
    assert (Predictions.split(predictions).logits[..., 0] == NO_BACKGROUND).all()

    # A score per class and none for the background: one column less, and background is where every target is 0.
    split = Predictions.split(np.float64(predictions))
    class_ids = Targets.split(targets).class_ids
    total, positives = 0.0, int((class_ids > 0).sum())
    for scores, offsets, ids, wanted in zip(
        split.logits[..., 1:],
        split.offsets,
        class_ids,
        Targets.split(targets).offsets,
        strict=True,
    ):
        own = []
        for row, target in zip(scores, ids, strict=True):
            cost = 0.0
            for column, score in enumerate(row, 1):
                p = 1 / (1 + np.exp(-score))
                hit = p if column == target else 1 - p
                alpha = 1 if not focal else 0.25 if column == target else 0.75
                cost -= alpha * (1 - hit) ** focal.get("focal_gamma", 0) * np.log(hit)
            own.append(cost)
        own = np.array(own)
        background = np.flatnonzero(ids == 0)
        if not focal:
            background = background[np.argsort(-own[background], kind="stable")][: 3 * (ids > 0).sum()]
        distance = abs(offsets[ids > 0] - wanted[ids > 0])
        total += own[ids > 0].sum() + own[background].sum()
        total += np.where(distance < 1, distance**2 / 2, distance - 0.5).sum()
    assert float(loss(targets, predictions)) == pytest.approx(total / positives, rel=1e-5)
    assert total / positives < 1000  # each negative would cost 10,000 if the column counted

    model.compile(keras.optimizers.SGD(1e-3), loss=loss)
    first = model.train_on_batch(IMAGES, targets)
    last = [model.train_on_batch(IMAGES, targets) for _ in range(5)][-1]
    assert np.isfinite(first)
    assert last < first


def test_values_the_background_that_is_filled_in_costs_nothing_in_bfloat16_too():
    scores = keras.ops.cast(keras.ops.convert_to_tensor([[[NO_BACKGROUND, 1.0, -2.0]]]), "bfloat16")
    loss = ConfidenceLoss("sigmoid")(keras.ops.cast(scores, "float32"), keras.ops.convert_to_tensor([[0]]))
    assert float(loss[0, 0]) == pytest.approx(np.log1p(np.exp(1.0)) + np.log1p(np.exp(-2.0)), abs=1e-6)


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
    between = random_weights(small_net(more="background_label_id: 2"))
    with pytest.raises(ValueError, match="background between two classes"):
        keras_ssd.with_classes(keras_ssd.from_caffe(between, between, mean=0), ["a"])
    with pytest.raises(ValueError, match="twice|more than once"):
        keras_ssd.with_classes(model, ["a", "a"])


def test_values_of_a_model_whose_input_has_no_name():
    images = keras.Input((64, 64, 3))
    maps = keras.layers.Conv2D(8, 3, strides=8, padding="same", name="body")(images)
    body = keras.Model(images, maps)
    recipe = keras_ssd.AnchorRecipe((64, 64), (keras_ssd.RecipeLevel((8, 8), 16, 32, (2,)),))
    model = keras_ssd.ssd(body, taps=["body"], classes=["cat", "dog"], anchors=recipe)
    assert keras_ssd.with_classes(model, ["dog"]).class_names == ("dog",)
