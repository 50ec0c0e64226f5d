"""A detector in Keras's files, its exports, copies of it, and detectors inside other models."""

import copy
import importlib.util
import io

import keras
import numpy as np
import pytest
from known_loss import (
    IMAGES,
    SIZE,
    assert_same_weights,
    compiled,
    equal_images,
    expected,
    fitted,
    one_object_each,
    tiny_detector,
)

import keras_ssd

pytestmark = [
    pytest.mark.numerical,
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]
BACKEND = keras.config.backend()


@pytest.fixture(scope="module")
def targets():
    return one_object_each()


@pytest.fixture
def model():
    return tiny_detector()


@pytest.fixture(scope="module")
def dataset():
    return equal_images()


ENDINGS = {"tf_saved_model": "", "onnx": ".onnx", "openvino": ".xml", "litert": ".tflite", "torch": ".pt2"}
BY_JAX = {"tf_saved_model"} if importlib.util.find_spec("tensorflow") else set()
WORKS = {"tensorflow": {"tf_saved_model", "litert"}, "torch": {"torch", "onnx"}, "jax": BY_JAX}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", ENDINGS)
def test_values_exports_of_keras_work_or_name_what_does(model, format, tmp_path, capsys):
    path = tmp_path / f"exported{ENDINGS[format]}"
    if format in WORKS[BACKEND]:
        model.export(path, format=format, verbose=False)
        assert path.exists()
        return
    with pytest.raises(
        ValueError, match=f"Keras cannot export model 'ssd' as format='{format}' on the backend"
    ) as told:
        model.export(path, format=format, verbose=False)
    assert "keras_ssd.export(model, 'model.onnx')" in str(told.value)
    assert len(str(told.value)) < 700
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["a.keras", "a.h5", "a.hdf5"])
@pytest.mark.parametrize("compiling", [False, True])
def test_roundtrip_saved_files(model, name, compiling, tmp_path):
    if compiling:
        compiled(model)
    model.save(tmp_path / name)
    for opener in (keras.saving.load_model, keras_ssd.load, keras_ssd.open_model):
        again = opener(tmp_path / name)
        assert isinstance(again, keras_ssd.SSD)
        assert (again.class_names, again.decoding) == (("cat", "dog"), {"iou_threshold": 0.3})
        assert again.anchor_spec == model.anchor_spec
        assert isinstance(again.loss, keras_ssd.SSDLoss) is compiling
        assert_same_weights(again, model)


def test_roundtrip_a_detector_with_decoder_in_hdf5(model, tmp_path):
    keras_ssd.with_decoder(model, keep_top_k=5).save(tmp_path / "a.h5")
    again = keras_ssd.load(tmp_path / "a.h5")
    assert (again.class_names, again.has_decoder, again.output_shape) == (("cat", "dog"), True, (None, 5, 6))


def test_rejects_what_is_no_saved_model(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=r"keras_ssd.open_model\(.*a.weights.h5'\), or give weights to a factory"):
        keras_ssd.load(tmp_path / "a.weights.h5")
    with pytest.raises(FileNotFoundError, match="is a folder, and a model is one file"):
        keras_ssd.load(tmp_path)


def test_rejects_other_things_than_a_path_and_a_name_without_ending(model, tmp_path):
    model.save(tmp_path / "good.keras")
    (tmp_path / "good.keras").rename(tmp_path / "good")
    with pytest.raises(ValueError, match=r"is a \.keras file under a name without .* Rename it to 'good\.keras'\."):
        keras_ssd.load(tmp_path / "good")
    with pytest.raises(TypeError, match=r"`path` must be the path of a \.keras or \.h5 file.* Received: BytesIO"):
        keras_ssd.load(io.BytesIO((tmp_path / "good").read_bytes()))


@pytest.mark.parametrize(("format", "ending"), [("onnx", ".onnx"), ("openvino", ".xml"), ("litert", ".tflite")])
def test_rejects_a_decoder_in_formats_whose_runtimes_lack_its_operations(model, tmp_path, format, ending):
    message = rf"keras_ssd\.export\(model, 'net\{ending}'\) writes one that they run.* Received: format='{format}'"
    with pytest.raises(ValueError, match=message):
        keras_ssd.with_decoder(model).export(tmp_path / f"net{ending}", format=format)
    assert list(tmp_path.iterdir()) == []


def test_rejects_arguments_of_export(model, tmp_path):
    for format, ending in (("openvino", ".xml"), ("litert", ".tflite"), ("torch", ".pt2")):
        message = rf"^`filepath` must end in \{ending} for format='{format}'\. Received: filepath="
        with pytest.raises(ValueError, match=message):
            model.export(tmp_path / "net", format=format)
    with pytest.raises(
        ValueError, match=r"^`format` must be one that Keras .*onnx.* backend\. Received: format='coreml'$"
    ):
        model.export(tmp_path / "net", format="coreml")
    assert list(tmp_path.iterdir()) == []


def test_rejects_images_without_targets_and_lists_of_weights(model, targets):
    compiled(model)
    for method in (model.fit, model.evaluate, model.train_on_batch, model.test_on_batch):
        with pytest.raises(ValueError, match=r"needs the targets of the images too.* Received: y=None"):
            method(IMAGES)
        with pytest.raises(TypeError, match=r"Use np\.array\(sample_weight\)\. Received: a list of 4"):
            method(IMAGES, targets, sample_weight=[1, 2, 1, 1])


def test_rejects_weights_of_another_number_of_classes(model, tmp_path):
    model.save_weights(tmp_path / "a.weights.h5")
    other = keras_ssd.with_classes(model, ["cat", "dog", "cow"])
    with pytest.raises(
        ValueError, match="holds the weights of another model than 'ssd'.*keras_ssd.with_classes"
    ) as told:
        other.load_weights(tmp_path / "a.weights.h5")
    assert len(str(told.value)) < 700


WRAPPED = {
    "model": lambda model: keras.Model(model.inputs, model.outputs),
    "single": lambda model: keras.Model(model.input, model.output),
    "config": lambda model: keras.Model.from_config(model.get_config()),
}
OUTER = {
    "sequential": lambda model: keras.Sequential([keras.Input((*SIZE, 3)), model]),
    "nested": lambda model: keras.Model(images := keras.Input((*SIZE, 3)), model(images)),
}


@pytest.mark.parametrize("way", [*WRAPPED, *OUTER])
def test_values_wrapped_detectors_detect_and_are_measured(model, dataset, way):
    model.confidence = keras_ssd.decoding.Confidence(0.2)
    other = {**WRAPPED, **OUTER}[way](model)
    if way == "config":
        other.set_weights(model.get_weights())
    [mine], [theirs] = model.detect(IMAGES[0].astype(np.uint8)), keras_ssd.detect(other, IMAGES[0].astype(np.uint8))
    assert theirs.class_names == ("cat", "dog")
    assert len(mine) == len(theirs) > 0
    np.testing.assert_allclose(theirs.boxes_xyxy, mine.boxes_xyxy, atol=1e-3)
    result = keras_ssd.evaluation.evaluate(other, dataset, progress=False)
    assert result.map == keras_ssd.evaluation.evaluate(model, dataset, progress=False).map


@pytest.mark.parametrize("way", WRAPPED)
def test_values_detectors_are_made_again_of_wrapped_ones(model, dataset, way, tmp_path):
    other = WRAPPED[way](model)
    other.save(tmp_path / "a.keras")
    made = {
        "with_decoder": keras_ssd.with_decoder(other),
        "with_classes": keras_ssd.with_classes(other, ["cat", "dog"]),
        "with_anchors": keras_ssd.with_anchors(other, model.anchor_spec),
        "load": keras_ssd.load(tmp_path / "a.keras"),
        "open_model": keras_ssd.open_model(tmp_path / "a.keras"),
    }
    for name, again in made.items():
        assert (again.class_names, again.decoding) == (("cat", "dog"), {"iou_threshold": 0.3}), name
        assert again.anchor_spec == model.anchor_spec, name
    assert keras_ssd.anchors.report(other, dataset).recall == keras_ssd.anchors.report(model, dataset).recall
    with pytest.raises(TypeError, match=r"keras_ssd.SSD\(m.inputs\[0\], m.outputs\[0\]\) makes a detector again"):
        keras_ssd.TargetEncoder.from_model(other)
    batch = keras_ssd.data.batches(dataset, other, None, batch_size=2)[0]
    assert batch[1].shape == (2, model.anchor_spec.num_anchors, 5)


@pytest.mark.parametrize("way", OUTER)
def test_rejects_models_with_a_detector_inside(model, dataset, way, tmp_path):
    other = OUTER[way](model)
    for call in (
        lambda: keras_ssd.with_decoder(other),
        lambda: keras_ssd.with_classes(other, ["cat"]),
        lambda: keras_ssd.with_anchors(other, model.anchor_spec),
        lambda: keras_ssd.data.batches(dataset, other),
        lambda: keras_ssd.train(other, dataset, out=tmp_path / "t", epochs=1),
    ):
        with pytest.raises(TypeError, match=r"with the detector 'ssd' inside. Give that one: model.get_layer\('ssd'\)"):
            call()


def test_rejects_an_unbuilt_sequential(model):
    with pytest.raises(ValueError, match=r"does not know its input size.*keras.Input\(.*model.get_layer"):
        keras_ssd.detect(keras.Sequential([model]), IMAGES[0].astype(np.uint8))


def test_roundtrip_deepcopy_of_a_compiled_model(model, targets):
    again = copy.deepcopy(compiled(model))
    assert isinstance(again.loss, keras_ssd.SSDLoss)
    np.testing.assert_allclose(fitted(again, IMAGES, targets)["loss"], [expected(model, targets)], rtol=1e-4)
