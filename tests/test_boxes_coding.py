"""Box formulas and coding: numpy and every backend compute the same."""

import numpy as np
import pytest
from keras import ops

from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.box_coder import Predictions

pytestmark = pytest.mark.numerical

BOXES = np.array([[0.1, 0.2, 0.5, 0.4], [0.0, 0.0, 1.0, 1.0], [0.3, 0.3, 0.3, 0.9]], np.float32)


def as_numpy(x):
    return ops.convert_to_numpy(x)


def test_values_formats():
    np.testing.assert_allclose(bx.xyxy_to_cxcywh(BOXES)[0], [0.3, 0.3, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(bx.xyxy_to_xywh(BOXES)[0], [0.1, 0.2, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_allclose(bx.cxcywh_to_xyxy(np.float32([[0.3, 0.3, 0.4, 0.2]]))[0], BOXES[0], rtol=1e-6)
    np.testing.assert_allclose(bx.xywh_to_xyxy(np.float32([[0.1, 0.2, 0.4, 0.2]]))[0], BOXES[0], rtol=1e-6)
    np.testing.assert_array_equal(bx.swap_xy(BOXES)[0], BOXES[0, [1, 0, 3, 2]])
    np.testing.assert_allclose(bx.scale(BOXES, (100, 200))[0], [20, 20, 100, 40], rtol=1e-6)
    np.testing.assert_array_equal(bx.clip(np.float32([[-1, 0.5, 7, 3]]), (2, 5)), [[0, 0.5, 5, 2]])


def test_values_area_and_iou():
    np.testing.assert_allclose(bx.area(BOXES), [0.08, 1.0, 0.0], rtol=1e-6)
    assert bx.area(np.float32([0.5, 0.1, 0.2, 0.9])) == 0  # corners swapped: no area, not a negative one
    matrix = bx.iou_matrix(BOXES, BOXES)
    np.testing.assert_allclose(matrix, [[1, 0.08, 0], [0.08, 1, 0], [0, 0, 0]], atol=1e-6)
    half = np.float32([[0, 0, 2, 1]]), np.float32([[1, 0, 3, 1]])
    np.testing.assert_allclose(bx.iou_matrix(*half), [[1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("formula", [bx.xyxy_to_cxcywh, bx.xyxy_to_xywh, bx.swap_xy, bx.area])
def test_reference_ops_equal_numpy(formula):
    np.testing.assert_allclose(as_numpy(formula(ops.convert_to_tensor(BOXES), ops)), formula(BOXES), rtol=1e-6)


def test_reference_iou_in_ops_equals_numpy():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 1, (2, 50, 4)).astype(np.float32)
    ours = bx.iou_matrix(ops.convert_to_tensor(a), ops.convert_to_tensor(b), ops)
    np.testing.assert_allclose(as_numpy(ours), bx.iou_matrix(a, b), atol=1e-6)


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("code_type", box_coder.CODE_TYPES)
def test_roundtrip_encode_decode(code_type, encoded):
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 0.5, (2, 7, 2))
    boxes = np.concatenate([low, low + rng.uniform(0.05, 0.5, (2, 7, 2))], -1).astype(np.float32)
    anchors = rng.uniform(0.1, 0.9, (2, 7, 4)).astype(np.float32)
    variances = np.tile(np.float32([0.1, 0.1, 0.2, 0.2]), (2, 7, 1))
    options = {"code_type": code_type, "variance_encoded_in_target": encoded}
    offsets = box_coder.encode(boxes, anchors, variances, **options)
    np.testing.assert_allclose(box_coder.decode(offsets, anchors, variances, **options), boxes, atol=1e-6)
    tensors = [ops.convert_to_tensor(x) for x in (offsets, anchors, variances)]
    np.testing.assert_allclose(as_numpy(box_coder.decode(*tensors, **options, xp=ops)), boxes, atol=1e-6)


def test_values_encode_by_hand():
    offsets = box_coder.encode(
        np.float32([[0.2, 0.2, 0.6, 0.4]]),
        np.float32([[0.5, 0.5, 0.2, 0.4]]),
        np.float32([[0.1, 0.1, 0.2, 0.2]]),
    )
    expected = [(0.4 - 0.5) / 0.2 / 0.1, (0.3 - 0.5) / 0.4 / 0.1, np.log(2) / 0.2, np.log(0.5) / 0.2]
    np.testing.assert_allclose(offsets[0], expected, rtol=1e-5)


def test_roundtrip_predictions():
    tensor = np.arange(2 * 3 * 17, dtype=np.float32).reshape(2, 3, 17)
    parts = Predictions.split(tensor)
    assert parts.num_classes == 4
    assert parts.logits.shape == (2, 3, 5)
    np.testing.assert_array_equal(parts.offsets, tensor[..., 5:9])
    np.testing.assert_array_equal(parts.anchors_cxcywh, tensor[..., 9:13])
    np.testing.assert_array_equal(parts.variances, tensor[..., 13:])
    np.testing.assert_array_equal(parts.join(), tensor)
    assert Predictions.width(4) == 17


def test_rejects_too_narrow_predictions_and_unknown_codes():
    with pytest.raises(ValueError, match="at least 14"):
        Predictions.split(np.zeros((1, 5, 13)))
    with pytest.raises(ValueError, match="center_size"):
        box_coder.check_code_type("center-size")
