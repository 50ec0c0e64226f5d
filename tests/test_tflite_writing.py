"""Detectors in TensorFlow Lite files: the suppression, the raw tables, what the file says of itself, half precision."""

import importlib.util
import io
import re
import subprocess
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image
from tiny_models import tiny_backbone, tiny_spec

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.decoding import DecodeOptions
from keras_ssd.engines import ENGINES, EngineError
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporting import door
from keras_ssd.exporting.models import decoded, rows_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.parity import TOLERANCES, compare
from keras_ssd.exporting.tflite import converting, flat, suppression
from keras_ssd.file_metadata import FileMetadata
from keras_ssd.formats.tflite import read_tflite
from keras_ssd.formats.tflite.flatbuffer import Flatbuffer

NEEDED = ("tensorflow", "ai_edge_litert", "flatbuffers")
needs_converter = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in NEEDED),
    reason=f"writing TensorFlow Lite needs {', '.join(NEEDED)}",
)
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 40, 56, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """A detector whose random weights give scores of all sizes."""
    keras.utils.set_random_seed(0)
    made = keras_ssd.ssd(tiny_backbone(), ["fine", "coarse"], ["cat", "dög"], two_levels(), preprocessing="tf")
    for layer in made.layers:
        if layer.name.endswith("_mbox_conf"):
            layer.set_weights([10 * layer.get_weights()[0], np.linspace(-2, 2, layer.bias.shape[0])])
    return made


def two_levels():
    spec = tiny_spec()
    return replace(spec, levels=spec.levels[:2])


def written(detector, path, **options):
    """(what `write` tells, the file as a runner)."""
    from keras_ssd.exporting.formats import tflite

    told = tflite.write(detector, path, ExportOptions(**options))
    return told, tflite.open_file(path, told.metadata)


def outputs_of(path, images):
    """{name: values} of a file for images (B, H, W, 3) in its own order of channels."""
    program = ENGINES["litert"].opened(path, "float32")
    given = program(np.asarray(images).astype(program.inputs[0].dtype))
    return {tensor.name: values for tensor, values in zip(program.outputs, given, strict=True)}


def rows_in(runner, images):
    return np.concatenate([runner.rows(images[i : i + runner.batch]) for i in range(0, len(images), runner.batch)])


def compared(detector, runner, precision="float32"):
    detector = decoded(detector)
    floor = detector.layers[-1].options.floor
    expected, found = rows_of(detector, IMAGES), rows_in(runner, IMAGES)
    return compare(expected, found, runner.runtime, TOLERANCES[precision], floor)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """A detector that went through the door."""
    detector = keras_ssd.with_decoder(model, top_k=20, keep_top_k=30, confidence_threshold=0.05)
    folder = tmp_path_factory.mktemp("exported")
    return door.export(detector, folder / "detector.tflite", check=list(IMAGES.astype(np.uint8)), licence="MIT")


@needs_converter
@pytest.mark.numerical
def test_reference_detections(exported):
    """The operation of suppression gives what the decoder of this package gives, its limit of candidates included."""
    assert exported.parity.holds, exported
    assert exported.parity.matched == 90
    assert [path.name for path in exported.path.parent.iterdir()] == ["detector.tflite"]
    kinds = {operator.kind for operator in read_tflite(exported.path).operators}
    assert "TFLite_Detection_PostProcess" in kinds
    assert not any("Flex" in kind for kind in kinds)


def foreign(whole):
    """A classifier of another program."""
    import tflite_nets

    fake = tflite_nets.ssd_mobilenet(channels=2)
    return replace(fake, operators=fake.operators[:27]).bytes()


@needs_converter
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: whole[: len(whole) // 2], "mine.tflite is a damaged TensorFlow Lite file, perhaps cut short"),
        (lambda whole: b"", "mine.tflite is empty"),
        (lambda whole: b"weights", "mine.tflite is a text file, not a weight file"),
        (
            lambda whole: b"\0\0\0\0TFL3" + whole[-3000:],
            "mine.tflite' cannot be opened by litert: .* Export the model anew",
        ),
        (foreign, "mine.tflite is a TensorFlow Lite file, but no SSD MobileNet V1"),
    ],
    ids=["cut", "empty", "text", "rubbish", "foreign"],
)
def test_rejects_broken_and_foreign_files_in_the_shell(exported, tmp_path, capsys, change, message):
    path = tmp_path / "mine.tflite"
    path.write_bytes(change(exported.path.read_bytes()))
    image = tmp_path / "image.png"
    Image.fromarray(IMAGES[0].astype(np.uint8)).save(image)
    assert main(["detect", str(image), "--weights", str(path)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said)
    assert said.count("keras-ssd detect:") == 1


@needs_converter
def test_rejects_a_file_that_opens_and_cannot_be_computed(exported, monkeypatch):
    from ai_edge_litert.interpreter import Interpreter

    def invoke(self):
        raise RuntimeError("Input tensor 103 lacks data")

    monkeypatch.setattr(Interpreter, "invoke", invoke)
    message = (
        r"detector.tflite' cannot be computed by LiteRT .*: Input tensor 103 lacks data\. The file is damaged\. Ex"
    )
    with pytest.raises(EngineError, match=message):
        list(keras_ssd.load(exported.path).detect([IMAGES[0].astype(np.uint8)]))


@needs_converter
@pytest.mark.parametrize(
    "decoding",
    [
        {"class_agnostic": True, "top_k": 30, "code_type": "corner_size", "clip_boxes": "before"},
        {"clip_boxes": True, "scores": "sigmoid", "variance_encoded_in_target": True, "top_k": None},
    ],
    ids=["fast", "clipped"],
)
def test_reference_detections_of_other_rules(model, tmp_path, decoding):
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.05, **decoding)
    _, runner = written(detector, tmp_path / "detector.tflite")
    parity = compared(detector, runner)
    assert parity.holds, parity
    assert parity.matched > 20


@needs_converter
def test_reference_raw_tables_of_a_batch(model, tmp_path):
    """Boxes and scores of all anchors, by built-in operators alone, for as many images as were asked for."""
    told, runner = written(model, tmp_path / "raw.tflite", suppression=False, batch=3, channels="bgr")
    found = outputs_of(tmp_path / "raw.tflite", IMAGES[..., ::-1])
    raw = keras.ops.convert_to_numpy(model(IMAGES))
    options = DecodeOptions(**model.final_decoding)
    parts = keras_ssd.box_coder.Predictions.split(raw)
    np.testing.assert_allclose(found["boxes"], options.boxes(parts), rtol=0, atol=1e-4)
    scores = np.asarray(keras.ops.convert_to_numpy(keras.ops.softmax(parts.logits)))[..., 1:]
    np.testing.assert_allclose(found["scores"], scores, rtol=0, atol=1e-4)
    assert compared(model, runner).holds
    assert told.metadata.output == "tables"
    graph = read_tflite(tmp_path / "raw.tflite")
    assert not any(operator.kind.startswith(("CUSTOM", "Flex", "TFLite")) for operator in graph.operators)
    assert [(graph.tensors[i].name, graph.tensors[i].shape) for i in graph.inputs] == [("images", (3, 40, 56, 3))]
    assert [graph.tensors[i].name for i in graph.outputs] == ["boxes", "scores"]


@needs_converter
def test_values_half_precision(model, tmp_path):
    _, runner = written(model, tmp_path / "float16.tflite", suppression=False, precision="float16")
    assert compared(model, runner, "float16").holds
    stored = {tensor.dtype for tensor in read_tflite(tmp_path / "float16.tflite").tensors if tensor.stored}
    assert "float16" in stored


@needs_converter
def test_values_described_for_mediapipe_and_for_this_package(exported):
    path = exported.path
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode() == "cat\ndög\n"
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert FileMetadata.from_json(archive.read("keras_ssd.json").decode()) == exported.metadata
    model_table = Flatbuffer(path.read_bytes()).root()
    entries = {entry.text(0): entry.number(1, "<I") for entry in model_table.tables(6)}
    described = bytes(model_table.tables(4)[entries["TFLITE_METADATA"]].array(0, "u1"))
    assert described[4:8] == b"M001"
    metadata = Flatbuffer(described).root()
    assert metadata.text(5) == "MIT"
    [graph] = metadata.tables(3)
    [image] = graph.tables(2)
    assert image.table(3).number(0, "<B") == 2  # ImageProperties
    assert image.table(3).table(1).number(0, "<b") == 1  # RGB
    [unit] = image.tables(4)
    assert unit.number(0, "<B") == 1  # NormalizationOptions
    assert unit.table(1).array(0, "f4").tolist() == [0.0]
    assert unit.table(1).array(1, "f4").tolist() == [1.0]
    outputs = graph.tables(3)
    assert [output.text(0) for output in outputs] == ["location", "category", "score", "number of detections"]
    box = outputs[0].table(3)
    assert box.number(0, "<B") == 3  # BoundingBoxProperties
    assert box.table(1).array(0, "u4").tolist() == [1, 0, 3, 2]
    assert box.table(1).number(1, "<b") == 1  # BOUNDARIES
    [labels] = outputs[1].tables(6)
    assert (labels.text(0), labels.number(2, "<b")) == ("labels.txt", 3)  # TENSOR_VALUE_LABELS
    [limit] = outputs[2].tables(4)
    assert limit.number(0, "<B") == 3  # ScoreThresholdingOptions
    assert limit.table(1).number(0, "<f") == pytest.approx(0.05)


def test_values_settings():
    options = DecodeOptions(confidence_threshold=0.25, iou_threshold=0.5, top_k=9, keep_top_k=8)
    post = suppression.post_process_of(options, two_levels(), 2)
    assert post.settings == {
        "max_detections": 8,
        "max_classes_per_detection": 1,
        "detections_per_class": 9,
        "use_regular_nms": True,
        "nms_score_threshold": 0.2500000298023224,  # the next float32: the operation keeps what is equal
        "nms_iou_threshold": 0.5,
        "num_classes": 2,
        "x_scale": 10.0,
        "y_scale": 10.0,
        "w_scale": 5.0,
        "h_scale": 5.0,
    }
    assert (post.coded, post.best_only, post.top_k, post.clipped) == (True, False, 9, False)
    assert (post.rows, post.unused) == (8, 0)
    x, y, w, h = two_levels().anchors_cxcywh()[5]
    assert post.anchors_yxhw[5].tolist() == [y, x, h, w]


def test_rejects_rules_that_the_operation_does_not_have():
    options = DecodeOptions(eta=0.9, average_boxes=True, iou_threshold=0)
    with pytest.raises(ExportError, match="cannot do what .*: eta=0.9, average_boxes=True, iou_threshold=0. Export"):
        suppression.post_process_of(options, two_levels(), 2)


@needs_converter
def test_rejects_suppression_of_a_batch(model, tmp_path):
    with pytest.raises(ExportError, match="takes one image at once. .* Received: a batch of 4"):
        written(model, tmp_path / "detector.tflite", batch=4)


@needs_converter
def test_rejects_an_operation_without_counterpart(tmp_path):
    """The layer and the operation are named, and nothing is written."""
    if keras.config.backend() != "tensorflow":
        pytest.skip("a layer of this test is unknown to the process that converts")

    @keras.saving.register_keras_serializable("test_tflite_writing")
    class Odd(keras.layers.Layer):
        def call(self, inputs):
            return keras.ops.erfinv(inputs / 1e3)

    body = tiny_backbone()
    backbone = keras.Model(body.inputs, Odd(name="strange")(body.outputs[0]))
    odd = keras_ssd.ssd(backbone, ["fine", "strange"], ["cat"], two_levels())
    with pytest.raises(ExportError, match=r"no built-in operator for Erfinv, in the layers strange \(Odd\)\."):
        door.export(odd, tmp_path / "odd.tflite")
    assert list(tmp_path.iterdir()) == []


@needs_converter
def test_rejects_int8_without_images(model, tmp_path):
    with pytest.raises(ValueError, match="int8 is calibrated on images .* Received: calibrate=None"):
        written(model, tmp_path / "detector.tflite", precision="int8")


def test_rejects_missing_packages(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs TensorFlow, .*keras-ssd\[tflite\]"):
        converting.network_file(None, None)
    with pytest.raises(ImportError, match=r"needs the package `flatbuffers`: .*keras-ssd\[tflite\]"):
        flat.schema()


def test_rejects_what_the_other_process_says(model, monkeypatch):
    """Where Keras runs on another backend, the last line of the converting process is the error."""

    def ended(command, **options):
        assert options["env"]["KERAS_BACKEND"] == "tensorflow"
        return subprocess.CompletedProcess(command, 1, "", "chatter\nTensorFlow Lite has no built-in operator for X.\n")

    monkeypatch.setattr(subprocess, "run", ended)
    plan = converting.Plan(decoding={}, kind_of_scores="softmax")
    with pytest.raises(ExportError, match=r"^TensorFlow Lite has no built-in operator for X\.$"):
        converting._elsewhere(model, plan)


def test_roundtrip_plan():
    plan = converting.Plan({"top_k": 5, "clip_boxes": "before"}, "sigmoid", coded=True, top_k=3, batch=2, half=True)
    assert converting.Plan.from_json(plan.to_json()) == plan


def test_values_zip_is_read_behind_any_bytes():
    from keras_ssd.exporting.tflite.metadata import with_files

    told = FileMetadata(class_names=("a",), input_size=(2, 3))
    data = with_files(b"TFL3" * 10, told)
    assert data.startswith(b"TFL3" * 10)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert sorted(archive.namelist()) == ["keras_ssd.json", "labels.txt"]
