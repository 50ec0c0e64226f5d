"""Decoding against Caffe's DetectionOutput and ssd_keras, in graphs, in jit and on arrays, on every backend."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import keras_ssd
from keras_ssd import boxes as bx
from keras_ssd import coding, fastpaths, nms
from keras_ssd.coding import Predictions
from keras_ssd.decoding import (
    DecodeOptions,
    decode_arrays,
    decode_predictions,
    detection_rows_arrays,
    graph,
)

pytestmark = pytest.mark.numerical

OPTION_CASES = ("keep_all", "conf_05", "keep_7", "top_k_5", "top_k_all", "eta", "nms_0", "nms_1")
CODES = ("corner", "center_size", "corner_size")
EXACT = ("0_25", "0_333", "0_5", "0_75")


def options_of(params):
    """Our options for a DetectionOutput layer's settings."""

    def limit(value):
        return None if value == -1 else value

    return DecodeOptions(
        confidence_threshold=params.get("confidence_threshold"),
        iou_threshold=params["nms_threshold"],
        top_k=limit(params["top_k"]),
        keep_top_k=limit(params["keep_top_k"]),
        eta=params.get("eta", 1.0),
        code_type=params["code_type"].lower(),
        variance_encoded_in_target=params["variance_encoded_in_target"],
    )


def raw_predictions(loc, conf, priors, variances):
    """The (B, N, C + 1 + 12) tensor of a DetectionOutput layer's inputs."""
    count = len(priors)
    loc = loc.reshape(-1, count, 4)
    shape = loc.shape
    return Predictions(
        conf.reshape(shape[0], count, -1),
        loc,
        np.broadcast_to(bx.xyxy_to_cxcywh(priors), shape),
        np.broadcast_to(variances, shape),
    ).join()


def sorted_rows(rows):
    """Rows by falling score, those of one score in an order that does not depend on who wrote them."""
    keys = [np.round(rows[:, i], 4) for i in (5, 4, 3, 2, 0)]
    return rows[np.lexsort((*keys, -rows[:, 1]))]


def assert_same_detections(ours, reference):
    """Row for row: classes equal, scores to 1e-6, boxes to 1e-5; rows of equal score may swap."""
    assert (np.diff(ours[:, 1]) <= 0).all(), "rows must come by falling score, padding last"
    used = ours[:, 0] >= 0
    assert not ours[~used][:, 1:].any()
    assert (ours[~used][:, 0] == -1).all()
    ours, reference = sorted_rows(ours[used]), sorted_rows(reference)
    assert len(ours) == len(reference)
    np.testing.assert_array_equal(ours[:, 0], reference[:, 0])
    np.testing.assert_allclose(ours[:, 1], reference[:, 1], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours[:, 2:], reference[:, 2:], rtol=0, atol=1e-5)


def caffe_rows(output, item):
    """Caffe's rows of one picture with our class ids: background not counted."""
    rows = output[(output[:, 0] == item) & (output[:, 1] >= 0), 1:].copy()
    rows[:, 0] -= 1
    return rows


def numpy_path(predictions, options):
    return decode_arrays(predictions, options, from_logits=False)


def graph_path(predictions, options):
    """`decode_predictions` without its shortcut through numpy."""
    parts = Predictions.split(ops.convert_to_tensor(predictions))
    boxes = coding.decode(
        parts.offsets,
        parts.anchors_cxcywh,
        parts.variances,
        code_type=options.code_type,
        variance_encoded_in_target=options.variance_encoded_in_target,
        xp=ops,
    )
    return ops.convert_to_numpy(graph.detection_rows(parts.logits, boxes, options))


def eager_path(predictions, options):
    tensor = ops.convert_to_tensor(predictions)
    return ops.convert_to_numpy(decode_predictions(tensor, options, from_logits=False))


def model_path(predictions, options):
    """Inside a Keras model, as users run it: traced, and without XLA on TensorFlow."""
    raw = keras.Input(predictions.shape[1:])
    detections = keras_ssd.DecodeDetections(from_logits=False, **vars(options))(raw)
    found = keras.Model(raw, detections).predict_on_batch(predictions)
    assert found.shape[1:] == detections.shape[1:]
    return found


PATHS = [numpy_path, graph_path, eager_path, model_path]


@pytest.fixture(params=PATHS, ids=lambda path: path.__name__)
def path(request):
    return request.param


def check(path, reference, case_params, output, *, loc="loc", conf="conf", prefix=""):
    priors, variances = reference[f"{prefix}priors"], reference[f"{prefix}variances"]
    predictions = raw_predictions(reference[loc], reference[conf], priors, variances)
    rows = path(predictions, options_of(case_params))
    for item, ours in enumerate(rows):
        assert_same_detections(ours, caffe_rows(output, item))


@pytest.mark.parametrize("name", ["8732", "batch3", "none"])
def test_reference_whole_pictures(oracle, path, name):
    reference = oracle("caffe", f"detection_output_{name}.npz")
    check(path, reference, json.loads(str(reference["params"])), reference["output"])


@pytest.mark.parametrize("case", [f"{code}{end}" for code in CODES for end in ("", "_encoded")])
def test_reference_code_types(oracle, path, case):
    reference = oracle("caffe", "detection_output_codes.npz")
    params = json.loads(str(reference["params"]))[case]
    check(path, reference, params, reference[f"output_{case}"], loc=f"loc_{case}")


@pytest.mark.parametrize("case", [*OPTION_CASES, "no_conf_threshold"])
def test_reference_options(oracle, path, case):
    reference = oracle("caffe", "detection_output_options.npz")
    params = json.loads(str(reference["params"]))
    assert set(params) == {*OPTION_CASES, "no_conf_threshold", "background_20", "not_shared"}
    check(path, reference, params[case], reference[f"output_{case}"])


def test_reference_background_elsewhere_on_arrays(oracle):
    reference = oracle("caffe", "detection_output_options.npz")
    params = json.loads(str(reference["params"]))["background_20"]
    boxes = coding.decode(
        reference["loc"].reshape(-1, 4),
        bx.xyxy_to_cxcywh(reference["priors"]),
        reference["variances"],
    )
    rows = detection_rows_arrays(reference["conf"].reshape(len(boxes), -1), boxes, options_of(params), background=20)
    expected = reference["output_background_20"][:, 1:]  # classes 0..19 before the background
    assert_same_detections(rows, expected)


def test_reference_boxes_for_each_class_on_arrays(oracle):
    reference = oracle("caffe", "detection_output_options.npz")
    params = json.loads(str(reference["params"]))["not_shared"]
    priors = bx.xyxy_to_cxcywh(reference["priors"])[:, None]
    count, slots = len(priors), reference["not_shared_conf"].size // len(priors)
    boxes = coding.decode(reference["not_shared_loc"].reshape(count, slots, 4), priors, reference["variances"][:, None])
    rows = detection_rows_arrays(reference["not_shared_conf"].reshape(count, slots), boxes, options_of(params))
    assert_same_detections(rows, caffe_rows(reference["output_not_shared"], 0))


@pytest.mark.parametrize("case", ["output", "output_top_k_40"])
def test_reference_ties(oracle, path, case):
    reference = oracle("caffe", "detection_output_ties.npz")
    check(path, reference, json.loads(str(reference["params"]))[case], reference[case])


def test_reference_ties_at_the_last_row_have_the_same_scores(oracle, path):
    reference = oracle("caffe", "detection_output_ties.npz")
    params = json.loads(str(reference["params"]))["output_keep_top_k_50"]
    predictions = raw_predictions(*(reference[k] for k in ("loc", "conf", "priors", "variances")))
    ours = path(predictions, options_of(params))[0]
    expected = np.sort(reference["output_keep_top_k_50"][:, 2])[::-1]
    np.testing.assert_allclose(ours[:, 1], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", EXACT)
def test_reference_overlap_equal_to_the_threshold_survives(oracle, path, case):
    reference = oracle("caffe", "detection_output_ties.npz")
    params = json.loads(str(reference["params"]))["exact_output"][case]
    output = reference[f"exact_output_{case}"]
    check(path, reference, params, output, loc="exact_loc", conf="exact_conf", prefix="exact_")


def ssd_keras_rows(reference, key, item, size=300):
    rows = reference[key]
    rows = rows[rows[:, 0] == item][:, 1:].astype(np.float32)
    rows[:, 0] -= 1
    rows[:, 2:] /= size
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("detections", DecodeOptions(top_k=None, max_per_class=400)),
        ("detections_fast", DecodeOptions(0.5, top_k=None, class_agnostic=True)),
    ],
)
def test_reference_ssd_keras(oracle, path, key, options):
    reference = oracle("ssd_keras", "decode_ssd300_voc.npz")
    probabilities = reference["class_probs"]
    shape = (*probabilities.shape[:2], 4)
    predictions = Predictions(
        probabilities,
        reference["offsets"],
        np.broadcast_to(reference["anchors_cxcywh"], shape),
        np.broadcast_to(np.float32([0.1, 0.1, 0.2, 0.2]), shape),
    ).join()
    for item, ours in enumerate(path(predictions, options)):
        expected = ssd_keras_rows(reference, key, item)
        assert_same_detections(ours, expected)


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
    monkeypatch.setattr(graph, "MAX_PAIRS", 0)  # box by box
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


def test_values_a_batch_without_pictures():
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
