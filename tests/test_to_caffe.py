"""Models as Caffe nets: random ones there and back, detectors, and what OpenCV makes of them."""

import keras
import numpy as np
import pytest
from caffe_exports import close, images, in_opencv, run, write
from keras import ops
from random_models import random_model, randomize

import keras_ssd
from keras_ssd import layers
from keras_ssd.backbones.blocks import ConvRow, ConvStyle, apply_row, image_input, max_pool
from keras_ssd.caffe.files import read_caffemodel, read_prototxt

CLASSES = ["car", "truck", "light"]


def check_random(seed, folder):
    model = random_model(seed)
    x = images(model, seed)
    expected = run(model, x)
    options = {"channel_order": "rgb" if seed % 4 == 0 else "bgr", "mean_inside": seed % 3 == 0}
    report = write(model, folder, **options)
    back = keras_ssd.from_caffe(*report.files, outputs=list(report.outputs), channel_order=report.channel_order)
    found = run(back, x)
    assert found.shape == expected.shape
    close(found, expected, 2e-5)
    if any(isinstance(layer, layers.L2Normalization) and layer.across_spatial for layer in model.layers):
        return  # OpenCV reads no array without sides
    [found] = in_opencv(report, x, report.outputs)
    found = found.transpose(0, 2, 3, 1) if expected.ndim == 4 else found.reshape(expected.shape)
    close(found, expected, 5e-4 if _divides_by_deviations(model) else 1e-4)


def _divides_by_deviations(model):
    """Layers that enlarge rounding where a map is nearly flat."""
    return any(isinstance(layer, layers.MeanVarianceNormalization) for layer in model.layers)


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.parametrize("seed", range(40))
def test_roundtrip_random_models(seed, tmp_path):
    check_random(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.parametrize("hundred", [1, 2])
def test_roundtrip_many_random_models(hundred, tmp_path):
    for seed in range(100 * hundred, 100 * hundred + 100):
        check_random(seed, tmp_path)


# --- detectors


def ssd7():
    return randomize(keras_ssd.ssd7(classes=CLASSES, input_size=(150, 240)))


def narrow_ssd300():
    """SSD300's parts with few filters: Caffe's padding, dilation, ceil pooling, a normalised tap, an extra."""
    style = ConvStyle()
    inputs, x = image_input((75, 90), offset=[-123.0, -117.0, -104.0])
    for index, filters in enumerate((4, 6, 8)):
        x = apply_row(x, ConvRow(f"conv{index + 1}", filters, 3, pad=1), style)
        x = max_pool(x, f"pool{index + 1}")
    x = max_pool(x, "pool5", 3, 1, 1)
    x = apply_row(x, ConvRow("fc6", 12, 3, pad=6, dilation=6), style)
    body = keras.Model(inputs, apply_row(x, ConvRow("fc7", 8, 1), style))
    extra = keras_ssd.Extra((ConvRow("conv6_1", 4, 1), ConvRow("conv6_2", 8, 3, stride=2, pad=1)))
    rows = (
        keras_ssd.RecipeLevel((38, 45), 10, 20, (2,), 2),
        keras_ssd.RecipeLevel((10, 12), 20, 37, (2, 3), 8),
        keras_ssd.RecipeLevel((5, 6), 37, 54, (2,), None),
    )
    recipe = keras_ssd.AnchorRecipe((75, 90), rows, truncate_sizes=True)
    taps = [keras_ssd.Tap("pool1", l2_scale=20.0), "fc7"]
    return randomize(keras_ssd.ssd(body, taps, CLASSES, recipe, extras=[extra], name="narrow"))


def mobile():
    """Padding on one side before strides, depthwise convolutions, relu6, a first map without max size, a 1x1 map."""
    inputs, x = image_input((64, 64), 1 / 127.5, -1.0)
    for index, filters in enumerate((8, 12, 16, 16, 16, 16)):
        x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"pad{index}")(x)
        x = keras.layers.DepthwiseConv2D(3, strides=2, use_bias=False, name=f"dw{index}")(x)
        x = keras.layers.BatchNormalization(name=f"dw{index}_bn")(x)
        x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"pw{index}")(x)
        x = keras.layers.BatchNormalization(epsilon=1e-3, name=f"pw{index}_bn")(x)
        x = keras.layers.ReLU(6.0, name=f"relu{index}")(x)
    rows = (
        keras_ssd.RecipeLevel((8, 8), 12, None, (2,)),
        keras_ssd.RecipeLevel((2, 2), 21, 30, (2, 3)),
        keras_ssd.RecipeLevel((1, 1), 30, 60, (2, 3)),
    )
    taps = ["relu2", "relu4", "relu5"]
    return randomize(keras_ssd.ssd(keras.Model(inputs, x), taps, CLASSES, keras_ssd.AnchorRecipe((64, 64), rows)))


def by_anchor(predictions):
    """Rows in an order that only the anchors decide."""
    rows = predictions[0]
    return rows[np.lexsort(np.round(rows[:, -8:-4].astype(np.float64), 4).T)]


@pytest.mark.parametrize("build", [ssd7, narrow_ssd300, mobile])
def test_roundtrip_detectors(build, tmp_path):
    model = build()
    report = write(model, tmp_path)
    back = keras_ssd.from_caffe(*report.files, classes=CLASSES, truncate_sizes=False)
    x = images(model)
    expected, found = run(model, x), run(back, x)
    close(by_anchor(found), by_anchor(expected), 1e-5)
    assert report.class_names == tuple(CLASSES)
    assert back.anchor_spec.num_anchors == model.anchor_spec.num_anchors
    np.testing.assert_array_equal(  # the decoders' defaults are the original's, and they were written
        run(keras_ssd.with_decoder(back), x).shape, run(keras_ssd.with_decoder(model), x).shape
    )
    parts = keras_ssd.Predictions.split(found)
    loc, conf, priors = in_opencv(report, x, ["mbox_loc", "mbox_conf", "mbox_priorbox"])
    close(loc.reshape(-1, 4), parts.offsets[0], 1e-4)
    close(conf.reshape(parts.logits[0].shape), parts.logits[0], 1e-4)
    close(priors[0, 0].reshape(-1, 4), back.anchor_spec.anchors_xyxy(), 1e-6)


def test_roundtrip_detections_in_opencv(tmp_path):
    model = narrow_ssd300()
    for layer in model.layers:  # offsets and scores of a size that detections have, and no two scores alike
        if layer.name.endswith(("_mbox_loc", "_mbox_conf")):
            layer.kernel.assign(layer.kernel * 0.05)
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.35, iou_threshold=0.3, keep_top_k=20)
    x = images(model, 4)
    expected = run(detector, x)[0]
    [found] = in_opencv(write(detector, tmp_path), x, ["detection_out"])
    found = found[0, 0]
    found = found[np.argsort(-found[:, 2], kind="stable")]
    assert len(found) == (expected[:, 0] >= 0).sum() >= 10
    np.testing.assert_array_equal(found[:, 1] - 1, expected[: len(found), 0])
    np.testing.assert_allclose(found[:, 2:], expected[: len(found), 1:], atol=1e-4)


def test_values_weights_are_moved_and_not_computed(tmp_path):
    model = narrow_ssd300()
    report = write(model, tmp_path)
    blobs = {layer.name: layer.blobs for layer in read_caffemodel(report.caffemodel).layers}
    first, second, norm = (model.get_layer(name) for name in ("conv1", "conv2", "pool1_norm"))
    kernel = ops.convert_to_numpy(first.kernel)
    np.testing.assert_array_equal(blobs["conv1"][0], kernel[:, :, ::-1].transpose(3, 2, 0, 1))  # RGB to BGR
    np.testing.assert_array_equal(blobs["conv2"][0], ops.convert_to_numpy(second.kernel).transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(blobs["conv2"][1], ops.convert_to_numpy(second.bias))
    np.testing.assert_array_equal(blobs["pool1_norm"][0], ops.convert_to_numpy(norm.gamma))
    assert report.parameters == sum(np.prod(w.shape) for w in model.weights)
    back = keras_ssd.from_caffe(*report.files)
    for layer in model.layers:
        for weight in layer.weights:
            [same] = [w for w in back.get_layer(layer.name).weights if w.name == weight.name]
            np.testing.assert_array_equal(ops.convert_to_numpy(same), ops.convert_to_numpy(weight), weight.path)


def test_values_names_are_the_originals(tmp_path):
    report = write(narrow_ssd300(), tmp_path)
    kinds = {layer.name: layer.type for layer in read_prototxt(report.prototxt).layers}
    for name, kind in {
        "data": "Input",
        "pool1_norm": "Normalize",
        "pool1_norm_mbox_loc": "Convolution",
        "pool1_norm_mbox_loc_perm": "Permute",
        "fc7_mbox_conf_flat": "Flatten",
        "conv6_2_mbox_priorbox": "PriorBox",
        "mbox_loc": "Concat",
        "mbox_conf": "Concat",
        "mbox_priorbox": "Concat",
        "mbox_conf_reshape": "Reshape",
        "mbox_conf_softmax": "Softmax",
        "mbox_conf_flatten": "Flatten",
        "detection_out": "DetectionOutput",
    }.items():
        assert kinds[name] == kind
    assert not [name for name in kinds if "padding" in name]


@pytest.mark.slow
def test_roundtrip_ssd300(tmp_path):
    model = randomize(keras_ssd.ssd300(classes=[f"class {i}" for i in range(20)]))
    report = write(model, tmp_path)
    back = keras_ssd.from_caffe(*report.files)
    x = images(model)
    expected = run(model, x)
    np.testing.assert_array_equal(run(back, x), expected)
    parts = keras_ssd.Predictions.split(expected)
    loc, conf, priors = in_opencv(report, x, ["mbox_loc", "mbox_conf", "mbox_priorbox"])
    close(loc.reshape(-1, 4), parts.offsets[0], 1e-4)
    close(conf.reshape(parts.logits[0].shape), parts.logits[0], 1e-4)
    close(priors[0, 0].reshape(-1, 4), model.anchor_spec.anchors_xyxy(), 1e-6)
    assert report.notes == ()
