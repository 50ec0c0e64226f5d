"""Batch normalisation computed into convolutions while detecting."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_ssd
from keras_ssd.folding import FoldedNetwork, foldable_pairs
from keras_ssd.predictor import Predictor

pytestmark = pytest.mark.numerical
RNG_SEED = 0


def with_averages(model):
    """Normalisations as after a training: nothing is 0 or 1."""
    rng = np.random.default_rng(RNG_SEED)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, weight.shape).astype(np.float32) for weight in layer.get_weights()])
    return model


def a_net(*body):
    """A functional model of these layers, and images for it."""
    x = inputs = keras.Input((13, 17, 3))
    for layer in body:
        x = layer(x)
    return with_averages(keras.Model(inputs, x))


def images(size_hw=(13, 17), batch=2):
    return np.random.default_rng(1).uniform(-1, 1, (batch, *size_hw, 3)).astype(np.float32)


CASES = {
    "plain": (layers.Conv2D(4, 3), layers.BatchNormalization()),
    "no bias, same, strides": (
        layers.Conv2D(5, 3, 2, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
    ),
    "no gamma": (layers.Conv2D(4, 3), layers.BatchNormalization(scale=False)),
    "no beta": (layers.Conv2D(4, 3, bias_initializer="normal"), layers.BatchNormalization(center=False)),
    "dilated": (layers.Conv2D(4, 3, dilation_rate=2), layers.BatchNormalization(epsilon=0.1)),
    "depthwise": (layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"), layers.BatchNormalization()),
    "depthwise strided": (layers.DepthwiseConv2D(3, 2, use_bias=False), layers.BatchNormalization()),
}


@pytest.mark.parametrize("case", CASES)
def test_values_folded_is_equal(case):
    body = [type(layer).from_config(layer.get_config()) for layer in CASES[case]]
    model = a_net(*body)
    assert [pair[1] for pair in foldable_pairs(model)] == [body[1]]
    folded = FoldedNetwork(model)
    expected = model.predict_on_batch(images())
    found = keras.ops.convert_to_numpy(folded(images()))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_values_what_cannot_be_folded_stays():
    inputs = keras.Input((13, 17, 3))
    read_twice = layers.Conv2D(4, 3, padding="same", name="read_twice")(inputs)
    one = layers.BatchNormalization()(read_twice)
    two = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(inputs))
    shared = layers.BatchNormalization()
    model = keras.Model(
        inputs,
        layers.Add()(
            [
                read_twice,
                one,
                two,
                shared(layers.Conv2D(4, 1, name="a")(inputs)),
                shared(layers.Conv2D(4, 1, name="b")(inputs)),
            ]
        ),
    )
    assert foldable_pairs(model) == []
    assert not FoldedNetwork.pays_for(model)


def test_values_another_precision_stays():
    model = a_net(layers.Conv2D(4, 3, dtype="mixed_bfloat16"), layers.BatchNormalization(dtype="mixed_bfloat16"))
    assert len(foldable_pairs(model)) == 1
    assert not FoldedNetwork.pays_for(model)


def test_values_detect_is_folded_and_equal_and_sees_new_weights():
    keras.utils.set_random_seed(0)
    model = with_averages(keras_ssd.ssd7(classes=["a", "b"], input_size=(96, 128)))
    predictor = Predictor.of(model, {"confidence_threshold": 0.01})
    assert any(isinstance(layer, FoldedNetwork) for layer in predictor.model.layers)
    batch = list(np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3)).astype(np.uint8))
    whole = keras_ssd.with_decoder(model, confidence_threshold=0.01)

    def both():
        return predictor.rows(batch, 2), whole.predict_on_batch(np.stack(batch))

    first, expected = both()
    assert (expected[..., 0] >= 0).sum() > 10
    np.testing.assert_allclose(first[..., 1], expected[..., 1], atol=1e-5)
    model.get_layer("bn3").gamma.assign(-model.get_layer("bn3").gamma)
    second, expected = both()
    np.testing.assert_allclose(second[..., 1], expected[..., 1], atol=1e-5)
    assert np.abs(first[..., 1] - second[..., 1]).max() > 1e-3


def test_values_the_users_model_is_left_alone():
    model = a_net(*CASES["plain"][:0], layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="bn"))
    before = [len(layer._inbound_nodes) for layer in model.layers]
    network = FoldedNetwork(model)
    symbolic = keras.Input((13, 17, 3))
    again = keras.Model(symbolic, network(symbolic))
    again.predict_on_batch(images())
    assert [len(layer._inbound_nodes) for layer in model.layers] == before
