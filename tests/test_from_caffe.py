"""`from_caffe` on real nets: equal to Caffe's own outputs, and to OpenCV's reader of Caffe nets."""

import keras
import numpy as np
import pytest
from caffe_nets import net_of, opencv_outputs, random_weights, reference_weights, written
from model_outputs import run
from reference_weights import assign_reference_weights, reference_image

import keras_ssd
from keras_ssd.box_coder import Predictions

PLATE_MEAN, PLATE_SCALE = (123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)
VGG_MEAN = (104, 117, 123)


@pytest.fixture(scope="module")
def plate():
    from conftest import shared_path

    prototxt = shared_path("weights", "plate_ssd512", "mininet_ssd_v1.prototxt")
    caffemodel = shared_path("weights", "plate_ssd512", "mininet_ssd_v1.caffemodel")

    def build(**options):
        preprocessing = {"mean": PLATE_MEAN, "scale": PLATE_SCALE, "channel_order": "rgb"}
        return keras_ssd.from_caffe(prototxt, caffemodel, classes=["plate"], **preprocessing, **options)

    return build, prototxt, caffemodel


def raw(model, images):
    """mbox_loc and mbox_conf as Caffe has them: (B, N * 4) and (B, N * classes)."""
    parts = Predictions.split(run(model, images))
    return parts.offsets.reshape(len(images), -1), parts.logits.reshape(len(images), -1)


@pytest.mark.numerical
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("image", ["pic1", "pic2"])
def test_reference_plate_detector_equals_caffe(plate, oracle, image, fold):
    data = oracle("caffe", "mininet_plate.npz")
    model = plate[0](fold=fold)
    images = data[f"{image}_rgb"][None]
    offsets, confidence = raw(model, images)
    np.testing.assert_allclose(offsets, data[f"{image}_mbox_loc"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(confidence, data[f"{image}_mbox_conf"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.anchor_spec.anchors_xyxy(), data["priors"], rtol=0, atol=1e-6)
    [rows] = run(keras_ssd.with_decoder(model), images)
    rows, expected = rows[rows[:, 0] >= 0], data[f"{image}_detection_out"]
    assert len(rows) == len(expected)
    np.testing.assert_array_equal(rows[:, 0] + 1, expected[:, 1])
    np.testing.assert_allclose(rows[:, 1:], expected[:, 2:], rtol=0, atol=1e-5)


def test_reference_plate_detector_equals_opencv_live(plate, oracle):
    build, prototxt, caffemodel = plate
    rgb = oracle("caffe", "mininet_plate.npz")["pic1_rgb"]
    blob = ((rgb - np.array(PLATE_MEAN)) * PLATE_SCALE).transpose(2, 0, 1)[None]
    found = opencv_outputs(prototxt, caffemodel, blob, ["ssd0_concat1", "ssd0_concat0", "detection_out"])
    model = build(truncate_sizes=False)
    offsets, confidence = raw(model, rgb[None])
    np.testing.assert_allclose(offsets, found["ssd0_concat1"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(confidence, found["ssd0_concat0"], rtol=0, atol=1e-4)
    # OpenCV does not cut prior sizes, so these boxes are its own and not Caffe's.
    [rows] = run(keras_ssd.with_decoder(model), rgb[None])
    rows = rows[rows[:, 0] >= 0]
    expected = found["detection_out"].reshape(-1, 7)
    expected = expected[expected[:, 2] > 0.1]
    assert len(expected)
    np.testing.assert_allclose(rows[: len(expected), 1:], expected[:, 2:], rtol=0, atol=1e-4)


def test_values_plate_detector_finds_one_plate_an_image(plate, shared):
    images = [shared("weights", "plate_ssd512", name) for name in ("1.jpg", "2.jpg")]
    assert [found.names for found in plate[0]().detect(images)] == [("plate",), ("plate",)]


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_roundtrip_imported_model_saves(plate, tmp_path, suffix):
    build, _, _ = plate
    model = build()
    image = np.random.default_rng(0).uniform(0, 255, (1, 512, 512, 3)).astype(np.float32)
    path = str(tmp_path / f"plate{suffix}")
    if suffix == ".keras":
        model.save(path)
        again = keras_ssd.load(path)
        assert again.class_names == ("plate",)
        assert again.decoding == model.decoding
    else:
        model.save_weights(path)
        again = keras_ssd.from_caffe(plate[1], mean=PLATE_MEAN, scale=PLATE_SCALE, channel_order="rgb")
        again.load_weights(path)
    np.testing.assert_array_equal(run(again, image), run(model, image))


@pytest.mark.slow
@pytest.mark.parametrize("size", [300, 512])
def test_reference_vgg_detectors_equal_caffe_opencv_and_the_factory(size, shared, oracle, tmp_path):
    data = oracle("caffe", f"ssd{size}_random.npz")
    confidence_whole = oracle("caffe", f"ssd{size}_random_conf.npz")["mbox_conf"]
    net = reference_weights(net_of(shared("oracle", "caffe", f"ssd{size}_deploy.prototxt")))
    prototxt, caffemodel = written(net, tmp_path)
    model = keras_ssd.from_caffe(prototxt, caffemodel, mean=VGG_MEAN, classes=[f"c{i}" for i in range(20)])
    image = reference_image(size)
    offsets, confidence = raw(model, image)
    np.testing.assert_allclose(offsets, data["mbox_loc"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(confidence, confidence_whole, rtol=0, atol=1e-4)
    blob = (image[..., ::-1] - np.float32(VGG_MEAN)).transpose(0, 3, 1, 2)
    found = opencv_outputs(prototxt, caffemodel, blob, ["mbox_loc", "mbox_conf"])
    np.testing.assert_allclose(offsets, found["mbox_loc"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(confidence, found["mbox_conf"], rtol=0, atol=1e-4)
    factory = {300: keras_ssd.ssd300, 512: keras_ssd.ssd512}[size](classes=model.class_names)
    assign_reference_weights(factory)
    np.testing.assert_allclose(run(factory, image), run(model, image), rtol=0, atol=1e-5)
    assert factory.anchor_spec == model.anchor_spec


@pytest.mark.slow
def test_reference_mobilenet_ssd_equals_opencv_merged_or_not(shared, tmp_path):
    separate = random_weights(net_of(shared("weights", "mobilenet_ssd_voc", "deploy.prototxt")), seed=3)
    rgb = np.random.default_rng(1).uniform(0, 255, (1, 300, 300, 3)).astype(np.float32)
    options = {"mean": 127.5, "scale": 1 / 127.5}
    models = {}
    prototxt, caffemodel = written(separate, tmp_path, "separate")
    models["separate"] = keras_ssd.from_caffe(prototxt, caffemodel, **options)
    models["folded"] = keras_ssd.from_caffe(prototxt, caffemodel, fold=True, **options)
    merged = merged_like(separate, net_of(shared("weights", "mobilenet_ssd_voc", "MobileNetSSD_deploy.prototxt")))
    merged_paths = written(merged, tmp_path, "merged")
    models["merged"] = keras_ssd.from_caffe(*merged_paths, **options)
    blob = ((rgb[..., ::-1] - 127.5) / 127.5).transpose(0, 3, 1, 2)
    for name, paths in (("separate", (prototxt, caffemodel)), ("merged", merged_paths)):
        found = opencv_outputs(*paths, blob, ["mbox_loc", "mbox_conf"])
        offsets, confidence = raw(models[name], rgb)
        np.testing.assert_allclose(offsets, found["mbox_loc"], rtol=0, atol=1e-4)
        np.testing.assert_allclose(confidence, found["mbox_conf"], rtol=0, atol=1e-4)
    for name in ("merged", "folded"):
        np.testing.assert_allclose(run(models[name], rgb), run(models["separate"], rgb), rtol=0, atol=1e-4)
    assert models["folded"].count_params() == models["merged"].count_params() == 5_783_417
    assert not [layer for layer in models["folded"].layers if isinstance(layer, keras.layers.BatchNormalization)]


def merged_like(separate, merged):
    """The merged prototxt with the weights of the other form, batch normalisation folded in by hand."""
    from dataclasses import replace

    blobs = {layer.name: layer.blobs for layer in separate.layers}
    layers = []
    for layer in merged.layers:
        own = blobs.get(layer.name, ())
        if f"{layer.name}/bn" in blobs:
            mean, variance, factor = (b.astype(np.float64) for b in blobs[f"{layer.name}/bn"])
            gamma, beta = blobs[f"{layer.name}/scale"]
            slope = gamma / np.sqrt(variance / factor + 1e-5)
            own = (own[0] * slope[:, None, None, None], beta - mean / factor * slope)
        layers.append(replace(layer, blobs=tuple(np.asarray(b, np.float32) for b in own)))
    return replace(merged, layers=tuple(layers))
