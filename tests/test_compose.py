"""`ssd()` on models and names: the two examples of its documentation, what is derived, what is copied, and errors."""

import logging

import keras
import numpy as np
import pytest
from keras import layers, ops
from model_outputs import values

import keras_ssd
from keras_ssd.anchors import RecipeLevel, named_spec
from keras_ssd.backbones import ConvRow
from keras_ssd.backbones.rebuilding import rebuilt
from keras_ssd.models.heads import SharedHead


def image(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, *size, 3)).astype(np.float32)


def body(size=(64, 96), **options):
    """A network with two blocks, whose stride is 16."""
    inputs = keras.Input((*size, 3), **options)
    x = inputs
    for name, strides in (("stem", 4), ("fine", 2), ("coarse", 2)):
        x = layers.Conv2D(8, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=name)(x)
    return keras.Model(inputs, x, name="body")


@pytest.fixture(scope="module")
def resnet():
    """The ResNet50 SSD as its documentation makes it, and the backbone that it was made of."""
    keras.utils.set_random_seed(0)
    backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(300, 300, 3))
    taps = ["conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]
    return keras_ssd.ssd(backbone, taps=taps, classes=["cat", "dog"]), backbone


def test_values_the_resnet50_ssd(resnet):
    net, _ = resnet
    spec = net.anchor_spec
    assert spec.grids == tuple((side, side) for side in (38, 19, 10, 5, 3, 1))
    assert spec.boxes_per_cell == (4, 6, 6, 6, 4, 4)
    assert spec.num_anchors == 8732
    assert spec == named_spec("ssd300_voc")
    assert net.output.shape == (None, 8732, 3 + 12)
    extras = [(f"extra{i}_{j}", net.get_layer(f"extra{i}_{j}")) for i in (1, 2, 3) for j in (1, 2)]
    assert {name: (layer.filters, layer.kernel_size[0], layer.strides[0]) for name, layer in extras} == {
        "extra1_1": (256, 1, 1),
        "extra1_2": (256, 3, 2),
        "extra2_1": (128, 1, 1),
        "extra2_2": (256, 3, 1),
        "extra3_1": (128, 1, 1),
        "extra3_2": (256, 3, 1),
    }
    assert net.levels == spec.levels
    assert net.levels.spec == spec
    assert net.sources[:3] == ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out")


def test_reference_the_backbone_computes_what_it_did(resnet):
    net, backbone = resnet
    x = image((300, 300))
    prepared = keras.applications.resnet.preprocess_input(np.array(x))
    expected = values(backbone(prepared))
    found = values(keras.Model(net.input, net.get_layer("conv5_block3_out").output)(x))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * abs(expected).max())


def test_values_the_copy_shares_nothing(resnet):
    net, backbone = resnet
    own, theirs = (model.get_layer("conv1_conv") for model in (net, backbone))
    assert own is not theirs
    np.testing.assert_array_equal(values(own.kernel), values(theirs.kernel))
    before = values(theirs.bias).copy()
    own.bias.assign(before + 1)
    np.testing.assert_array_equal(values(theirs.bias), before)
    own.bias.assign(before)
    assert len(theirs._inbound_nodes) == 1  # the backbone can be used again


def test_values_mobilenet_v2_by_name():
    net = keras_ssd.ssd("mobilenet_v2", classes=["cat"], input_size=(320, 320), width=0.5, head="separable")
    assert net.input_size == (320, 320)
    assert [h for h, _ in net.anchor_spec.grids] == [20, 10, 5, 3, 1]
    assert net.get_layer("Conv1").filters == 16
    assert net.get_layer("block_13_expand_relu_mbox_conf").kernel_size == (1, 1)
    assert net.count_params() < 1_100_000
    with pytest.raises(ValueError, match="`width` and `weights` are for backbones by name"):
        keras_ssd.ssd(body(), classes=["cat"], width=0.5)


def test_values_what_needs_nothing_is_taken_as_it_is():
    network = body()
    net = keras_ssd.ssd(network, ["fine", "coarse"], ["cat"])
    assert net.get_layer("fine") is network.get_layer("fine")
    assert [layer.name for layer in net.layers[:3]] == [network.layers[0].name, "stem_conv", "stem_bn"]


def test_values_taps_that_nobody_names_are_told(caplog):
    with caplog.at_level(logging.INFO, logger="keras_ssd"):
        net = keras_ssd.ssd(body(), classes=["cat"])
    assert net.sources == ("fine", "coarse", "extra1_2", "extra2_2", "extra3_2")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "Taps of body: fine (8x12, 8 channels, stride 8), coarse (4x6, 8 channels, stride 16). Preprocessing: none."
    )
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="keras_ssd"):
        keras_ssd.ssd("mobilenet", classes=["cat"], input_size=(64, 64), width=0.25)
    assert [record.levelno for record in caplog.records] == [logging.INFO]  # a name has taps that are known
    assert "Preprocessing: tf." in caplog.text


def test_values_composition_of_a_loaded_model(tmp_path):
    net = keras_ssd.ssd(body(), ["fine", keras_ssd.Tap("coarse", batch_norm=True)], ["cat"], extras=1)
    net.save(tmp_path / "net.keras")
    again = keras_ssd.load(tmp_path / "net.keras")
    assert again.sources == ("fine", "coarse_norm", "extra1_2")
    lines = str(again.composition).splitlines()
    assert lines[1].split()[:5] == ["fine", "8x12", "8", "8", "11x11"]
    assert lines[3].split()[:2] == ["extra1_2", "2x3"]
    assert lines[-1] == f"{again.anchor_spec.num_anchors:,} anchors; layers that prepare the images: none"
    for other in (keras_ssd.with_decoder(net), keras_ssd.with_classes(net, ["dog", "cat"])):
        assert other.sources == net.sources
    assert keras.models.clone_model(net).sources == net.sources
    assert str(keras.models.clone_model(net).composition).splitlines()[1].split()[:2] == ["fine", "8x12"]


def test_values_other_sizes_of_a_given_model():
    """A model of one size, or of none, at another: the same weights, the grids of the new size."""
    keras.utils.set_random_seed(0)
    for network in (body(), body((None, None))):
        net = keras_ssd.ssd(network, ["fine", "coarse"], ["cat"], input_size=(70, 131))
        assert net.input_size == (70, 131)
        assert net.anchor_spec.grids[:2] == ((9, 17), (5, 9))
        kernel = network.get_layer("fine_conv").kernel
        np.testing.assert_array_equal(values(net.get_layer("fine_conv").kernel), values(kernel))
        assert net.get_layer("fine_conv") is not network.get_layer("fine_conv")


def test_values_extras_as_the_anchors_want_them():
    level = keras_ssd.AnchorLevel.prior_box
    size = (64, 96)
    grids = ((8, 12), (4, 6), (2, 3))
    spec = keras_ssd.AnchorSpec(size, tuple(level(size, grid, (10 * 2**i,)) for i, grid in enumerate(grids)))
    net = keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], spec)
    assert net.anchor_spec == spec
    recipe = keras_ssd.AnchorRecipe((64, 96), (RecipeLevel((8, 12), 8), RecipeLevel((4, 6), 30)))
    assert keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], recipe).sources == ("fine", "coarse")
    with pytest.raises(ValueError, match="The anchors have 2 levels; the network has 3 feature maps"):
        keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], recipe, extras=1)


def test_values_shared_heads_get_even_anchors():
    net = keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], head=SharedHead(depth=1, filters=8))
    assert set(net.anchor_spec.boxes_per_cell) == {6}
    assert net.get_layer("extra1_2").filters == 8  # so that no map has to be brought to the tower's width
    assert not [layer.name for layer in net.layers if layer.name.endswith("_head_in")]


def nested():
    """Layers in a model in a model, one of them called twice, and operations that are no layers."""
    twice = layers.Conv2D(4, 1, name="twice")
    inner = keras.Sequential([keras.Input((32, 32, 4)), layers.Conv2D(4, 3, strides=2, padding="same")], name="inner")
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    x = inner(twice(ops.relu(twice(x)) * 2.0 + 1.0))
    return keras.Model(inputs, layers.Activation("tanh")(x), name="nested")


@pytest.mark.numerical
def test_reference_a_rebuilt_model_computes_the_same():
    keras.utils.set_random_seed(1)
    model = nested()
    x = image((32, 32))
    copy = rebuilt(model, keras.Input((32, 32, 3)), renumber=True)
    np.testing.assert_allclose(values(copy(x)), values(model(x)), rtol=1e-5, atol=1e-6)
    names = [layer.name for layer in copy.layers]
    assert "inner" not in names  # taken apart
    assert names.count("twice") == 1
    again = rebuilt(nested(), keras.Input((32, 32, 3)), renumber=True)
    assert [layer.name for layer in again.layers[1:]] == names[1:]
    assert not any(v is w for v in copy.weights for w in model.weights)


def two_inputs():
    pair = [keras.Input((32, 32, 3), name="left"), keras.Input((32, 32, 3), name="right")]
    x = layers.Conv2D(4, 3, strides=8, padding="same", name="both")(layers.Add()(pair))
    return keras.Model(pair, x, name="pair")


def channels_first():
    inputs = keras.Input((3, 32, 32))
    x = layers.Conv2D(4, 3, strides=8, padding="same", data_format="channels_first", name="first")(inputs)
    return keras.Model(inputs, x, name="turned")


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (two_inputs, {}, r"must have one input.*Received: inputs.*Possible taps: both \(4x4, 4 channels, stride 8\)"),
        (channels_first, {}, "'turned' has its channels first. Build it with data_format='channels_last'"),
        (lambda: body((None, None)), {}, "fixed size.*`input_size=.height, width.`"),
        (body, {"taps": ["fine", "coarze"]}, "Did you mean 'coarse'.*Possible taps: stem.*coarse .4x6, 8 channels"),
        (body, {"taps": ["coarse", "fine"]}, "from the finest.*Received: coarse .4x6.*then fine .8x12.*Possible taps"),
        (body, {"taps": []}, "`taps` must name at least one layer.*Possible taps: stem"),
        (body, {"taps": ["fine", "coarse"], "extras": 4}, "After 3 extra feature maps the grid is 1x1"),
        (body, {"anchors": named_spec("ssd300_voc"), "extras": 0}, "The anchors are made for.*Possible taps: stem"),
    ],
)
def test_rejects_backbones_and_taps(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_ssd.ssd(make(), **{"classes": ["cat"], **arguments})


def test_rejects_a_tap_that_is_no_map():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(4, 3, strides=8, padding="same", name="map")(inputs)
    flat = keras.Model(inputs, layers.GlobalAveragePooling2D(name="pooled")(x))
    with pytest.raises(ValueError, match=r"Layer 'pooled'.*cannot be tapped.*Possible taps: map \(4x4"):
        keras_ssd.ssd(flat, ["pooled"], ["cat"])


@pytest.mark.parametrize("backbone", [None, 3, layers.ReLU(), keras.Sequential()])
def test_rejects_what_is_no_functional_model(backbone):
    with pytest.raises(TypeError, match=r"`backbone` must be a functional keras.Model.*such as 'mobilenet_v2'"):
        keras_ssd.ssd(backbone, classes=["cat"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"extras": [ConvRow("x", 8, 3)]}, TypeError, "`extras` must be `Extra`s"),
        ({"extras": -1}, TypeError, "whole number from 0 on.*extras=-1"),
        ({"extras": True}, TypeError, "extras=True"),
        ({"fpn": -3}, ValueError, "`fpn` must be True, False, or a number of channels. Received: fpn=-3"),
        ({"fpn": "yes"}, ValueError, "fpn='yes'"),
        ({"anchors": 3, "extras": 0}, TypeError, "`anchors` must be an AnchorSpec or an AnchorRecipe"),
    ],
)
def test_rejects_extras_pyramids_and_anchors(arguments, error, message):
    with pytest.raises(error, match=message):
        keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], **arguments)


def test_rejects_missing_classes():
    with pytest.raises(ValueError, match="`classes` needs at least one name"):
        keras_ssd.ssd(body(), ["fine", "coarse"])


@pytest.mark.parametrize("mean_inside", [True, False])
@pytest.mark.parametrize("mode", ["caffe", "torch", "tf", "unit"])
def test_roundtrip_exported_preprocessing(mode, mean_inside, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(0)
    net = keras_ssd.ssd(body(), ["fine", "coarse"], ["cat"], preprocessing=mode)
    check = keras_ssd.to_onnx(net, tmp_path / "net.onnx")
    assert max(check.boxes, check.scores) < 1e-3
    files = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    report = keras_ssd.to_caffe(net, *files, mean_inside=mean_inside)
    again = keras_ssd.from_caffe(*files, truncate_sizes=False, mean=report.mean, scale=report.scale)
    expected = values(net(image(net.input_size)))
    found = values(again(image(net.input_size)))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * abs(expected[..., :6]).max())


def test_roundtrip_exported_pyramid(tmp_path):
    """A pyramid, separable heads and the family's preprocessing reach ONNX and Caffe."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    keras.utils.set_random_seed(0)
    net = keras_ssd.ssd("mobilenet", classes=["cat"], input_size=(97, 130), width=0.25, head="separable", fpn=16)
    check = keras_ssd.to_onnx(net, tmp_path / "net.onnx")
    assert max(check.boxes, check.scores) < 1e-3
    keras_ssd.to_caffe(net, tmp_path / "net.prototxt", tmp_path / "net.caffemodel", mean_inside=True)
    again = keras_ssd.from_caffe(tmp_path / "net.prototxt", tmp_path / "net.caffemodel", truncate_sizes=False)
    x = image(net.input_size)
    expected = values(net(x))
    np.testing.assert_allclose(values(again(x)), expected, rtol=1e-3, atol=1e-3 * abs(expected[..., :6]).max())
