"""Kinds of heads: what they compute, that classes are sub-sampled in them, and that they are saved and exported."""

import keras
import numpy as np
import pytest
from keras import ops
from model_outputs import values

import keras_ssd
from keras_ssd.box_coder import Predictions
from keras_ssd.models.heads import SeparableHead, SharedHead, Tap

SIZE = (40, 56)
KINDS = ("plain", "separable", "shared")


def body():
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="fine")(inputs)
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", name="coarse")(x)
    return keras.Model(inputs, x, name="tiny")


def spec():
    level = keras_ssd.AnchorLevel.prior_box
    return keras_ssd.AnchorSpec(SIZE, (level(SIZE, (10, 14), (8,), (), (2,)), level(SIZE, (5, 7), (16,), (), (2,))))


def detector(head, classes=("cat", "dog"), taps=("fine", "coarse")):
    """A small detector whose normalisation has seen something: fresh averages would hide that it is there."""
    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd(body(), list(taps), list(classes), spec(), head=head)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
        elif isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(rng.normal(0, 1, layer.bias.shape))
    return model


def images(count=1):
    return np.random.default_rng(1).uniform(0, 255, (count, *SIZE, 3)).astype(np.float32)


def same_convolution(x, kernel):
    """A depthwise or full 3x3 convolution of stride 1, written as a sum of shifted images."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = 0
    for i in range(3):
        for j in range(3):
            window = padded[:, i : i + x.shape[1], j : j + x.shape[2]]
            total = total + (window * kernel[i, j, :, 0] if kernel.shape[-1] == 1 else window @ kernel[i, j])
    return total


@pytest.mark.numerical
def test_reference_separable_head():
    model = detector("separable")
    x = values(keras.Model(model.input, model.get_layer("coarse").output)(images()))
    arrays = {v.path: values(v) for v in model.variables}
    name = "coarse_mbox_conf"
    x = same_convolution(x, arrays[f"{name}_dw/kernel"])
    gamma, beta, mean, variance = (
        arrays[f"{name}_dw_bn/{k}"] for k in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    x = np.clip((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0, 6)
    x = x @ arrays[f"{name}/kernel"][0, 0] + arrays[f"{name}/bias"]
    logits = Predictions.split(values(model(images()))).logits[:, 10 * 14 * 3 :]
    np.testing.assert_allclose(logits, x.reshape(1, -1, 3), rtol=1e-4, atol=1e-3)


def test_values_separable_head_is_ssdlites():
    model = detector(SeparableHead(momentum=0.9, epsilon=0.01))
    names = [f"fine_mbox_loc{end}" for end in ("_dw", "_dw_bn", "_dw_relu", "")]
    depthwise, norm, relu, last = (model.get_layer(name) for name in names)
    assert [w.shape for w in depthwise.weights] == [(3, 3, 8, 1)]  # no bias
    assert (norm.momentum, norm.epsilon) == (0.9, 0.01)
    assert relu.max_value == 6
    assert [w.shape for w in last.weights] == [(1, 1, 8, 12), (12,)]
    assert model.count_params() < detector("plain").count_params()


def test_values_shared_head_has_one_tower_for_all_maps():
    model = detector(SharedHead(depth=2, filters=12))
    names = [layer.name for layer in model.layers]
    assert names.count("shared_conf_1") == 1
    assert len(model.get_layer("shared_mbox_conf")._inbound_nodes) == 2
    assert model.get_layer("fine_head_in").filters == 12
    assert "coarse_head_in" not in names  # it has 12 channels already
    for name in ("shared_conf_1", "shared_conf_2", "shared_loc_2"):
        assert tuple(model.get_layer(name).kernel.shape) == (3, 3, 12, 12)
    assert model.get_layer("shared_mbox_loc").filters == 12


def test_rejects_a_shared_head_on_anchors_that_differ():
    level = keras_ssd.AnchorLevel.prior_box
    uneven = keras_ssd.AnchorSpec(SIZE, (level(SIZE, (10, 14), (8,)), level(SIZE, (5, 7), (16,), (), (2,))))
    with pytest.raises(ValueError, match="same number of boxes per cell.*fine: 1, coarse: 3"):
        keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], uneven, head="shared")


@pytest.mark.numerical
@pytest.mark.parametrize("head", KINDS)
def test_values_sub_sampling_keeps_what_is_detected(head):
    model = detector(head, ("cat", "dog", "cow"))
    mine = keras_ssd.with_classes(model, ["cow", "sheep", "cat"])
    before, after = (Predictions.split(values(m(images()))) for m in (model, mine))
    np.testing.assert_allclose(after.logits[..., [0, 1, 3]], before.logits[..., [0, 3, 1]], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(after.offsets, before.offsets, rtol=1e-5, atol=1e-4)
    assert abs(after.logits[..., 2]).max() > 0
    assert mine.weights_report.initialised == ("sheep",)


@pytest.mark.numerical
@pytest.mark.parametrize("head", KINDS)
def test_roundtrip_file(head, tmp_path):
    model = detector(head, taps=(Tap("fine", batch_norm=True), "coarse"))
    model.save(tmp_path / "m.keras")
    again = keras_ssd.load(tmp_path / "m.keras")
    np.testing.assert_array_equal(values(again(images())), values(model(images())))
    assert again.anchor_spec == model.anchor_spec
    assert [layer.name for layer in again.layers] == [layer.name for layer in model.layers]


@pytest.mark.parametrize("head", KINDS)
def test_values_each_head_learns(head):
    model = detector(head)
    before = {v.path: values(v).copy() for v in model.trainable_variables}
    model.compile("sgd", loss=lambda y_true, y_pred: ops.mean(ops.square(y_pred[..., :7])))
    model.fit(images(2), np.zeros((2, 525, 15)), epochs=1, verbose=0)
    still = [v.path for v in model.trainable_variables if (values(v) == before[v.path]).all()]
    assert not still


@pytest.mark.parametrize("head", KINDS)
def test_reference_onnx(head, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    check = keras_ssd.to_onnx(
        detector(head, taps=(Tap("fine", batch_norm=True), Tap("coarse", l2_scale=20.0))), tmp_path / "m.onnx"
    )
    assert max(check.boxes, check.scores) < 1e-4


@pytest.mark.parametrize("head", KINDS)
def test_roundtrip_caffe(head, tmp_path):
    model = detector(head, taps=(Tap("fine", batch_norm=True), Tap("coarse", l2_scale=20.0)))
    keras_ssd.to_caffe(model, tmp_path / "m.prototxt", tmp_path / "m.caffemodel")
    again = keras_ssd.from_caffe(tmp_path / "m.prototxt", tmp_path / "m.caffemodel", truncate_sizes=False)
    ours, theirs = (Predictions.split(values(m(images()))) for m in (model, again))
    np.testing.assert_allclose(theirs.logits, ours.logits, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(theirs.offsets, ours.offsets, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("head", "error", "message"),
    [("separate", ValueError, "Did you mean 'separable'"), (3, TypeError, "`head` must be one of 'plain'.*head=3")],
)
def test_rejects_heads(head, error, message):
    with pytest.raises(error, match=message):
        keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], spec(), head=head)


def test_rejects_a_tap_that_is_normalised_twice():
    with pytest.raises(ValueError, match="either `l2_scale` or `batch_norm`"):
        Tap("fine", l2_scale=20.0, batch_norm=True)
