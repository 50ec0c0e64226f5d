"""TensorFlow Lite files in whole numbers: what becomes int8, what stays in float, how far the results are."""

import importlib.util

import keras
import numpy as np
import pytest
from test_tflite_writing import NEEDED, model, outputs_of, two_levels, written
from tiny_models import tiny_backbone

import keras_ssd
from keras_ssd.exporting import door
from keras_ssd.exporting.int8 import loss_of
from keras_ssd.exporting.parity import TOLERANCES, Tolerance, compare
from keras_ssd.formats.tflite import read_tflite

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in (*NEEDED, "ai_edge_quantizer")),
    reason="whole numbers need ai-edge-quantizer and TensorFlow",
)
assert model  # the fixture


def waves(count):
    """Smooth images (40, 56, 3) uint8."""
    y, x = np.mgrid[0:40, 0:56] / 10
    parts = [[np.sin(x * (1 + i % 3) + y * channel + i) for channel in range(3)] for i in range(count)]
    return [(127.5 + 127.5 * np.stack(one, axis=-1)).astype(np.uint8) for one in parts]


def whole_number_layers(path):
    """{name of a tensor: whether it is int8} of all that convolutions make."""
    graph = read_tflite(path)
    made = [graph.tensors[op.outputs[0]] for op in graph.operators if op.kind == "CONV_2D"]
    return {tensor.name: tensor.dtype == "int8" for tensor in made}


def test_values_every_layer_in_whole_numbers(model, tmp_path):
    """Bytes go in as they come from a camera, convolutions are int8, boxes and scores are near the model's."""
    path, images = tmp_path / "int8.tflite", waves(6)
    told, _ = written(model, path, suppression=False, precision="int8", calibrate=images)
    assert told.notes == ("every layer is in whole numbers",)
    assert (told.metadata.dtype, told.metadata.precision) == ("uint8", "int8")
    graph = read_tflite(path)
    [taken] = [graph.tensors[i] for i in graph.inputs]
    assert (taken.dtype, taken.quantization.scales.tolist(), taken.quantization.zeros.tolist()) == ("uint8", [1.0], [0])
    assert len(whole_number_layers(path)) == 6
    assert all(whole_number_layers(path).values())
    found = outputs_of(path, images[0][None])
    float_path = tmp_path / "float32.tflite"
    written(model, float_path, suppression=False)
    expected = outputs_of(float_path, images[0][None])
    loss = loss_of(expected["boxes"][0], expected["scores"][0], found["boxes"][0], found["scores"][0])
    assert 0 < loss < 0.05
    assert path.stat().st_size < float_path.stat().st_size


def test_values_layers_that_lose_too_much_stay_in_float(tmp_path):
    """One channel a thousand times as large as the others takes all of the 256 steps from them."""
    keras.utils.set_random_seed(0)
    made = keras_ssd.ssd(tiny_backbone(), ["fine", "coarse"], ["cat", "dog"], two_levels(), preprocessing="tf")
    fine = made.get_layer("fine")
    kernel, bias = fine.get_weights()
    bias[0] = 3000.0
    fine.set_weights([kernel, bias])
    for name in ("coarse", "fine_mbox_conf", "fine_mbox_loc"):
        kernel, bias = made.get_layer(name).get_weights()
        kernel[:, :, 0] = 0  # nobody looks at it
        made.get_layer(name).set_weights([kernel * (1 if name == "coarse" else 10), bias])
    path = tmp_path / "int8.tflite"
    told, _ = written(made, path, suppression=False, precision="int8", calibrate=waves(6))
    [note] = told.notes
    assert note.startswith("left in float, because they would lose too much: ")
    # What makes the map and what reads most of the objects from it; one of them alone would gain nothing.
    assert set(note.partition(": ")[2].split(", ")) == {"fine", "fine_mbox_conf", "fine_mbox_loc"}
    kept = whole_number_layers(path)
    assert [whole for name, whole in kept.items() if "coarse" in name] == [True, True, True]
    assert [whole for name, whole in kept.items() if "fine" in name and "coarse" not in name] == [False, False, False]


def test_roundtrip_through_the_door(model, tmp_path):
    """Compared on the images of the calibration, by the mean difference."""
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.3)
    exported = door.export(detector, tmp_path / "int8.tflite", precision="int8", calibrate=waves(4))
    assert exported.parity.holds
    assert (exported.parity.images, exported.parity.tolerance) == (4, TOLERANCES["int8"])
    assert "mean difference" in str(exported)
    assert "every layer is in whole numbers" in str(exported)


def test_values_an_untrained_anchor_stays_silent(model, tmp_path):
    """Its kernel is nearly zero, so in steps of its scale the bias needs more than 32 bits."""
    made = keras.models.clone_model(model)
    made.set_weights(model.get_weights())
    head = made.get_layer("coarse_mbox_conf")
    kernel, bias = head.get_weights()
    kernel[..., :3], bias[:3] = 1e-9, (6.0, -6.0, -6.0)  # background, and two classes
    head.set_weights([kernel, bias])
    images = waves(4)
    written(made, tmp_path / "int8.tflite", suppression=False, precision="int8", calibrate=images)
    scores = outputs_of(tmp_path / "int8.tflite", images[0][None])["scores"][0]
    first = made.anchor_spec.levels[0].num_anchors
    np.testing.assert_allclose(scores[first], 1 / (2 + np.exp(12)), rtol=0.05)


def test_values_mean_differences():
    ours = np.float32([[0, 0.9, 0, 0, 1, 1], [1, 0.8, 0, 0, 0.5, 0.5]])
    theirs = np.float32([[0, 0.9, 0, 0, 1, 1], [1, 0.6, 0, 0, 0.5, 0.7]])
    mean = compare([ours], [theirs], "x", Tolerance(0.11, 0.11, mean=True))
    assert (mean.scores, mean.boxes) == (pytest.approx(0.1), pytest.approx(0.1))
    assert mean.holds
    assert not compare([ours], [theirs], "x", Tolerance(0.11, 0.11)).holds


def test_values_loss():
    boxes = np.float32([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    scores = np.float32([[0.9, 0.1], [0.0, 0.3]])
    assert loss_of(boxes, scores, boxes, scores) == 0
    lower = np.float32([[0.7, 0.1], [0.0, 0.3]])
    assert loss_of(boxes, scores, boxes, lower) == pytest.approx(0.2 * 0.9 / 1.2)
    moved = np.float32([[0, 0, 0.5, 0.25], [0.5, 0.5, 1, 1]])  # half of the first box
    assert loss_of(boxes, scores, moved, scores) == pytest.approx(0.5 * 0.9 / 1.2)
