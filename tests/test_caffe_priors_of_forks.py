"""PriorBox layers of forks: densified priors, functions of the user's own, and fields that nobody knows."""

import json
import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from caffe_files import caffemodel, framed, integer
from caffe_files import layer as record
from caffe_nets import random_weights
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.anchors.candidate_search import GridWindows
from keras_ssd.anchors.nearest import nearest_best
from keras_ssd.anchors.objects import Objects
from keras_ssd.box_coder import Predictions
from keras_ssd.caffe.files import format_prototxt, parse_prototxt, read_caffemodel

IMAGES = np.random.default_rng(5).uniform(0, 255, (1, 24, 32, 3)).astype(np.float32)


def naive_dense(size_hw, grid, step, sizes, densities, ratios=(1,), span=None):
    """Corners of densified priors, cut at the border, one after the other."""
    rows = []
    for h in range(grid[0]):
        for w in range(grid[1]):
            x, y = (w + 0.5) * step, (h + 0.5) * step
            for size, density in zip(sizes, densities, strict=True):
                tile = span or size
                shift = int(tile / density)
                for ratio in ratios:
                    half = size * math.sqrt(ratio) / 2, size / math.sqrt(ratio) / 2
                    for r in range(density):
                        for c in range(density):
                            cx = x - (tile // 2 if span else tile / 2) + shift / 2 + c * shift
                            cy = y - (tile // 2 if span else tile / 2) + shift / 2 + r * shift
                            corners = cx - half[0], cy - half[1], cx + half[0], cy + half[1]
                            rows.append([v / s for v, s in zip(corners, size_hw[::-1] * 2, strict=True)])
    return np.clip(rows, 0, 1)


def dense_net(first, second, boxes):
    """The small net with other settings of its two PriorBox layers and other numbers of boxes per cell."""
    net = small_net()
    text = format_prototxt(net)
    layers = []
    for layer in parse_prototxt(text).layers:
        params = dict(layer.params.items())
        for source, settings, count in (("a", first, boxes[0]), ("b", second, boxes[1])):
            if layer.name == f"{source}_priors":
                params["prior_box_param"] = {"variance": [0.1, 0.1, 0.2, 0.2], **settings}
            for kind, width in (("loc", 4), ("conf", 4)):
                if layer.name == f"{source}_{kind}":
                    params["convolution_param"] = {**params["convolution_param"], "num_output": count * width}
        layers.append(type(layer)(layer.name, layer.type, layer.bottoms, layer.tops, params, layer.blobs))
    return type(net)(net.name, tuple(layers))


def imported(net, **options):
    net = random_weights(net, layers=options.get("layers"))
    return keras_ssd.from_caffe(net, net, mean=0, **options)


@pytest.mark.parametrize(("field", "ratios"), [("density", ()), ("density", (1.0, 2.0)), ("density_size", ())])
def test_reference_densified_priors(field, ratios):
    more = {"fixed_ratio": list(ratios)} if ratios else {}
    first = {"fixed_size": [8.0, 13.0], field: [4, 2], **more}
    second = {"fixed_size": [16.0], field: [1], **more}
    times = len(ratios) or 1
    net = dense_net(first, second, (20 * times, times))
    net = parse_prototxt(format_prototxt(net))  # as a file has it
    model = imported(net)
    assert model.anchor_spec.boxes_per_cell == (20 * times, times)
    expected = np.concatenate(
        [
            naive_dense((24, 32), (12, 16), 2, (8, 13), (4, 2), ratios or (1,)),
            naive_dense((24, 32), (6, 8), 4, (16,), (1,), ratios or (1,)),
        ]
    )
    np.testing.assert_allclose(model.anchor_spec.anchors_xyxy(), expected, rtol=0, atol=1e-6)


def test_reference_densified_cells():
    level = AnchorLevel.density_prior_box((64, 96), (2, 3), (32, 64), (4, 2), (1.0, 0.5), step=32, tiling="step")
    spec = AnchorSpec((64, 96), (level,), clip=True)
    expected = naive_dense((64, 96), (2, 3), 32, (32, 64), (4, 2), (1, 0.5), span=32)
    np.testing.assert_allclose(spec.anchors_xyxy(), expected, rtol=0, atol=1e-6)


def test_values_faceboxes_has_21_priors_a_cell():
    level = AnchorLevel.density_prior_box((1024, 1024), (32, 32), (32, 64, 128), (4, 2, 1))
    spec = AnchorSpec((1024, 1024), (level,))
    assert level.boxes_per_cell == 21
    centres = spec.anchors_cxcywh()[:21, :2] * 1024
    assert centres[:4, 0].tolist() == [4.0, 12.0, 20.0, 28.0]
    assert centres[:4, 1].tolist() == [4.0] * 4
    assert centres[16:20].tolist() == [[0.0, 0.0], [32.0, 0.0], [0.0, 32.0], [32.0, 32.0]]
    assert centres[20].tolist() == [16.0, 16.0]


def test_roundtrip_of_several_centres_a_cell(tmp_path):
    model = imported(dense_net({"fixed_size": [8.0], "density": [2]}, {"fixed_size": [16.0], "density": [1]}, (4, 1)))
    spec = model.anchor_spec
    assert spec.to_dict()["version"] == 2
    assert AnchorSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    model.save(tmp_path / "m.keras")
    again = keras_ssd.load(tmp_path / "m.keras")
    np.testing.assert_array_equal(again.anchor_spec.anchors_xyxy(), spec.anchors_xyxy())
    keras_ssd.to_caffe(model, tmp_path / "m.prototxt", tmp_path / "m.caffemodel")
    back = keras_ssd.from_caffe(tmp_path / "m.prototxt", tmp_path / "m.caffemodel")
    np.testing.assert_allclose(back.anchor_spec.anchors_xyxy(), spec.anchors_xyxy(), rtol=0, atol=1e-6)
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(m(IMAGES)) for m in (back, model)), rtol=0, atol=1e-5)


def test_values_old_descriptions_are_as_they_were():
    spec = AnchorSpec((24, 32), (AnchorLevel((6, 8), (4, 4), ((8, 8), (4, 12)), shifts_hw=((0, 0), (0, 0))),))
    data = spec.to_dict()
    assert data["version"] == 1
    assert data["levels"] == [
        {"grid_hw": [6, 8], "step_hw": [4.0, 4.0], "offset_hw": [0.5, 0.5], "boxes_hw": [[8.0, 8.0], [4.0, 12.0]]}
    ]
    assert AnchorSpec.from_dict(data) == spec


def test_values_several_centres_in_matching_fitting_and_reports():
    dense = AnchorLevel.density_prior_box((64, 64), (4, 4), (16,), (2,))
    spec = AnchorSpec((64, 64), (dense, AnchorLevel.of_boxes((64, 64), (2, 2), ((32, 32),))))
    anchors = spec.anchors_xyxy()
    assert GridWindows.fit(anchors, spec.levels)
    objects = np.array([[4, 4, 20, 20], [36, 36, 52, 52]], np.float32) / 64
    windows = GridWindows(anchors, spec.levels).pairs(objects, 0.9)
    assert {tuple(anchors[a] * 64) for a in windows[1]} >= {(4.0, 4.0, 20.0, 20.0)}
    held = Objects(objects, np.zeros(2, int), np.zeros(2, int), (), 1)
    best, iou = nearest_best(spec, held)
    np.testing.assert_allclose(iou, [1, 1], atol=1e-6)
    np.testing.assert_allclose(anchors[best], objects, atol=1e-6)
    with pytest.raises(ValueError, match="one centre per cell"):
        keras_ssd.AnchorRecipe.of(spec)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fixed_size": [8.0]}, "a density for each fixed_size"),
        ({"density": [2]}, "a density for each fixed_size"),
        ({"fixed_size": [8.0], "density": [2], "min_size": [4.0]}, "either min_size or fixed_size"),
        ({"fixed_size": [8.0], "density": [2.5]}, "whole number"),
        ({"fixed_size": [8.0], "density": [9]}, "less than a pixel"),
        ({"fixed_size": [8.0], "density": [1], "fixed_ratio": [1.0], "aspect_ratio": [2.0]}, "both aspect_ratio"),
    ],
)
def test_rejects_density_that_makes_no_sense(settings, message):
    net = dense_net(settings, {"fixed_size": [16.0], "density": [1]}, (4, 1))
    with pytest.raises(ValueError, match=message):
        keras_ssd.from_caffe(net, mean=0)


def own_priors(step, features, image):
    level = AnchorLevel.of_boxes(image.shape[2:4], features.shape[2:4], ((5, 5), (6, 7), (7, 6)))
    return AnchorSpec(image.shape[2:4], (level,))


@pytest.mark.parametrize("kind", ["PriorBox", "MyPriors"])
def test_values_priors_of_a_function(kind):
    net = parse_prototxt(format_prototxt(small_net()).replace('"PriorBox"', f'"{kind}"'))
    model = imported(net, layers={kind: own_priors})
    assert {level.boxes_hw for level in model.anchor_spec.levels} == {((5.0, 5.0), (6.0, 7.0), (7.0, 6.0))}
    assert "576 anchors" in str(model.weights_report)
    assert Predictions.split(model(IMAGES)).logits.shape == (1, 720, 4)
    with pytest.raises(ValueError, match="must return .*AnchorSpec.*Received: int"):
        keras_ssd.from_caffe(net, mean=0, layers={kind: lambda step, *blobs: 3})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "kernel_size: 3",
            "kernel_size: 3 dilations: 2",
            r"convolution_param has no field 'dilations'. Did you mean dilation\?",
        ),
        ("flip: true", "flip: true flop: true", r"prior_box_param has no field 'flop'. Did you mean flip\?"),
        ("top_k: 50", "top_k: 50 topk: 50", r"detection_output_param.nms_param has no field 'topk'"),
        ("order: 0", "order: 0 ordre: 1", "permute_param has no field 'ordre'"),
        ("num_classes: 4", "num_classes: 4 objectness: 1", "It takes num_classes, "),
        ('type: "Flatten"', 'type: "Flatten" flaten_param { axis: 1 }', "the layer has no field 'flaten_param'"),
    ],
)
def test_rejects_unknown_fields_of_known_messages(before, after, message):
    text = format_prototxt(small_net())
    assert before in text
    net = parse_prototxt(text.replace(before, after))
    with pytest.raises(ValueError, match=message):
        keras_ssd.from_caffe(net, mean=0)


def test_values_unknown_fields_of_data_layers_are_reported():
    text = format_prototxt(small_net())
    net = parse_prototxt(text.replace('type: "Input"', 'type: "Input" transform_param { means: 3 }'))
    model = imported(net)
    assert "Ignored unknown fields" in str(model.weights_report)
    assert "layer 'data' transform_param.means" in str(model.weights_report)


def fork_file(folder):
    """A caffemodel of `small_net` whose second convolution has the field 99, of no caffe.proto that is known here."""
    net = small_net()
    names = [layer.name for layer in net.layers if layer.type == "Convolution"]
    rest = framed(106, integer(99, 2))
    records = [record(name, "Convolution", rest=rest if name == names[1] else b"") for name in names]
    weights = read_caffemodel(caffemodel(folder / "fork.caffemodel", *records))
    filled = {layer.name: layer.blobs for layer in random_weights(net).layers}
    kept = [replace(layer, blobs=filled[layer.name]) for layer in weights.layers]
    rest = [layer for layer in random_weights(net).layers if layer.blobs and layer.name not in names]
    return names[1], replace(weights, layers=(*kept, *rest))


def test_values_unknown_numbers_of_a_caffemodel_are_reported(tmp_path):
    name, weights = fork_file(tmp_path)
    report = str(keras_ssd.from_caffe(small_net(), weights, mean=0).weights_report)
    assert "Ignored in fork.caffemodel" in report
    assert f"(1): field 99 of ConvolutionParameter (layer '{name}'). The prototxt must state their settings." in report
    clean = random_weights(small_net())
    assert "Ignored" not in str(keras_ssd.from_caffe(small_net(), clean, mean=0).weights_report)


def test_rejects_unknown_numbers_of_a_net_that_is_built(tmp_path):
    name, weights = fork_file(tmp_path)
    net = replace(small_net(), unknown=weights.unknown)
    with pytest.raises(ValueError, match=rf"layer '{name}' \(Convolution\): field 99 of ConvolutionParameter"):
        keras_ssd.from_caffe(net, mean=0)
