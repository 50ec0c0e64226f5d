"""`to_onnx` on whole detectors: what the file holds, what it takes and gives, and what is refused."""

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest
from onnx_nets import KINDS, after_stem, detector, randomized, tamed
from PIL import Image

import keras_ssd
from keras_ssd.exporters.onnx import check_onnx, to_onnx
from keras_ssd.layers import DecodeDetections, L2Normalization

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def tiny():
    keras.utils.set_random_seed(0)
    return tamed(randomized(keras_ssd.ssd7(classes=["cat", "dög"], input_size=(64, 96))))


@pytest.fixture(scope="module")
def narrow():
    """All that ssd300 is made of, with few channels: paddings, poolings, dilation, L2Normalization, extras."""
    from keras_ssd.backbones.blocks import ConvRow, ConvStyle, apply_row, image_input, max_pool
    from keras_ssd.models import Extra, Tap, ssd

    inputs, x = image_input((75, 90), offset=[-123.0, -117.0, -104.0])
    for number in range(1, 4):
        x = apply_row(x, ConvRow(f"conv{number}", 8, 3, pad=1), ConvStyle())
        x = max_pool(x, f"pool{number}", 2, 2)
    x = max_pool(apply_row(x, ConvRow("conv4", 8, 3, pad=1), ConvStyle()), "pool4", 3, 1, 1)
    x = apply_row(x, ConvRow("fc6", 12, 3, pad=6, dilation=6), ConvStyle())
    body = keras.Model(inputs, x)
    extras = [
        Extra((ConvRow("conv6_1", 6, 1), ConvRow("conv6_2", 8, 3, stride=2, pad=1))),
        Extra((ConvRow("conv7_1", 6, 1), ConvRow("conv7_2", 8, 3))),
    ]
    from keras_ssd.anchors import AnchorRecipe, RecipeLevel

    rows = tuple(RecipeLevel((1, 1), size, size * 1.5, (2.0,)) for size in (10, 20, 35, 50))
    recipe = AnchorRecipe((75, 90), rows)
    model = ssd(body, [Tap("conv4", l2_scale=20.0), Tap("fc6")], list("abc"), recipe, extras=extras, name="narrow")
    return tamed(randomized(model))


def run(path, images):
    return onnxruntime.InferenceSession(str(path)).run(["boxes", "scores"], {"images": images})


def graph_of(path):
    return onnx.load(path).graph


def noise(model, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (*model.input_size, 3)).astype(np.float32)


@pytest.mark.numerical
@pytest.mark.parametrize("name", ["tiny", "narrow"])
def test_reference_detector(name, request, tmp_path):
    model = request.getfixturevalue(name)
    checked = to_onnx(model, tmp_path / "a.onnx", check_with=[noise(model).astype(np.uint8)])
    assert [row.image for row in checked.differences] == ["random noise", "image 1"]
    assert max(checked.boxes, checked.scores) < 1e-5, checked


@pytest.mark.numerical
def test_values_boxes_and_scores_are_those_of_the_detections(tiny, tmp_path):
    """By another way than the check's own: the rows that `with_decoder` keeps are rows of the file's outputs."""
    image = noise(tiny)
    to_onnx(tiny, tmp_path / "a.onnx")
    boxes, scores = run(tmp_path / "a.onnx", image.transpose(2, 0, 1)[None])
    decoder = keras_ssd.with_decoder(tiny, confidence_threshold=0.01, iou_threshold=1.0, top_k=None, keep_top_k=50)
    rows = keras.ops.convert_to_numpy(decoder(image[None]))[0]
    best = np.argsort(-scores, axis=None)[:50]
    anchors, classes = np.unravel_index(best, scores.shape)
    np.testing.assert_array_equal(rows[:, 0], classes)
    np.testing.assert_allclose(rows[:, 1], scores[anchors, classes], atol=1e-5)
    np.testing.assert_allclose(rows[:, 2:], boxes[anchors], atol=1e-4)


def test_values_what_the_file_holds(narrow, tmp_path):
    to_onnx(narrow, tmp_path / "a.onnx", input="bgr")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        tensor.name: [dim.dim_value for dim in tensor.type.tensor_type.shape.dim]
        for tensor in (*model.graph.input, *model.graph.output)
    }
    anchors = narrow.anchor_spec.num_anchors
    assert shapes == {"images": [1, 3, 75, 90], "boxes": [anchors, 4], "scores": [anchors, 3]}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 13)]
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said == {"input": "bgr", "class_names": '["a", "b", "c"]'}
    assert {node.domain for node in model.graph.node} == {""}


def test_values_layers_keep_their_names_and_maps_their_places(narrow, tmp_path):
    to_onnx(narrow, tmp_path / "a.onnx")
    nodes = {node.name: node for node in graph_of(tmp_path / "a.onnx").node}
    assert all(list(node.output) == [name] for name, node in nodes.items())
    for layer in narrow.layers:
        if layer.name not in ("images", "predictions") and "padding" not in layer.name:
            assert layer.name in nodes, layer.name
    heads = [name for name in nodes if name.endswith(("_mbox_conf", "_mbox_loc"))]
    assert len(heads) == 8
    turned = [name for name, node in nodes.items() if node.op_type == "Transpose"]
    assert sorted(turned) == sorted(f"{name}/transpose" for name in heads)  # none inside the backbone
    kinds = Counter(node.op_type for node in nodes.values())
    assert kinds["Pad"] == kinds["Gather"] == 0
    assert kinds["Concat"] == 3  # confidence, offsets, boxes: no padding is an operation of its own


@pytest.mark.parametrize("name", ["tiny", "narrow"])
def test_values_the_inputs_agree(name, request, tmp_path):
    model = request.getfixturevalue(name)
    rgb = noise(model)
    prepared = keras.ops.convert_to_numpy(
        keras.Model(model.inputs[0], model.get_layer("preprocessing").output)(rgb[None])
    )
    arrays = {"rgb": rgb, "bgr": rgb[..., ::-1], "blob": prepared[0, ..., ::-1], "rgb_blob": prepared[0]}
    results = []
    for kind, array in arrays.items():
        to_onnx(model, tmp_path / f"{kind}.onnx", input=kind)
        results.append(run(tmp_path / f"{kind}.onnx", np.ascontiguousarray(array.transpose(2, 0, 1))[None]))
    for boxes, scores in results[1:]:
        np.testing.assert_allclose(boxes, results[0][0], atol=1e-5)
        np.testing.assert_allclose(scores, results[0][1], atol=1e-5)
    wrong = run(tmp_path / "rgb.onnx", np.ascontiguousarray(rgb[..., ::-1].transpose(2, 0, 1))[None])
    assert np.abs(wrong[1] - results[0][1]).max() > 1e-3  # the order of the channels matters to this net
    if name == "tiny":
        assert "preprocessing" not in {node.name for node in graph_of(tmp_path / "blob.onnx").node}


def test_values_a_grey_net_takes_a_grey_blob(tmp_path):
    model = KINDS["image_grey"]()
    to_onnx(model, tmp_path / "a.onnx", input="blob")
    assert [dim.dim_value for dim in graph_of(tmp_path / "a.onnx").input[0].type.tensor_type.shape.dim] == [
        1,
        1,
        18,
        22,
    ]


@pytest.mark.parametrize("scores", ["softmax", "sigmoid", "probabilities"])
@pytest.mark.parametrize("code_type", ["center_size", "corner", "corner_size"])
def test_reference_codings(code_type, scores, tmp_path):
    """The model's own decoding, that of a decoder at its end, and variances in the targets."""
    body = after_stem(keras.layers.ReLU())
    model = body()
    decoding = {"code_type": code_type, "scores": scores}
    own = keras_ssd.SSD(model.inputs[0], model.outputs[0], name="own", decoding=decoding)
    checked = to_onnx(own, tmp_path / "own.onnx")
    assert max(checked.boxes, checked.scores) < 1e-5, checked
    options = {**decoding, "variance_encoded_in_target": True}
    decoder = DecodeDetections(from_logits=scores != "probabilities", **options)
    ending = keras.Model(model.inputs[0], decoder(model.outputs[0]), name="ending")
    checked = to_onnx(ending, tmp_path / "ending.onnx")
    assert max(checked.boxes, checked.scores) < 1e-5, checked


def test_values_suppression_is_only_in_the_file_of_a_decoder(tiny, tmp_path):
    to_onnx(tiny, tmp_path / "raw.onnx")
    to_onnx(keras_ssd.with_decoder(tiny), tmp_path / "decoder.onnx")
    kinds = {}
    for name in ("raw", "decoder"):
        kinds[name] = Counter(node.op_type for node in graph_of(tmp_path / f"{name}.onnx").node)
    assert (kinds["raw"]["NonMaxSuppression"], kinds["decoder"]["NonMaxSuppression"]) == (0, 1)
    assert kinds["raw"]["Conv"] == kinds["decoder"]["Conv"]


def test_values_a_shared_layer_has_its_weights_once(tmp_path):
    to_onnx(KINDS["called_twice"](), tmp_path / "a.onnx")
    graph = graph_of(tmp_path / "a.onnx")
    assert [tensor.name for tensor in graph.initializer if "twice" in tensor.name] == ["twice/kernel", "twice/bias"]
    assert [node.name for node in graph.node if "twice" in node.name] == ["twice", "twice_2"]


def test_values_check_tells_a_wrong_file(tiny, tmp_path):
    to_onnx(tiny, tmp_path / "a.onnx")
    changed = onnx.load(tmp_path / "a.onnx")
    [bias] = [tensor for tensor in changed.graph.initializer if tensor.name == "boxes4/bias"]
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.5), bias.name))
    onnx.save(changed, tmp_path / "b.onnx")
    checked = check_onnx(tmp_path / "b.onnx", tiny)
    assert checked.boxes > 1e-3
    assert checked.scores < 1e-5


def test_values_what_the_check_says(tiny, tmp_path):
    Image.fromarray(noise(tiny).astype(np.uint8)).save(tmp_path / "street.png")
    said = str(to_onnx(tiny, tmp_path / "a.onnx", input="blob", check_with=[tmp_path / "street.png"])).splitlines()
    version = onnxruntime.__version__
    assert said[0] == (
        f"{tmp_path / 'a.onnx'}: takes blob, gives boxes and scores. Largest differences in onnxruntime {version}:"
    )
    assert said[1].startswith("  random noise: boxes ")
    assert said[2].startswith(f"  {tmp_path / 'street.png'}: boxes ")


def test_values_without_onnxruntime_nothing_is_compared(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    checked = to_onnx(tiny, tmp_path / "a.onnx")
    assert (checked.boxes, checked.scores, checked.runtime) == (None, None, None)
    assert "onnxruntime is not installed" in str(checked)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'keras-ssd\[onnx\]'"):
        check_onnx(tmp_path / "a.onnx", tiny)


def test_values_half_precision_models_are_written_in_float32(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = detector(lambda x: L2Normalization(2.0)(keras.layers.Conv2D(4, 3, name="stem")(x)))
    finally:
        keras.config.set_dtype_policy("float32")
    checked = to_onnx(model, tmp_path / "a.onnx")
    assert max(checked.boxes, checked.scores) < 1e-2
    assert {tensor.data_type for tensor in graph_of(tmp_path / "a.onnx").initializer} <= {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    }


@pytest.mark.slow
def test_reference_ssd300(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd300(classes=[f"class {i}" for i in range(20)])
    checked = to_onnx(model, tmp_path / "a.onnx", input="bgr")
    assert max(checked.boxes, checked.scores) < 2e-5, checked
    graph = graph_of(tmp_path / "a.onnx")
    assert [node.name for node in graph.node if node.op_type == "Transpose" and "mbox" not in node.name] == []
    assert json.loads(onnx.load(tmp_path / "a.onnx").metadata_props[1].value)[19] == "class 19"


WRITE = "import sys, keras_ssd; keras_ssd.to_onnx(keras_ssd.load(sys.argv[1]), sys.argv[2], input='bgr')"


@pytest.mark.slow
def test_values_the_file_is_the_same_on_every_backend(narrow, tmp_path):
    narrow.save(tmp_path / "narrow.keras")
    to_onnx(narrow, tmp_path / "here.onnx", input="bgr")
    here = (tmp_path / "here.onnx").read_bytes()
    others = {"tensorflow", "jax", "torch"} - {keras.backend.backend()}
    for backend in sorted(name for name in others if importlib.util.find_spec(name)):
        environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", WRITE, tmp_path / "narrow.keras", tmp_path / f"{backend}.onnx"]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
        assert (tmp_path / f"{backend}.onnx").read_bytes() == here, backend
