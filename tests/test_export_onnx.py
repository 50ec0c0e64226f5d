"""ONNX and OpenVINO files with suppression: the rows of `with_decoder`, in the runtimes themselves."""

import json
from collections import Counter

import keras
import numpy as np
import pytest
from onnx_nets import randomized, tamed
from tiny_models import tiny_ssd

import keras_ssd
from keras_ssd import file_arrays
from keras_ssd.decoding import DecodeOptions, decode_arrays
from keras_ssd.exporters.comparing import Tolerance, compare
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import OnnxForm, onnx_of
from keras_ssd.file_metadata import EFFICIENT_NMS, KEY, ROWS, FileMetadata

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

EXACT = Tolerance(1e-5, 1e-5)
OPTIONS = {
    "plain": {},
    "few": {"keep_top_k": 7, "top_k": 20, "max_per_class": 3, "confidence_threshold": 0.3},
    "all": {"confidence_threshold": None, "top_k": None, "keep_top_k": None},
    "agnostic": {"class_agnostic": True, "iou_threshold": 0.3},
    "agnostic_few": {"class_agnostic": True, "top_k": 30, "keep_top_k": 5, "clip_boxes": True},
    "sigmoid": {"scores": "sigmoid", "iou_threshold": 0.6},
    "corner": {"code_type": "corner"},
    "corner_size": {"code_type": "corner_size", "variance_encoded_in_target": True},
    "clipped": {"clip_boxes": True},
    "clipped_before": {"clip_boxes": "before", "iou_threshold": 0.0},
    "nothing": {"confidence_threshold": 1.0},
    "probabilities": {"scores": "probabilities", "confidence_threshold": 0.5},
}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tamed(randomized(tiny_ssd()))


@pytest.fixture(scope="module")
def images(model):
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (2, *model.input_size, 3))
    return np.concatenate([noise, np.zeros((1, *model.input_size, 3))]).astype(np.float32)


def session(proto):
    return onnxruntime.InferenceSession(proto.SerializeToString())


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("batch", [None, 3])
def test_reference_rows_are_those_of_the_decoder(model, images, name, batch):
    """Against the decoder of numpy arrays, whose suppression is a loop of its own."""
    options = DecodeOptions(**OPTIONS[name])
    raw = keras.ops.convert_to_numpy(model(images))
    detector = Detector(model, model.outputs[0], options, options.scores)
    [rows] = session(onnx_of(detector, OnnxForm("rgb", ROWS, batch), {})).run(
        ["detections"], {"images": images.transpose(0, 3, 1, 2)}
    )
    expected = decode_arrays(raw, options)
    assert rows.shape == expected.shape
    found = compare(expected, rows, "x", EXACT)
    assert found.holds, found
    assert (found.matched > 0) is (name != "nothing")
    np.testing.assert_array_equal(rows[:, :, 0] == -1, expected[:, :, 0] == -1)
    assert np.all(np.diff(rows[:, :, 1], axis=1) <= 0)


def test_values_a_free_batch_takes_one_image_and_none_found(model, images):
    detector = Detector.of(keras_ssd.with_decoder(model))
    run = session(onnx_of(detector, OnnxForm("rgb", ROWS, None), {}))
    x = images.transpose(0, 3, 1, 2)
    [three], [one] = run.run(None, {"images": x}), run.run(None, {"images": x[1:2]})
    np.testing.assert_allclose(three[1:2], one, atol=1e-6)
    assert run.get_inputs()[0].shape == ["batch", 3, *model.input_size]
    assert run.get_outputs()[0].shape == ["batch", three.shape[1], 6]


def test_values_only_operators_of_onnx_itself(model):
    proto = onnx_of(Detector.of(model), OnnxForm("rgb", ROWS, None), {})
    onnx.checker.check_model(proto, full_check=True)
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert {node.domain for node in proto.graph.node} == {""}
    assert (kinds["NonMaxSuppression"], kinds["TopK"]) == (1, 2)
    assert [(row.domain, row.version) for row in proto.opset_import] == [("", 13)]


@pytest.mark.parametrize(
    ("output", "options", "message"),
    [
        (ROWS, {"eta": 0.9}, "NonMaxSuppression cannot suppress with eta=0.9. Give the model another decoder"),
        (ROWS, {"average_boxes": True}, "cannot suppress with average_boxes=True"),
        (
            EFFICIENT_NMS,
            {"max_per_class": 3, "clip_boxes": True},
            "EfficientNMS_TRT cannot suppress with max_per_class=3",
        ),
    ],
)
def test_rejects_suppression_that_the_operators_do_not_know(model, output, options, message):
    detector = Detector(model, model.outputs[0], DecodeOptions(**options), "softmax")
    with pytest.raises(ExportError, match=message):
        onnx_of(detector, OnnxForm("rgb", output, 1), {})


def test_values_the_plugin_gets_offsets_scores_and_anchors(model):
    proto = onnx_of(Detector.of(model), OnnxForm("rgb", EFFICIENT_NMS, None), {})
    onnx.checker.check_model(proto)
    assert [(row.domain, row.version) for row in proto.opset_import] == [("", 13), ("TRT", 1)]
    node = proto.graph.node[-1]
    assert (node.op_type, node.domain) == ("EfficientNMS_TRT", "TRT")
    told = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert told.pop("score_threshold") == pytest.approx(0.01)
    assert told.pop("iou_threshold") == pytest.approx(0.45)
    assert told == {
        "background_class": -1,
        "box_coding": 1,
        "class_agnostic": 0,
        "max_output_boxes": 200,
        "plugin_version": b"1",
        "score_activation": 0,
    }
    anchors = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}[node.input[2]]
    np.testing.assert_allclose(anchors[0], model.anchor_spec.anchors_cxcywh(), rtol=1e-6)
    outputs = {
        one.name: (
            [dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim],
            one.type.tensor_type.elem_type,
        )
        for one in proto.graph.output
    }
    assert outputs == {
        "num_detections": (["batch", 1], 6),
        "detection_boxes": (["batch", 200, 4], 1),
        "detection_scores": (["batch", 200], 1),
        "detection_classes": (["batch", 200], 6),
    }


def test_values_what_the_plugin_is_given_decodes_to_the_boxes(model, images):
    """The plugin's own formula, in numpy, on its inputs."""
    detector = Detector.of(model)
    proto = onnx_of(detector, OnnxForm("rgb", EFFICIENT_NMS, 3), {})
    node = proto.graph.node[-1]
    offsets, scores, anchors = node.input
    del proto.graph.node[-1], proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in (offsets, scores))
    o, s = session(proto).run(None, {"images": images.transpose(0, 3, 1, 2)})
    a = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}[anchors]
    centres, sizes = o[..., :2] * a[..., 2:] + a[..., :2], np.exp(o[..., 2:]) * a[..., 2:]
    boxes, expected = detector.results(images)
    np.testing.assert_allclose(np.concatenate([centres - sizes / 2, centres + sizes / 2], -1), boxes, atol=1e-5)
    np.testing.assert_allclose(s, expected, atol=1e-6)


def test_values_rows_of_the_plugin():
    outputs = {
        "num_detections": np.array([[1], [2]], np.int32),
        "detection_boxes": np.arange(16, dtype=np.float32).reshape(2, 2, 4),
        "detection_scores": np.array([[0.5, 0.4], [0.9, 0.3]], np.float32),
        "detection_classes": np.array([[1, 0], [0, 1]], np.int32),
    }
    rows = file_arrays.rows_of(FileMetadata(("a", "b"), (4, 4), output=EFFICIENT_NMS), outputs)
    assert rows[0].tolist() == [[1, 0.5, 0, 1, 2, 3], [-1, 0, 0, 0, 0, 0]]
    assert rows[1, 1].tolist() == [1, np.float32(0.3), 12, 13, 14, 15]


@pytest.mark.parametrize("channels", ["rgb", "bgr", "blob", "rgb_blob"])
def test_values_the_file_is_fed_by_what_it_says_of_itself(channels, tmp_path):
    keras.utils.set_random_seed(0)
    net = tamed(randomized(keras_ssd.ssd7(classes=["cat", "dög"], input_size=(64, 96))))
    done = keras_ssd.export(net, tmp_path / "a.onnx", channels=channels, licence="MIT")
    assert done.parity.holds
    assert done.parity.matched > 50
    said = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).get_modelmeta().custom_metadata_map
    assert FileMetadata.from_properties(said) == done.metadata
    assert json.loads(said["class_names"]) == ["cat", "dög"]
    assert (said["licence"], said["input_size"], said["input"]) == ("MIT", "[64, 96]", channels)
    assert said["channels"] == ("bgr" if channels in ("bgr", "blob") else "rgb")
    assert ("mean" in said) is channels.endswith("blob")
    assert json.loads(said["decoding"])["iou_threshold"] == 0.45


def test_values_half_precision_halves_the_file(tmp_path):
    """Of trained weights: those of noise are so near each other that rounding changes what suppression keeps."""
    net = keras_ssd.ssd_small(weights="cells")
    half = keras_ssd.export(net, tmp_path / "half.onnx", precision="float16")
    assert half.parity.holds
    assert 1e-5 < half.parity.scores < 5e-2
    assert half.size < 3.3e6
    proto = onnx.load(half.path)
    kernels = [one for one in proto.graph.initializer if one.name.endswith("kernel")]
    assert {one.data_type for one in kernels} == {onnx.TensorProto.FLOAT16}
    assert {one.type.tensor_type.elem_type for one in (*proto.graph.input, *proto.graph.output)} == {1}
    assert half.metadata.precision == "float16"


def test_values_half_precision_spares_sums_of_squares(model):
    """The squares of 300 pass the largest number of float16."""
    proto = onnx_of(Detector.of(model), OnnxForm("rgb", ROWS, 1, half=True), {})
    layer = next(one.name for one in model.layers if isinstance(one, keras_ssd.layers.L2Normalization))
    stored = {one.name: one.data_type for one in proto.graph.initializer}
    sums = [node for node in proto.graph.node if node.name.startswith(f"{layer}/")]
    assert {node.op_type for node in sums} >= {"Mul", "ReduceSum", "Sqrt", "Div"}
    assert stored[f"{layer}/gamma"] == onnx.TensorProto.FLOAT


def test_values_to_onnx_of_a_decoder_holds_suppression(model, images, tmp_path):
    checked = keras_ssd.to_onnx(keras_ssd.with_decoder(model), tmp_path / "a.onnx")
    assert "gives detections" in str(checked)
    assert max(checked.boxes, checked.scores) < 1e-5
    run = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    assert [(one.name, one.shape) for one in run.get_outputs()] == [("detections", [1, 200, 6])]
    with pytest.raises(ExportError, match="NonMaxSuppression cannot suppress with eta=0.5"):
        keras_ssd.to_onnx(keras_ssd.with_decoder(model, eta=0.5), tmp_path / "b.onnx")
    assert not (tmp_path / "b.onnx").exists()


def test_rejects_an_unsupported_layer_before_anything_is_written(tmp_path):
    from onnx_nets import detector

    net = detector(lambda x: keras.layers.Conv2DTranspose(4, 2, name="up")(x))
    for name in ("a.onnx", "a.xml"):
        pytest.importorskip("openvino" if name == "a.xml" else "onnx")
        with pytest.raises(ExportError, match=r"1 layer cannot be written as ONNX: up \(Conv2DTranspose\)"):
            keras_ssd.export(net, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("suppression", "batch"), [(True, None), (True, 3), (False, 1)])
def test_values_openvino_files_answer_as_the_model(model, tmp_path, suppression, batch):
    openvino = pytest.importorskip("openvino")
    done = keras_ssd.export(model, tmp_path / "a.xml", suppression=suppression, batch=batch)
    assert done.files == (tmp_path / "a.xml", tmp_path / "a.bin")
    assert done.parity.holds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.xml"]
    read = openvino.Core().read_model(str(tmp_path / "a.xml"))
    assert FileMetadata.from_json(read.get_rt_info([KEY]).astype(str)) == done.metadata
    assert read.get_rt_info(["model_info", "class_names"]).astype(str) == '["cat", "dog"]'
    assert [one.get_any_name() for one in read.inputs] == ["images"]


def test_rejects_a_missing_runtime_and_names_the_extra(model, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[fast\]'"):
        keras_ssd.export(model, tmp_path / "a.xml")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[onnx\]'"):
        keras_ssd.export(model, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []
