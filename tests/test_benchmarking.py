"""`keras-ssd benchmark` and what it is made of."""

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.benchmarking import benchmark
from keras_ssd.cli.main import main
from keras_ssd.data import Annotation, Dataset
from keras_ssd.engines import ENGINES
from keras_ssd.engines.choosing import VARIABLE, Choice
from keras_ssd.engines.compiling import forget, keep_networks, kept_for

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tiny_ssd()


@pytest.fixture(scope="module")
def images():
    return list(np.random.default_rng(0).integers(0, 256, (3, 50, 60, 3), np.uint8))


def test_values_engines_side_by_side(model, images, monkeypatch):
    monkeypatch.delenv(VARIABLE)
    boxes = np.array([[5.0, 5, 30, 30]])
    dataset = Dataset("noise", ("cat", "dog"), [Annotation(str(i), x, boxes, [0]) for i, x in enumerate(images)])
    measured = benchmark(model, images, engines=("onnxruntime", "keras"), batch_size=2, rounds=2, dataset=dataset)
    assert [(row.engine, row.precision, row.reason) for row in measured.timings] == [
        ("keras", "float32", ""),
        ("onnxruntime", "float32", ""),
    ]
    ours, theirs = measured.timings
    assert ours.difference == 0.0
    assert ours.size is None
    assert theirs.difference < 1e-4
    assert theirs.size > 10_000
    assert theirs.ap == pytest.approx(ours.ap, abs=1e-3)
    for row in measured.timings:
        assert row.rate == pytest.approx(2000 / row.p50)
        assert row.bare > 0
        assert 0 < row.p50 <= row.p95
        assert row.start > 0
    assert measured.auto.startswith("onnxruntime, float32: ")


def test_values_what_cannot_serve_says_why(model, images, monkeypatch):
    monkeypatch.setattr("keras_ssd.engines.engine._is_installed", lambda name: name != "openvino")
    measured = benchmark(model, images, engines=("keras", "openvino"), rounds=1)
    assert [row.engine for row in measured.timings] == ["keras", "openvino", "openvino"]
    assert measured.timings[1].reason.startswith("The engine openvino needs the package `openvino`")
    assert measured.timings[1].rate is None


def test_rejects_nothing_to_measure(model, images):
    with pytest.raises(ValueError, match="at least one image"):
        benchmark(model, [])
    with pytest.raises(ValueError, match="Unknown engine 'onnx'. Did you mean 'onnxruntime'"):
        benchmark(model, images, engines=("onnx",))


def test_values_the_command_prints_a_table(model, images, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    model.save("tiny.keras")
    Image.fromarray(images[0]).save("street.png")
    assert main(["benchmark", "tiny.keras", "street.png", "--engines", "keras,onnxruntime", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    for text in ("batches of 1", "images/s", "differs", "\n keras ", "\n onnxruntime ", "auto takes keras, float32: "):
        assert text in said.replace("\nkeras ", "\n keras ").replace("\nonnxruntime ", "\n onnxruntime ")
    assert main(["benchmark", "tiny.keras", "street.png", "--engines", "onnx"]) == 2
    assert "Did you mean 'onnxruntime'" in capsys.readouterr().err


def test_values_a_file_is_measured_in_its_runtimes(model, images, tmp_path):
    pytest.importorskip("openvino")
    from onnx_nets import tamed

    keras_ssd.export(tamed(model), tmp_path / "tiny.onnx", suppression=False)
    opened = keras_ssd.load(tmp_path / "tiny.onnx")
    measured = benchmark(opened, images, rounds=1)
    rows = [row for row in measured.timings if not row.reason and row.precision == "float32"]
    assert [row.engine for row in rows] == ["openvino", "onnxruntime"]
    assert rows[0].size == (tmp_path / "tiny.onnx").stat().st_size
    assert rows[0].bare is None
    assert measured.auto.startswith("onnxruntime, float32: the first engine that runs such files")


def test_values_int8_is_measured_where_there_are_images_to_calibrate_on(model, images, tmp_path):
    measured = benchmark(model, images, engines=("keras", "onnxruntime"), rounds=1, calibrate=images)
    rows = [(row.engine, row.precision, row.reason) for row in measured.timings]
    assert rows == [("keras", "float32", ""), ("onnxruntime", "float32", ""), ("onnxruntime", "int8", "")]
    whole = measured.timings[2]
    assert len(whole.notes) == 1  # which layers are in whole numbers
    assert whole.size > 10_000
    assert whole.rate == pytest.approx(1000 / whole.p50)
    path = keras_ssd.export(model, tmp_path / "tiny.onnx", suppression=False, precision="int8", calibrate=images).path
    of_file = benchmark(keras_ssd.load(path), images, engines=("onnxruntime",), rounds=1)
    assert [(row.engine, row.precision) for row in of_file.timings] == [("onnxruntime", "int8")]
    with pytest.raises(ValueError, match="A file has the precision that it was exported in"):
        benchmark(keras_ssd.load(path), images, calibrate=images)


def test_values_engines_that_take_turns_keep_their_networks(model):
    """Three of them, where two are kept otherwise: each turn would make one anew."""
    choices = [
        Choice(ENGINES[name], precision, "")
        for name, precision in (("onnxruntime", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
    ]
    forget(model)
    keep_networks(model, 3)
    first = [kept_for(model, choice) for choice in choices]
    assert [kept_for(model, choice) for choice in choices] == first
    keep_networks(model)
    assert [kept_for(model, choice) for choice in choices[1:]] == first[1:]
    assert kept_for(model, choices[0]) is not first[0]
    forget(model)
