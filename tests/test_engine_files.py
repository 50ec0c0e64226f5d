"""Files that `export` wrote for other runtimes detect again, by what they say of themselves."""

import keras
import numpy as np
import pytest
from onnx_nets import tamed
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.decoding import Confidence
from keras_ssd.engines import EngineError, MissingRuntimeError
from keras_ssd.engines import engine as engine_module
from keras_ssd.engines.files import FileDetector, is_engine_file

ort = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    model = tamed(tiny_ssd())
    model.confidence = Confidence(0.4, "the test")
    return model


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in ((40, 56), (37, 90), (80, 50))]


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """{name: path} of one file of each kind, written once."""
    folder, made = tmp_path_factory.mktemp("files"), {}
    kinds = {
        "rows.onnx": {},
        "tables.onnx": {"suppression": False},
        "one.onnx": {"batch": 1, "channels": "bgr"},
        "rows.xml": {},
    }
    for name, options in kinds.items():
        if name.endswith(".xml"):
            pytest.importorskip("openvino")
        made[name] = keras_ssd.export(model, folder / name, **options).path
    return made


def assert_same(found, expected):
    assert [len(one) for one in found] == [len(one) for one in expected]
    assert sum(map(len, expected)) > 0
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4, rtol=0)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=2e-2, rtol=0)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="elsewhere another process converts, slowly")
@pytest.mark.parametrize("suppression", [True, False])
def test_reference_a_tflite_file_detects_as_its_model(suppression, model, images, tmp_path):
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("flatbuffers")
    path = keras_ssd.export(model, tmp_path / "mine.tflite", suppression=suppression).path
    assert is_engine_file(path)
    expected = list(model.detect(images, engine="keras"))
    opened = keras_ssd.open_model(path)
    assert opened.runtime.startswith("LiteRT")
    assert opened.class_names == ("cat", "dog")
    assert_same(list(opened.detect(images)), expected)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="elsewhere another process converts, slowly")
def test_values_litert_finds_every_class_on_several_processors(images, tmp_path, monkeypatch):
    """On two threads its suppression never looks at the third class."""
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("flatbuffers")
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    keras.utils.set_random_seed(0)
    model = tamed(keras_ssd.with_classes(tiny_ssd(), ["cat", "dog", "newt", "owl"]))
    model.confidence = Confidence(0.2, "the test")
    expected = list(model.detect(images, engine="keras"))
    assert set(np.concatenate([found.class_ids for found in expected])) == {0, 1, 2, 3}
    path = keras_ssd.export(model, tmp_path / "mine.tflite").path
    assert_same(list(keras_ssd.load(path).detect(images)), expected)


@pytest.mark.parametrize("name", ["rows.onnx", "tables.onnx", "one.onnx", "rows.xml"])
def test_reference_a_file_detects_as_its_model(name, files, model, images):
    opened = keras_ssd.load(files[name])
    assert isinstance(opened, FileDetector)
    assert (opened.class_names, opened.input_size, opened.num_classes) == (("cat", "dog"), (40, 56), 2)
    assert opened.confidence.value == 0.4
    expected = list(model.detect(images, engine="keras"))
    assert_same(list(opened.detect(images)), expected)
    assert_same(list(opened.detect(images, batch_size=2)), expected)
    assert_same(list(keras_ssd.open_model(files[name]).detect(images)), expected)
    assert len(opened.detect(images, classes="dog", confidence=0.99)[0]) <= len(expected[0])


def test_reference_openvino_runs_onnx_files(files, model, images):
    pytest.importorskip("openvino")
    opened = keras_ssd.load(files["rows.onnx"])
    expected = list(model.detect(images, engine="keras"))
    assert_same(list(opened.detect(images, engine="openvino")), expected)
    assert FileDetector(files["tables.onnx"], engine="openvino").runtime.startswith("OpenVINO 20")


def test_values_suppression_is_the_callers_where_the_file_has_none(files, model, images):
    raw = keras_ssd.load(files["tables.onnx"])
    options = {"iou_threshold": 0.2, "keep_top_k": 3, "confidence": 0.3}
    assert_same(list(raw.detect(images, **options)), list(model.detect(images, engine="keras", **options)))
    with pytest.raises(EngineError, match="holds its suppression, whose options were set when it was exported"):
        keras_ssd.load(files["rows.onnx"]).detect(images, iou_threshold=0.2)


def test_values_a_file_takes_the_arguments_of_a_model(files, model, images):
    """One signature, so that an argument cannot be missing from one of them."""
    assert FileDetector.detect is type(model).detect
    decoder = keras_ssd.DecodeDetections(iou_threshold=0.2, keep_top_k=3, confidence_threshold=0.3)
    raw = keras_ssd.load(files["tables.onnx"])
    expected = list(model.detect(images, engine="keras", decoder=decoder, confidence=0.3))
    assert_same(list(raw.detect(images, decoder=decoder, confidence=0.3)), expected)
    with pytest.raises(TypeError, match="Did you mean `iou_threshold`"):
        raw.detect(images, iou_thresh=0.2)
    with pytest.raises(EngineError, match="holds its suppression"):
        keras_ssd.load(files["rows.onnx"]).detect(images, decoder=decoder)


def test_values_a_file_is_measured(files, model, images, tmp_path):
    found = list(model.detect(images, engine="keras", confidence=0.4))
    annotations = [
        keras_ssd.data.Annotation(str(place), image, one.boxes_xyxy[:1], one.class_ids[:1], size_hw=image.shape[:2])
        for place, (image, one) in enumerate(zip(images, found, strict=True))
    ]
    dataset = keras_ssd.data.Dataset("noise", ("cat", "dog"), annotations)
    opened = keras_ssd.load(files["rows.onnx"])
    measured = keras_ssd.evaluation.evaluate(opened, dataset, progress=False, save=tmp_path / "found.json")
    expected = keras_ssd.evaluation.evaluate(model, dataset, progress=False, engine="keras")
    assert measured.map == pytest.approx(expected.map, abs=1e-3)
    assert (measured.origin.network, measured.origin.input_size) == (model.name, (40, 56))


def test_values_the_shell_takes_files(files, images, tmp_path, capsys, monkeypatch):
    from PIL import Image

    Image.fromarray(images[2]).save(tmp_path / "street.png")
    monkeypatch.chdir(tmp_path)
    for name in ("rows.onnx", "rows.xml"):
        assert main(["detect", "street.png", "--weights", str(files[name])]) == 0
        said = capsys.readouterr()
        assert "street.png" in said.out
        assert f"told by {name}" in said.err
    assert main(["detect", "street.png", "--weights", str(files["rows.onnx"]), "--engine", "litert"]) == 2
    assert "The engine litert does not run 'rows.onnx'; onnxruntime or openvino does." in capsys.readouterr().err


def damaged(content, place):
    return content[: int(len(content) * place)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.onnx", lambda whole: damaged(whole, 0.5), "'.*cut.onnx' cannot be opened by onnxruntime: .* is damaged"),
        ("text.onnx", lambda whole: b"weights", "cannot be opened by onnxruntime"),
        ("empty.onnx", lambda whole: b"", "cannot be opened by onnxruntime"),
        (
            "voc.xml",
            lambda whole: b"<annotation><filename>a.jpg</filename></annotation>",
            "cannot be opened by openvino",
        ),
        ("half.tflite", lambda whole: b"\0\0\0\0TFL3 rubbish", "cannot be opened by litert"),
    ],
)
def test_rejects_broken_files(name, content, message, files, tmp_path):
    if "onnx" not in name:
        pytest.importorskip({"xml": "openvino", "tflite": "ai_edge_litert"}[name.rpartition(".")[2]])
    path = tmp_path / name
    path.write_bytes(content(files["rows.onnx"].read_bytes()))
    with pytest.raises(EngineError, match=message):
        keras_ssd.load(path)


def test_rejects_files_of_other_programs(tmp_path, files):
    helper = onnx.helper
    tensors = [helper.make_tensor_value_info(name, 1, [1, 3, 8, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "net", tensors[:1], tensors[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(proto, tmp_path / "yolo.onnx")
    message = (
        r"'.*yolo.onnx' does not say what its inputs and outputs mean.* another program wrote it \(inputs: x \[1, 3,"
    )
    for opens in (keras_ssd.load, keras_ssd.open_model):
        with pytest.raises(EngineError, match=message):
            opens(tmp_path / "yolo.onnx")
    helper.set_model_props(proto, {"keras_ssd": "{}"})
    onnx.save(proto, tmp_path / "yolo.onnx")
    with pytest.raises(EngineError, match="lacks `class_names`. Export the model anew"):
        keras_ssd.load(tmp_path / "yolo.onnx")
    told = onnx.load(files["rows.onnx"]).metadata_props
    helper.set_model_props(proto, {one.key: one.value for one in told})
    onnx.save(proto, tmp_path / "yolo.onnx")
    with pytest.raises(
        EngineError, match=r"says that it takes one image \(3, 40, 56\), and it takes \[\[1, 3, 8, 8\]\]"
    ):
        keras_ssd.load(tmp_path / "yolo.onnx")


def test_rejects_an_ir_of_another_program(tmp_path):
    openvino = pytest.importorskip("openvino")
    x = openvino.opset13.parameter([1, 3, 8, 8], np.float32, name="x")
    openvino.save_model(openvino.Model([openvino.opset13.relu(x)], [x]), tmp_path / "yolo.xml")
    with pytest.raises(EngineError, match=r"'.*yolo.xml' does not say what its inputs .* another program wrote it"):
        keras_ssd.load(tmp_path / "yolo.xml")


def test_rejects_an_ir_without_its_weights(files, tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "alone.xml").write_bytes(files["rows.xml"].read_bytes())
    with pytest.raises(EngineError, match="'.*alone.xml' cannot be opened by openvino: .* a part of it is missing"):
        keras_ssd.load(tmp_path / "alone.xml")


def test_rejects_a_file_without_a_runtime(files, monkeypatch):
    monkeypatch.setattr(engine_module, "_is_installed", lambda name: False)
    with pytest.raises(MissingRuntimeError, match=r"The engine onnxruntime needs .* pip install 'keras-ssd\[fast\]'"):
        keras_ssd.load(files["rows.onnx"])
    with pytest.raises(MissingRuntimeError, match="The engine openvino needs"):
        keras_ssd.load(files["rows.xml"])


def test_rejects_a_path_where_nothing_is(files):
    with pytest.raises(FileNotFoundError, match=r"Did you mean .*rows\.onnx"):
        keras_ssd.load(files["rows.onnx"].with_name("row.onnx"))


def test_values_weights_in_tflite_files_stay_weights(tmp_path, files):
    (tmp_path / "weights.tflite").write_bytes(b"\0\0\0\0TFL3")
    assert not is_engine_file(tmp_path / "weights.tflite")
    assert is_engine_file(files["rows.onnx"])
    assert not is_engine_file(tmp_path / "none.onnx")
