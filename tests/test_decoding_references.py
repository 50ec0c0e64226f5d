"""Decoding against Caffe's DetectionOutput and ssd_keras, in graphs and on arrays, on every backend."""

import json

import numpy as np
import pytest
from decoding_paths import PATHS, assert_same_detections

from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import (
    DecodeOptions,
    detection_rows_arrays,
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


def caffe_rows(output, item):
    """Caffe's rows of one image with our class ids: background not counted."""
    rows = output[(output[:, 0] == item) & (output[:, 1] >= 0), 1:].copy()
    rows[:, 0] -= 1
    return rows


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
def test_reference_whole_images(oracle, path, name):
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
    boxes = box_coder.decode(
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
    boxes = box_coder.decode(
        reference["not_shared_loc"].reshape(count, slots, 4), priors, reference["variances"][:, None]
    )
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
