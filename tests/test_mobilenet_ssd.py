"""MobileNet-SSD: the same net as its prototxt makes, ported by name, sub-sampled, and at other sizes."""

import keras
import numpy as np
import pytest
from model_outputs import values

import keras_ssd
from keras_ssd.anchors import named_spec
from keras_ssd.box_coder import Predictions
from keras_ssd.caffe.files import CaffeNet, read_prototxt, write_caffemodel
from keras_ssd.zoo.port import PortError, arrays_of, port

VOC = keras_ssd.zoo.labels("voc")
MERGED, TRAINED = "MobileNetSSD_deploy.prototxt", "deploy.prototxt"


def with_noise(model):
    """Weights of every kind that are neither zero nor one, the same in every process, with outputs of order one."""
    rng = np.random.default_rng(5)
    for variable in sorted(model.weights, key=lambda v: v.path):
        if variable.name in ("kernel",):
            fan_in = np.prod(variable.shape[:2]) * (1 if variable.shape[-1] == 1 else variable.shape[2])
            variable.assign(rng.normal(0, np.sqrt(2 / fan_in), variable.shape))
        elif variable.name in ("moving_variance", "gamma"):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
        else:
            variable.assign(rng.normal(0, 0.1, variable.shape))


def images(size=(300, 300)):
    return np.random.default_rng(2).uniform(0, 255, (1, *size, 3)).astype(np.float32)


@pytest.mark.numerical
@pytest.mark.parametrize(("prototxt", "batch_norm"), [(MERGED, False), (TRAINED, True)])
def test_reference_is_the_net_of_the_prototxt(prototxt, batch_norm, shared, record_property):
    path = shared("weights", "mobilenet_ssd_voc", prototxt)
    theirs = keras_ssd.from_caffe(path, classes=VOC, mean=127.5, scale=0.007843)
    with_noise(theirs)
    ours = keras_ssd.mobilenet_ssd(classes=VOC, batch_norm=batch_norm)
    port(ours, arrays_of(theirs))  # strict: every array has its place, by name and shape
    # from_caffe turns colours in the input, where no file has told the first kernel's order; ours takes RGB.
    expected = Predictions.split(values(theirs(images()))[0])
    found = Predictions.split(values(ours(images()))[0])
    for part in ("logits", "offsets"):
        assert abs(getattr(expected, part)).max() > 1  # the comparison is not one of zeros
        difference = abs(getattr(found, part) - getattr(expected, part)).max()
        record_property(part, float(difference))
        assert difference < 1e-5, part
    assert ours.anchor_spec == theirs.anchor_spec
    assert ours.count_params() == theirs.count_params() == (5_821_433 if batch_norm else 5_783_417)


def test_values_anchors_are_the_originals():
    spec = keras_ssd.mobilenet_ssd(classes=["cat"]).anchor_spec
    assert spec == named_spec("mobilenet_ssd")
    assert spec.num_anchors == 1917
    assert spec.boxes_per_cell == (3, 6, 6, 6, 6, 6)
    assert spec.grids == ((19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))


def test_values_pads_as_caffe_does():
    """A stride-2 window begins one pixel before the image; Keras's "same" begins on it where the side is even."""
    model = keras_ssd.mobilenet_ssd(classes=["cat"], input_size=(32, 48), batch_norm=False)
    layer = model.get_layer("conv0")
    layer.kernel.assign(np.ones(layer.kernel.shape))
    layer.bias.assign(np.zeros(layer.bias.shape))
    image = np.full((1, 32, 48, 3), 127.5, np.float32)
    image[0, 1, 1] = 255.0
    x = values(keras.Model(model.input, layer.output)(image))[0, :, :, 0]
    hit = 3 * 127.5 * 0.007843
    np.testing.assert_allclose(x[:2, :2], hit, rtol=1e-4)
    np.testing.assert_allclose(np.delete(x, (0, 1), 0), 0, atol=1e-4)


def caffemodel(path, prototxt, shared, edit=None):
    """A caffemodel with the layers of a prototxt and arrays of noise; returns {layer: blobs} of it."""
    from dataclasses import replace

    net = read_prototxt(shared("weights", "mobilenet_ssd_voc", prototxt))
    rng, channels, layers, blobs = np.random.default_rng(3), {}, [], {}
    for layer in net.layers:
        width = channels.get(layer.bottoms[0], 0) if layer.bottoms else 3
        made = ()
        if layer.type == "Convolution":
            s = layer.settings("convolution_param")
            out, group, size = s["num_output"], s["group"], s["kernel_size"][0]
            made = (rng.normal(0, 0.1, (out, width // group, size, size)),)
            made += (rng.normal(0, 0.1, out),) if s["bias_term"] else ()
            width = out
        elif layer.type == "BatchNorm":
            made = rng.normal(0, 1, width), rng.uniform(1, 3, width), np.asarray([2.0])
        elif layer.type == "Scale":
            made = rng.uniform(0.5, 1.5, width), rng.normal(0, 1, width)
        made = tuple(np.asarray(array, np.float32) for array in made)
        if edit is None or edit(layer.name):
            layers.append(replace(layer, blobs=made))
            blobs[layer.name] = made
        channels.update(dict.fromkeys(layer.tops, width))
    write_caffemodel(CaffeNet("MobileNet-SSD", tuple(layers)), path)
    return blobs


@pytest.mark.numerical
@pytest.mark.parametrize(("prototxt", "batch_norm"), [(MERGED, False), (TRAINED, True)])
def test_reference_a_caffemodel_loads_by_itself(prototxt, batch_norm, shared, tmp_path):
    path = tmp_path / "net.caffemodel"
    blobs = caffemodel(path, prototxt, shared)
    model = keras_ssd.mobilenet_ssd(weights=path)
    assert model.class_names == VOC
    assert any(layer.name == "conv0--bn" for layer in model.layers) == batch_norm
    assert model.weights_report.channels_reversed == "conv0"
    kernel = values(model.get_layer("conv0").kernel)
    np.testing.assert_array_equal(kernel[1, 2, 0], blobs["conv0"][0][:, 2, 1, 2])  # red is Caffe's third channel
    kernel = values(model.get_layer("conv5--dw").kernel)
    np.testing.assert_array_equal(kernel[0, 2, :, 0], blobs["conv5/dw"][0][:, 0, 0, 2])
    if batch_norm:
        norm = model.get_layer("conv5--bn")
        np.testing.assert_allclose(values(norm.moving_mean), blobs["conv5/bn"][0] / 2, rtol=1e-6)
        np.testing.assert_array_equal(values(norm.beta), blobs["conv5/scale"][1])
    theirs = keras_ssd.from_caffe(
        shared("weights", "mobilenet_ssd_voc", prototxt), path, mean=127.5, scale=0.007843, classes=VOC
    )
    expected, found = values(theirs(images())), values(model(images()))
    assert abs(found - expected).max() < 1e-5 * max(1, abs(expected).max())
    again = keras_ssd.open_model(path)
    np.testing.assert_array_equal(values(again(images())), found)


def test_values_sub_sampling_by_name(shared, tmp_path):
    path = tmp_path / "net.caffemodel"
    caffemodel(path, MERGED, shared)
    whole, mine = keras_ssd.mobilenet_ssd(weights=path), keras_ssd.mobilenet_ssd(path, ["dog", "helmet", "airplane"])
    before, after = (Predictions.split(values(m(images()))) for m in (whole, mine))
    kept = [0, 1 + VOC.index("dog"), 1 + VOC.index("aeroplane")]
    np.testing.assert_allclose(after.logits[..., [0, 1, 3]], before.logits[..., kept], rtol=1e-4, atol=1e-4)
    assert mine.weights_report.classes.initialised == ("helmet",)


def test_roundtrip_file(tmp_path):
    model = keras_ssd.mobilenet_ssd(classes=["cat"], input_size=(120, 161))
    model.save(tmp_path / "m.keras")
    again = keras_ssd.load(tmp_path / "m.keras")
    x = images((120, 161))
    np.testing.assert_array_equal(values(again(x)), values(model(x)))
    assert again.anchor_spec == model.anchor_spec
    other = keras_ssd.mobilenet_ssd(weights=tmp_path / "m.keras")  # the file tells its size, anchors and classes
    assert (other.input_size, other.class_names) == ((120, 161), ("cat",))
    np.testing.assert_array_equal(values(other(x)), values(model(x)))


def test_rejects_what_is_no_mobilenet_ssd(shared, tmp_path):
    with pytest.raises(ValueError, match=r"mobilenet_ssd\(\) needs `classes="):
        keras_ssd.mobilenet_ssd()
    keras_ssd.ssd7(classes=["cat"], input_size=(64, 64)).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="holds ssd7, not mobilenet_ssd"):
        keras_ssd.mobilenet_ssd(weights=tmp_path / "other.keras")
    caffemodel(tmp_path / "half.caffemodel", TRAINED, shared, edit=lambda name: name != "conv3/scale")
    with pytest.raises(PortError, match="BatchNorm and the Scale after it.*conv3/bn"):
        keras_ssd.mobilenet_ssd(weights=tmp_path / "half.caffemodel")
    caffemodel(tmp_path / "cut.caffemodel", MERGED, shared, edit=lambda name: name != "conv4")
    with pytest.raises(PortError, match="not in the file: conv4/kernel"):
        keras_ssd.mobilenet_ssd(weights=tmp_path / "cut.caffemodel")
