"""`ssd()` on any backbone, and what a model of it owns: classes, a decoder, its config."""

import keras
import numpy as np
import pytest
from caffe_nets import random_weights
from keras import ops
from test_caffe_heads import small_net
from tiny_models import tiny_backbone, tiny_spec, tiny_ssd

import keras_ssd
from keras_ssd.anchors import named_spec
from keras_ssd.models.composing import ssd


@pytest.mark.numerical
def test_values_any_backbone():
    model = tiny_ssd()
    assert model.output.shape == (None, 10 * 14 * 3 + 5 * 7 * 2 + 3 * 4, 3 + 12)
    assert model.get_layer("fine_norm_mbox_conf").filters == 9
    assert model.get_layer("extra_mbox_loc").filters == 4
    assert model.get_layer("fine").output.shape == (None, 10, 14, 8)  # layers of the backbone keep their names
    y = model.predict_on_batch(np.zeros((2, 40, 56, 3), np.float32))
    np.testing.assert_array_equal(y[1, :, 7:11], tiny_spec().anchors_cxcywh())


@pytest.mark.numerical
def test_values_with_decoder_shares_weights_and_names():
    keras.utils.set_random_seed(3)  # fresh weights differ; two nearly equal scores could swap rows
    model = tiny_ssd()
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.2, keep_top_k=7)
    assert detector.output.shape == (None, 7, 6)
    assert detector.class_names == ("cat", "dog")
    assert detector.has_decoder
    assert not model.has_decoder
    assert detector.get_layer("fine") is model.get_layer("fine")
    image = np.random.default_rng(0).uniform(0, 255, (1, 40, 56, 3)).astype(np.float32)
    options = keras_ssd.DecodeOptions(confidence_threshold=0.2, keep_top_k=7)
    expected = keras_ssd.decode_arrays(model.predict_on_batch(image), options)
    np.testing.assert_allclose(detector.predict_on_batch(image), expected, atol=1e-5)
    with pytest.raises(ValueError, match="decoder already"):
        keras_ssd.with_decoder(detector)
    with pytest.raises(TypeError, match="keras_ssd model"):
        keras_ssd.with_decoder(tiny_backbone())


def test_values_keras_owns_the_model():
    model = tiny_ssd()
    clone = keras.models.clone_model(model)
    assert clone.anchor_spec == model.anchor_spec
    model.compile("sgd", loss=lambda y_true, y_pred: ops.mean(ops.square(y_pred[..., :7])))
    history = model.fit(np.zeros((2, 40, 56, 3)), np.zeros((2, 502, 15)), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, r"needs `classes=\[...\]`"),
        ({"classes": 20}, TypeError, "list of class names"),
        ({"classes": "cat"}, ValueError, "Unknown label set 'cat'"),
        ({"classes": []}, ValueError, "at least one name"),
        ({"classes": ["cat", "dog", "cat"]}, ValueError, "'cat'.*more than once"),
        ({"classes": ["cat", "background"]}, ValueError, "must not name the background"),
        ({"classes": ["cat"], "input_size": 300}, ValueError, "whole pixels"),
        ({"classes": ["cat"], "input_size": (100, 100)}, ValueError, "too small.*conv8_2"),
        ({"classes": ["cat"], "freeze": ("conv11_*",)}, ValueError, "conv1_1"),
        ({"classes": ["cat"], "anchors": "cocoo"}, ValueError, "ssd300_coco"),
        ({"classes": ["cat"], "anchors": named_spec("ssd512_voc")}, ValueError, r"\(512, 512\)"),
        ({"classes": ["cat"], "anchors": 3}, ValueError, "ssd300_3"),
        ({"classes": ["cat"], "dropot": 0.5}, TypeError, "dropot"),
        ({"weights": "voc07+21"}, ValueError, r"voc07\+12"),
        ({"weights": "missing/file.h5"}, FileNotFoundError, "missing/file.h5"),
    ],
)
def test_rejects_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        keras_ssd.ssd300(**arguments)


def test_values_a_backbone_on_a_tensor_of_its_own():
    """keras.applications gives such a model its input as a list."""
    images = keras.Input((96, 96, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(images)
    body = keras.applications.MobileNetV2(include_top=False, weights=None, alpha=0.35, input_tensor=scaled)
    level = keras_ssd.AnchorLevel.prior_box
    spec = keras_ssd.AnchorSpec((96, 96), (level((96, 96), (6, 6), (20,)), level((96, 96), (3, 3), (50,))))
    model = ssd(body, ["block_13_expand_relu", "out_relu"], ["cat"], spec)
    assert model.output.shape == (None, 45, 14)
    assert model.input_size == (96, 96)
    assert keras_ssd.with_decoder(model).output.shape == (None, 45, 6)


def test_rejects_backbones_without_one_fixed_image():
    pair = [keras.Input((8, 8, 3)), keras.Input((8, 8, 3))]
    two = keras.Model(pair, keras.layers.Add()(pair))
    with pytest.raises(ValueError, match="one input"):
        ssd(two, ["x"], ["cat"], tiny_spec())
    with pytest.raises(ValueError, match="fixed size"):
        ssd(keras.Sequential([keras.Input((None, None, 3)), keras.layers.ReLU()]), ["x"], ["cat"], tiny_spec())
    with pytest.raises(TypeError, match="functional keras.Model"):
        ssd(keras.layers.ReLU(), ["x"], ["cat"], tiny_spec())


def test_rejects_unknown_taps():
    with pytest.raises(ValueError, match="Did you mean 'coarse'"):
        ssd(tiny_backbone(), ["fine", "coarze"], ["cat"], tiny_spec())


def test_values_class_names_can_be_set(tmp_path):
    model = tiny_ssd()
    clone = keras.models.clone_model(model)
    assert type(clone) is keras_ssd.SSD
    assert clone.class_names == ("cat", "dog")
    clone.class_names = ("car", "bus")
    assert model.class_names == ("cat", "dog")
    clone.class_names = model.class_names
    clone.save(tmp_path / "clone.keras")
    assert keras_ssd.load(tmp_path / "clone.keras").class_names == ("cat", "dog")
    for names in (["cat"], ["cat", "cat"], ["cat", "background"]):
        with pytest.raises(ValueError, match="class_names"):
            clone.class_names = names
        with pytest.raises(ValueError, match="class_names"):
            keras_ssd.SSD(model.input, model.output, class_names=names)
    assert clone.class_names == ("cat", "dog")


def test_values_a_decoder_of_a_nameless_model_is_nameless():
    named = tiny_ssd()
    assert keras_ssd.with_decoder(named).names_classes
    net = random_weights(small_net())
    nameless = keras_ssd.from_caffe(net, net, mean=128)
    assert not keras_ssd.with_decoder(nameless).names_classes
