"""What `from_caffe` refuses, with one clear error; what it reports; and layers that users add."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest
from caffe_nets import net_of, random_weights, written
from test_caffe_heads import BODY, small_net

import keras_ssd
from keras_ssd.caffe.files import CaffeFileError, format_prototxt
from keras_ssd.caffe.importer import Blob, Stored
from keras_ssd.caffe.importer.names import caffe_name, legal_name
from keras_ssd.formats import WeightFileError
from keras_ssd.zoo.port import PortError

IMAGES = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)
STRANGE = """
layer { name: "x" type: "Swell" bottom: "b" top: "x" swell_param { by: 3 } }
layer { name: "y" type: "Twist" bottom: "x" top: "y" }
layer { name: "z" type: "Swell" bottom: "y" top: "z" swell_param { by: 2 } }
"""


def run(model, images=IMAGES):
    return keras.ops.convert_to_numpy(model(np.asarray(images, np.float32)))


def changed(net, name, **change):
    layers = tuple(replace(layer, **change) if layer.name == name else layer for layer in net.layers)
    return replace(net, layers=layers)


@pytest.fixture(scope="module")
def net():
    return random_weights(small_net())


def test_rejects_all_unsupported_layers_at_once():
    strange = net_of(BODY.format(channels=3) + STRANGE)
    with pytest.raises(ValueError, match=r"2 types.*Swell \(x, z\); Twist \(y\).*layers=\{'Swell': function\}"):
        keras_ssd.from_caffe(strange, outputs=["z"])


def test_values_users_add_layers():
    """A builder gets the settings of its own message, places weights, and may give a plain layer."""

    def swell(step, x):
        layer = keras.layers.Rescaling(step.settings("swell_param")["by"], name=step.label())
        return x.like(step.apply(layer, x.maps()))

    def twist(step, x):
        layer = keras.layers.Conv2D(x.shape[1], 1, use_bias=False, name=step.label())
        kernel = Stored(0, (8, 8), lambda a: a.T[None, None])
        return Blob.of_maps(step.apply(layer, x.maps(), weights={"kernel": kernel}))

    builders = {"Swell": swell, "Twist": twist}
    strange = net_of(BODY.format(channels=3) + STRANGE)
    strange = random_weights(strange, layers=builders, outputs=["z"])
    model = keras_ssd.from_caffe(strange, strange, mean=0, outputs=["b", "z"], layers=builders)
    before, after = (keras.ops.convert_to_numpy(x) for x in model(IMAGES))
    [twisting] = [layer.blobs[0] for layer in strange.layers if layer.name == "y"]
    np.testing.assert_allclose(after, 6 * before @ twisting.T, rtol=1e-4, atol=1e-2)


def test_rejects_a_net_that_is_no_detector():
    body = net_of(BODY.format(channels=3))
    with pytest.raises(ValueError, match=r"neither a DetectionOutput.*last blobs are b\..*`outputs`"):
        keras_ssd.from_caffe(body)
    assert keras_ssd.from_caffe(body, mean=0, outputs=["b"]).output_shape == (None, 6, 8, 8)
    with pytest.raises(ValueError, match=r"no layer makes the blobs \['nope'\].*data, a, b"):
        keras_ssd.from_caffe(body, outputs=["nope"])


def test_rejects_missing_and_misshaped_blobs_in_one_error(net):
    short = changed(net, "a_loc", blobs=net.layers[4].blobs[:1])
    short = changed(short, "b_conf", blobs=(np.zeros((5, 5), np.float32),))
    with pytest.raises(PortError) as caught:
        keras_ssd.from_caffe(net, short)
    assert caught.value.missing == ("a_loc/1", "b_conf/1")
    assert caught.value.misshaped == (("b_conf/0", (5, 5), (12, 8, 3, 3)),)
    assert "nothing was loaded" in str(caught.value)


def test_rejects_weights_of_another_net(net):
    other = replace(net, layers=tuple(replace(layer, name=f"other/{layer.name}") for layer in net.layers))
    with pytest.raises(PortError, match="it is of another net"):
        keras_ssd.from_caffe(net, other)


def test_rejects_weights_of_a_part_of_the_net(net):
    """A backbone's file is of this net; what it lacks are the heads."""
    backbone = replace(net, layers=tuple(layer for layer in net.layers if layer.name in ("a", "b")))
    with pytest.raises(PortError) as caught:
        keras_ssd.from_caffe(net, backbone)
    assert "holds a part of the net: 2 of its 6 layers with weights, such as a, b." in str(caught.value)
    assert "another net" not in str(caught.value)
    assert len(caught.value.missing) == 8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_rejects_values_that_are_no_numbers(net, value):
    blobs = [blob.copy() for blob in net.layers[1].blobs]
    blobs[1][2] = value
    with pytest.raises(WeightFileError, match=r"blob 1 of layer 'a' holds values that are not finite"):
        keras_ssd.from_caffe(net, changed(net, "a", blobs=tuple(blobs)))


def test_rejects_the_two_files_the_other_way_round(net, tmp_path):
    prototxt, caffemodel = written(net, tmp_path)
    with pytest.raises(CaffeFileError, match="other way round"):
        keras_ssd.from_caffe(caffemodel, prototxt)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_output: 6", "num_output: 4000000000", r"Layer 'a'.*is larger than a net may hold"),
        ("kernel_size: 3", "kernel_size: 99", r"Layer 'a'.*too small for the kernel \(99, 99\)"),
        ("num_output: 6", "", r"Layer 'a'.*num_output=0"),
        ("stride: 2", "stride: 0", r"Layer 'a'.*stride=\(0, 0\)"),
        ("input_dim: 24", "input_dim: 0", r"Layer 'data'.*input_size=\(height, width\)"),
        ('bottom: "a" top: "b"', 'bottom: "q" top: "b"', r"no layer makes the blobs \['q'\]"),
        ("input_dim: 3 ", "input_dim: 4 ", r"1 or 3, height, width.*\('data', \(4, 24, 32\)\)"),
    ],
)
def test_rejects_settings_that_make_no_net(old, new, message):
    text = BODY.format(channels=3)
    assert old in text
    with pytest.raises(ValueError, match=message):
        keras_ssd.from_caffe(net_of(text.replace(old, new, 1)), outputs=["b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": (1, 2)}, "one for each of the net's 3 channels"),
        ({"mean": "a"}, "`mean` must be one number"),
        ({"scale": 0}, "`scale` must not be zero"),
        ({"scale": float("nan")}, "`scale` must be one number"),
        ({"channel_order": "gbr"}, "must be 'bgr' or 'rgb'"),
        ({"input_size": 300}, "input_size"),
    ],
)
def test_rejects_arguments(net, options, message):
    with pytest.raises(ValueError, match=message):
        keras_ssd.from_caffe(net, **options)


def test_values_other_input_sizes(net):
    model = keras_ssd.from_caffe(net, net, mean=0, input_size=(40, 48))
    assert model.anchor_spec.grids == ((20, 24), (10, 12))
    assert model.anchor_spec.image_size == (40, 48)


def test_values_mean_and_scale_that_the_weights_know(net, tmp_path):
    """A solver's snapshot holds the train net, whose data layer states what the deploy net has lost."""
    data = net_of(
        'layer { name: "train" type: "AnnotatedData" top: "data" top: "label" transform_param { scale: 0.5 '
        "mean_value: 10 mean_value: 20 mean_value: 30 } }"
    ).layers[0]
    prototxt, caffemodel = written(replace(net, layers=(data, *net.layers[1:])), tmp_path)
    model = keras_ssd.from_caffe(net, caffemodel)
    assert list(model.get_layer("preprocessing").offset) == [-15, -10, -5]
    assert "layer 'train' of net.caffemodel" in model.weights_report.summary
    model = keras_ssd.from_caffe(prototxt, caffemodel, input_size=(24, 32), scale=1)
    assert list(model.get_layer("preprocessing").offset) == [-30, -20, -10]


def test_values_without_mean_and_scale_a_warning(net, caplog):
    keras_ssd.from_caffe(net, net)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("keras_ssd", "WARNING")
    assert "does not state a mean or scale" in caplog.text
    for value in ("104, 117, 123", "127.5", "1/127.5", "1/255"):
        assert value in record.message
    caplog.clear()
    for options in ({"mean": 0}, {"scale": 1 / 255}):
        keras_ssd.from_caffe(net, net, **options)
    assert not caplog.text


def test_values_no_warning_where_a_training_read_images_as_they_are(net, tmp_path, caplog):
    caplog.set_level("INFO", "keras_ssd")
    data = net_of('layer { name: "train" type: "AnnotatedData" top: "data" top: "label" }').layers[0]
    _, caffemodel = written(replace(net, layers=(data, *net.layers[1:])), tmp_path)
    model = keras_ssd.from_caffe(net, caffemodel)
    assert not caplog.text
    assert "from layer 'train' of net.caffemodel, which used images unchanged" in model.weights_report.summary
    assert "Give mean and scale" not in model.weights_report.summary


def test_values_only_a_note_where_the_net_normalises_images_itself(caplog):
    caplog.set_level("INFO", "keras_ssd")
    text = format_prototxt(small_net())
    first = 'layer { name: "n" type: "BatchNorm" bottom: "data" top: "n" } layer {\n  name: "a"\n'
    old = 'layer {\n  name: "a"\n  type: "Convolution"\n  bottom: "data"'
    assert text.count(old) == 1
    text = text.replace(old, first + '  type: "Convolution"\n  bottom: "n"')
    keras_ssd.from_caffe(net_of(text))
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "1/255" in caplog.text


def test_values_report_names_every_layer_and_what_is_unused(net):
    spare = replace(net.layers[1], name="spare")
    model = keras_ssd.from_caffe(net, replace(net, layers=(*net.layers, spare)), mean=0)
    report = model.weights_report
    assert [row.layer for row in report.rows] == [layer.name for layer in net.layers[:-1]]
    assert report.unused == (("spare/0", (6, 3, 3, 3)), ("spare/1", (6,)))
    assert report.parameters == model.count_params() == sum(row.parameters for row in report.rows)
    notes = {row.layer: row.note for row in report.rows}
    assert notes["data"] == "the image"
    assert notes["a"] == "channels reversed from BGR to RGB"
    assert notes["a_loc_perm"] == "no operation"
    assert notes["loc"] == "done by 'predictions'"
    assert notes["soft"] == "done by the decoder"
    assert notes["a_priors"] == "576 anchors"
    assert "spare/0 6x3x3x3" in str(report)


def test_values_folded_layers_are_reported():
    text = BODY.format(channels=3) + (
        'layer { name: "b/bn" type: "BatchNorm" bottom: "b" top: "b" }'
        'layer { name: "b/scale" type: "Scale" bottom: "b" top: "b" scale_param { bias_term: true } }'
    )
    end = small_net().layers[4:]
    net = net_of(text)
    net = random_weights(replace(net, layers=(*net.layers, *end)))
    model = keras_ssd.from_caffe(net, net, mean=0, fold=True)
    notes = {row.layer: row.note for row in model.weights_report.rows}
    assert notes["b/bn"] == "folded into 'b'"
    assert notes["b/scale"] == "in 'b/bn'"
    np.testing.assert_allclose(run(model), run(keras_ssd.from_caffe(net, net, mean=0)), rtol=0, atol=1e-3)


NAMES = [
    "conv2_1/dw",
    "a.b",
    "_x",
    "-y",
    "a/_41_",
    "ä b%",
    "relu/6/",
    "-_2E_",
    "2/2",
    "/a",
    "a-b",
    "a--b",
    "a-/b",
    "at-x",
    "at/x",
]


@pytest.mark.numerical
@pytest.mark.parametrize("name", NAMES)
def test_roundtrip_layer_names(name):
    """On every backend a layer with weights may have the name."""
    legal = legal_name(name)
    assert caffe_name(legal) == name
    keras.layers.BatchNormalization(name=legal)(keras.Input((2,)))
    assert legal_name("conv2_1/dw") == "conv2_1--dw"


def test_roundtrip_any_layer_name():
    rng = np.random.default_rng(0)
    for _ in range(5000):
        name = "".join(rng.choice(list("a1_-/.A2F x"), rng.integers(1, 9)))
        assert caffe_name(legal_name(name)) == name
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", legal_name(name))
