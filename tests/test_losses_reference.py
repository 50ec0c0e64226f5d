"""SSDLoss against Caffe's MultiBoxLoss, ssd_keras's loss and naive loops, on every backend."""

import json

import keras
import numpy as np
import pytest
from gradients import value_and_gradient
from naive_loss import naive_loss

import keras_ssd
from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.box_coder import BACKGROUND, NEUTRAL, Predictions, Targets

pytestmark = pytest.mark.numerical

NOT_OFFERED = {
    "hard_example",
    "hard_example_64",
    "hard_example_full",
    "hard_example_nms",
    "max_negative_nms",
    "encode_variance",
}
SMALL = (
    *("max_negative", "ratio_1_7", "ratio_0", "ratio_20", "neg_overlap_0_2", "overlap_0_35", "bipartite"),
    *("loc_weight_2", "full", "batch_size", "none", "mining_none", "mining_none_full", "l2", "logistic", "corner"),
    *("corner_size", "match_predictions", "saturated"),
)
EDGE = (
    *("difficult_used", "difficult_left_out", "no_overlap", "tiny", "identical_objects", "symmetric", "outside"),
    *("zero_area", "crowded", "small_objects", "cross_boundary_left_out", "unsorted_items", "gap_row"),
)
SSD_KERAS = {
    "standard": {},
    "alpha2_ratio1": {"alpha": 2, "neg_pos_ratio": 1},
    "no_positives": {},
    "no_positives_negmin": {"n_neg_min": 20},
    "many_positives": {},
}
TOLERANCE = 1e-5


class CaffeCase:
    """One case of a MultiBoxLoss file: the tensors it was fed with, and what came out."""

    def __init__(self, arrays, name, prefix=""):
        params = json.loads(str(arrays["params"]))
        self.params = params[name] if name else params
        own = {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
        self.priors, self.variances = arrays["priors"], arrays["variances"]
        self.loc = arrays["loc"].reshape(-1, len(self.priors), 4)
        self.conf = own.get("conf", arrays["conf"]).reshape(*self.loc.shape[:2], -1)
        if name.startswith("difficult"):
            own["gt"] = arrays["difficult_gt"]
        self.objects = own.get("gt", arrays.get("gt"))
        self.result = own

    def predictions(self):
        shape = self.loc.shape
        anchors = np.broadcast_to(bx.xyxy_to_cxcywh(self.priors), shape)
        return Predictions(self.conf, self.loc, anchors, np.broadcast_to(self.variances, shape)).join()

    def objects_of(self, item):
        rows = self.objects[self.objects[:, 0] == item]
        return rows if self.params["use_difficult_gt"] else rows[rows[:, 7] == 0]

    def targets(self):
        """The targets that Caffe's own matches stand for."""
        anchors = bx.xyxy_to_cxcywh(self.priors)
        class_ids, offsets = np.full(self.loc.shape[:2], BACKGROUND, np.float32), np.zeros_like(self.loc)
        for item in range(len(self.loc)):
            objects = self.objects_of(item)
            if len(objects) and self.params["mining_type"] != "NONE" and self.params["use_prior_for_matching"]:
                overlaps = bx.iou_matrix(self.priors, objects[:, 3:7]).max(axis=1)
                class_ids[item, overlaps >= self.params["neg_overlap"]] = NEUTRAL
        if self.params["ignore_cross_boundary_bbox"]:
            class_ids[:, ((self.priors < 0) | (self.priors > 1)).any(axis=1)] = NEUTRAL
        for item, prior, index in self.result["matches"]:
            found = self.objects_of(item)[index]
            class_ids[item, prior] = found[1]
            offsets[item, prior] = box_coder.encode(
                found[3:7], anchors[prior], self.variances[prior], code_type=self.params["code_type"].lower()
            )
        return Targets(class_ids, offsets).join()

    def loss(self):
        return keras_ssd.SSDLoss(
            alpha=self.params["loc_weight"],
            neg_pos_ratio=self.params["neg_pos_ratio"],
            mining={"MAX_NEGATIVE": "image", "NONE": None}[self.params["mining_type"]],
            normalization=self.params["normalization"].lower(),
            confidence={"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}[self.params["conf_loss_type"]],
            localization=self.params["loc_loss_type"].lower(),
        )


def assert_close(actual, wanted, tolerance=TOLERANCE):
    """Equal to `tolerance` of the largest wanted value."""
    assert np.abs(actual - wanted).max() <= tolerance * np.abs(wanted).max()


def check(case):
    loss, y_true, y_pred = case.loss(), case.targets(), case.predictions()
    value, gradient = value_and_gradient(lambda x: loss(y_true, x), y_pred)
    assert_close(value, case.result["loss"])
    columns = case.conf.shape[-1]
    assert_close(gradient[..., :columns], case.result["grad_conf"].reshape(case.conf.shape))
    assert_close(gradient[..., columns : columns + 4], case.result["grad_loc"].reshape(case.loc.shape))
    assert not gradient[..., columns + 4 :].any()
    if case.params["mining_type"] != "NONE":
        negatives = np.argwhere(keras.ops.convert_to_numpy(loss.terms(y_true, y_pred).negatives))
        assert sorted(map(tuple, case.result["negatives"])) == sorted(map(tuple, negatives))


def test_values_each_case_is_offered_or_named(oracle):
    params = json.loads(str(oracle("caffe", "multibox_loss_small.npz")["params"]))
    assert set(params) == {*SMALL, *NOT_OFFERED}


@pytest.mark.parametrize("name", SMALL)
def test_reference_caffe_small(oracle, name):
    check(CaffeCase(oracle("caffe", "multibox_loss_small.npz"), name, f"{name}_"))


@pytest.mark.parametrize("name", EDGE)
def test_reference_caffe_edge(oracle, name):
    check(CaffeCase(oracle("caffe", "multibox_loss_edge.npz"), name, f"{name}_"))


@pytest.mark.parametrize("name", ["valid", "full", "none_mining", "far"])
def test_reference_caffe_without_positives(oracle, name):
    check(CaffeCase(oracle("caffe", "multibox_loss_no_positives.npz"), name, f"{name}_"))


def test_reference_caffe_all_anchors_of_ssd300(oracle):
    check(CaffeCase(oracle("caffe", "multibox_loss_8732.npz"), ""))


@pytest.mark.parametrize("name", SSD_KERAS)
def test_reference_ssd_keras(oracle, name):
    arrays = oracle("ssd_keras", "loss_part.npz")
    arrays = {key.removeprefix(f"{name}__"): value for key, value in arrays.items() if key.startswith(f"{name}__")}
    options = {"from_logits": False, "mining": "batch", **SSD_KERAS[name]}
    an_image = keras_ssd.SSDLoss(**options, reduction=None)(arrays["y_true"], arrays["y_pred"])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(an_image), arrays["loss_per_item"], rtol=TOLERANCE)
    loss = keras_ssd.SSDLoss(**options)
    value, gradient = value_and_gradient(lambda x: loss(arrays["y_true"], x), arrays["y_pred"])
    np.testing.assert_allclose(value, arrays["loss_per_item"].mean(), rtol=TOLERANCE)
    assert_close(gradient, arrays["grad_mean_loss_wrt_y_pred"])


NAIVE = (
    {},
    {"mining": "batch", "neg_pos_ratio": 1.7, "n_neg_min": 9},
    {"n_neg_min": 7, "negative_images": "mine"},
    {"negative_images": "mine", "neg_pos_ratio": 2.5},
    {"mining": "batch", "negative_images": "ignore", "n_neg_min": 30},
    {"mining": None, "negative_images": "ignore", "normalization": "batch_size"},
    {"label_smoothing": 0.1, "class_weights": (0.5, 2, 3, 1), "normalization": "full"},
    {"focal_gamma": 2, "focal_alpha": 0.25, "mining": None, "normalization": "none"},
    {"confidence": "sigmoid", "label_smoothing": 0.2, "localization": "l1"},
    {"confidence": "sigmoid", "focal_gamma": 1.5, "focal_alpha": 0.25, "mining": None, "alpha": 0.5},
    {"localization": "l2", "from_logits": False},
    {"confidence": "sigmoid", "from_logits": False, "focal_gamma": 2},
    {"confidence": "sigmoid", "score_background": False, "negative_images": "mine", "n_neg_min": 7},
    {"confidence": "sigmoid", "score_background": False, "label_smoothing": 0.1, "focal_gamma": 2, "mining": None},
    {"localization": "giou"},
    {"localization": "diou", "alpha": 3},
    {"localization": "ciou", "class_weights": (1, 0, 1, 4)},
    {"localization": "giou", "code_type": "corner_size"},
    {"localization": "ciou", "code_type": "corner", "variance_encoded_in_target": True},
)


NO_BACKGROUND = (
    {"confidence": "sigmoid"},
    {"confidence": "sigmoid", "mining": "batch", "label_smoothing": 0.1},
    {"confidence": "sigmoid", "focal_gamma": 2, "focal_alpha": 0.25, "mining": None},
    {"confidence": "sigmoid", "negative_images": "mine", "n_neg_min": 10, "class_weights": (1, 2, 3, 4)},
)


def random_batch(seed, *, probabilities, image_count=4, anchors=25, classes=4):
    """Predictions and targets of images of which the first has no object; every eighth anchor is neutral."""
    rng = np.random.default_rng(seed)
    shape = (image_count, anchors)
    logits = rng.normal(0, 2, (*shape, classes + 1))
    if probabilities:
        logits = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    boxes = np.concatenate([rng.uniform(0.2, 0.8, (*shape, 2)), rng.uniform(0.1, 0.4, (*shape, 2))], axis=-1)
    variances = np.broadcast_to([0.1, 0.1, 0.2, 0.2], (*shape, 4))
    predictions = Predictions(logits, rng.normal(0, 1.2, (*shape, 4)), boxes, variances)
    class_ids = rng.integers(0, classes + 1, shape) * (rng.uniform(size=shape) < 0.2)
    class_ids[0] = BACKGROUND
    class_ids[:, ::8] = NEUTRAL
    offsets = rng.normal(0, 1, (*shape, 4)) * (class_ids > 0)[..., None]
    return Targets(class_ids, offsets).join().astype(np.float32), predictions.join().astype(np.float32)


@pytest.mark.parametrize("options", NAIVE, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_reference_naive_loops(options, seed):
    y_true, y_pred = random_batch(seed, probabilities=not options.get("from_logits", True))
    loss = keras_ssd.SSDLoss(**options)
    expected, per_image = naive_loss(y_true, y_pred, **options)
    np.testing.assert_allclose(float(loss(y_true, y_pred)), expected, rtol=TOLERANCE)
    terms = keras.ops.convert_to_numpy(loss.terms(y_true, y_pred).total)
    np.testing.assert_allclose(terms / len(y_true), per_image, rtol=TOLERANCE, atol=1e-7)


@pytest.mark.parametrize("options", NO_BACKGROUND, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_reference_a_background_that_a_net_does_not_have_costs_nothing(options, dtype):
    y_true, y_pred = random_batch(3, probabilities=False)
    y_pred[..., 0] = box_coder.NO_BACKGROUND
    expected, _ = naive_loss(y_true, y_pred, **options)
    loss = keras_ssd.SSDLoss(**options)
    if dtype == "bfloat16":
        y_pred[..., 0] = -9984  # what it makes of the constant
    value, gradient = value_and_gradient(lambda x: loss(y_true, x), y_pred)
    np.testing.assert_allclose(value, expected, rtol=TOLERANCE)
    assert expected < 100
    assert not gradient[..., 0].any()
    assert np.isfinite(gradient).all()


def test_values_one_positive_without_background():
    y_pred = np.zeros((1, 4, 1 + 1 + 12), np.float32)
    y_pred[..., 0], y_pred[..., -8:] = box_coder.NO_BACKGROUND, 0.5
    y_true = np.zeros((1, 4, 5), np.float32)
    y_true[0, 0, 0] = 1
    np.testing.assert_allclose(float(keras_ssd.SSDLoss(confidence="sigmoid")(y_true, y_pred)), 4 * np.log(2), rtol=1e-5)
    focal = keras_ssd.SSDLoss(confidence="sigmoid", focal_gamma=2, mining=None)
    np.testing.assert_allclose(float(focal(y_true, y_pred)), np.log(2), rtol=1e-5)


@pytest.mark.parametrize("options", NAIVE, ids=str)
def test_reference_gradient_is_the_slope_of_naive_loops(options):
    y_true, y_pred = random_batch(7, probabilities=not options.get("from_logits", True), image_count=2, anchors=12)
    loss = keras_ssd.SSDLoss(**options)
    _, gradient = value_and_gradient(lambda x: loss(y_true, x), y_pred)
    y_pred, step = y_pred.astype(np.float64), 1e-6
    columns = Predictions.split(y_pred).logits.shape[-1] + 4
    slopes = np.zeros_like(y_pred)
    for index in np.ndindex(*y_pred.shape[:2], columns):
        moved = [y_pred.copy(), y_pred.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        ahead, behind = (naive_loss(y_true, x, **options, constants_of=y_pred)[0] for x in moved)
        slopes[index] = (ahead - behind) / (2 * step)
    assert_close(gradient, slopes, 2e-5)
