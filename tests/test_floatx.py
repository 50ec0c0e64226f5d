"""Keras's default float type decides nothing: no operation leaves its dtype to it."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
from tiny_models import tiny_ssd

import keras_ssd

PACKAGE = Path(keras_ssd.__file__).parent
# Functions of keras.ops whose result has Keras's default dtype where none is given: the place of `dtype`.
MAKERS = {
    "arange": 3, "array": 1, "convert_to_tensor": 1, "empty": 1, "eye": 3, "full": 2, "identity": 1, "linspace": 5,
    "logspace": 5, "one_hot": 3, "ones": 1, "tri": 3, "zeros": 1,
}  # fmt: skip
FLOATS = ("bfloat16", "float16", "float32", "float64")


def undecided(source):
    """Lines of calls such as `ops.zeros(3)`."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MAKERS):
            continue
        named = any(keyword.arg == "dtype" for keyword in node.keywords)
        ours = ast.unparse(node.func.value) in ("ops", "keras.ops")
        if ours and not named and len(node.args) <= MAKERS[node.func.attr]:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_values_every_operation_names_its_dtype(path):
    assert undecided(path.read_text(encoding="utf-8")) == []


def test_values_the_search_sees_what_is_undecided():
    code = (
        "ops.zeros(3)\nops.zeros(3, 'int32')\nkeras.ops.arange(3, dtype='int32')\nkeras.ops.arange(1, 2, 3)\nnp.ones(3)"
    )
    assert undecided(code) == [1, 4]


# JAX has float64 only where it is told so at its start, takes float32 instead, and warns.
pytestmark = pytest.mark.filterwarnings("ignore:Explicitly requested dtype float64:UserWarning")


@pytest.fixture(params=FLOATS)
def floatx(request):
    before, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(before)
    keras.config.set_dtype_policy(policy)


IMAGES = np.random.default_rng(0).integers(0, 255, (2, 40, 56, 3)).astype(np.uint8)


def raw_predictions(model):
    """Predictions of a few clear objects, from a table of logits that no network made."""
    rng = np.random.default_rng(1)
    spec = model.anchor_spec
    logits = rng.normal(0, 3, (2, spec.num_anchors, 3)).astype(np.float32)
    anchors = np.broadcast_to(spec.anchors_cxcywh(), (2, spec.num_anchors, 4))
    variances = np.broadcast_to(np.float32(spec.variances), anchors.shape)
    offsets = rng.normal(0, 1, anchors.shape).astype(np.float32)
    return np.concatenate([logits, offsets, anchors, variances], axis=-1)


@pytest.mark.numerical
@pytest.mark.parametrize(
    "options", [{}, {"class_agnostic": True}, {"eta": 0.9}, {"average_boxes": True}, {"scores": "sigmoid"}], ids=str
)
def test_reference_decoder_under_every_default(floatx, options):
    model = tiny_ssd()
    predictions = raw_predictions(model)
    expected = keras_ssd.decode_arrays(predictions, keras_ssd.DecodeOptions(**options))
    # Not by `predict`: Keras makes arrays that it is given there coarse before any layer sees them.
    layer = keras_ssd.DecodeDetections(**options)
    found = keras.ops.convert_to_numpy(layer(keras.ops.convert_to_tensor(predictions, "float32")))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.numerical
def test_values_detect_train_and_decode_under_every_default(floatx):
    model = tiny_ssd()
    assert model.output.dtype == "float32"
    for found in model.detect(list(IMAGES), confidence=0.01):
        assert found.size_hw == (40, 56)
        assert found.boxes_xyxy.dtype == np.float32
        assert np.isfinite(found.scores).all()
    detections = keras_ssd.with_decoder(model).predict(IMAGES.astype(np.float32), verbose=0)
    assert detections.dtype == np.float32
    anchors = keras.ops.convert_to_numpy(model(IMAGES.astype("float32")))[0, :, -8:-4]
    np.testing.assert_array_equal(anchors, model.anchor_spec.anchors_cxcywh())
    model.compile("sgd", loss=keras_ssd.SSDLoss(), jit_compile=False)
    encoder = keras_ssd.TargetEncoder.from_model(model)
    targets = encoder.encode_batch([[[0.1, 0.1, 0.6, 0.9]]] * 2, [[1]] * 2)
    # As tensors: Keras makes arrays coarse.
    images, targets = (keras.ops.convert_to_tensor(x, "float32") for x in (IMAGES, targets))
    assert np.isfinite(float(model.test_on_batch(images, targets)))
    if floatx not in ("float16",):
        assert np.isfinite(float(model.train_on_batch(images, targets)))


@pytest.mark.numerical
@pytest.mark.parametrize("method", ["caffe", "ssd_keras", "torchvision"])
def test_reference_encoder_and_loss_under_every_default(floatx, method):
    model = tiny_ssd()
    encoder = keras_ssd.TargetEncoder.from_model(model, keras_ssd.MatchRules(method))
    boxes, ids = [[[0.1, 0.1, 0.6, 0.9], [0.3, 0.2, 0.35, 0.3]]] * 2, [[1, 0]] * 2
    targets = encoder.encode_batch(boxes, ids)
    in_graph = keras.ops.convert_to_numpy(encoder.encode_in_graph(np.float32(boxes), np.int32(ids)))
    np.testing.assert_allclose(in_graph, targets, atol=1e-4)
    predictions = raw_predictions(model)
    loss = keras_ssd.SSDLoss()
    assert loss.dtype == ("float64" if floatx == "float64" else "float32")
    keras.config.set_floatx("float32")
    expected = float(keras_ssd.SSDLoss()(targets, predictions))
    keras.config.set_floatx(floatx)
    assert float(loss(targets, predictions)) == pytest.approx(expected, rel=1e-5)
    assert float(loss(targets.tolist(), predictions.tolist())) == pytest.approx(expected, rel=1e-5)
