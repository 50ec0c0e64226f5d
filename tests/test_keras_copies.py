"""What belongs to a detector goes along on every way that Keras copies, saves and trains a model."""

import copy
import pickle

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd

pytestmark = pytest.mark.numerical
DECODING = {"iou_threshold": 0.3, "top_k": 50}


@pytest.fixture
def model():
    return tiny_ssd(decoding=DECODING)


def through_file(model, folder, name):
    model.save(folder / name)
    return keras.saving.load_model(folder / name)


WAYS = {
    "clone": lambda model, folder: keras.models.clone_model(model),
    "clone by a function": lambda model, folder: keras.models.clone_model(
        model, clone_function=lambda layer: layer.__class__.from_config(layer.get_config())
    ),
    "clone on tensors": lambda model, folder: keras.models.clone_model(
        model, input_tensors=keras.Input((40, 56, 3), name="other")
    ),
    "clone of a clone": lambda model, folder: keras.models.clone_model(keras.models.clone_model(model)),
    "copy": lambda model, folder: copy.copy(model),
    "deepcopy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "json": lambda model, folder: keras.models.model_from_json(model.to_json()),
    "config": lambda model, folder: keras_ssd.SSD.from_config(model.get_config()),
    "keras": lambda model, folder: through_file(model, folder, "a.keras"),
    "load": lambda model, folder: keras_ssd.load((model.save(folder / "b.keras"), folder / "b.keras")[1]),
    "wrapped": lambda model, folder: keras_ssd.SSD(model.inputs[0], model.outputs[0]),
}


def belongings(model):
    return {
        "class_names": model.class_names,
        "named": model.names_classes,
        "decoding": model.decoding,
        "sources": model.sources,
        "version": model.saved_with,
        "anchors": model.anchor_spec,
        "composition": str(model.composition).splitlines()[1:],
        "input_size": model.input_size,
    }


@pytest.mark.parametrize("way", WAYS)
def test_roundtrip_every_copy_keeps_what_belongs_to_the_model(model, way, tmp_path):
    other = WAYS[way](model, tmp_path)
    assert belongings(other) == belongings(model)
    assert other.class_names == ("cat", "dog")
    assert other.decoding == DECODING


@pytest.mark.parametrize("way", ["clone", "deepcopy", "json", "keras"])
def test_roundtrip_copies_of_detectors(model, way, tmp_path):
    detector = keras_ssd.with_decoder(model, keep_top_k=7)
    other = WAYS[way](detector, tmp_path)
    assert belongings(other) == belongings(detector)
    assert other.output_shape == (None, 7, 6)


def test_values_a_clone_follows_new_names_and_a_clone_with_other_heads_forgets_them(model):
    model.class_names = ["pen", "ink"]
    assert keras.models.clone_model(model).class_names == ("pen", "ink")
    assert keras_ssd.with_classes(model, ["ink", "cup", "pen"]).class_names == ("ink", "cup", "pen")


def test_rejects_weights_of_other_classes(model, tmp_path):
    model.save(tmp_path / "a.keras")
    other = tiny_ssd()
    other.load_weights(tmp_path / "a.keras")
    other.class_names = ["dog", "cat"]
    with pytest.raises(
        ValueError, match=r"weights of the classes \['cat', 'dog'\], and this model has \['dog', 'cat'\]"
    ):
        other.load_weights(tmp_path / "a.keras")


def test_rejects_loading_a_wrapped_detector_and_says_how_to_reach_it(model, tmp_path):
    images = keras.Input((40, 56, 3))
    keras.Model(images, model(images), name="outer").save(tmp_path / "outer.keras")
    with pytest.raises(ValueError, match=r"has a detector inside, not a detector.*\.get_layer\('ssd'\)"):
        keras_ssd.load(tmp_path / "outer.keras")
    inner = keras.saving.load_model(tmp_path / "outer.keras").get_layer("ssd")
    assert inner.class_names == ("cat", "dog")


@pytest.mark.parametrize("method", ["fit", "train_on_batch"])
def test_rejects_class_weight(model, method):
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    images = np.zeros((1, 40, 56, 3), np.float32)
    targets = np.zeros((1, model.anchor_spec.num_anchors, 5), np.float32)
    with pytest.raises(
        ValueError, match=rf"`{method}\(class_weight=...\)`.*keras_ssd.SSDLoss\(class_weights=\[...\]\)"
    ):
        getattr(model, method)(images, targets, class_weight={0: 1.0})


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_rejects_quantize(model, mode):
    with pytest.raises(
        ValueError, match="Keras quantizes Dense, EinsumDense and Embedding layers alone.*keras_ssd.export"
    ):
        model.quantize(mode)


@pytest.mark.parametrize(
    "layer",
    [
        keras_ssd.AnchorBoxes(tiny_ssd().anchor_spec, name="a", trainable=False, dtype="float16", autocast=True),
        keras_ssd.L2Normalization(3.0, name="a", trainable=False, dtype="float16", activity_regularizer="l2"),
        keras_ssd.DecodeDetections(top_k=3, name="a", trainable=False, dtype="float16", activity_regularizer=None),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_roundtrip_layers_take_the_arguments_of_their_base(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert (again.name, again.trainable) == ("a", False)


def test_roundtrip_loss_takes_the_arguments_of_its_base():
    loss = keras_ssd.SSDLoss(name="a", reduction="sum", dtype="float64")
    assert keras_ssd.SSDLoss.from_config(loss.get_config()).get_config() == loss.get_config()
    assert (loss.name, loss.reduction, loss.dtype) == ("a", "sum", "float64")
