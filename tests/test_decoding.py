"""Decoding in graphs, in jit and on arrays: the same everywhere, options by hand, and bad arguments."""

import keras
import numpy as np
import pytest
from decoding_paths import PATHS, assert_same_detections, graph_path, numpy_path
from keras import ops

import keras_ssd
from keras_ssd import fastpaths, nms
from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import (
    DecodeOptions,
    decode_arrays,
    decode_predictions,
    detection_rows_arrays,
    tensors,
)

pytestmark = pytest.mark.numerical


@pytest.fixture(params=PATHS, ids=lambda path: path.__name__)
def path(request):
    return request.param


def random_predictions(batch=2, count=300, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (batch, count, classes + 1))
    anchors = rng.uniform(0.1, 0.9, (batch, count, 4))
    offsets = rng.normal(0, 1, (batch, count, 4))
    variances = np.tile([0.1, 0.1, 0.2, 0.2], (batch, count, 1))
    return Predictions(logits, offsets, anchors, variances).join().astype(np.float32)


def probabilities_of(predictions):
    parts = Predictions.split(predictions)
    powers = np.exp(parts.logits - parts.logits.max(-1, keepdims=True))
    probabilities = powers / powers.sum(-1, keepdims=True)
    return Predictions(probabilities, parts.offsets, parts.anchors_cxcywh, parts.variances).join()


VARIANTS = [
    DecodeOptions(),
    DecodeOptions(top_k=20, keep_top_k=15),
    DecodeOptions(top_k=None, keep_top_k=None),
    DecodeOptions(top_k=50, max_per_class=3),
    DecodeOptions(top_k=None, max_per_class=4, class_agnostic=True),
    DecodeOptions(0.2, class_agnostic=True, top_k=30),
    DecodeOptions(average_boxes=True, top_k=100),
    DecodeOptions(average_boxes=True, eta=0.8, iou_threshold=0.7, clip_boxes=True),
    DecodeOptions(eta=0.9, iou_threshold=0.8, code_type="corner"),
]


@pytest.mark.parametrize("options", VARIANTS, ids=range(len(VARIANTS)))
def test_reference_graph_equals_arrays(options):
    predictions = probabilities_of(random_predictions())
    expected = numpy_path(predictions, options)
    assert (expected[..., 0] >= 0).any(axis=1).all()
    for ours, rows in zip(graph_path(predictions, options), expected, strict=True):
        assert_same_detections(ours, rows[rows[:, 0] >= 0])


def test_reference_general_form_equals_the_fused_operation(monkeypatch):
    predictions = probabilities_of(random_predictions(seed=3))
    fused = graph_path(predictions, DecodeOptions())
    monkeypatch.setattr(fastpaths, "suppression_mask", lambda *_: None)
    for ours, rows in zip(graph_path(predictions, DecodeOptions()), fused, strict=True):
        assert_same_detections(ours, rows[rows[:, 0] >= 0])
    monkeypatch.setattr(tensors, "MAX_PAIRS", 0)  # box by box
    for ours, rows in zip(graph_path(predictions, DecodeOptions()), fused, strict=True):
        assert_same_detections(ours, rows[rows[:, 0] >= 0])


@pytest.mark.parametrize("options", VARIANTS, ids=range(len(VARIANTS)))
def test_reference_inside_jit(options):
    predictions = random_predictions(seed=1)
    expected = decode_arrays(predictions, options)

    def decode(x):
        return decode_predictions(x, options)

    for ours, rows in zip(jitted(decode)(predictions), expected, strict=True):
        assert_same_detections(ours, rows[rows[:, 0] >= 0])


def jitted(function):
    """The function compiled by the backend: XLA, JAX's jit; PyTorch has no compiled form that Keras uses."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(function, jit_compile=True)
        return lambda x: compiled(tf.constant(x)).numpy()
    if backend == "jax":
        import jax

        compiled = jax.jit(function)
        return lambda x: np.asarray(compiled(x))
    return lambda x: ops.convert_to_numpy(function(ops.convert_to_tensor(x)))


def test_values_averaging_by_hand():
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 1, 0.8], [0.5, 0.5, 0.9, 0.9]])
    scores = np.float32([[0.1, 0.6], [0.1, 0.3], [0.1, 0.2]])
    rows = detection_rows_arrays(scores, boxes, DecodeOptions(average_boxes=True))
    np.testing.assert_allclose(rows[0], [0, 0.6, 0, 0, 1, (0.6 * 1 + 0.3 * 0.8) / 0.9], rtol=1e-6)
    np.testing.assert_allclose(rows[1], [0, 0.2, 0.5, 0.5, 0.9, 0.9], rtol=1e-6)
    assert rows[2, 0] == -1


def spread_predictions(probabilities, spread=0.1):
    """(1, N, C + 1 + 12) with the class columns given, and small boxes side by side that do not overlap."""
    columns = np.asarray(probabilities, np.float32)
    count = len(columns)
    anchors = np.column_stack([np.arange(count) * spread, np.full(count, 0.5), *[np.full(count, spread / 2)] * 2])
    parts = Predictions(columns, np.zeros((count, 4)), anchors, np.full((count, 4), 0.1))
    return parts.join().astype(np.float32)[None]


@pytest.mark.parametrize("top_k", [4, None])
def test_values_max_per_class_keeps_the_best_of_each_class(path, top_k):
    columns = [[1 - p, p, 0] for p in (0.9, 0.8, 0.7, 0.6)] + [[1 - p, 0, p] for p in (0.85, 0.75)]
    rows = path(spread_predictions(columns), DecodeOptions(top_k=top_k, max_per_class=2))[0]
    rows = rows[rows[:, 0] >= 0]
    np.testing.assert_array_equal(rows[:, 0], [0, 1, 0, 1])
    np.testing.assert_allclose(rows[:, 1], [0.9, 0.85, 0.8, 0.75], rtol=1e-6)


@pytest.mark.parametrize(("threshold", "count"), [(None, 3), (0.0, 1)])
def test_values_no_threshold_reports_scores_of_zero(path, threshold, count):
    predictions = spread_predictions([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    rows = path(predictions, DecodeOptions(confidence_threshold=threshold))[0]
    assert (rows[:, 0] >= 0).sum() == count
    np.testing.assert_array_equal(rows[:count, 1], [0.5, 0.0, 0.0][:count])


def test_values_a_score_just_above_the_threshold_is_found_among_many():
    """What drops the hopeless early must leave those that hope barely, and must not count what fills the gaps."""
    floor = 0.2
    logits = np.tile([0.0, -9.0], (60, 1))
    logits[[7, 31, 55], 1] = np.log(floor / (1 - floor)) + np.array([0.01, -0.01, 0.02])
    raw = keras.Input((60, 14))
    layer = keras_ssd.DecodeDetections(confidence_threshold=floor, top_k=20)
    rows = keras.Model(raw, layer(raw)).predict_on_batch(spread_predictions(logits))[0]
    rows = rows[rows[:, 0] >= 0]
    np.testing.assert_allclose((rows[:, 2] + rows[:, 4]) / 2, [5.5, 0.7], rtol=1e-5)  # centres of anchors 55 and 7


def test_values_boxes_with_swapped_corners_overlap_nothing(path):
    """Only the corner codes can predict them; TensorFlow's own suppression would turn them around."""
    parts = Predictions.split(spread_predictions([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]))
    parts.anchors_cxcywh[...] = [0.5, 0.5, 0.2, 0.2]
    parts.offsets[0, 1] = [2.0, 0, -2.0, 0]  # times the variance of 0.1: from xmin 0.6 to xmax 0.4
    rows = path(parts.join(), DecodeOptions(code_type="corner"))[0]
    np.testing.assert_allclose(rows[rows[:, 0] >= 0][:, 1], [0.9, 0.8], rtol=1e-6)


@pytest.mark.parametrize("iou_threshold", [0.5, 0.0])
def test_values_averaging_keeps_overlaps_equal_to_the_threshold_and_boxes_without_area(path, iou_threshold):
    parts = Predictions.split(spread_predictions([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]))
    side = 0.25
    parts.anchors_cxcywh[0] = [[0.125, 0.125, side, side], [0.125, 0.0625, side, side / 2], [0.75, 0.75, 0, 0]]
    rows = path(parts.join(), DecodeOptions(average_boxes=True, iou_threshold=iou_threshold))[0]
    found = rows[rows[:, 0] >= 0]
    if iou_threshold:  # the second box has an IoU of exactly one half with the first
        np.testing.assert_allclose(found[:, 1], [0.9, 0.8, 0.7], rtol=1e-6)
        np.testing.assert_allclose(found[0, 2:], [0, 0, side, side], atol=1e-6)
    else:
        np.testing.assert_allclose(found[:, 1], [0.9, 0.7], rtol=1e-6)
        np.testing.assert_allclose(found[0, 5], side * (0.9 + 0.8 / 2) / 1.7, rtol=1e-5)
    np.testing.assert_allclose(found[-1, 2:], 0.75, rtol=1e-6)


def test_values_a_batch_without_images():
    predictions = spread_predictions([[0.1, 0.9, 0.0]] * 3)[:0]
    assert decode_arrays(predictions, DecodeOptions()).shape == (0, 6, 6)
    assert decode_arrays(predictions, DecodeOptions(keep_top_k=4)).shape == (0, 4, 6)


def test_values_general_suppression_keeps_what_overlaps_as_much_as_the_threshold():
    boxes = ops.convert_to_tensor([[0, 0, 1, 1], [0, 0, 1, 0.5], [0, 0, 1, 0.75]], "float32")
    for threshold, kept in ((0.5, [True, True, False]), (0.75, [True, True, True]), (0.49, [True, False, False])):
        found = nms.fixed_point_mask(boxes[None], ops.ones((1, 3), "bool"), threshold)
        assert ops.convert_to_numpy(found)[0].tolist() == kept


def test_values_threshold_is_strict():
    boxes = np.float32([[0, 0, 0.1, 0.1], [0.5, 0.5, 0.6, 0.6]])
    scores = np.float32([[0.5, 0.5], [0.4, 0.6]])
    rows = detection_rows_arrays(scores, boxes, DecodeOptions(0.5))
    assert rows[:, 0].tolist() == [0.0, -1.0]
    assert rows[0, 1] == np.float32(0.6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence_threshold": 1.5}, "confidence_threshold.*between 0 and 1"),
        ({"iou_threshold": -0.1}, "iou_threshold.*between 0 and 1"),
        ({"iou_threshold": float("nan")}, "iou_threshold"),
        ({"top_k": 0}, "top_k.*positive integer"),
        ({"keep_top_k": 2.5}, "keep_top_k.*positive integer"),
        ({"eta": 0}, "eta"),
        ({"code_type": "centre_size"}, "center_size"),
    ],
)
def test_rejects_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        DecodeOptions(**options)


def test_rejects_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(3, 4\) or \(3, 2, 4\)"):
        detection_rows_arrays(np.zeros((3, 2)), np.zeros((2, 4)), DecodeOptions())
    with pytest.raises(ValueError, match="class_agnostic"):
        detection_rows_arrays(np.zeros((3, 2)), np.zeros((3, 2, 4)), DecodeOptions(class_agnostic=True))
