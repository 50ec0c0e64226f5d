"""Training as Caffe does it: the solver's rule, and four whole steps that end at Caffe's weights."""

import json

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd.training import CaffeSGD, recipes

WHERE = ("plain", "norm")


def dense(kernel, bias):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.layers[0].kernel.assign(kernel.T)
    model.layers[0].bias.assign(bias)
    return model


def optimizer_of(case):
    if case == "multistep":
        return recipes.caffe_sgd(6, 0.01, drops=(2 / 6, 4 / 6))
    return CaffeSGD(
        0.01,
        global_clipnorm=0.5 if case == "clip" else None,
        gradient_accumulation_steps=2 if case == "iter_size" else None,
    )


@pytest.mark.numerical
@pytest.mark.parametrize("case", ["fixed", "multistep", "clip", "iter_size"])
def test_reference_sgd(oracle, case):
    data = oracle("caffe", "sgd.npz")
    model = dense(data[f"{case}_weight"][0], data[f"{case}_bias"][0])
    optimizer = optimizer_of(case)
    layer = model.layers[0]
    optimizer.build(model.trainable_variables)
    for step in range(len(data[f"{case}_x"])):
        gradients = [data[f"{case}_grad_weight"][step].T, data[f"{case}_grad_bias"][step]]
        for _ in range(2 if case == "iter_size" else 1):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], [layer.kernel, layer.bias])
        found = keras.ops.convert_to_numpy(layer.kernel).T, keras.ops.convert_to_numpy(layer.bias)
        np.testing.assert_allclose(found[0], data[f"{case}_weight"][step + 1], rtol=0, atol=1e-6)
        np.testing.assert_allclose(found[1], data[f"{case}_bias"][step + 1], rtol=0, atol=1e-6)


def parameters(model):
    """{Caffe's name of a parameter: the array, in Caffe's layout}."""
    found = {}
    for layer in model.layers:
        for weight in layer.weights:
            array = keras.ops.convert_to_numpy(weight)
            if weight.name == "kernel":
                array = array.transpose(3, 2, 0, 1)
                array = array[:, ::-1] if layer.name == "conv1" else array
            suffix = {"kernel": "w", "bias": "b", "gamma": "scale"}[weight.name]
            found[f"{layer.name}_{suffix}"] = array
    return found


def start(model, data, prefix):
    for layer in model.layers:
        for weight in layer.weights:
            suffix = {"kernel": "w", "bias": "b", "gamma": "scale"}[weight.name]
            array = data[f"{prefix}_start_{layer.name}_{suffix}"]
            if weight.name == "kernel":
                array = (array[:, ::-1] if layer.name == "conv1" else array).transpose(2, 3, 1, 0)
            weight.assign(array)


def targets_of(model, objects, items=4):
    """Targets of a batch from Caffe's rows (item, label, instance, xmin, ymin, xmax, ymax, difficult)."""
    encoder = keras_ssd.TargetEncoder.from_model(model)
    rows = [objects[objects[:, 0] == item] for item in range(items)]
    return np.stack([encoder.encode(r[:, 3:7], r[:, 1].astype(int) - 1) for r in rows])


@pytest.mark.numerical
@pytest.mark.parametrize("prefix", WHERE)
def test_reference_four_steps_end_at_caffes_weights(shared, oracle, prefix):
    data = oracle("caffe", "train_tiny.npz")
    learning_rate = json.loads(str(data["params"]))["base_lr"][prefix]
    model = keras_ssd.from_caffe(shared("oracle", "caffe", f"train_tiny_{prefix}.prototxt"), mean=0)
    np.testing.assert_allclose(model.anchor_spec.anchors_xyxy(), data["priors"], rtol=0, atol=1e-6)
    start(model, data, prefix)
    model.compile(optimizer=recipes.caffe_sgd(4, learning_rate, drops=()), loss=keras_ssd.SSDLoss())
    for step in range(4):
        images = data[f"{prefix}_data"][step].transpose(0, 2, 3, 1)[..., ::-1].copy()
        targets = targets_of(model, data[f"{prefix}_gt"][step])
        history = model.fit(images, targets, batch_size=4, shuffle=False, verbose=0)
        np.testing.assert_allclose(history.history["loss"][0], data[f"{prefix}_loss"][step], rtol=1e-5)
        for name, found in parameters(model).items():
            expected = data[f"{prefix}_steps_{name}"][step].reshape(found.shape)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if prefix == "plain" else 1e-4, err_msg=name)


def test_values_the_original_schedule():
    optimizer = recipes.caffe_sgd()
    for step, learning_rate in ((0, 1e-3), (79_999, 1e-3), (80_000, 1e-4), (99_999, 1e-4), (100_000, 1e-5)):
        optimizer.iterations.assign(step)
        assert float(keras.ops.convert_to_numpy(optimizer.learning_rate)) == pytest.approx(learning_rate)


def test_values_modern_warms_up_and_ends_low():
    optimizer = recipes.modern(1000, 1e-2, warm_up=100)
    rates = []
    for step in (0, 50, 100, 1000):
        optimizer.iterations.assign(step)
        rates.append(float(keras.ops.convert_to_numpy(optimizer.learning_rate)))
    assert rates == pytest.approx([1e-4, 5.05e-3, 1e-2, 1e-4], rel=1e-3)
    assert optimizer.use_ema
    assert not recipes.modern(10, average=None).use_ema


def test_values_biases_and_normalisations_do_not_decay():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    optimizer = recipes.small_data(100)
    optimizer.build(model.trainable_variables)
    decayed = [v.name for v in model.trainable_variables if optimizer._use_weight_decay(v)]
    assert decayed == ["kernel"]


def test_roundtrip_config():
    optimizer = CaffeSGD(0.5, 0.8, 0.1, bias_rate=3, bias_decay=0.5, bias_names=("b",))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert again.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CaffeSGD(momentum=1), "`momentum` must be at least 0 and below 1"),
        (lambda: CaffeSGD(weight_decay=-1), "`weight_decay` must be at least 0"),
        (lambda: recipes.caffe_sgd(0), "`steps` must be at least 1"),
        (lambda: recipes.modern(10, 0), "`learning_rate` must be positive"),
        (lambda: recipes.named("cafe"), "caffe"),
    ],
)
def test_rejects(make, message):
    with pytest.raises(ValueError, match=message):
        make()
