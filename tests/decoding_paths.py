"""The ways to decode, for tests that hold them to be equal."""

import keras
import numpy as np
from keras import ops

import keras_ssd
from keras_ssd import box_coder
from keras_ssd.box_coder import Predictions
from keras_ssd.decoding import (
    decode_arrays,
    decode_predictions,
    tensors,
)


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


def numpy_path(predictions, options):
    return decode_arrays(predictions, options, from_logits=False)


def graph_path(predictions, options):
    """`decode_predictions` without its shortcut through numpy."""
    parts = Predictions.split(ops.convert_to_tensor(predictions))
    boxes = box_coder.decode(
        parts.offsets,
        parts.anchors_cxcywh,
        parts.variances,
        code_type=options.code_type,
        variance_encoded_in_target=options.variance_encoded_in_target,
        xp=ops,
    )
    return ops.convert_to_numpy(tensors.detection_rows(parts.logits, boxes, options))


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
