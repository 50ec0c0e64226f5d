"""Networks with fewer channels: what goes together, what stays equal, what is refused."""

import keras
import numpy as np
import pytest
from keras import layers
from training_toys import squares, toy

import keras_ssd
from keras_ssd.models.heads import SharedHead
from keras_ssd.pruning.choosing import Widths, chosen, flops_of
from keras_ssd.pruning.importance import by_gradients
from keras_ssd.pruning.shrinking import without_channels
from keras_ssd.pruning.tracing import trace

SIZE_HW = (32, 48)


def images(model, batch=2):
    return np.random.default_rng(1).uniform(0, 255, (batch, *model.input_size, 3)).astype(np.float32)


def outputs(model, x):
    return keras.ops.convert_to_numpy(model(x, training=False))


def composed(name, **options):
    return keras_ssd.ssd(name, classes=["cat"], input_size=(64, 64), extras=0, **options)


def mixed_body():
    """Sums, joins, depthwise and separable convolutions, a gate, PReLU, averages and a layer that is used twice."""
    x = inputs = keras.Input((*SIZE_HW, 3))
    x = layers.Rescaling(1 / 127.5, -1, name="preprocessing")(x)
    x = layers.Conv2D(16, 3, 2, padding="same", name="stem")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = short = layers.PReLU(shared_axes=(1, 2), name="stem_prelu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="deep")(x)
    x = layers.Conv2D(16, 1, name="back")(x)
    x = layers.Add(name="sum")([x, short])
    left = layers.SeparableConv2D(16, 3, 2, padding="same", activation="relu", name="left")(x)
    right = layers.MaxPooling2D(2, name="right")(x)
    x = layers.Concatenate(name="joined")([left, right])
    gate = layers.GlobalAveragePooling2D(name="mean")(x)
    gate = layers.Dense(8, activation="relu", name="squeezed")(gate)
    gate = layers.Dense(32, activation="sigmoid", name="gate")(gate)
    gate = layers.Reshape((1, 1, 32), name="gate_map")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    twice = layers.Conv2D(32, 3, padding="same", activation="relu", name="twice")
    x = fine = twice(twice(x))
    x = layers.Conv2DTranspose(24, 3, 2, padding="same", activation="relu", name="up")(x)
    x = layers.AveragePooling2D(4, name="mean4")(x)
    x = layers.Conv2D(16, 1, activation="relu6", name="coarse")(x)
    return keras.Model([inputs], [fine, x])


def residual_body():
    """Basic blocks as in ResNet: the sums tie a whole stage."""
    x = inputs = keras.Input((*SIZE_HW, 3))
    x = layers.Conv2D(16, 3, 2, padding="same", use_bias=False, name="stem")(x)
    for stage, filters in (("fine", 16), ("coarse", 24)):
        short = layers.Conv2D(filters, 1, 2, use_bias=False, name=f"{stage}_short")(x)
        x = layers.Conv2D(filters, 3, 2, padding="same", use_bias=False, name=f"{stage}_1")(x)
        x = layers.BatchNormalization(name=f"{stage}_bn")(x)
        x = layers.Activation("relu", name=f"{stage}_relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{stage}_2")(x)
        x = layers.Add(name=stage)([x, short])
    return keras.Model(inputs, x)


def shared_heads():
    head = SharedHead(depth=1, filters=16)
    return keras_ssd.ssd(residual_body(), ["fine", "coarse"], ["cat"], fpn=1, head=head)


NETS = {
    "ssd_small": lambda: keras_ssd.ssd_small(classes=["cat"], input_size=(48, 64), width=0.5),
    "ssd_mobilenet_v1": lambda: keras_ssd.ssd_mobilenet_v1(classes=["cat"], input_size=(96, 96), width=0.25),
    "ssdlite320": lambda: keras_ssd.ssdlite320(classes=["cat"], input_size=(64, 96)),
    "mobilenet_v2": lambda: composed("mobilenet_v2", width=0.35),
    "mobilenet_v3": lambda: composed("mobilenet_v3_small"),
    "residual": lambda: keras_ssd.ssd(residual_body(), ["fine", "coarse"], ["cat"], fpn=True),
    "mixed": lambda: keras_ssd.ssd(mixed_body(), [keras_ssd.Tap("joined", l2_scale=10.0), "coarse"], ["cat"]),
    "shared heads": shared_heads,
}


def randomised(model, seed=0):
    """Weights as after a training: nothing is 0 or 1."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        values = [rng.uniform(0.2, 1.0, w.shape) if w.shape == w.shape[-1:] else None for w in layer.weights]
        layer.set_weights([old if new is None else new for old, new in zip(layer.get_weights(), values, strict=True)])
    return model


def without_weights(model, traced, alive):
    """The model with the weights that make the channels that go set to 0."""
    for name, weights in traced.weights.items():
        layer = model.get_layer(name)
        values = dict(zip([weight.name for weight in layer.weights], layer.get_weights(), strict=True))
        for weight, axes in weights.items():
            if axes and not weight.startswith("moving"):
                axis, groups = list(axes.items())[-1]
                shape = [-1 if place == axis else 1 for place in range(values[weight].ndim)]
                values[weight] = values[weight] * alive[groups].reshape(shape)
        layer.set_weights(list(values.values()))


def assert_zeros_can_go(model, within=1e-6):
    model = randomised(model)
    x = images(model)
    traced = trace(model)
    assert traced.left == ()
    same = without_channels(model, traced, np.ones(traced.num_groups, bool))
    np.testing.assert_array_equal(outputs(same, x), outputs(model, x))
    importance = np.random.default_rng(2).uniform(size=traced.num_groups)
    alive = chosen(traced, importance, 0.5 * flops_of(traced), Widths(1, 2))
    without_weights(model, traced, alive)
    smaller = without_channels(model, traced, alive)
    assert smaller.count_params() < model.count_params()
    assert flops_of(trace(smaller)) == flops_of(traced, alive) <= 0.5 * flops_of(traced)
    expected = outputs(model, x)
    np.testing.assert_allclose(outputs(smaller, x), expected, rtol=within, atol=within * np.abs(expected).max())


LARGE = ("ssd_mobilenet_v1", "ssdlite320", "mobilenet_v2", "mobilenet_v3")


@pytest.mark.numerical
# Keras 3.12 warns on PyTorch that a transposed convolution may round its padding otherwise.
@pytest.mark.filterwarnings("ignore:(?s).*inconsistencies across backends:UserWarning")
@pytest.mark.parametrize("net", [pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in NETS])
def test_reference_channels_without_weights_change_nothing(net):
    assert_zeros_can_go(NETS[net]())


@pytest.mark.slow
def test_reference_channels_of_ssd300_without_weights_change_nothing():
    # Its sums of up to 9,216 products in float32 differ by their order.
    assert_zeros_can_go(keras_ssd.ssd300(classes=["cat"], input_size=(300, 300)), within=3e-6)


@pytest.fixture(scope="module")
def model():
    return randomised(toy())


@pytest.fixture(scope="module")
def smaller(model):
    return keras_ssd.prune(model, 0.75, multiple_of=4, min_channels=4)


def test_values_groups_widths_and_operations_by_hand(model, smaller):
    traced = trace(model)
    # 24 x 16 pixels; low: 3 -> 8 channels, 3x3, 12 x 8 cells; high: 8 -> 16, 6 x 4; heads: 16 -> 3 and 4.
    assert flops_of(traced) == 2 * 9 * (96 * 3 * 8 + 24 * 8 * 16 + 24 * 16 * (3 + 4))
    assert {name: len(groups) for name, groups in traced.makers.items()} == {"low": 8, "high": 16}
    report = smaller.weights_report
    assert report.flops == flops_of(trace(smaller)) <= 0.75 * report.flops_before == 0.75 * flops_of(traced)
    assert report.parameters == smaller.count_params() < report.parameters_before == model.count_params()
    assert all(now % 4 == 0 for _, now in report.widths.values())
    assert f"({report.flops / report.flops_before:.1%})" in str(report)


def test_values_sums_tie_the_layers_of_a_stage():
    traced = trace(keras_ssd.ssd(residual_body(), ["fine", "coarse"], ["cat"]))
    np.testing.assert_array_equal(traced.makers["fine_short"], traced.makers["fine_2"])
    assert not set(traced.makers["fine_1"]) & set(traced.makers["fine_2"])


def test_values_the_least_important_of_the_dearest_go_first():
    traced = trace(toy())
    importance = np.arange(traced.num_groups, dtype=float)
    alive = chosen(traced, importance, 0.9 * flops_of(traced), Widths(4, 4))
    assert [int(alive[traced.makers[name]].sum()) for name in ("low", "high")] == [4, 16]
    assert alive[traced.makers["low"]].tolist() == [False] * 4 + [True] * 4


def test_values_taylor_importance_by_hand():
    traced = trace(toy())
    low = traced.makers["low"]
    steps = [
        {("low", "kernel"): np.full((3, 3, 3, 8), sign / 27), ("low_bn", "gamma"): np.arange(8.0)} for sign in (1, -1)
    ]
    expected = np.sqrt(np.arange(8.0) ** 2 + 1)  # the root of the mean of (c + 1)^2 and (c - 1)^2
    np.testing.assert_allclose(by_gradients(traced, steps)[low], expected)


@pytest.mark.numerical
def test_values_gradients_on_images_and_what_they_keep():
    model = toy()
    before = model.get_weights()
    smaller = keras_ssd.prune(model, 0.6, dataset=squares(8), batches=2, batch_size=4, multiple_of=2, min_channels=2)
    assert smaller.weights_report.flops <= 0.6 * smaller.weights_report.flops_before
    assert "Taylor importance on images of squares" in str(smaller.weights_report)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_roundtrip_what_belongs_to_a_model_stays(model, tmp_path):
    model.confidence = keras_ssd.decoding.Confidence(0.4, "chosen by hand")
    model.calibration = keras_ssd.decoding.ScoreCalibration(temperature=2.0)
    model.get_layer("low").trainable = False
    smaller = keras_ssd.prune(model, 0.75, multiple_of=4, min_channels=4)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras_ssd.load(tmp_path / "smaller.keras")
    for one in (smaller, loaded):
        for name in ("class_names", "confidence", "calibration", "decoding", "sources", "anchor_spec"):
            assert getattr(one, name) == getattr(model, name), name
    assert not smaller.get_layer("low").trainable
    x = images(model)
    np.testing.assert_array_equal(loaded.predict_on_batch(x), smaller.predict_on_batch(x))
    model.get_layer("low").trainable = True


@keras.saving.register_keras_serializable("test_pruning")
class Foreign(layers.Layer):
    """Does something with channels that nobody knows."""

    def call(self, inputs):
        return keras.ops.flip(inputs, -1)


def foreign_body():
    x = inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(16, 3, 4, padding="same", name="free")(x)
    x = layers.Conv2D(16, 3, padding="same", name="held")(x)
    x = Foreign(name="foreign")(x)
    x = layers.Conv2D(16, 3, 2, padding="same", activation="relu", name="coarse")(x)
    return keras.Model(inputs, x)


def test_values_what_cannot_be_followed_is_left_and_named():
    model = keras_ssd.ssd(foreign_body(), ["coarse"], ["cat"], extras=0)
    smaller = keras_ssd.prune(model, 0.6)
    assert smaller.weights_report.left == ("foreign (Foreign)",)
    assert smaller.get_layer("held").filters == 16
    assert set(smaller.weights_report.widths) <= {"free", "coarse"}
    assert str(smaller.weights_report).endswith("with the channels that they read and make: foreign (Foreign)")


def test_values_a_part_of_a_layer_may_be_held():
    x = inputs = keras.Input((32, 32, 3))
    left, right, both = (layers.Conv2D(c, 3, 8, padding="same", name=f"c{c}")(x) for c in (8, 16, 24))
    x = layers.Add(name="sum")([layers.Concatenate(name="joined")([left, right]), both])
    x = layers.Concatenate(name="end")([x, Foreign(name="foreign")(left)])
    model = keras_ssd.ssd(keras.Model(inputs, x), ["end"], ["cat"], extras=0)
    traced = trace(model)
    assert set(traced.makers) == {"c16", "c24"}
    smaller = keras_ssd.prune(model, 0.8, multiple_of=4, min_channels=4)
    widths = [smaller.get_layer(name).filters for name in ("c8", "c16", "c24")]
    assert widths[0] == 8
    assert widths[2] == 8 + widths[1] < 24


@pytest.mark.parametrize("flops", [0, -0.5, 1.2, True, "half"])
def test_rejects_budgets(model, flops):
    with pytest.raises(ValueError, match=r"`flops` must be the share of the FLOPs that is left, above 0 and up to 1"):
        keras_ssd.prune(model, flops)


def test_rejects_what_cannot_be_done(model):
    with pytest.raises(ValueError, match=r"A share of 0.01 of the FLOPs cannot be reached: .* keeps 0\.\d+"):
        keras_ssd.prune(model, 0.01)
    with pytest.raises(ValueError, match=r"`min_channels` must be a whole number from 1 on. Received: min_channels=0"):
        keras_ssd.prune(model, 0.5, min_channels=0)
    with pytest.raises(ValueError, match=r"ends in a decoder. Prune the model that `with_decoder` was given"):
        keras_ssd.prune(keras_ssd.with_decoder(model))
    with pytest.raises(ValueError, match=r"The dataset has the classes one, the model bright, dark"):
        keras_ssd.prune(model, dataset=squares().with_classes(["one"], {"bright": "one", "dark": "one"}))
    with pytest.raises(TypeError, match="`model` must be a keras_ssd model"):
        keras_ssd.prune(keras.Sequential([keras.Input((4,)), layers.Dense(2)]))


def test_rejects_models_with_nothing_to_prune():
    inputs = keras.Input((32, 32, 3))
    pooled = layers.AveragePooling2D(8, name="pooled")(inputs)
    model = keras_ssd.ssd(keras.Model(inputs, pooled), ["pooled"], ["cat"], extras=0)
    with pytest.raises(ValueError, match=r"Model 'ssd' has nothing to prune: no channels of a convolution"):
        keras_ssd.prune(model)
