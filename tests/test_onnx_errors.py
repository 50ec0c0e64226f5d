"""What `to_onnx` refuses, and that it leaves nothing behind."""

import sys

import keras
import pytest
from onnx_nets import detector, spec_of

import keras_ssd
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx import check_onnx, to_onnx
from keras_ssd.layers import AnchorBoxes

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(0)
    return keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 96))


class Doubled(keras.layers.ReLU):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Renamed(keras.layers.ReLU):
    pass


def test_rejects_unknown_layers_all_at_once(tmp_path):
    def body(x):
        x = keras.layers.Conv2D(4, 3, activation=keras.activations.hard_tanh, name="conv")(x)
        x = keras.layers.GaussianDropout(0.1, name="noise")(x)
        x = keras.layers.ReLU(threshold=0.5, name="late")(x)
        x = keras.layers.UpSampling2D(2, interpolation="bicubic", name="larger")(x)
        return Renamed(name="fine")(Doubled(name="twofold")(x))

    (tmp_path / "a.onnx").write_text("what was there")
    with pytest.raises(ExportError) as caught:
        to_onnx(detector(body), tmp_path / "a.onnx")
    assert str(caught.value) == (
        "5 layers cannot be written as ONNX: conv (Conv2D with activation hard_tanh), noise (GaussianDropout), "
        "late (ReLU with threshold=0.5), larger (UpSampling2D with interpolation='bicubic'), twofold (Doubled). "
        "keras_ssd.export(model, 'model.keras') and, on TensorFlow, a SavedModel hold any layer; Keras's own "
        "model.export(..., format='onnx') may know these, without suppression."
    )
    assert (tmp_path / "a.onnx").read_text() == "what was there"


def test_rejects_a_file_that_computes_something_else(tiny, tmp_path, monkeypatch):
    from keras_ssd.exporters.onnx.kinds import WRITERS

    monkeypatch.setitem(WRITERS, keras.layers.ELU, lambda step, x: x.like(step.node("Relu", x)))
    with pytest.raises(ExportError, match="would not compute what 'ssd7' does"):
        to_onnx(tiny, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_rejects_what_is_no_detector(tiny, tmp_path):
    path = tmp_path / "a.onnx"
    with pytest.raises(TypeError, match="functional keras.Model"):
        to_onnx("model", path)
    with pytest.raises(ExportError, match="must end in the predictions of one AnchorBoxes layer"):
        to_onnx(keras.Model(tiny.inputs[0], tiny.get_layer("elu4").output), path)
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ExportError, match="one input"):
        to_onnx(keras.Model(inputs, keras.layers.ReLU()(inputs)), path)
    with pytest.raises(ValueError, match="'bgr'"):
        to_onnx(tiny, path, input="brg")
    assert list(tmp_path.iterdir()) == []


def test_rejects_a_blob_without_preprocessing(tmp_path):
    plain = detector(keras.layers.ReLU(), preprocessing=keras.layers.Rescaling(0.01, name="other"))
    with pytest.raises(ExportError, match="no layer 'preprocessing'"):
        to_onnx(plain, tmp_path / "a.onnx", input="blob")
    inputs = keras.Input((18, 22, 3), name="images")
    x = keras.layers.Rescaling(0.01, name="preprocessing")(inputs)
    x = keras.layers.Add(name="both")([x, inputs])
    maps = [keras.layers.Conv2D(channels, 1)(x) for channels in (2, 4)]
    y = AnchorBoxes(spec_of((18, 22)))([maps[0]], [maps[1]])
    with pytest.raises(ExportError, match="'both' reads the image before"):
        to_onnx(keras_ssd.SSD(inputs, y), tmp_path / "a.onnx", input="blob")


def test_rejects_a_missing_package(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[onnx\]'"):
        keras_ssd.to_onnx(tiny, tmp_path / "a.onnx")


def test_rejects_a_file_of_others(tiny, tmp_path):
    to_onnx(tiny, tmp_path / "a.onnx")
    other = onnx.load(tmp_path / "a.onnx")
    del other.metadata_props[:]
    onnx.save(other, tmp_path / "b.onnx")
    with pytest.raises(ValueError, match="was not written by keras_ssd.to_onnx"):
        check_onnx(tmp_path / "b.onnx", tiny)
