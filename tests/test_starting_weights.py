"""What a training of `ssd_small` starts from: the backbone that ships, another one, or nothing."""

import argparse

import numpy as np
import pytest

import keras_ssd
from keras_ssd import zoo
from keras_ssd.backbones.small import small_body
from keras_ssd.cli import training_setup
from keras_ssd.data import Annotation, Dataset
from keras_ssd.formats import write_keras_h5
from keras_ssd.zoo.port import arrays_of
from keras_ssd.zoo.read import SMALL_BODY, identify


def layers(model):
    return {layer: dict(arrays) for layer, arrays in arrays_of(model).layers.items()}


def asked(**given):
    usual = dict.fromkeys(
        ("weights", "model", "width", "anchors", "input_size", "freeze", "weights_classes", "learning_rate")
    )
    rest = {"epochs": 1, "minutes": None, "patience": None, "batch_size": 1, "recipe": "small-data"}
    more = {"augment": "none", "seed": 0, "precision": "float32", "qat": False}
    return argparse.Namespace(**{**usual, **rest, **more, **given})


@pytest.fixture(scope="module")
def data():
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    return Dataset("one", ("thing",), [Annotation("a", image, [[20, 20, 90, 90]], [0], (240, 320))])


@pytest.mark.numerical
def test_roundtrip_a_backbone_under_new_heads(tmp_path):
    body = small_body((64, 64))
    rng = np.random.default_rng(0)
    body.set_weights([rng.normal(size=w.shape).astype("float32") for w in body.get_weights()])
    path = write_keras_h5(tmp_path / "body.h5", arrays_of(body).layers)
    assert identify(arrays_of(body)) == "small_body"
    assert set(arrays_of(body).layers) == set(SMALL_BODY)
    model = keras_ssd.ssd_small(path, ["thing"], input_size=(64, 64))
    got, wanted = layers(model), layers(body)
    for layer in SMALL_BODY:
        for name, array in wanted[layer].items():
            np.testing.assert_allclose(got[layer][name], array, rtol=2e-3, atol=1e-6)  # kernels are stored in float16
    assert set(model.weights_report.kept) == {f"stage{s}_mbox_{kind}" for s in (8, 16, 32) for kind in ("loc", "conf")}


def test_values_the_plain_command_starts_from_the_backbone_that_ships(data):
    entry = zoo.find(training_setup.SHIPPED)
    assert entry.bundled
    assert zoo.cached(entry).stat().st_size < 4e6
    args = asked()
    model = training_setup.build_model(args, data)
    assert model.name == "ssd_small"
    assert model.class_names == ("thing",)
    shipped = layers(keras_ssd.ssd_small("distilled", ["thing"]))
    got = layers(model)
    assert all(np.array_equal(shipped[layer][name], got[layer][name]) for layer in SMALL_BODY for name in got[layer])
    assert training_setup.settings_of(args, 1, model)["learning_rate"] == 2e-3


@pytest.mark.parametrize("given", [{"weights": "none"}, {"width": 0.5}, {"weights": "none", "model": "ssd_small"}])
def test_values_from_nothing(data, given):
    args = asked(**given)
    model = training_setup.build_model(args, data)
    assert training_setup.starting_weights(args) is None
    assert model.weights_report is None
    assert model.class_names == ("thing",)


@pytest.mark.parametrize("name", ["distilled", "small_body.distilled"])
def test_values_a_backbone_by_name_chooses_its_detector(data, name):
    assert training_setup.build_model(asked(weights=name), data).name == "ssd_small"


def test_values_other_models_start_from_nothing():
    assert training_setup.starting_weights(asked(model="ssd7")) is None
    assert training_setup.starting_weights(asked(weights="ssd_small.cells")) == "ssd_small.cells"


def test_rejects_a_backbone_of_another_width(data):
    with pytest.raises(ValueError, match=r"(?s)do not fit|shape"):
        training_setup.build_model(asked(weights="distilled", width=0.5), data)
