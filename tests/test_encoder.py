"""Targets: held to ssd_keras's encoder, graph against host, there and back, and what is refused."""

import re

import keras
import numpy as np
import pytest
from gradients import compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_ssd
from keras_ssd import box_coder
from keras_ssd import boxes as bx
from keras_ssd.anchors import AnchorLevel, AnchorSpec, named_spec
from keras_ssd.box_coder import Predictions, Targets
from keras_ssd.encoder import TargetEncoder
from keras_ssd.matching import METHODS, MatchRules, float64

SPEC = named_spec("ssd300_voc")
SMALL = AnchorSpec(
    (64, 96),
    (
        AnchorLevel.prior_box((64, 96), (8, 12), (10,), (20,), (2,)),
        AnchorLevel.prior_box((64, 96), (2, 3), (30,), (50,), (2, 3)),
    ),
)


def ssd7_spec():
    scales, grids = (0.08, 0.16, 0.32, 0.64, 0.96), ((37, 60), (18, 30), (9, 15), (4, 7))
    levels = [
        AnchorLevel.scaled((300, 480), grid, scale, following, (0.5, 1.0, 2.0))
        for grid, scale, following in zip(grids, scales, scales[1:], strict=False)
    ]
    return AnchorSpec((300, 480), tuple(levels), (1.0,))


# Name, classes and ssd_keras's `neg_iou_limit`.
ENCODED = [(f"{net}_{data}", n, 0.5) for net in ("ssd300", "ssd512") for data, n in (("voc", 20), ("coco", 80))]
ENCODED.append(("ssd7_300x480", 5, 0.3))


def encoded(oracle, name):
    """The oracle's arrays, the spec, and boxes (fractions) and class ids of each image."""
    data = oracle("ssd_keras", f"encode_{name}.npz")
    spec = ssd7_spec() if name.startswith("ssd7") else named_spec(name, truncate_sizes=False)
    height, width = spec.image_size
    rows = [data["gt"][data["gt"][:, 0] == item] for item in range(len(data["counts"]))]
    boxes = [each[:, 2:] / [width, height, width, height] for each in rows]
    return data, spec, boxes, [each[:, 1].astype(int) - 1 for each in rows]


def scenes(count, objects, seed=0, num_classes=20):
    """Padded random objects: boxes (B, M, 4), class ids (B, M), of sizes as in photographs."""
    rng = np.random.default_rng(seed)
    sizes = np.exp(rng.uniform(np.log(0.02), np.log(0.9), (count, objects, 2)))
    centres = rng.uniform(sizes / 2, 1 - sizes / 2)
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], -1).astype(np.float32)
    class_ids = rng.integers(0, num_classes, (count, objects))
    class_ids[rng.uniform(size=class_ids.shape) < 0.2] = -1
    boxes[class_ids < 0] = np.nan
    return boxes, class_ids


@pytest.mark.parametrize(("name", "num_classes", "limit"), ENCODED)
def test_reference_ssd_keras(oracle, name, num_classes, limit):
    data, spec, boxes, class_ids = encoded(oracle, name)
    encoder = TargetEncoder(spec, num_classes, MatchRules("ssd_keras", neutral_iou=limit, float64=True))
    parts = Targets.split(encoder.encode_batch(boxes, class_ids))
    np.testing.assert_array_equal(parts.class_ids, data["classes"])
    np.testing.assert_allclose(parts.offsets, data["offsets"], atol=1e-5)


@pytest.mark.parametrize(("name", "num_classes", "limit"), ENCODED)
def test_reference_ssd_keras_in_float32_differs_in_ties_alone(oracle, name, num_classes, limit):
    _, spec, boxes, class_ids = encoded(oracle, name)
    encoder = TargetEncoder(spec, num_classes, MatchRules("ssd_keras", neutral_iou=limit))
    exact = TargetEncoder(spec, num_classes, MatchRules("ssd_keras", neutral_iou=limit, float64=True))
    for each, ids in zip(boxes, class_ids, strict=True):
        ours, theirs = encoder.match(each, ids), exact.match(each, ids)
        np.testing.assert_array_equal(ours.counts, theirs.counts)
        for index in range(len(ids)):
            iou = bx.iou_matrix(each[index : index + 1], spec.anchors_xyxy().astype(np.float64))[0]
            np.testing.assert_allclose(
                np.sort(iou[ours.anchors_of(index)]), np.sort(iou[theirs.anchors_of(index)]), 1e-6
            )


@pytest.mark.parametrize(("name", "num_classes", "limit"), ENCODED)
def test_reference_ssd_keras_anchors_in_float64(oracle, name, num_classes, limit):
    data, spec, _, _ = encoded(oracle, name)
    low, high = np.split(float64.corners(spec), 2, axis=1)
    centred = np.concatenate([(low + high) / 2, high - low], axis=1)
    np.testing.assert_allclose(centred, data["anchors_cxcywh"], rtol=6.1e-8)  # a rounding to float32 away


@pytest.mark.numerical
@pytest.mark.parametrize("method", METHODS)
def test_reference_graph_equals_host(method):
    boxes, class_ids = scenes(5, 16)
    class_ids[3] = -1
    encoder = TargetEncoder(SPEC, 20, MatchRules(method, neutral_iou=0.4))
    found = compiled(encoder.encode_in_graph)(ops.convert_to_tensor(boxes), ops.convert_to_tensor(class_ids))
    found = Targets.split(ops.convert_to_numpy(found))
    expected = Targets.split(encoder.encode_batch(boxes, class_ids))
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    assert {-1, 0} <= set(expected.class_ids.ravel())
    np.testing.assert_allclose(found.offsets, expected.offsets, rtol=1e-5, atol=1e-5)
    assert not found.class_ids[3].any()
    assert not found.offsets[found.class_ids < 1].any()


@pytest.mark.numerical
def test_reference_graph_without_rows_and_with_difficult_objects():
    encoder = TargetEncoder(SMALL, 3, use_difficult=False)
    encode = compiled(encoder.encode_in_graph)
    nothing = ops.convert_to_numpy(encode(np.zeros((2, 0, 4), np.float32), np.zeros((2, 0), int)))
    np.testing.assert_array_equal(nothing, np.zeros((2, SMALL.num_anchors, 5)))
    boxes = np.float32([[[0.1, 0.1, 0.5, 0.6], [0.5, 0.2, 0.9, 0.9], [0.3, 0.3, 0.3, 0.8]]])
    class_ids, difficult = np.array([[0, 2, 1]]), np.array([[True, False, False]])
    found = ops.convert_to_numpy(encode(boxes, class_ids, difficult))
    np.testing.assert_allclose(found[0], encoder.encode(boxes[0, 1:2], [2]), atol=1e-5)  # the last has no area


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_reference_graph_in_tf_data():
    import tensorflow as tf

    boxes, class_ids = scenes(7, 6)
    encoder = TargetEncoder(SMALL, 20)
    batches = tf.data.Dataset.from_tensor_slices((boxes, class_ids)).batch(4).map(encoder.encode_in_graph)
    found = np.concatenate([each.numpy() for each in batches])
    np.testing.assert_allclose(found, encoder.encode_batch(boxes, class_ids), atol=1e-5)


@settings(max_examples=60, deadline=None, database=None)
@given(seed=st.integers(0, 10**6), objects=st.integers(0, 12), method=st.sampled_from(METHODS))
def test_roundtrip_boxes(seed, objects, method):
    boxes, class_ids = scenes(1, objects, seed)
    encoder = TargetEncoder(SMALL, 20, MatchRules(method))
    found = encoder.match(boxes[0], class_ids[0])
    decoded = encoder.decode(encoder.encode(boxes[0], class_ids[0]))
    np.testing.assert_array_equal(decoded.anchors, np.flatnonzero(found.object_of_anchor >= 0))
    owners = found.object_of_anchor[decoded.anchors]
    np.testing.assert_allclose(decoded.boxes_xyxy, boxes[0, owners], atol=1e-5)
    np.testing.assert_array_equal(decoded.class_ids, class_ids[0, owners])
    order = list(dict.fromkeys(owners.tolist()))
    distinct_boxes, distinct_classes = decoded.distinct(1e-5)
    np.testing.assert_allclose(distinct_boxes, boxes[0, order], atol=1e-5)
    np.testing.assert_array_equal(distinct_classes, class_ids[0, order])


@pytest.mark.parametrize("code_type", box_coder.CODE_TYPES)
def test_roundtrip_code_types(code_type):
    boxes = np.float32([[0.1, 0.2, 0.4, 0.9]])
    encoder = TargetEncoder(SMALL, 2, code_type=code_type, variance_encoded_in_target=code_type == "corner")
    in_graph = ops.convert_to_numpy(compiled(encoder.encode_in_graph)(boxes[None], np.array([[1]])))[0]
    for targets in (encoder.encode(boxes, [1]), in_graph):
        decoded = encoder.decode(targets)
        np.testing.assert_allclose(decoded.boxes_xyxy, np.repeat(boxes, len(decoded.anchors), 0), atol=1e-5)
    offsets = Targets.split(targets).offsets[decoded.anchors]
    expected = box_coder.encode(
        boxes, SMALL.anchors_cxcywh()[decoded.anchors], np.float32(SMALL.variances), **encoder._code
    )
    np.testing.assert_allclose(offsets, expected, atol=1e-5)


def test_values_by_hand():
    # Two cells of 10x10 pixels in a 10x20 image: anchors are the halves.
    spec = AnchorSpec((10, 20), (AnchorLevel((1, 2), (10, 10), ((10, 10),)),))
    encoder = TargetEncoder(spec, 3)
    targets = encoder.encode([[0.5, 0.0, 0.9, 1.0]], [2])
    np.testing.assert_allclose(targets, [[0] * 5, [3, -0.05 / 0.5 / 0.1, 0, np.log(0.8) / 0.2, 0]], atol=1e-5)
    assert targets.dtype == np.float32
    # An object across both halves: one anchor is its own, the other has IoU 3.5 / 16.5 with it.
    neutral = TargetEncoder(spec, 3, MatchRules(neutral_iou=0.2)).encode([[0.1, 0.0, 0.75, 1.0]], [0])
    np.testing.assert_array_equal(neutral[:, 0], [1, -1])
    np.testing.assert_array_equal(neutral[1, 1:], 0)


def test_values_batches_are_their_images():
    boxes, class_ids = scenes(4, 9, num_classes=2)
    ragged = [each[ids >= 0] for each, ids in zip(boxes, class_ids, strict=True)]
    ragged_ids = [ids[ids >= 0] for ids in class_ids]
    ragged[1], ragged_ids[1], class_ids[1] = [], [], -1
    encoder = TargetEncoder(SMALL, 2)
    targets = encoder.encode_batch(ragged, ragged_ids)
    np.testing.assert_array_equal(targets, encoder.encode_batch(boxes, class_ids))
    np.testing.assert_array_equal(targets[2], encoder.encode(boxes[2], class_ids[2]))
    assert targets.shape == (4, SMALL.num_anchors, 5)
    assert not targets[1].any()
    assert encoder.encode_batch([], []).shape == (0, SMALL.num_anchors, 5)


def test_values_difficult_objects():
    boxes, difficult = [[0.1, 0.1, 0.5, 0.6], [0.5, 0.2, 0.9, 0.9]], [True, False]
    used, left_out = TargetEncoder(SMALL, 2), TargetEncoder(SMALL, 2, use_difficult=False)
    np.testing.assert_array_equal(used.encode(boxes, [0, 1], difficult), used.encode(boxes, [0, 1]))
    np.testing.assert_array_equal(left_out.encode(boxes, [0, 1], difficult), used.encode(boxes[1:], [1]))
    batch = left_out.encode_batch([boxes], [[0, 1]], [difficult])
    np.testing.assert_array_equal(batch[0], used.encode(boxes[1:], [1]))


@pytest.mark.parametrize("method", METHODS)
def test_values_padding_gets_no_anchor(method):
    boxes = np.float32([[np.nan] * 4, [0.1, 0.1, 0.5, 0.6], [0, 0, 0, 0], [5000, 0, 1, 2]])
    found = TargetEncoder(SMALL, 2, MatchRules(method)).match(boxes, [-1, 1, -1, -1])
    assert set(found.object_of_anchor) == {-1, 1}
    np.testing.assert_array_equal(found.unmatched, [0, 2, 3])
    assert found.best_iou[1] > 0.3


def test_values_one_hot():
    boxes, class_ids = scenes(2, 6, num_classes=3)
    encoder = TargetEncoder(SMALL, 3, MatchRules(neutral_iou=0.3))
    targets = encoder.encode_batch(boxes, class_ids)
    one_hot = encoder.one_hot(targets)
    assert one_hot.shape == (2, SMALL.num_anchors, Predictions.width(3))
    parts = Predictions.split(one_hot)
    for ids, row in zip(targets[..., 0].ravel(), parts.logits.reshape(-1, 4), strict=True):
        np.testing.assert_array_equal(row, [ids == 0, ids == 1, ids == 2, ids == 3])
    np.testing.assert_array_equal(parts.anchors_cxcywh[1], SMALL.anchors_cxcywh())
    np.testing.assert_array_equal(parts.variances[0, 5], np.float32(SMALL.variances))
    np.testing.assert_array_equal(Targets.split(one_hot).join(), targets)
    np.testing.assert_array_equal(ops.convert_to_numpy(encoder.one_hot(ops.convert_to_tensor(targets), ops)), one_hot)
    again = encoder.decode(one_hot[0])
    np.testing.assert_array_equal(again.boxes_xyxy, encoder.decode(targets[0]).boxes_xyxy)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="building a model there takes a quarter of a minute")
def test_values_from_model():
    model = keras_ssd.ssd7(classes=["car", "truck"], input_size=(96, 128))
    encoder = TargetEncoder.from_model(model, MatchRules("torchvision"), use_difficult=False)
    assert (encoder.spec, encoder.num_classes) == (model.anchor_spec, 2)
    assert (encoder.rules.method, encoder.use_difficult) == ("torchvision", False)
    targets = encoder.encode_batch([[[0.1, 0.2, 0.6, 0.7]]], [[1]])
    assert targets.shape == (1, model.output_shape[1], 5)
    # A model that predicts its targets finds the object: the decoder reads what the encoder writes.
    options = keras_ssd.DecodeOptions(confidence_threshold=0.5)
    [found] = keras_ssd.decode_arrays(encoder.one_hot(targets), options, from_logits=False)
    np.testing.assert_allclose(found[:2], [[1, 1, 0.1, 0.2, 0.6, 0.7], [-1, 0, 0, 0, 0, 0]], rtol=1e-5)


def test_values_drawing():
    image = np.full((64, 96, 3), 255, np.uint8)
    boxes = [[0.02, 0.1, 0.5, 0.5], [0.52, 0.4, 0.95, 0.85]]
    encoder = TargetEncoder(SMALL, 2)
    both = np.asarray(encoder.draw(image, boxes, [0, 1], class_names=("cat", "dog")))
    second = np.asarray(encoder.draw(image, boxes, [0, 1], objects=[1]))
    assert both.shape == image.shape
    assert (both != 255).any(-1).sum() > (second != 255).any(-1).sum() > 100
    anchors = encoder.match(boxes, [0, 1]).anchors_of(0)
    assert len(anchors) == 3
    for xmin, ymin, xmax, ymax in SMALL.anchors_xyxy()[anchors] * [96, 64, 96, 64]:  # its right edge is drawn
        column, row = round(min(xmax, 95)), round((max(ymin, 0) + ymax) / 2)
        assert xmin < column
        assert (both[row, column - 2 : column + 2] != 255).any()
    assert (np.asarray(encoder.draw(image, [], [])) == 255).all()


@pytest.mark.parametrize(
    ("boxes", "class_ids", "text"),
    [
        ([[0.1, 0.1, 0.1, 0.5]], [0], "boxes_xyxy[0]=[0.10000000149011612, 0.10000000149011612, 0.1000"),
        ([[0.1, 0.1, 0.4, 0.5], [0.5, 0.1, 0.2, 0.5], [0.1, np.nan, 1, 1]], [0, 1, 1], "boxes_xyxy[1]"),
        ([[0.1, 0.1, 0.4, np.inf]], [0], "finite numbers"),
        ([[10, 20, 40, 50]], [0], "these look like pixels"),
        ([[0.1, 0.1, 0.4, 0.5]], [2], "in 0..1, background not counted, or -1 for padding. Received: class_ids[0]="),
        ([[0.1, 0.1, 0.4, 0.5]], [0.5], "whole numbers"),
        ([[0.1, 0.1, 0.4, 0.5]], [np.nan], "whole numbers"),
        ([[0.1, 0.1, 0.4, 0.5]], [0, 1], "boxes_xyxy=(1, 4), class_ids=(2,)"),
        ([0.1, 0.1, 0.4, 0.5], [0], "(M, 4)"),
    ],
)
def test_rejects_objects(boxes, class_ids, text):
    encoder = TargetEncoder(SMALL, 2)
    for call in (encoder.encode, encoder.match):
        with pytest.raises(ValueError, match=re.escape(text)):
            call(boxes, class_ids)
    with pytest.raises(ValueError, match="^Image 1 of the batch: .*" + re.escape(text)):
        encoder.encode_batch([[], boxes], [[], class_ids])


def test_rejects_the_rest():
    encoder = TargetEncoder(SMALL, 2)
    box = [[0.1, 0.1, 0.4, 0.5]]
    with pytest.raises(TypeError, match="class ids must be numbers"):
        encoder.encode(box, ["cat"])
    with pytest.raises(ValueError, match="same number of images. Received: 1, 2, 1"):
        encoder.encode_batch([box], [[0], [1]])
    with pytest.raises(ValueError, match="one mark for each of the 1 objects"):
        encoder.encode(box, [0], [True, False])
    with pytest.raises(ValueError, match="fixed M"):
        encoder.encode_in_graph(np.zeros((3, 4), np.float32), np.zeros(3, int))
    with pytest.raises(ValueError, match="those of one image"):
        encoder.decode(encoder.encode_batch([box], [[0]]))
    with pytest.raises(ValueError, match="`num_classes` must be a whole number from 1 on"):
        TargetEncoder(SMALL, 0)
    with pytest.raises(TypeError, match="must be an AnchorSpec; `TargetEncoder.from_model` takes a model"):
        TargetEncoder("ssd300_voc", 2)
    with pytest.raises(TypeError, match="must be a MatchRules"):
        TargetEncoder(SMALL, 2, "caffe")
    with pytest.raises(ValueError, match="Unknown code type 'center'"):
        TargetEncoder(SMALL, 2, code_type="center")
    with pytest.raises(TypeError, match="made from a model of keras_ssd"):
        TargetEncoder.from_model(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
