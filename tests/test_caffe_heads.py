"""The end of an imported net: heads of any pattern, kinds of scores, backgrounds, priors, and what decodes them."""

import keras
import numpy as np
import pytest
from caffe_nets import net_of, random_weights
from model_outputs import run

import keras_ssd
from keras_ssd.box_coder import Predictions, Targets
from keras_ssd.decoding import DecodeOptions
from keras_ssd.decoding.arrays import detection_rows_arrays, sigmoid, softmax

PRIORS = """
layer {{ name: "{map}_priors" type: "PriorBox" bottom: "{map}" bottom: "data" top: "{map}_priors"
  prior_box_param {{ min_size: {size} aspect_ratio: 2 flip: true variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2
  {more} }} }}
"""
BODY = """
name: "small"
input: "data" input_dim: 1 input_dim: {channels} input_dim: 24 input_dim: 32
layer {{ name: "a" type: "Convolution" bottom: "data" top: "a" convolution_param {{ num_output: 6 kernel_size: 3
  stride: 2 pad: 1 }} }}
layer {{ name: "a/relu" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "b" type: "Convolution" bottom: "a" top: "b" convolution_param {{ num_output: 8 kernel_size: 3 stride: 2
  pad: 1 }} }}
"""
HEAD = """
layer {{ name: "{map}_{kind}" type: "Convolution" bottom: "{map}" top: "{map}_{kind}"
  convolution_param {{ num_output: {filters} kernel_size: 3 pad: 1 }} }}
layer {{ name: "{map}_{kind}_perm" type: "Permute" bottom: "{map}_{kind}" top: "{map}_{kind}_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{map}_{kind}_flat" type: "Flatten" bottom: "{map}_{kind}_perm" top: "{map}_{kind}_flat" }}
"""
JOINED = """
layer { name: "loc" type: "Concat" bottom: "a_loc_flat" bottom: "b_loc_flat" top: "loc" concat_param { axis: 1 } }
layer { name: "conf" type: "Concat" bottom: "a_conf_flat" bottom: "b_conf_flat" top: "conf" concat_param { axis: 1 } }
layer { name: "priors" type: "Concat" bottom: "a_priors" bottom: "b_priors" top: "priors" concat_param { axis: 2 } }
"""
SOFTMAX = """
layer { name: "rows" type: "Reshape" bottom: "conf" top: "rows" reshape_param { shape { dim: 0 dim: -1 dim: 4 } } }
layer { name: "soft" type: "Softmax" bottom: "rows" top: "soft" softmax_param { axis: 2 } }
layer { name: "scores" type: "Flatten" bottom: "soft" top: "scores" }
"""
OUTPUT = """
layer {{ name: "out" type: "DetectionOutput" bottom: "loc" bottom: "{scores}" bottom: "priors" top: "out"
  detection_output_param {{ num_classes: 4 {more} nms_param {{ nms_threshold: 0.5 top_k: 50 }} keep_top_k: 30
  confidence_threshold: 0.2 }} }}
"""
BOXES = 3  # a cell: min size, ratio 2, ratio 1/2


def small_net(end=SOFTMAX, scores="scores", more="", channels=3, columns=4, offsets=4, priors=""):
    text = BODY.format(channels=channels)
    for source, size in (("a", 6), ("b", 12)):
        text += HEAD.format(map=source, kind="loc", filters=BOXES * offsets)
        text += HEAD.format(map=source, kind="conf", filters=BOXES * columns)
        text += PRIORS.format(map=source, size=size, more=priors)
    return net_of(text + JOINED + end + OUTPUT.format(scores=scores, more=more))


def imported(net, seed=0, **options):
    net = random_weights(net, seed)
    return keras_ssd.from_caffe(net, net, mean=128, scale=0.02, **options), net


# What OUTPUT says; corners are Caffe's default code.
OPTIONS = DecodeOptions(confidence_threshold=0.2, iou_threshold=0.5, top_k=50, keep_top_k=30, code_type="corner")
IMAGES = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)


def flat_blobs(net, names):
    """The net's own blobs (B, values), through the plain importer: an end that knows nothing of heads."""
    model = keras_ssd.from_caffe(net, net, mean=128, scale=0.02, outputs=names)
    return [keras.ops.convert_to_numpy(x).reshape(len(IMAGES), -1) for x in model(IMAGES)]


@pytest.mark.numerical
@pytest.mark.parametrize("scores", ["softmax", "sigmoid", "probabilities"])
@pytest.mark.parametrize("background", [0, 2])
def test_reference_decoder_of_an_imported_net_is_detection_output(scores, background):
    end = {
        "softmax": SOFTMAX,
        "sigmoid": 'layer { name: "scores" type: "Sigmoid" bottom: "conf" top: "scores" }',
        # An activation that no detector has: what it gives is taken as it is.
        "probabilities": 'layer { name: "scores" type: "Power" bottom: "conf" top: "scores" power_param '
        "{ power: 2 scale: 0.3 } }",
    }[scores]
    model, net = imported(small_net(end, more=f"background_label_id: {background}"))
    assert model.decoding["scores"] == scores
    offsets, confidence = flat_blobs(net, ["loc", "scores" if scores == "probabilities" else "conf"])
    spec = model.anchor_spec
    options = OPTIONS
    make = {"softmax": softmax, "sigmoid": sigmoid, "probabilities": np.asarray}[scores]
    detected = run(keras_ssd.with_decoder(model), IMAGES)
    assert (detected[:, :3, 0] >= 0).all()
    for rows, loc, conf in zip(detected, offsets, confidence, strict=True):
        parts = Predictions(None, loc.reshape(-1, 4), spec.anchors_cxcywh(), np.float32(spec.variances))
        expected = detection_rows_arrays(
            make(conf.reshape(-1, 4)), options.boxes(parts), options, background=background
        )
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)


@pytest.mark.numerical
@pytest.mark.parametrize("scores", ["softmax", "sigmoid"])
def test_reference_boxes_of_their_own_for_each_class(scores):
    end = SOFTMAX if scores == "softmax" else 'layer { name: "scores" type: "Sigmoid" bottom: "conf" top: "scores" }'
    model, net = imported(small_net(end, more="share_location: false background_label_id: 1", offsets=16))
    offsets, confidence = flat_blobs(net, ["loc", "conf"])
    spec = model.anchor_spec
    anchors = spec.anchors_cxcywh()[::4]  # one anchor for each class of a prior
    options = OPTIONS
    make = {"softmax": softmax, "sigmoid": sigmoid}[scores]
    for rows, loc, conf in zip(run(keras_ssd.with_decoder(model), IMAGES), offsets, confidence, strict=True):
        parts = Predictions(None, loc.reshape(-1, 4, 4), anchors[:, None], np.float32(spec.variances))
        expected = detection_rows_arrays(make(conf.reshape(-1, 4)), options.boxes(parts), options, background=1)
        np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-5)
        assert (rows[:3, 0] >= 0).all()


@pytest.mark.parametrize("code_type", ["CORNER", "CENTER_SIZE", "CORNER_SIZE"])
@pytest.mark.parametrize("encoded", [False, True])
def test_values_settings_of_detection_output_become_the_decoder(code_type, encoded):
    more = f"code_type: {code_type} variance_encoded_in_target: {'true' if encoded else 'false'}"
    model, _ = imported(small_net(more=more))
    options = keras_ssd.with_decoder(model).layers[-1].options
    assert options == DecodeOptions(
        confidence_threshold=0.2,
        iou_threshold=0.5,
        top_k=50,
        keep_top_k=30,
        code_type=code_type.lower(),
        variance_encoded_in_target=encoded,
    )
    assert keras_ssd.with_decoder(model, top_k=7).layers[-1].options.top_k == 7


@pytest.mark.numerical
@pytest.mark.parametrize("word", ["clip: 1", "clip: true", "clip_bbox: true"])
def test_reference_boxes_clipped_before_suppression(word):
    """As OpenCV does where a net says `clip`: its face detector is the best-known one."""
    model, _ = imported(small_net(more=word))
    assert model.decoding["clip_boxes"] == "before"
    parts = Predictions.split(run(model, IMAGES))
    options = DecodeOptions(**{**vars(OPTIONS), "clip_boxes": False})
    detected = run(keras_ssd.with_decoder(model), IMAGES)
    boxes = np.clip(options.boxes(parts), 0, 1)
    for rows, logits, clipped in zip(detected, parts.logits, boxes, strict=True):
        np.testing.assert_allclose(rows, detection_rows_arrays(softmax(logits), clipped, options), rtol=0, atol=1e-5)


def test_values_targets_follow_the_code_of_the_net():
    """Offsets that the encoder writes are boxes again for the net's own decoder: Caffe's default code is corners."""
    model, _ = imported(small_net())
    encoder = keras_ssd.TargetEncoder.from_model(model)
    box = [0.2, 0.3, 0.5, 0.8]
    [decoded], _ = encoder.decode(encoder.encode([box], [1])).distinct()
    np.testing.assert_allclose(decoded, box, rtol=0, atol=1e-5)
    targets = Targets.split(encoder.encode([box], [1]))
    [first] = np.flatnonzero(targets.class_ids > 0)[:1]
    corners = model.anchor_spec.anchors_xyxy()[first]
    np.testing.assert_allclose(targets.offsets[first] * model.anchor_spec.variances + corners, box, rtol=0, atol=1e-5)


def test_values_limits_that_caffe_calls_minus_one():
    text = OUTPUT.format(scores="scores", more="").replace("top_k: 50", "").replace("keep_top_k: 30", "")
    text = text.replace("confidence_threshold: 0.2", "").replace("nms_threshold: 0.5", "")
    body = small_net()
    layer = net_of(text).layers[0]
    net = type(body)(body.name, (*body.layers[:-1], layer))
    decoding = imported(net)[0].decoding
    expected = {"top_k": None, "keep_top_k": None, "confidence_threshold": None, "iou_threshold": 0.3}
    assert {key: decoding[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize("place", ["map", "level"])
def test_values_softmax_may_stand_before_the_levels_are_joined(place):
    """On a map of one prior a cell, or on the rows of each level."""
    text = BODY.format(channels=3)
    for source, size in (("a", 6), ("b", 12)):
        text += PRIORS.format(map=source, size=size, more="").replace("aspect_ratio: 2", "")
        text += HEAD.format(map=source, kind="loc", filters=4)
        head = HEAD.format(map=source, kind="conf", filters=4)
        if place == "map":
            soft = f'layer {{ name: "{source}_soft" type: "Softmax" bottom: "{source}_conf" top: "{source}_soft" }}\n'
            head = head.replace(f'bottom: "{source}_conf"', f'bottom: "{source}_soft"')
            head = head.replace("layer { name", soft + "layer { name", 2).replace(soft, "", 1)
        else:
            soft = (
                f'layer {{ name: "{source}_rows" type: "Reshape" bottom: "{source}_conf_perm" top: "{source}_rows" '
                f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: 4 }} }} }}\n"
                f'layer {{ name: "{source}_soft" type: "Softmax" bottom: "{source}_rows" top: "{source}_soft" '
                "softmax_param { axis: 2 } }\n"
            )
            head = head.replace(f'bottom: "{source}_conf_perm"', f'bottom: "{source}_soft"')
            at = head.rindex("layer {")
            head = head[:at] + soft + head[at:]
        text += head
    net = random_weights(net_of(text + JOINED + OUTPUT.format(scores="conf", more="")))
    model = keras_ssd.from_caffe(net, net, mean=128, scale=0.02)
    assert model.decoding["scores"] == "softmax"
    [scores] = [flat_blobs(net, ["conf", "loc"])[0]]
    logits = Predictions.split(run(model, IMAGES)).logits
    np.testing.assert_allclose(softmax(logits).reshape(2, -1), scores, rtol=0, atol=1e-6)
    assert not [layer for layer in model.layers if isinstance(layer, (keras.layers.Permute, keras.layers.Softmax))]


def test_values_levels_need_not_be_one_head_each():
    """Two heads that share a feature map's cells, joined otherwise than the priors: values count, not names."""
    parts = small_net()
    whole = imported(parts)[0]
    text = """
layer { name: "loc_a" type: "Slice" bottom: "a_loc_flat" top: "l1" top: "l2" slice_param { axis: 1 slice_point: 24 } }
layer { name: "loc" type: "Concat" bottom: "l1" bottom: "l2" bottom: "b_loc_flat" top: "loc" }
"""
    kept = [layer for layer in parts.layers if layer.name != "loc"]
    at = [layer.name for layer in kept].index("conf")
    net = type(parts)(parts.name, (*kept[:at], *net_of(text).layers, *kept[at:]))
    np.testing.assert_array_equal(run(imported(net)[0], IMAGES), run(whole, IMAGES))


def test_values_train_nets_say_the_same(shared):
    """A MultiBoxLoss names the same heads as the DetectionOutput of the deploy net."""
    model = keras_ssd.from_caffe(shared("oracle", "caffe", "train_tiny_norm.prototxt"))
    assert model.num_classes == 4
    assert model.decoding == {
        "code_type": "center_size",
        "variance_encoded_in_target": False,
        "scores": "softmax",
    }
    assert model.anchor_spec.grids == ((8, 8), (4, 4))


@pytest.mark.numerical
def test_values_grey_nets_take_rgb_images():
    model, _ = imported(small_net(channels=1))
    grey = np.round(IMAGES @ np.array([0.299, 0.587, 0.114], np.float32))
    same = np.repeat(grey[..., None], 3, axis=-1)
    np.testing.assert_allclose(run(model, IMAGES), run(model, same), rtol=0, atol=1e-5)
    assert model.get_layer("a").kernel.shape == (3, 3, 1, 6)
    assert list(model.detect(IMAGES.astype(np.uint8)))


@pytest.mark.parametrize("order", ["bgr", "rgb"])
def test_values_colour_order_turns_the_first_weights(order):
    net = random_weights(small_net())
    model = keras_ssd.from_caffe(net, net, mean=(1, 2, 3), scale=2, channel_order=order)
    kernel = net.layers[1].blobs[0].transpose(2, 3, 1, 0)
    step = -1 if order == "bgr" else 1
    found = keras.ops.convert_to_numpy(model.get_layer("a").kernel)
    np.testing.assert_array_equal(found, kernel[:, :, ::step])
    assert list(model.get_layer("preprocessing").offset) == [-2 * v for v in (1, 2, 3)[::step]]


def test_values_priors_keep_all_settings():
    model, _ = imported(small_net(priors="step: 5 offset: 0.25 clip: true img_h: 48 img_w: 64"))
    spec = model.anchor_spec
    assert (spec.image_size, spec.clip) == ((48, 64), True)
    assert {level.step_hw for level in spec.levels} == {(5.0, 5.0)}
    assert {level.offset_hw for level in spec.levels} == {(0.25, 0.25)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": "background_label_id: 4"}, "background_label_id below it"),
        (
            {"columns": 5},
            r"needs 2880 scores.* 720 priors and num_classes=4. Received: 3600 = 2880 \+ 720",
        ),
        ({"offsets": 5}, "needs 2880 offsets per image"),
    ],
)
def test_rejects_heads_that_do_not_fit(change, message):
    end = SOFTMAX if "columns" not in change else 'layer { name: "scores" type: "Split" bottom: "conf" top: "scores" }'
    with pytest.raises(ValueError, match=message):
        keras_ssd.from_caffe(small_net(end, **change))


def test_rejects_class_names_of_another_number():
    with pytest.raises(ValueError, match=r"must name the net's 3 classes.*Received: 2 names"):
        keras_ssd.from_caffe(small_net(), classes=["a", "b"])


def test_rejects_priors_of_several_kinds():
    net = small_net()
    layers = [
        layer if layer.name != "b_priors" else net_of(PRIORS.format(map="b", size=12, more="clip: true")).layers[0]
        for layer in net.layers
    ]
    with pytest.raises(ValueError, match=r"same clip.*a_priors: False, b_priors: True"):
        keras_ssd.from_caffe(type(net)(net.name, tuple(layers)))
