"""Nets whose priors are computed outside them: heads and anchors are given, and the result is a full model."""

import json

import keras
import numpy as np
import pytest
from caffe_nets import net_of, opencv_outputs, random_weights, written
from model_outputs import run
from outside_nets import INPUT, conv, layer, mask_detector, mask_priors, retina_face, ultra_light, ultra_light_priors

import keras_ssd
from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.box_coder import Predictions, decode

FACE = {"mean": 127, "scale": 1 / 128, "channel_order": "rgb", "classes": ["face"]}
MASK = {"mean": 0, "scale": 1 / 255, "channel_order": "rgb", "classes": ["mask", "no mask"]}


def made(text, names):
    return random_weights(net_of(text), outputs=names)


def images(size, count=1):
    return np.random.default_rng(3).integers(0, 256, (count, *size, 3)).astype(np.float32)


@pytest.mark.numerical
@pytest.mark.parametrize(
    "form", ["ends in softmax", "softmax left to the program", "a pair a level", "heads not named"]
)
def test_reference_ultra_light_faces(tmp_path, form):
    softmax = form != "softmax left to the program"
    net = made(ultra_light(softmax=softmax), ["boxes", "scores"])
    priors = ultra_light_priors()
    heads = {
        "a pair a level": [("s8_reg", "s8_cls"), ("s16_reg", "s16_cls")],
        "heads not named": None,
    }.get(form, ("boxes", "scores"))
    model = keras_ssd.from_caffe(net, net, heads=heads, anchors=priors, **FACE)
    assert model.decoding == {"scores": "softmax"}
    assert model.class_names == ("face",)
    assert [level.grid_hw for level in model.anchor_spec.levels] == [(6, 8), (3, 4)]
    assert model.anchor_spec.boxes_per_cell == (3, 2)
    np.testing.assert_allclose(model.anchor_spec.anchors_cxcywh(), priors, rtol=0, atol=1e-6)
    image = images((48, 64))
    found = Predictions.split(run(model, image))
    blob = np.transpose((image - 127) / 128, (0, 3, 1, 2))
    expected = opencv_outputs(*written(net, tmp_path), blob, ["boxes", "scores"])
    np.testing.assert_allclose(found.offsets, expected["boxes"], rtol=0, atol=2e-5)
    scores = np.exp(found.logits) / np.exp(found.logits).sum(-1, keepdims=True) if softmax else found.logits
    np.testing.assert_allclose(scores, expected["scores"], rtol=0, atol=2e-5)


@pytest.mark.numerical
@pytest.mark.parametrize("end", ["cls", "soft"])
@pytest.mark.parametrize("boxes", [1, 2, 3])
def test_reference_retina_face_has_scores_class_by_class(tmp_path, boxes, end):
    names = [f"{kind}{stride}" for stride in (8, 16) for kind in ("loc", "cls")]
    net = made(retina_face(boxes=boxes), names)
    levels = [
        AnchorLevel.of_boxes((48, 64), grid, [(8 + 4 * i,) * 2 for i in range(boxes)]) for grid in ((6, 8), (3, 4))
    ]
    heads = [(f"loc{stride}", f"{end}{stride}") for stride in (8, 16)]
    model = keras_ssd.from_caffe(net, net, heads=heads, anchors=AnchorSpec((48, 64), levels), **FACE)
    assert model.decoding == {"scores": "softmax"}
    image = images((48, 64))
    found = Predictions.split(run(model, image))
    blob = np.transpose((image - 127) / 128, (0, 3, 1, 2))
    expected = opencv_outputs(*written(net, tmp_path), blob, names)
    offsets = [expected[name].reshape(1, boxes, 4, *expected[name].shape[2:]) for name in names[::2]]
    scores = [expected[name].reshape(1, 2, boxes, *expected[name].shape[2:]) for name in names[1::2]]
    offsets = np.concatenate([x.transpose(0, 3, 4, 1, 2).reshape(1, -1, 4) for x in offsets], axis=1)
    scores = np.concatenate([x.transpose(0, 3, 4, 2, 1).reshape(1, -1, 2) for x in scores], axis=1)
    np.testing.assert_allclose(found.offsets, offsets, rtol=0, atol=2e-5)
    logits = np.exp(found.logits)
    np.testing.assert_allclose(logits / logits.sum(-1, keepdims=True), scores, rtol=0, atol=2e-5)
    keras_ssd.to_caffe(model, tmp_path / "out.prototxt", tmp_path / "out.caffemodel")
    back = keras_ssd.from_caffe(
        tmp_path / "out.prototxt", tmp_path / "out.caffemodel", **{**FACE, "channel_order": "bgr"}
    )
    np.testing.assert_allclose(run(back, image), run(model, image), rtol=0, atol=1e-5)


@pytest.mark.numerical
def test_reference_mask_detector_without_background(tmp_path):
    names = ["loc_branch_concat", "cls_branch_concat"]
    net = made(mask_detector(), names)
    priors = mask_priors()
    model = keras_ssd.from_caffe(net, net, heads=names, anchors=priors, anchor_format="xyxy", **MASK)
    assert model.decoding == {"scores": "sigmoid"}
    assert model.num_classes == 2
    assert model.anchor_spec.boxes_per_cell == (4, 4)
    np.testing.assert_allclose(model.anchor_spec.anchors_xyxy(), priors, rtol=0, atol=1e-6)
    image = images((33, 33))
    found = Predictions.split(run(model, image))
    blob = np.transpose(image / 255, (0, 3, 1, 2))
    expected = opencv_outputs(*written(net, tmp_path), blob, names)
    np.testing.assert_allclose(found.offsets, expected[names[0]], rtol=0, atol=2e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.logits[..., 1:])), expected[names[1]], rtol=0, atol=2e-5)
    rows = run(keras_ssd.with_decoder(model, confidence_threshold=0.0, top_k=None, keep_top_k=200), image)[0]
    boxes = decode(expected[names[0]][0], model.anchor_spec.anchors_cxcywh(), np.float32([0.1, 0.1, 0.2, 0.2]))
    best = np.unravel_index(expected[names[1]][0].argmax(), (len(boxes), 2))
    assert rows[0, 0] == best[1]
    np.testing.assert_allclose(rows[0, 1], expected[names[1]][0].max(), atol=1e-5)


def test_roundtrip_of_a_net_with_priors_from_outside(tmp_path):
    net = made(ultra_light(), ["boxes", "scores"])
    model = keras_ssd.from_caffe(net, net, heads=("boxes", "scores"), anchors=ultra_light_priors(), **FACE)
    image = images((48, 64))
    model.save(tmp_path / "face.keras")
    again = keras_ssd.load(tmp_path / "face.keras")
    assert again.anchor_spec == model.anchor_spec
    np.testing.assert_array_equal(run(again, image), run(model, image))
    keras_ssd.to_caffe(model, tmp_path / "face.prototxt", tmp_path / "face.caffemodel")
    bgr = {**FACE, "channel_order": "bgr"}
    back = keras_ssd.from_caffe(tmp_path / "face.prototxt", tmp_path / "face.caffemodel", truncate_sizes=False, **bgr)
    np.testing.assert_allclose(run(back, image), run(model, image), rtol=0, atol=1e-5)
    mine = keras_ssd.with_classes(model, ["face", "hand"])
    assert run(mine, image).shape == (1, 168, 15)
    assert list(model.detect([image[0].astype("uint8")]))


@pytest.mark.parametrize("layout", ["scattered", "corners clipped", "prior box"])
def test_values_priors_of_any_layout(layout):
    net = made(ultra_light(), ["boxes", "scores"])
    priors = ultra_light_priors()
    corners = np.concatenate([priors[:, :2] - priors[:, 2:] / 2, priors[:, :2] + priors[:, 2:] / 2], 1)
    if layout == "scattered":
        priors = priors + np.random.default_rng(0).uniform(0, 0.01, priors.shape).astype(np.float32)
        given, options, expected = priors, {}, priors
    elif layout == "corners clipped":
        given, options = corners.clip(0, 1), {"anchor_format": "xyxy"}
        expected = np.concatenate([(given[:, :2] + given[:, 2:]) / 2, given[:, 2:] - given[:, :2]], 1)
    else:
        variance = np.tile(np.float32([0.2, 0.2, 0.3, 0.3]), len(priors))
        given, options, expected = np.stack([corners.ravel(), variance])[None], {}, priors
    model = keras_ssd.from_caffe(net, net, heads=("boxes", "scores"), anchors=given, **FACE, **options)
    np.testing.assert_allclose(model.anchor_spec.anchors_cxcywh(), expected, rtol=0, atol=1e-6)
    assert model.anchor_spec.variances == ((0.2, 0.2, 0.3, 0.3) if layout == "prior box" else (0.1, 0.1, 0.2, 0.2))
    spec = AnchorSpec.from_dict(json.loads(json.dumps(model.anchor_spec.to_dict())))
    assert spec == model.anchor_spec
    assert (layout == "prior box") == (len(spec.levels) == 2 and not spec.levels[0].shifts_hw)


def test_values_raw_maps_are_heads_and_scores_may_be_finished():
    text = INPUT.format(24, 32) + conv("a", "data", 6, 4) + conv("loc", "a", 8) + conv("logits", "a", 4)
    text += layer("scores", "Power", "logits", "power_param { power: 2 scale: 0.3 }")
    net = made(text, ["loc", "scores"])
    spec = AnchorSpec((24, 32), (AnchorLevel.of_boxes((24, 32), (6, 8), ((8, 8), (12, 6))),))
    model = keras_ssd.from_caffe(net, net, heads=[("loc", "scores")], anchors=spec, scores="probabilities", mean=0)
    assert model.decoding == {"scores": "probabilities"}
    plain = keras_ssd.from_caffe(net, net, outputs=["loc", "scores"], mean=0)
    loc, scores = plain(images((24, 32)))
    found = Predictions.split(run(model, images((24, 32))))
    np.testing.assert_allclose(found.offsets.ravel(), keras.ops.convert_to_numpy(loc).ravel(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.logits.ravel(), keras.ops.convert_to_numpy(scores).ravel(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchors": None}, "needs its priors: `anchors`"),
        ({"anchors": ultra_light_priors()[:-1]}, "offsets for 168 priors, 2 scores each, and `anchors` has 167"),
        ({"heads": ("scores", "boxes")}, "`anchors` has 168"),
        ({"heads": ("boxes", "nothing")}, "no layer makes the blobs"),
        ({"heads": ("boxes", "scors")}, r"the blobs \['scors'\]\. Did you mean 'scores'\? The net has the blobs"),
        ({"anchors": np.full((168, 4), 100.0)}, "look like pixels.*divide x by .* Received: values from 100 to 100"),
        ({"anchors": ultra_light_priors() * [64, 48, 64, 48]}, "look like pixels"),
        ({"anchors": np.full((1, 2, 672), 30.0)}, "look like pixels"),
        ({"heads": "boxes"}, "pairs of blob names"),
        ({"heads": None, "anchors": ultra_light_priors()[:7]}, "The shapes do not tell"),
        ({"scores": "logits"}, "softmax, sigmoid, probabilities"),
        ({"scores": "sigmoid"}, "by a layer of softmax"),
        ({"classes": ["a", "b", "c"]}, "2 scores for each prior"),
        ({"anchor_format": "yxyx"}, "'cxcywh' or 'xyxy'"),
        ({"anchors": -ultra_light_priors()}, "positive width"),
        ({"anchors": np.zeros((3, 5))}, r"\(N, 4\)"),
        ({"anchors": "priors.npy"}, "AnchorSpec or an array"),
        ({"outputs": ["boxes"]}, "`outputs` makes a plain model"),
    ],
)
def test_rejects_heads_and_anchors_that_do_not_fit(change, message):
    net = made(ultra_light(), ["boxes", "scores"])
    options = {"heads": ("boxes", "scores"), "anchors": ultra_light_priors(), **FACE, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        keras_ssd.from_caffe(net, net, **options)


def test_rejects_heads_alone_of_a_net_with_priors():
    prior = layer("prior", "PriorBox", ["s8", "data"], "prior_box_param { min_size: 10 }")
    net = made(ultra_light() + prior, ["boxes", "scores"])
    with pytest.raises(
        ValueError, match=r"`heads` needs `anchors` too\. The net has PriorBox layers \('prior', \.\.\.\)"
    ):
        keras_ssd.from_caffe(net, net, heads=("boxes", "scores"), **FACE)


def test_values_boxes_far_outside_the_image_are_no_pixels():
    net = made(ultra_light(), ["boxes", "scores"])
    priors = ultra_light_priors()
    priors[::3, :2] += 2.5
    model = keras_ssd.from_caffe(net, net, heads=("boxes", "scores"), anchors=priors, **FACE)
    assert model.anchor_spec.num_anchors == 168


def test_rejects_a_net_without_detector_names_its_last_blobs():
    net = made(ultra_light(), ["boxes", "scores"])
    with pytest.raises(ValueError, match=r"last blobs are boxes, scores.*`heads`.*`anchors`.*`outputs`"):
        keras_ssd.from_caffe(net, net)


@pytest.mark.numerical
def test_values_sigmoid_nets_take_other_classes_and_train():
    names = ["loc_branch_concat", "cls_branch_concat"]
    net = made(mask_detector(), names)
    options = {"heads": names, "anchors": mask_priors(), "anchor_format": "xyxy", **MASK}
    model = keras_ssd.from_caffe(net, net, **options)
    image = images((33, 33))
    mine = keras_ssd.with_classes(model, ["no mask", "visor", "mask"])
    before, after = (Predictions.split(run(m, image)) for m in (model, mine))
    np.testing.assert_array_equal(after.logits[..., [1, 3]], before.logits[..., [2, 1]])
    np.testing.assert_array_equal(after.logits[..., 0], before.logits[..., 0])
    assert mine.weights_report.initialised == ("visor",)
    anchors = mine.anchor_spec.anchors_xyxy()
    boxes = [np.array([anchors[100]]).clip(0, 1)]
    targets = keras_ssd.TargetEncoder.from_model(mine).encode_batch(boxes, [np.array([1])])
    loss = keras_ssd.SSDLoss(confidence="sigmoid")
    mine.compile(keras.optimizers.SGD(0.01), loss=loss)
    history = mine.fit(image, targets, epochs=8, verbose=0).history["loss"]
    assert history[0] < 100
    assert history[-1] < history[0]


def test_values_with_anchors_of_a_sigmoid_net():
    names = ["loc_branch_concat", "cls_branch_concat"]
    net = made(mask_detector(), names)
    model = keras_ssd.from_caffe(net, net, heads=names, anchors=mask_priors(), anchor_format="xyxy", **MASK)
    spec = model.anchor_spec
    fewer = tuple(AnchorLevel(v.grid_hw, v.step_hw, v.boxes_hw[:2], v.offset_hw) for v in spec.levels)
    mine = keras_ssd.with_anchors(model, AnchorSpec(spec.image_size, fewer, spec.variances))
    assert run(mine, images((33, 33))).shape == (1, model.output_shape[1] // 2, 15)
