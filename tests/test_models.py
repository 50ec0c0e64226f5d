"""The original models: Caffe's outputs, parameter counts, options, and bad arguments."""

import keras
import numpy as np
import pytest
from keras import ops
from reference_weights import assign_reference_weights, reference_image

import keras_ssd
from keras_ssd.anchors import named_recipe, named_spec
from keras_ssd.box_coder import Predictions
from keras_ssd.formats import NamedArrays
from keras_ssd.models.weights import TrainedWeights, recipe_for

VOC = keras_ssd.zoo.labels("voc")
FACTORIES = {"ssd300": (keras_ssd.ssd300, 300), "ssd512": (keras_ssd.ssd512, 512)}


@pytest.fixture(scope="module", params=["ssd300", "ssd512"])
def reference_model(request):
    factory, size = FACTORIES[request.param]
    model = factory(classes=VOC)
    assign_reference_weights(model)
    image = reference_image(size)
    return request.param, model, image, model.predict_on_batch(image)


@pytest.mark.numerical
@pytest.mark.slow
def test_reference_caffe_forward_pass(reference_model, oracle, record_property):
    name, _, _, raw = reference_model
    reference = oracle("caffe", f"{name}_random_part.npz")
    parts = Predictions.split(raw[0])
    index = reference["index"]
    differences = {
        "mbox_loc": abs(parts.offsets[index] - reference["mbox_loc"]).max(),
        "mbox_conf": abs(parts.logits[index] - reference["mbox_conf"]).max(),
    }
    print(f"{name} on {keras.backend.backend()}: largest difference from Caffe {differences}")
    record_property("largest_difference", str(differences))
    assert max(differences.values()) < 1e-4
    assert abs(reference["mbox_conf"]).max() > 1  # the comparison is not one of zeros


@pytest.mark.numerical
@pytest.mark.slow
def test_reference_caffe_forward_pass_whole(reference_model, shared):
    name, _, _, raw = reference_model
    parts = Predictions.split(raw[0])
    with np.load(shared("oracle", "caffe", f"{name}_random.npz")) as reference:
        np.testing.assert_allclose(parts.offsets.ravel(), reference["mbox_loc"].ravel(), rtol=0, atol=1e-4)
    with np.load(shared("oracle", "caffe", f"{name}_random_conf.npz")) as reference:
        np.testing.assert_allclose(parts.logits.ravel(), reference["mbox_conf"].ravel(), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_reference_caffe_feature_maps(reference_model, shared):
    name, model, image, _ = reference_model
    with np.load(shared("oracle", "caffe", f"{name}_random.npz")) as reference:
        blobs = [k.removeprefix("summary_").removesuffix("_index") for k in reference.files if k.endswith("_index")]
        blobs = [blob for blob in blobs if blob and blob != "conf"]
        assert len(blobs) >= 22
        outputs = keras.Model(model.input, [model.get_layer(blob).output for blob in blobs])(image)
        for blob, output in zip(blobs, outputs, strict=True):
            values = np.transpose(ops.convert_to_numpy(output), (0, 3, 1, 2))
            assert values.shape == tuple(reference[f"summary_{blob}_shape"])
            picked = values.ravel()[reference[f"summary_{blob}_index"]]
            expected = reference[f"summary_{blob}_value"]
            np.testing.assert_allclose(picked, expected, rtol=1e-4, atol=1e-4 * abs(expected).max(), err_msg=blob)


@pytest.mark.numerical
@pytest.mark.slow
def test_reference_caffe_detections_as_a_set(reference_model, oracle):
    name, model, image, _ = reference_model
    reference = oracle("caffe", f"{name}_random_part.npz")["detection_out"]
    found = keras_ssd.with_decoder(model).predict_on_batch(image)[0]
    expected = np.column_stack([reference[:, 1] - 1, reference[:, 2:]])
    # Scores lie 1e-5 apart here, so rounding may change a detection or two at the limits.
    hits = sum(bool((abs(found - row).max(axis=1) < 1e-4).any()) for row in expected)
    assert hits >= len(expected) - 2
    assert len(expected) == (found[:, 0] >= 0).sum() == 200


@pytest.mark.parametrize(
    ("name", "classes", "parameters"),
    [
        ("ssd300", "voc", 26_285_486),
        ("ssd512", "voc", 27_188_676),
        ("ssd300", "coco", 34_305_206),
        ("ssd512", "coco", 36_038_196),
        ("ssd300", "ilsvrc", 50_344_646),
        ("ssd512", "ilsvrc", 53_737_236),
    ],
)
def test_values_parameter_counts(name, classes, parameters):
    factory, _ = FACTORIES[name]
    assert factory(classes=keras_ssd.zoo.labels(classes)).count_params() == parameters


def test_values_parameter_count_of_90_classes_is_torchvisions():
    assert keras_ssd.ssd300(classes=[f"slot_{i}" for i in range(90)]).count_params() == 35_641_826


def test_values_vgg_backbone():
    body = keras_ssd.backbones.vgg16((300, 300))
    assert body.count_params() == 20_483_904
    assert body.get_layer("conv4_3").output.shape == (None, 38, 38, 512)
    assert body.get_layer("fc7").output.shape == (None, 19, 19, 1024)


@pytest.mark.numerical
@pytest.mark.parametrize("image", ["1478899159823020309", "1478899365487445082"])
def test_reference_ssd7(shared, image):
    from PIL import Image

    folder = shared("weights", "ssd7_traffic")
    model = keras_ssd.ssd7(
        weights=folder / "ssd7_traffic.h5", classes=["car", "truck", "pedestrian", "bicyclist", "light"]
    )
    report = model.weights_report
    assert report.parameters == 213_904 == model.count_params()
    assert not report.ignored
    assert not report.kept
    with Image.open(folder / f"{image}.jpg") as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32)[None]
    parts = Predictions.split(model.predict_on_batch(pixels)[0])
    ours = Predictions(
        ops.convert_to_numpy(ops.softmax(parts.logits)), parts.offsets, parts.anchors_cxcywh, parts.variances
    ).join()
    with np.load(shared("oracle", "ssd7", "onnx_predictions.npz")) as reference:
        difference = abs(ours - reference[f"img_{image}"]).max()
    print(f"ssd7 on {keras.backend.backend()}: largest difference {difference}")
    assert difference < 1e-4


def test_values_other_input_sizes_and_classes():
    model = keras_ssd.ssd300(classes=["cat"], input_size=(330, 500))
    assert model.input_size == (330, 500)
    assert model.class_names == ("cat",)
    assert model.num_classes == 1
    assert model.anchor_spec.grids[0] == (42, 63)
    assert model.output.shape == (None, model.anchor_spec.num_anchors, 14)
    assert model.anchor_spec.levels[0].boxes_hw[0] == (33.0, 33.0)


def test_values_anchors_argument():
    assert keras_ssd.ssd300(classes=["a"], anchors="coco").anchor_spec == named_spec("ssd300_coco")
    floats = named_recipe("ssd512_voc", truncate_sizes=False)
    model = keras_ssd.ssd512(classes=["a"], anchors=floats)
    assert model.anchor_spec.levels[0].boxes_hw[0] == pytest.approx((35.84, 35.84))


def test_values_initializer_is_caffes_xavier_unless_asked():
    kernel = ops.convert_to_numpy(keras_ssd.ssd300(classes=["a"]).get_layer("conv4_1").kernel)
    limit = np.sqrt(3 / (3 * 3 * 256))
    assert abs(kernel).max() == pytest.approx(limit, rel=1e-3)  # uniform reaches its limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    model = keras_ssd.ssd300(classes=["a"], kernel_initializer="he_normal")
    twins = [ops.convert_to_numpy(model.get_layer(n).kernel) for n in ("conv4_2", "conv4_3")]
    assert twins[0].std() == pytest.approx(np.sqrt(2 / (9 * 512)), rel=0.01)
    assert abs(twins[0] - twins[1]).max() > 0


def test_values_dropout_l2_and_freezing():
    model = keras_ssd.ssd300(classes=["a"], dropout=0.5, l2=0.00025, freeze=("conv1_*", "conv2_*"))
    assert [layer.name for layer in model.layers if not layer.trainable] == ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    assert model.get_layer("fc6_dropout").rate == 0.5
    kernel = ops.convert_to_numpy(model.get_layer("conv3_1").kernel)
    layer = model.get_layer("conv3_1")
    penalty = float(ops.convert_to_numpy(layer.kernel.regularizer(layer.kernel)))
    assert penalty == pytest.approx(0.00025 * float((kernel.astype(np.float64) ** 2).sum()), rel=1e-4)
    reloaded = keras_ssd.SSD.from_config(model.get_config())
    assert not reloaded.get_layer("conv1_1").trainable
    assert reloaded.get_layer("conv3_1").trainable


@pytest.mark.parametrize("size", [[80, 96], np.array([80, 96]), (np.int64(80), np.int32(96))])
def test_values_input_size_of_any_kind(size):
    assert keras_ssd.ssd7(classes=["cat"], input_size=size).input_size == (80, 96)
    assert keras_ssd.mobilenet_ssd(classes=["cat"], input_size=size).input_size == (80, 96)


@pytest.mark.parametrize("size", [96, (96,), (96, 0), (96.0, 96), "ab", (96, 96, 3), None])
def test_rejects_input_sizes(size):
    with pytest.raises(ValueError, match=r"input_size.*\(height, width\) in whole pixels. Received"):
        keras_ssd.ssd300(classes=["cat"], input_size=size)


def test_rejects_images_too_small_for_ssd7():
    assert keras_ssd.ssd7(classes=["cat"], input_size=(64, 64)).anchor_spec.grids[-1] == (1, 1)
    with pytest.raises(ValueError, match=r"at least 64 pixels a side. Received: input_size=\(64, 63\)"):
        keras_ssd.ssd7(classes=["cat"], input_size=(64, 63))


@pytest.mark.parametrize("given", [{"std": 0}, {"mean": [1, 2, 3]}, {"std": "1"}])
def test_rejects_preprocessing_of_ssd7(given):
    with pytest.raises(ValueError, match="`mean` must be a number and `std` a positive one"):
        keras_ssd.ssd7(classes=["cat"], **given)


def test_rejects_classes_before_anything_is_downloaded(monkeypatch):
    monkeypatch.setattr(keras_ssd.zoo, "download", lambda entry: pytest.fail("downloaded"))
    with pytest.raises(ValueError, match="Unknown label set 'person'"):
        keras_ssd.ssd300(weights="coco", classes="person")


def test_values_classes_may_come_one_by_one():
    assert keras_ssd.ssd7(classes=(name for name in ("cat", "dog")), input_size=(64, 64)).class_names == ("cat", "dog")


@pytest.mark.parametrize("factory", [keras_ssd.ssd7, keras_ssd.ssd300])
def test_values_models_do_not_follow_the_global_image_format(factory):
    size = {keras_ssd.ssd7: (64, 96), keras_ssd.ssd300: (300, 330)}[factory]
    expected = factory(classes=["cat"], input_size=size).output.shape
    keras.config.set_image_data_format("channels_first")
    try:
        model = factory(classes=["cat"], input_size=size)
        assert model.output.shape == expected
        image = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype(np.float32)
        before = ops.convert_to_numpy(model(image))
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(ops.convert_to_numpy(model(image)), before, rtol=0, atol=1e-5)


def test_values_vgg_models_start_as_caffes():
    model = keras_ssd.ssd512(classes=["cat"], kernel_initializer=keras.initializers.HeNormal())
    inputs = np.float32([[[[123, 117, 104], [0, 255, 255]]]])
    np.testing.assert_allclose(model.get_layer("preprocessing")(inputs)[0, 0], [[0, 0, 0], [-123, 138, 151]])
    np.testing.assert_array_equal(ops.convert_to_numpy(model.get_layer("conv4_3_norm").gamma), 20)
    assert model.get_layer("conv10_2").strides == (1, 1)  # tells only in images larger than 512
    assert model.get_layer("fc6").dilation_rate == (6, 6)
    # One initializer, yet no two layers of one shape with the same numbers.
    kernels = [ops.convert_to_numpy(model.get_layer(name).kernel) for name in ("conv5_1", "conv5_2")]
    assert abs(kernels[0] - kernels[1]).max() > 0.01


def test_rejects_imagenet_where_no_source_delivers(monkeypatch, caplog):
    def fail(entry):
        raise keras_ssd.zoo.DownloadError("vgg16.imagenet could not be downloaded.")

    def fail_in_keras(**options):
        raise Exception("URL fetch failure on somewhere")

    monkeypatch.setattr(keras_ssd.zoo, "download", fail)
    monkeypatch.setattr(keras.applications, "VGG16", fail_in_keras)
    with pytest.raises(
        keras_ssd.zoo.DownloadError, match=r"(?s)vgg16.imagenet could not.*Keras's own.*URL fetch failure"
    ):
        keras_ssd.ssd300(weights="imagenet", classes=["cat"])
    assert not caplog.records


def test_values_anchors_of_an_own_file_come_before_guesses():
    spec = named_spec("ssd300_coco")
    trained = TrainedWeights(NamedArrays({}, "test"), "ssd300", spec=spec)
    assert recipe_for(trained, "ssd300", None) == spec
    assert recipe_for(trained, "ssd300", "voc") == named_recipe("ssd300_voc")


@pytest.mark.parametrize("factory", ["mobilenet_ssd", "ssd7", "ssd_mobilenet_v1", "ssdlite320"])
def test_rejects_anchors_by_a_name_where_there_are_none(factory):
    with pytest.raises(TypeError, match="must be an AnchorSpec or an AnchorRecipe. Received: anchors='voc'"):
        getattr(keras_ssd, factory)(classes=["cat"], anchors="voc")
