"""`weights=` of the real factories: files of every layout, the cache, classes by name, anchors that belong."""

import logging

import keras
import numpy as np
import pytest
from foreign_files import random_arrays, ssd_keras_config, ssd_shapes, write_chainercv_npz, write_keras_h5
from keras import ops

import keras_ssd
from keras_ssd.anchors import named_spec
from keras_ssd.formats import NamedArrays
from keras_ssd.zoo.read import load_backbone_into
from keras_ssd.zoo.reduced_vgg import is_keras_vgg16, reduce_vgg16

COCO_FILE = "VGG_coco_SSD_300x300_iter_400000.h5"
pytestmark = pytest.mark.slow


def value(model, layer, weight="kernel"):
    return ops.convert_to_numpy(getattr(model.get_layer(layer), weight))


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A folder with COCO weights under their published name, as a download would leave them; and their arrays."""
    home = tmp_path_factory.mktemp("home")
    arrays = random_arrays(ssd_shapes("ssd300", 80))
    write_keras_h5(home / COCO_FILE, arrays)
    return home, arrays


def in_cache(monkeypatch, folder):
    """Lets `folder` be the cache, and any use of the network be an error."""
    monkeypatch.setenv("KERAS_SSD_HOME", str(folder))
    cache = keras_ssd.zoo.cache_folder()
    assert folder in (cache, *cache.parents)
    cache.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if file.is_file() and not (cache / file.name).exists():
            (cache / file.name).hardlink_to(file)

    def no_network(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr("requests.Session.request", no_network)


def test_values_a_name_is_enough_offline(coco, monkeypatch):
    home, arrays = coco
    in_cache(monkeypatch, home)
    model = keras_ssd.ssd300(weights="coco")
    assert model.class_names == keras_ssd.zoo.labels("coco")
    assert model.anchor_spec == named_spec("ssd300_coco")
    assert model.weights_report.parameters == model.count_params() == 34_305_206
    np.testing.assert_array_equal(value(model, "conv1_1"), arrays["conv1_1"]["kernel"][:, :, ::-1])  # BGR to RGB
    np.testing.assert_array_equal(value(model, "fc6"), arrays["fc6"]["kernel"])
    np.testing.assert_array_equal(value(model, "conv4_3_norm", "gamma"), arrays["conv4_3_norm"]["gamma"])
    np.testing.assert_array_equal(value(model, "fc7_mbox_conf"), arrays["fc7_mbox_conf"]["kernel"])


def test_values_a_published_file_name_is_recognised_and_sub_sampled(coco, caplog):
    home, arrays = coco
    classes = ["person", "dog", "helmet"]
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        model = keras_ssd.ssd300(weights=home / COCO_FILE, classes=classes)
    assert "helmet" in caplog.text
    assert model.class_names == tuple(classes)
    assert model.anchor_spec == named_spec("ssd300_coco")
    names = ("background", *keras_ssd.zoo.labels("coco"))
    for head in ("conv4_3_norm_mbox_conf", "fc7_mbox_conf", "conv9_2_mbox_conf"):
        ours = value(model, head)
        ours = ours.reshape(*ours.shape[:3], -1, 4)  # boxes, classes
        trained = arrays[head]["kernel"]
        trained = trained.reshape(*trained.shape[:3], -1, 81)
        picked = [names.index(name) for name in ("background", "person", "dog")]
        np.testing.assert_array_equal(ours[..., :3], trained[..., picked])
        fresh = ours[..., 3]
        assert 0 < abs(fresh).max() <= np.sqrt(3 / (9 * trained.shape[2])) + 1e-6  # Caffe's xavier
        bias = value(model, head, "bias").reshape(-1, 4)
        np.testing.assert_array_equal(bias[:, :3], arrays[head]["bias"].reshape(-1, 81)[:, picked])
        assert not bias[:, 3].any()
    report = str(model.weights_report)
    assert "person" in report
    assert "helmet" in report


def test_values_two_hosts_of_one_set_give_one_model(tmp_path):
    arrays = random_arrays(ssd_shapes("ssd300", 20), seed=1)
    write_keras_h5(tmp_path / "VGG_VOC0712_SSD_300x300_iter_120000.h5", arrays)
    rgb = {**arrays, "conv1_1": {**arrays["conv1_1"], "kernel": arrays["conv1_1"]["kernel"][:, :, ::-1]}}
    write_chainercv_npz(tmp_path / "ssd300_voc0712_converted_2017_06_06.npz", rgb)
    models = [keras_ssd.ssd300(weights=path) for path in sorted(tmp_path.iterdir())]
    assert {model.class_names for model in models} == {keras_ssd.zoo.labels("voc")}
    assert {model.anchor_spec for model in models} == {named_spec("ssd300_voc")}
    for one, other in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other), err_msg=one.path)


def test_values_the_steps_of_old_files_are_the_architectures(tmp_path):
    """ssd_keras never wrote its steps; taking image size / grid instead cost a user two thirds of the mAP."""
    write_keras_h5(tmp_path / "mine.h5", ssd_shapes("ssd300", 2), config=ssd_keras_config())
    model = keras_ssd.ssd300(weights=tmp_path / "mine.h5", classes=["cat", "dog"])
    assert model.anchor_spec.levels[0].step_hw == (8.0, 8.0)
    assert model.anchor_spec.levels[1].step_hw == (16.0, 16.0)


def test_values_unknown_classes_are_asked_for(tmp_path):
    write_keras_h5(tmp_path / "mine.h5", ssd_shapes("ssd300", 7))
    with pytest.raises(ValueError, match="7 classes whose names nothing tells.*weights_classes"):
        keras_ssd.ssd300(weights=tmp_path / "mine.h5", classes=["a", "b"])
    names = list("abcdefg")
    model = keras_ssd.ssd300(weights=tmp_path / "mine.h5", classes=["g", "b"], weights_classes=names)
    assert model.class_names == ("g", "b")
    assert not model.weights_report.classes.initialised


def test_rejects_weights_of_another_network(coco, tmp_path):
    home, _ = coco
    with pytest.raises(ValueError, match="ssd300, not ssd512"):
        keras_ssd.ssd512(weights=home / COCO_FILE)
    with pytest.raises(ValueError, match="ssd300, not ssd7"):
        keras_ssd.ssd7(weights=home / COCO_FILE)


def test_values_a_backbone_file_trains_under_fresh_heads(tmp_path, monkeypatch):
    arrays = random_arrays(ssd_shapes("vgg16", 0), seed=2)
    write_keras_h5(tmp_path / "VGG_ILSVRC_16_layers_fc_reduced.h5", arrays)
    in_cache(monkeypatch, tmp_path)
    model = keras_ssd.ssd300(weights="imagenet", classes=["cat"])
    np.testing.assert_array_equal(value(model, "fc7"), arrays["fc7"]["kernel"])
    np.testing.assert_array_equal(value(model, "conv1_1"), arrays["conv1_1"]["kernel"][:, :, ::-1])
    assert set(model.weights_report.kept) >= {"conv4_3_norm", "conv6_1", "fc7_mbox_conf", "fc7_mbox_loc"}
    assert not set(model.weights_report.kept) & {"conv1_1", "fc6", "fc7"}


def keras_vgg16_arrays():
    """Arrays with the names and shapes of keras.applications.VGG16 with its top, without building it."""
    rng = np.random.default_rng(3)
    layers, channels = {}, 3
    for block, count, filters in ((1, 2, 64), (2, 2, 128), (3, 3, 256), (4, 3, 512), (5, 3, 512)):
        for index in range(1, count + 1):
            kernel = rng.standard_normal((3, 3, channels, filters), np.float32)
            layers[f"block{block}_conv{index}"] = {"kernel": kernel, "bias": np.zeros(filters, np.float32)}
            channels = filters
    for name, inputs, outputs in (("fc1", 25088, 4096), ("fc2", 4096, 4096), ("predictions", 4096, 10)):
        kernel = rng.standard_normal((inputs, outputs), np.float32)
        layers[name] = {"kernel": kernel, "bias": rng.standard_normal(outputs, np.float32)}
    return NamedArrays(layers, format="model")


def test_values_kerass_own_vgg16_is_thinned_out():
    full = keras_vgg16_arrays()
    assert is_keras_vgg16(full)
    reduced = reduce_vgg16(full)
    fc1, fc6 = full["fc1"]["kernel"], reduced["fc6"]["kernel"]
    assert fc6.shape == (3, 3, 512, 1024)
    for row, column, channel, output in ((0, 0, 0, 0), (1, 2, 5, 7), (2, 1, 511, 1023)):
        flat = (3 * row * 7 + 3 * column) * 512 + channel  # Flatten of (7, 7, 512)
        assert fc6[row, column, channel, output] == fc1[flat, 4 * output]
    assert reduced["fc7"]["kernel"][0, 0, 3, 9] == full["fc2"]["kernel"][12, 36]
    np.testing.assert_array_equal(reduced["fc7"]["bias"], full["fc2"]["bias"][::4])
    model = keras_ssd.ssd300(classes=["cat"])
    load_backbone_into(model, reduced)
    first = full["block1_conv1"]["kernel"]
    np.testing.assert_array_equal(value(model, "conv1_1"), first[:, :, ::-1])  # Keras's VGG16 takes BGR
    np.testing.assert_array_equal(value(model, "fc6"), fc6)


def test_values_layer_names_of_kerass_vgg16_are_as_expected():
    names = {layer.name for layer in keras.applications.VGG16(weights=None, include_top=False).layers}
    assert {name for name in keras_vgg16_arrays().layers if name.startswith("block")} <= names
