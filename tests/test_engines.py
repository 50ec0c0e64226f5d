"""Engines under `detect`: the same detections, chosen by rules, and new weights noticed."""

import gc
import importlib.util
import logging
import os
import subprocess
import sys
import threading
import weakref

import keras
import numpy as np
import pytest
from conftest import ROOT
from tiny_models import tiny_backbone, tiny_spec, tiny_ssd

import keras_ssd
from keras_ssd.engines import ENGINES, EngineError, MissingRuntimeError, compiling
from keras_ssd.engines import engine as engine_module
from keras_ssd.engines.choosing import VARIABLE, choose
from keras_ssd.engines.compiling import Network, forget
from keras_ssd.models.composing import ssd

ON_TENSORFLOW = keras.config.backend() == "tensorflow"
RUNTIMES = [
    pytest.param(name, marks=() if name != "litert" else pytest.mark.skipif(not ON_TENSORFLOW, reason="see litert.py"))
    for name in ("onnxruntime", "openvino", "litert")
]


def needs(engine):
    for package in ENGINES[engine].packages:
        pytest.importorskip(package)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tiny_ssd()


@pytest.fixture(scope="module")
def images():
    """Three images of three sizes."""
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((40, 56), (37, 90), (80, 50))]


@pytest.fixture
def as_delivered(monkeypatch):
    """`auto` as users have it; the other tests run on Keras."""
    monkeypatch.delenv(VARIABLE)


@pytest.fixture
def installed(monkeypatch, as_delivered):
    """Makes as if these packages alone were installed."""

    def only(*names):
        monkeypatch.setattr(engine_module, "_is_installed", lambda name: name in names)

    return only


def assert_same(found, expected):
    """Detections equal within 1e-4 in scores and in fractions of the image."""
    assert [len(one) for one in found] == [len(one) for one in expected]
    assert sum(map(len, expected)) > 0
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5, rtol=0)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-2, rtol=0)


@pytest.mark.numerical
@pytest.mark.parametrize("name", RUNTIMES)
def test_reference_detections_are_those_of_keras(name, model, images):
    needs(name)
    for options in ({"confidence": 0.34}, {"confidence": 0.2, "iou_threshold": 0.3, "keep_top_k": 7}):
        expected = list(model.detect(images, engine="keras", **options))
        assert_same(list(model.detect(images, engine=name, batch_size=2, **options)), expected)
    assert model.detect(images, engine=name, confidence=0.34)[2].size_hw == (80, 50)


@pytest.mark.numerical
@pytest.mark.parametrize("name", RUNTIMES[:2])
def test_reference_a_model_with_a_decoder(name, model, images):
    needs(name)
    decoded = keras_ssd.with_decoder(model, confidence_threshold=0.3, iou_threshold=0.6, keep_top_k=9)
    expected = list(decoded.detect(images, engine="keras", confidence=0.3))
    assert_same(list(decoded.detect(images, engine=name, confidence=0.3)), expected)
    with pytest.raises(ValueError, match="ends in a decoder already"):
        decoded.detect(images, engine=name, iou_threshold=0.2)


@pytest.mark.numerical
@pytest.mark.parametrize("name", RUNTIMES[:2])
def test_reference_padding_that_no_convolution_takes_in_batches(name, images):
    needs(name)
    keras.utils.set_random_seed(0)
    backbone = tiny_backbone()
    x = keras.layers.ZeroPadding2D(((0, 1), (1, 0)))(backbone.get_layer("fine").output)
    x = keras.layers.Cropping2D(((0, 1), (1, 0)))(keras.layers.Activation("tanh")(x))
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="last")(x)
    spec = tiny_spec()
    spec = keras_ssd.AnchorSpec(spec.image_size, spec.levels[:2])
    model = ssd(keras.Model(backbone.inputs, x), ["fine", "last"], ["cat", "dog"], spec, extras=())
    network = Network(model, choose(model, name))
    batch = np.stack([images[0], images[0][::-1]])
    found = network(batch)
    expected = keras_ssd.Predictions.split(np.asarray(model.predict_on_batch(batch)))
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    np.testing.assert_allclose(found.offsets, expected.offsets, atol=1e-4)
    np.testing.assert_array_equal(found.anchors_cxcywh, expected.anchors_cxcywh[0])


@pytest.mark.numerical
def test_values_new_weights_are_noticed(images, tmp_path):
    needs("onnxruntime")
    keras.utils.set_random_seed(1)
    model = tiny_ssd()

    def found(engine="onnxruntime"):
        return [one.scores for one in model.detect(images, engine=engine, confidence=0.2)]

    def changed():
        before, after = seen[-1], found()
        seen.append(after)
        for ours, theirs in zip(after, found("keras"), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        return any(len(a) != len(b) or np.abs(a - b).max() > 1e-4 for a, b in zip(before, after, strict=True))

    seen = [found()]
    model.save_weights(tmp_path / "first.weights.h5")
    assert not changed()
    model.set_weights([weight * 1.2 for weight in model.get_weights()])
    assert changed()
    model.weights[0].assign(model.weights[0] * 0.5)
    assert changed()
    model.load_weights(tmp_path / "first.weights.h5")
    assert changed()
    for one, other in zip(seen[-1], seen[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    targets = np.zeros((3, model.anchor_spec.num_anchors, 5), np.float32)
    targets[:, 5, 0] = 1
    model.compile(keras.optimizers.SGD(0.1), keras_ssd.SSDLoss())
    model.train_on_batch(np.zeros((3, 40, 56, 3), np.float32), targets)
    assert changed()


def test_values_weights_that_change_while_a_run_goes_on(images, monkeypatch):
    needs("onnxruntime")
    monkeypatch.setattr(compiling, "SHARE", 0)
    model = tiny_ssd()
    run = iter(model.detect([images[0]] * 4, engine="onnxruntime", confidence=0.1, batch_size=1))
    before = next(run)
    model.set_weights([weight * 1.5 for weight in model.get_weights()])
    rest = list(run)
    assert len(before) != len(rest[-1]) or np.abs(before.scores - rest[-1].scores).max() > 1e-4


def test_values_a_network_is_made_once(model, images, monkeypatch):
    needs("onnxruntime")
    forget(model)
    made = []
    monkeypatch.setattr(compiling, "Network", lambda *given: made.append(given) or Network(*given))
    for confidence in (0.2, 0.4):
        for size in (1, 3):
            list(model.detect(images[:size], engine="onnxruntime", confidence=confidence))
    assert len(made) == 1
    list(keras_ssd.with_decoder(model).detect(images, engine="onnxruntime"))
    assert len(made) == 2


def test_values_what_is_kept_ends_with_the_model(images):
    needs("onnxruntime")
    model = tiny_ssd()
    results = model.detect(images, engine="onnxruntime")
    [kept] = weakref.WeakSet([model])
    del kept
    assert len(list(results)) == 3
    gone = weakref.ref(model)
    del model, results
    gc.collect()
    assert gone() is None


def test_values_threads_share_a_network(model, images):
    for name in ("onnxruntime", "openvino"):
        needs(name)
        expected, found = list(model.detect(images, engine=name, confidence=0.3)), {}

        def run(place, name=name, found=found):
            found[place] = list(model.detect(images, engine=name, confidence=0.3))

        threads = [threading.Thread(target=run, args=(place,)) for place in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for place in range(3):
            assert_same(found[place], expected)


FAST = ("onnx", "onnxruntime", "openvino", "ai_edge_litert", "tensorflow")


def test_values_auto_follows_its_rules(model, installed):
    chosen = {}
    for names in ((), ("onnx",), ("onnxruntime",), ("onnx", "openvino"), ("onnx", "onnxruntime", "openvino"), FAST):
        installed(*names)
        if "openvino" in names:
            pytest.importorskip("openvino")
        chosen[names] = choose(model).engine.name
    assert list(chosen.values()) == ["keras", "keras", "keras", "openvino", "onnxruntime", "onnxruntime"]
    installed()
    choice = choose(model)
    assert choice.reason == "no other engine serves; pip install 'keras-ssd[fast]' brings them"
    assert choice.others["onnxruntime"] == "not installed: onnxruntime, onnx"
    assert (choice.precision, choice.asked) == ("float32", False)


def test_values_auto_keeps_keras_where_numbers_would_change(installed, monkeypatch):
    installed(*FAST)
    half = tiny_ssd()
    half.get_layer("coarse").dtype_policy = "mixed_bfloat16"
    assert choose(half).engine.name == "keras"
    assert choose(half).reason == "the model computes in bfloat16, and another engine would give other numbers"
    monkeypatch.setattr("keras_ssd.fastpaths.computes_on_cpu", lambda: False)
    assert choose(tiny_ssd()).reason.startswith("Keras computes on a GPU")


class Odd(keras.layers.Layer):
    def call(self, x):
        return keras.ops.sin(x)


@pytest.fixture(scope="module")
def unsupported():
    backbone = tiny_backbone()
    x = Odd(name="sine")(backbone.output)
    spec = keras_ssd.AnchorSpec(tiny_spec().image_size, tiny_spec().levels[1:2])
    return ssd(keras.Model(backbone.inputs, x), ["sine"], ["cat"], spec, extras=())


def test_values_auto_leaves_layers_of_ones_own_to_keras(unsupported, images, as_delivered, caplog):
    assert choose(unsupported).engine.name == "keras"
    assert len(list(unsupported.detect(images))) == 3
    assert caplog.records == []


def test_rejects_a_layer_that_the_engine_lacks(unsupported, images):
    needs("onnxruntime")
    message = r"The engine onnxruntime cannot compute .* Use engine='keras'\. 1 layer .* sine \(Odd\)"
    with pytest.raises(EngineError, match=message):
        unsupported.detect(images, engine="onnxruntime")


def test_values_the_environment_says_what_auto_is(model, monkeypatch):
    needs("openvino")
    monkeypatch.setenv(VARIABLE, "openvino")
    choice = choose(model)
    assert (choice.engine.name, choice.reason) == ("openvino", "the environment variable KERAS_SSD_ENGINE says so")
    assert choose(model, "keras").engine.name == "keras"
    monkeypatch.setenv(VARIABLE, "")
    assert choose(model).engine.name != "litert"
    monkeypatch.setenv(VARIABLE, "opnvino")
    with pytest.raises(ValueError, match="KERAS_SSD_ENGINE=opnvino: Unknown engine 'opnvino'. Did you mean 'openvino'"):
        choose(model)


def test_values_an_engine_that_fails_unasked_leaves_keras_to_compute(model, images, as_delivered, caplog, monkeypatch):
    needs("onnxruntime")
    forget(model)

    def broken(*given):
        raise RuntimeError("illegal instruction")

    monkeypatch.setattr(compiling, "Network", broken)
    expected = list(model.detect(images, engine="keras", confidence=0.3))
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        assert_same(list(model.detect(images, confidence=0.3)), expected)
    [record] = caplog.records
    assert record.getMessage().endswith("failed on 'ssd', so Keras computes: illegal instruction")
    with pytest.raises(RuntimeError, match="illegal instruction"):
        list(model.detect(images, engine="onnxruntime"))


def test_rejects_keras_on_its_openvino_backend(model, images, monkeypatch):
    """The other engines compute there; Keras itself says what to take."""
    monkeypatch.setattr(keras.config, "backend", lambda: "openvino")
    message = "Keras's OpenVINO backend cannot compute suppression. Use engine='openvino' or 'onnxruntime'"
    for name in ("keras", "auto"):
        with pytest.raises(EngineError, match=message):
            choose(model, name)
    needs("openvino")
    assert choose(model, "openvino").engine.name == "openvino"


@pytest.mark.slow
def test_values_a_model_on_the_openvino_backend_detects(tmp_path):
    needs("openvino")
    code = "import numpy as np, keras_ssd\nmodel = keras_ssd.ssd7(classes=['a'], input_size=(64, 64))\n"
    code += "print([one.size_hw for one in model.detect([np.zeros((50, 60, 3), 'uint8')] * 2)])"
    environment = {**os.environ, "KERAS_BACKEND": "openvino", VARIABLE: "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    assert done.stdout == "[(50, 60), (50, 60)]\n", done.stderr


def test_rejects_unknown_names(model, images):
    with pytest.raises(ValueError, match="Unknown engine 'onxruntime'. Did you mean 'onnxruntime'"):
        model.detect(images, engine="onxruntime")
    with pytest.raises(ValueError, match="Unknown precision 'bfloat32'"):
        model.detect(images, precision="bfloat32")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "litert"])
def test_rejects_a_runtime_that_is_missing(name, model, images, installed):
    installed("onnx", "tensorflow")
    runtime = ENGINES[name].runtime
    message = (
        rf"The engine {name} needs the package `{runtime}`, which is not installed: pip install 'keras-ssd\[fast\]'"
    )
    with pytest.raises(MissingRuntimeError, match=message):
        model.detect(images, engine=name)


@pytest.mark.skipif(ON_TENSORFLOW, reason="there it converts")
def test_rejects_litert_on_another_backend(model, images):
    pytest.importorskip("ai_edge_litert")
    if importlib.util.find_spec("tensorflow") is None:
        with pytest.raises(ImportError, match="needs the package `tensorflow`, which is not installed"):
            model.detect(images, engine="litert")
        return
    with pytest.raises(ValueError, match="converts a model itself only where Keras runs on TensorFlow"):
        model.detect(images, engine="litert")


def test_rejects_bfloat16_where_nothing_computes_it(model, images, installed, monkeypatch):
    needs("openvino")
    installed(*FAST)
    with pytest.raises(EngineError, match="The engine onnxruntime computes in float32. Use engine='openvino'"):
        model.detect(images, engine="onnxruntime", precision="bfloat16")
    if "bfloat16" not in ENGINES["openvino"].precisions():
        for name in ("openvino", "auto"):
            with pytest.raises(EngineError, match="This processor has no units for bfloat16"):
                model.detect(images, engine=name, precision="bfloat16")
            assert choose(model, name, "auto").precision == "float32"
    installed("onnx")
    with pytest.raises(MissingRuntimeError, match="The engine openvino needs the package `openvino`"):
        model.detect(images, precision="bfloat16")


def test_values_bfloat16_is_taken_when_asked(model, images, installed, monkeypatch):
    """OpenVINO computes so on any processor, if slowly: half a dozen bits fewer, so the scores are others."""
    needs("openvino")
    installed(*FAST)
    able = dict(vars(ENGINES["openvino"])) | {"precisions": lambda: ("float32", "bfloat16")}
    monkeypatch.setitem(ENGINES, "openvino", engine_module.Engine(**able))
    for precision in ("bfloat16", "auto"):
        choice = choose(model, "auto", precision)
        assert (choice.engine.name, choice.precision) == ("openvino", "bfloat16")
    assert choose(model).engine.name == "onnxruntime"
    batch = np.stack([images[0], images[0][::-1]])
    exact = Network(model, choose(model, "openvino")).outputs(batch)
    rough = Network(model, choose(model, precision="bfloat16")).outputs(batch)
    difference = np.abs(exact[0] - rough[0]).max() / np.abs(exact[0]).max()
    assert 1e-4 < difference < 2e-2
    assert len(list(model.detect(images, precision="bfloat16"))) == 3


def test_values_names_of_engines_need_no_runtime():
    assert list(ENGINES) == ["onnxruntime", "openvino", "litert", "keras"]
    for module in (
        "keras_ssd.engines.runtimes.keras",
        "keras_ssd.engines.runtimes.litert",
        "keras_ssd.engines.runtimes.onnxruntime",
        "keras_ssd.engines.runtimes.openvino",
    ):
        assert importlib.import_module(module).ENGINE in ENGINES.values()
