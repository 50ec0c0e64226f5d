"""SSDLoss: values by hand, empty and extreme input, its options, what it refuses; on every backend."""

import keras
import numpy as np
import pytest
from gradients import compiled, value_and_gradient
from keras import ops

import keras_ssd
from keras_ssd import losses
from keras_ssd.box_coder import BACKGROUND, NEUTRAL, Predictions, Targets

pytestmark = pytest.mark.numerical

BOX = (0.5, 0.5, 0.2, 0.4)
VARIANCES = (0.1, 0.1, 0.2, 0.2)
HUGE = 3e38
OPTIONS = (
    {},
    {"mining": "batch", "n_neg_min": 3},
    {"mining": None, "confidence": "sigmoid", "focal_gamma": 0.5, "focal_alpha": 0.25},
    {"localization": "giou", "focal_gamma": 0.5, "negative_images": "mine"},
    {"localization": "ciou", "label_smoothing": 0.1, "code_type": "corner"},
    {"localization": "diou", "normalization": "none"},
)


def predictions(logits, offsets=0.0):
    """(B, N, C + 1 + 12) of these logits (B, N, C + 1), all anchors alike."""
    logits = np.asarray(logits, np.float32)
    shape = (*logits.shape[:2], 4)
    parts = (np.broadcast_to(np.asarray(x, np.float32), shape) for x in (offsets, BOX, VARIANCES))
    return Predictions(logits, *parts).join()


def targets(class_ids, offsets=0.0):
    class_ids = np.asarray(class_ids, np.float32)
    return Targets(class_ids, np.broadcast_to(np.asarray(offsets, np.float32), (*class_ids.shape, 4))).join()


def numpy_of(tensor):
    return ops.convert_to_numpy(tensor)


def test_values_by_hand():
    # One object; of the four background anchors (one more is neutral) the three that see background the least count.
    logits = np.log([[[1, 3], [9, 1], [1, 1], [3, 1], [1, 4], [1, 1e6]]])
    y_true = targets([[1, 0, 0, 0, 0, NEUTRAL]], (0.5, -3.0, 0.0, 1.0))
    y_true[0, 1:, 1:] = 99  # nobody may look at the offsets of what is no object
    confidence = -np.log([0.75, 0.5, 0.75, 0.2]).sum()
    localization = 0.125 + 2.5 + 0.5
    loss = keras_ssd.SSDLoss()
    np.testing.assert_allclose(float(loss(y_true, predictions(logits))), confidence + localization, rtol=1e-6)
    terms = loss.terms(y_true, predictions(logits))
    np.testing.assert_allclose(numpy_of(terms.confidence), [confidence], rtol=1e-6)
    np.testing.assert_allclose(numpy_of(terms.localization), [localization], rtol=1e-6)
    assert numpy_of(terms.positives).tolist() == [[True, False, False, False, False, False]]
    assert numpy_of(terms.negatives).tolist() == [[False, False, True, True, True, False]]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("giou", 1 - 1 / 3 + 0),  # side by side in one row: their hull holds nothing else
        ("diou", 1 - 1 / 3 + 0.01 / (0.09 + 0.16)),
        ("ciou", 1 - 1 / 3 + 0.01 / (0.09 + 0.16)),
    ],
)
def test_values_box_losses_of_a_box_moved_by_half_its_width(kind, expected):
    y_pred = predictions([[[0.0, 50.0]]], (5.0, 0.0, 0.0, 0.0))  # 5 * 0.1 * 0.2 = 0.1 to the right
    terms = keras_ssd.SSDLoss(localization=kind).terms(targets([[1]]), y_pred)
    np.testing.assert_allclose(numpy_of(terms.localization), [expected], rtol=1e-5)


def test_values_box_losses_of_boxes_apart_and_of_another_shape():
    y_pred = predictions([[[0.0, 50.0]]], (20.0, 0.0, 0.0, 0.0))  # 0.4 to the right: a hull of 0.6, a third of it empty
    terms = keras_ssd.SSDLoss(localization="giou").terms(targets([[1]]), y_pred)
    np.testing.assert_allclose(numpy_of(terms.localization), [1 + 1 / 3], rtol=1e-5)
    y_pred = predictions([[[0.0, 50.0]]], (0.0, 0.0, np.log(2) / 0.2, 0.0))  # twice as wide
    terms = keras_ssd.SSDLoss(localization="ciou").terms(targets([[1]]), y_pred)
    shape = 4 / np.pi**2 * (np.pi / 4 - np.arctan(0.5)) ** 2
    np.testing.assert_allclose(numpy_of(terms.localization), [0.5 + shape**2 / (0.5 + shape)], rtol=1e-5)


def test_values_equal_losses_are_taken_in_order():
    values = np.float32([[2, 5, 5, 1, 5, 5], [1, 1, 1, 1, 1, 1], [3, np.nan, 9, 0, 0, 0], [7, 7, 7, 7, 7, 7]])
    candidates = np.array([[1, 1, 1, 1, 0, 1], [0, 1, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0]], bool)
    chosen = losses.hardest(ops.array(values), ops.array(candidates), ops.array([2, 3, 2, 4], dtype="int32"))
    assert [np.flatnonzero(row).tolist() for row in numpy_of(chosen)] == [[1, 2], [1, 3, 4], [1, 2], []]
    none = losses.hardest(ops.array(values), ops.array(candidates), ops.zeros(4, dtype="int32"))
    assert not numpy_of(none).any()


def test_values_one_hot_targets_mean_the_same():
    rng = np.random.default_rng(0)
    class_ids = rng.integers(-1, 4, (2, 40))
    compact = Targets(class_ids, rng.normal(size=(2, 40, 4))).join()
    one_hot = np.zeros((2, 40, 4 + 12))
    for index, class_id in np.ndenumerate(class_ids):
        if class_id != NEUTRAL:
            one_hot[(*index, class_id)] = 1
    one_hot[..., 4:8] = compact[..., 1:]
    y_pred = predictions(rng.normal(size=(2, 40, 4)), rng.normal(size=(2, 40, 4)))
    for options in OPTIONS:
        loss = keras_ssd.SSDLoss(**options)
        assert float(loss(compact, y_pred)) == float(loss(one_hot, y_pred))


def test_values_reductions_and_image_weights():
    rng = np.random.default_rng(1)
    y_true = targets(rng.integers(0, 3, (3, 20)), 0.5)
    y_pred = predictions(rng.normal(size=(3, 20, 3)))
    shares = numpy_of(keras_ssd.SSDLoss(reduction=None)(y_true, y_pred))
    assert shares.shape == (3,)
    for reduction in ("sum_over_batch_size", "sum", "mean"):
        value = float(keras_ssd.SSDLoss(reduction=reduction)(y_true, y_pred))
        np.testing.assert_allclose(value, shares.mean(), rtol=1e-6)
    weights = np.float32([1, 0, 3])
    weighted = float(keras_ssd.SSDLoss()(y_true, y_pred, sample_weight=weights))
    np.testing.assert_allclose(weighted, (shares * weights).mean(), rtol=1e-6)


def test_values_sure_mistakes_cost_no_more_than_caffe_lets_them_and_still_learn():
    y_true, y_pred = targets([[1, 0]]), predictions([[[1000.0, 0.0], [0.0, 300.0]]])
    loss = keras_ssd.SSDLoss()
    value, gradient = value_and_gradient(lambda x: loss(y_true, x), y_pred)
    np.testing.assert_allclose(value, 2 * -np.log(np.finfo(np.float32).tiny), rtol=1e-6)
    np.testing.assert_allclose(gradient[..., :2], [[[1, -1], [-1, 1]]], rtol=1e-6)


EXTREME = {
    "nothing at all": (np.zeros((2, 6)), 0.0, 0.0),
    "only neutral": (np.full((2, 6), NEUTRAL), np.resize([np.nan, np.inf], (2, 6, 3)), np.inf),
    "only objects": (np.full((2, 6), 2), HUGE, 0.0),
    "huge": ([[1, 2, 0, 0, NEUTRAL, 0]] * 2, np.resize([HUGE, -HUGE, 0, 1e4], (2, 6, 3)), 1e30),
    "tiny boxes": ([[1, 2, 0, 0, NEUTRAL, 0]] * 2, 0.0, -1e30),
    "infinite": ([[1, 2, 0, 0, NEUTRAL, 0]] * 2, np.resize([np.inf, -np.inf, 0, 1], (2, 6, 3)), 0.0),
    "background without boxes": ([[1, 2, 0, 0, 0, 0]] * 2, 0.0, np.array([0, 0, *[np.nan] * 4])[:, None]),
}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", EXTREME)
def test_values_never_nan(name, options):
    class_ids, logits, offsets = EXTREME[name]
    y_true = targets(class_ids)
    y_pred = predictions(np.broadcast_to(np.asarray(logits, np.float32), (2, 6, 3)), offsets)
    loss = keras_ssd.SSDLoss(**options)
    value, gradient = value_and_gradient(lambda x: loss(y_true, x), y_pred)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if name == "only neutral":
        assert value == 0
        assert not gradient.any()


@pytest.mark.parametrize("kind", ["giou", "diou", "ciou"])
def test_values_never_nan_from_a_box_that_is_a_point(kind):
    row = ([0.0, 0.0], [0.125, 0.25, -0.125, -0.25], [0.5, 0.5, 0.25, 0.5], [1, 1, 1, 1])  # exact in float32
    y_pred = Predictions(*(np.float32([[part]]) for part in row)).join()
    loss = keras_ssd.SSDLoss(localization=kind, code_type="corner")
    value, gradient = value_and_gradient(lambda x: loss(targets([[1]]), x), y_pred)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("confidence", ["softmax", "sigmoid"])
def test_values_never_nan_from_probabilities(confidence):
    y_pred = predictions([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]])
    loss = keras_ssd.SSDLoss(from_logits=False, confidence=confidence, focal_gamma=0.5)
    value, gradient = value_and_gradient(lambda x: loss(targets([[1, 0, 0, 0]]), x), y_pred)
    assert np.isfinite(value)
    assert value > 0
    assert np.isfinite(gradient).all()


def test_values_nan_is_not_passed_over():
    logits = np.zeros((1, 30, 2))
    logits[0, 20] = np.nan
    class_ids = np.zeros((1, 30))
    class_ids[0, 0] = 1
    assert np.isnan(float(keras_ssd.SSDLoss()(targets(class_ids), predictions(logits))))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_values_compiled_equals_eager(options):
    rng = np.random.default_rng(2)
    y_true = targets(np.maximum(rng.integers(-9, 3, (3, 60)), -1), 0.3)
    y_pred = predictions(rng.normal(size=(3, 60, 3)), rng.normal(size=(3, 60, 4)))
    loss = keras_ssd.SSDLoss(**options)
    np.testing.assert_allclose(float(compiled(loss)(y_true, y_pred)), float(loss(y_true, y_pred)), rtol=1e-6)


def test_values_half_precision_predictions_are_computed_in_float32():
    rng = np.random.default_rng(3)
    y_true = targets(rng.integers(0, 3, (2, 40)), 0.3)
    half = ops.cast(predictions(rng.normal(size=(2, 40, 3)), rng.normal(size=(2, 40, 4))), "float16")
    loss = keras_ssd.SSDLoss()
    terms = loss.terms(y_true, half)
    assert keras.backend.standardize_dtype(terms.total.dtype) == "float32"
    assert float(loss(y_true, half)) == float(loss(y_true, ops.cast(half, "float32")))


def test_roundtrip_config():
    options = {
        "from_logits": False,
        "confidence": "sigmoid",
        "localization": "ciou",
        "alpha": 2.0,
        "mining": None,
        "neg_pos_ratio": 1.5,
        "n_neg_min": 4,
        "negative_images": "ignore",
        "normalization": "full",
        "label_smoothing": 0.1,
        "focal_gamma": 2.0,
        "focal_alpha": 0.25,
        "class_weights": (1.0, 2.0),
        "score_background": False,
        "code_type": "corner",
        "variance_encoded_in_target": True,
        "reduction": "sum",
        "name": "mine",
        "dtype": "float64",
    }
    loss = keras_ssd.SSDLoss(**options)
    assert loss.get_config() == options
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is keras_ssd.SSDLoss
    assert again.get_config() == options
    metric = keras_ssd.SSDLossMetric(loss)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert again.loss.get_config() == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mining": "whole"}, "`mining`: Unknown choice 'whole'. Known: image, batch, None."),
        ({"localization": "gio"}, "`localization`: Unknown choice 'gio'. Did you mean 'giou'"),
        ({"confidence": "relu"}, "`confidence`: Unknown choice 'relu'. Known: softmax, sigmoid."),
        ({"normalization": "mean"}, "`normalization`: Unknown choice 'mean'"),
        ({"negative_images": "keep"}, "`negative_images`: Unknown choice 'keep'"),
        ({"code_type": "corners"}, "Unknown code type 'corners'. Did you mean 'corner'"),
        ({"neg_pos_ratio": -1}, "`neg_pos_ratio` must be a number of at least 0. Received: neg_pos_ratio=-1"),
        ({"alpha": float("nan")}, "`alpha` must be a number of at least 0. Received: alpha=nan"),
        ({"label_smoothing": 1}, "`label_smoothing` must be a number of at least 0 and below 1"),
        ({"n_neg_min": 2.5}, "`n_neg_min` must be an integer of at least 0. Received: n_neg_min=2.5"),
        ({"score_background": False}, "`score_background=False` goes with `confidence='sigmoid'`"),
        ({"class_weights": [1, -2]}, "`class_weights[1]` must be a number of at least 0"),
    ],
)
def test_rejects_options(options, message):
    with pytest.raises(ValueError, match="^") as error:
        keras_ssd.SSDLoss(**options)
    assert message in str(error.value)


def test_rejects_shapes_that_do_not_belong_together():
    y_pred = predictions(np.zeros((2, 6, 3)))
    for y_true in (np.zeros((2, 7, 5)), np.zeros((2, 6, 16)), np.zeros((2, 6)), np.zeros((2, 6, 4))):
        with pytest.raises(ValueError, match=r"SSDLoss compares targets .* Received: y_true.shape=\(2, "):
            keras_ssd.SSDLoss()(y_true, y_pred)
    with pytest.raises(ValueError, match="each of the model's 2 classes.* Received: 3 numbers"):
        keras_ssd.SSDLoss(class_weights=[1, 1, 1])(targets(np.full((2, 6), BACKGROUND)), y_pred)
    with pytest.raises(TypeError, match="`loss` must be an SSDLoss"):
        keras_ssd.SSDLossMetric("mse")
