"""SSDlite320 in use: other sizes, widths, classes; a step of training; detection with norms folded; ONNX."""

import keras
import numpy as np
import pytest
import torch_files
import torch_nets as tn

import keras_ssd
from keras_ssd.backbones.mobilenet_v3 import mobilenet_v3_large


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("lite") / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"
    torch_files.write_pth(path, tn.arrays(tn.SSDLITE))
    return keras_ssd.ssdlite320(path, classes=["dog", "person", "helmet"])


@pytest.mark.parametrize(
    ("size", "reduced", "grids", "channels"),
    [
        ((320, 320), True, [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)], 480),
        ((512, 384), False, [(32, 24), (16, 12), (8, 6), (4, 3), (2, 2), (1, 1)], 960),
        ((301, 437), True, [(19, 28), (10, 14), (5, 7), (3, 4), (2, 2), (1, 1)], 480),
    ],
)
def test_values_sizes_and_widths(size, reduced, grids, channels):
    model = keras_ssd.ssdlite320(classes=["a", "b"], input_size=size, reduced_tail=reduced)
    assert list(model.anchor_spec.grids) == grids
    assert model.get_layer("top").output.shape[-1] == channels
    assert model.get_layer("block13_expand").output.shape[1:] == (*grids[0], 672)
    assert model.anchor_spec.boxes_per_cell == (6,) * 6
    sides = np.asarray([box for level in model.anchor_spec.levels for box in level.boxes_hw])
    assert (sides.max(0) <= size).all()


def test_values_backbone_parameters_as_published():
    """torchvision's count for MobileNetV3 large, less its classifier of two dense layers."""
    body = mobilenet_v3_large((64, 64))
    learnt = sum(int(np.prod(weight.shape)) for weight in body.trainable_weights)
    assert learnt == 5_483_032 - (960 * 1280 + 1280) - (1280 * 1000 + 1000)
    means = [layer for layer in body.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in means} == {(0.97, 0.001)}


def test_values_a_fresh_model_with_a_frozen_beginning():
    model = keras_ssd.ssdlite320(classes=["a"], freeze=("stem_*", "block?_*"))
    assert not model.get_layer("block9_expand_conv").trainable
    assert model.get_layer("block10_expand_conv").trainable


def test_values_a_step_of_training_as_torchvision_matches(trained, tmp_path):
    model = keras_ssd.with_classes(trained, ["dog", "vest"])
    assert model.decoding == trained.decoding
    encoder = keras_ssd.TargetEncoder.from_model(model, keras_ssd.MatchRules("torchvision"))
    targets = encoder.encode_batch([np.array([[0.1, 0.1, 0.5, 0.5]], "f4")], [np.array([1])])
    model.compile(keras.optimizers.SGD(1e-3, clipnorm=1.0), keras_ssd.SSDLoss())
    losses = [float(model.train_on_batch(tn.images(tn.SSDLITE), targets)) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


def test_values_detect_folds_norms_and_finds_the_same(trained):
    image = np.round(tn.images(tn.SSDLITE)[0]).astype(np.uint8)
    decoder = keras_ssd.with_decoder(trained, confidence_threshold=0.1)
    rows = decoder.predict_on_batch(image[None].astype("f4"))[0]
    rows = rows[rows[:, 0] >= 0]
    [found] = trained.detect([image], confidence=0.1)
    assert len(found.scores) == len(rows) > 50
    np.testing.assert_allclose(np.sort(found.scores), np.sort(rows[:, 1]), rtol=0, atol=1e-5)


def test_reference_onnx(trained, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from keras_ssd.exporters.onnx import to_onnx

    checked = to_onnx(trained, tmp_path / "lite.onnx")
    assert max(checked.boxes, checked.scores) < 1e-5, checked
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "lite.onnx")
    image = tn.images(tn.SSDLITE).transpose(0, 3, 1, 2)
    boxes = session.run(["boxes"], {session.get_inputs()[0].name: image})[0]
    assert (boxes.min(), boxes.max()) == (0, 1)  # clipped before suppression
