"""Quantisation-aware training: what is rounded, how gradients pass, what is left of it in the model."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradient
from keras import layers, ops
from test_training import assert_same_training
from training_toys import run, squares, toy

import keras_ssd
from keras_ssd.quantizing.levels import rounded_kernel, rounded_map
from keras_ssd.quantizing.places import rounded_places
from keras_ssd.training.settings import Settings
from keras_ssd.training.training_copy import training_copy_of


def numpy(values):
    return ops.convert_to_numpy(values)


def tensor(values):
    return ops.convert_to_tensor(values)


@pytest.mark.numerical
def test_values_kernels_are_rounded_channel_by_channel():
    kernel = np.array([[1.27, -0.127], [0.004, 0.0004], [-0.636, 0.0636]], np.float32)  # (in, out)
    expected = [[1.27, -0.127], [0.0, 0.0], [-0.64, 0.064]]
    np.testing.assert_allclose(numpy(rounded_kernel(tensor(kernel), (0,))), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.numerical
def test_values_a_factor_of_a_channel_passes_through_the_rounding():
    """Which is why a batch normalisation need not be folded into the kernel before it is rounded."""
    rng = np.random.default_rng(0)
    kernel, factors = rng.normal(size=(3, 3, 4, 5)).astype(np.float32), np.float32([1e-3, 0.4, 1, -7, 300])
    folded = numpy(rounded_kernel(tensor(kernel * factors), (0, 1, 2)))
    np.testing.assert_allclose(folded, numpy(rounded_kernel(tensor(kernel), (0, 1, 2))) * factors, rtol=1e-5, atol=1e-7)


@pytest.mark.numerical
def test_values_maps_are_rounded_to_levels_that_include_zero():
    x = np.float32([-2.0, -1.0, -0.3, 0.0, 0.004, 0.7, 1.55, 9.0])
    found = numpy(rounded_map(tensor(x), -1.0, 1.55))  # steps of 0.01
    np.testing.assert_allclose(found, [-1.0, -1.0, -0.3, 0.0, 0.0, 0.7, 1.55, 1.55], atol=1e-6)
    positive = numpy(rounded_map(tensor(np.float32([-1.0, 3.0, 3.1])), 2.0, 5.1))  # the range begins at 0
    np.testing.assert_allclose(positive, [0.0, 3.0, 3.1], atol=1e-6)


@pytest.mark.numerical
def test_values_gradients_pass_through_the_rounding():
    x = np.float32([-2.0, -0.3, 0.123, 9.0])
    _, gradient = value_and_gradient(
        lambda point: ops.sum(rounded_map(point, -1.0, 1.55) * tensor([1.0, 2.0, 3.0, 4.0])), x
    )
    np.testing.assert_allclose(gradient, [0, 2, 3, 0])
    kernel = np.float32([[0.3], [1.0]])
    _, gradient = value_and_gradient(
        lambda point: ops.sum(rounded_kernel(point, (0,)) * tensor([[5.0], [6.0]])), kernel
    )
    np.testing.assert_allclose(gradient, [[5], [6]])


def test_values_what_is_fused_is_rounded_once():
    x = inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255, name="preprocessing")(x)
    x = layers.ZeroPadding2D(1, name="padding")(x)
    x = layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = short = layers.ReLU(6.0, name="relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="deep")(x)
    x = layers.Activation("hard_silu", name="hard_silu")(x)
    x = layers.Add(name="sum")([x, short])
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(name="pool")(x)
    model = keras.Model(inputs, layers.Conv2D(4, 1, activation="relu", name="last")(x))
    assert rounded_places(model) == {"preprocessing", "relu6", "deep", "hard_silu", "relu", "last"}


@pytest.mark.numerical
def test_values_a_copy_rounds_and_keeps_the_ranges_of_training():
    model = toy(dropout=0.0)
    copy = training_copy_of(model, qat=True)
    x = np.random.default_rng(0).uniform(0, 255, (2, *model.input_size, 3)).astype(np.float32)
    exact, rounded = numpy(model(x, training=True)), numpy(copy(x, training=True))
    logits = np.s_[..., :7]
    assert 0 < np.abs(exact[logits] - rounded[logits]).max() < 0.05 * np.abs(exact[logits]).max()
    low, high, seen = (float(numpy(w)) for w in copy.get_layer("preprocessing_fake_quantize").weights)
    np.testing.assert_allclose([low, high, seen], [x.min() / 127.5 - 1, x.max() / 127.5 - 1, 1], rtol=1e-5)
    copy(x / 2, training=True)
    _, high, seen = (float(numpy(w)) for w in copy.get_layer("preprocessing_fake_quantize").weights)
    np.testing.assert_allclose([high, seen], [0.75 * x.max() / 127.5 - 1, 2], rtol=1e-4)  # the mean of two batches


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return run(tmp_path_factory.mktemp("qat"), model=toy(), validation=squares(4, 1), qat=True, epochs=3)


@pytest.mark.numerical
def test_roundtrip_an_ordinary_model_comes_out(trained):
    model = keras_ssd.load(trained.out / "last.keras")
    assert [type(layer) for layer in model.layers] == [type(layer) for layer in toy().layers]
    assert [weight.shape for weight in model.weights] == [weight.shape for weight in toy().weights]
    assert any((a != b).any() for a, b in zip(model.get_weights(), toy().get_weights(), strict=True))
    assert len(trained.rows) == 3
    assert all(np.isfinite(row["val_mAP"]) for row in trained.rows)


@pytest.mark.numerical
def test_values_one_and_two_epochs_are_three_to_the_bit(trained, tmp_path):
    options = {"validation": squares(4, 1), "qat": True, "epochs": 3}
    run(tmp_path / "parts", model=toy(), stop_after=1, **options)
    run(tmp_path / "parts", model=toy(), resume=True, **options)
    assert_same_training(tmp_path / "parts", trained.out)


def test_rejects_bfloat16():
    with pytest.raises(ValueError, match=r"`qat` needs `precision='float32'`: bfloat16 is as coarse as the levels"):
        Settings(1, 1, precision="mixed_bfloat16", qat=True)
    assert "qat" not in Settings(1, 1).to_dict()
