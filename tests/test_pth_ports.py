"""amdegroot's, lufficc's and MMDetection's SSDs: names, turned axes, the background's place, anchors and means."""

import numpy as np
import pytest
import torch_files
from foreign_files import HEADS, VGG16, random_arrays, ssd_shapes, thinned

import keras_ssd
from keras_ssd import formats, zoo
from keras_ssd.formats.torch_layouts import layouts
from keras_ssd.models.weights import read_weights, recipe_for
from keras_ssd.zoo.read import count_classes, identify

# Names are written out here a second time, forwards.
VGG_AT = dict(zip(VGG16, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33), strict=True))
EXTRAS = ("conv6", "conv7", "conv8", "conv9", "conv10")


def module_of(origin, layer, kind):
    """The project's name of a layer of an SSD on VGG16."""
    source, _, head = layer.partition("_mbox_")
    if head:
        index = list(HEADS[kind]).index(source)
        return {
            "amdegroot": f"{head}.{index}",
            "lufficc": f"box_head.predictor.{'cls' if head == 'conf' else 'reg'}_headers.{index}",
            "mmdetection": f"bbox_head.{'cls' if head == 'conf' else 'reg'}_convs.{index}.0",
        }[origin]
    if layer == "conv4_3_norm":
        return {"amdegroot": "L2Norm", "lufficc": "backbone.l2_norm", "mmdetection": "neck.l2_norm"}[origin]
    if layer in VGG_AT:
        prefix = {"amdegroot": "vgg", "lufficc": "backbone.vgg", "mmdetection": "backbone.features"}[origin]
        return f"{prefix}.{VGG_AT[layer]}"
    block, _, part = layer.partition("_")
    at, part = EXTRAS.index(block), int(part) - 1
    return {
        "amdegroot": f"extras.{2 * at + part}",
        "lufficc": f"backbone.extras.{2 * at + part}",
        "mmdetection": f"neck.extra_layers.{at}.{part}.conv",
    }[origin]


def state_dict(origin, arrays, kind, classes):
    """Arrays of an SSD in Keras layout as the project names and turns them."""
    tensors = {}
    for layer, weights in arrays.items():
        for weight, array in weights.items():
            if origin == "mmdetection" and layer.endswith("_conf"):
                rows = array.reshape(*array.shape[:-1], -1, classes + 1)
                array = np.concatenate([rows[..., 1:], rows[..., :1]], -1).reshape(array.shape)
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            tensors[f"{module_of(origin, layer, kind)}.{'bias' if weight == 'bias' else 'weight'}"] = array
    return tensors


KINDS = pytest.mark.parametrize(
    ("origin", "kind"),
    [
        ("amdegroot", "ssd300"),
        ("lufficc", "ssd300"),
        ("lufficc", "ssd512"),
        ("mmdetection", "ssd300"),
        ("mmdetection", "ssd512"),
    ],
)


@pytest.fixture
def written(tmp_path):
    def write(origin, kind, classes=20, name="w.pth", **options):
        arrays = random_arrays(thinned(ssd_shapes(kind, classes)), 4)
        path = tmp_path / name
        torch_files.write_pth(path, state_dict(origin, arrays, kind, classes), **options)
        return path, arrays

    return write


@KINDS
@pytest.mark.parametrize("legacy", [False, True])
def test_roundtrip(written, origin, kind, legacy):
    path, arrays = written(origin, kind, legacy=legacy)
    found = formats.read(path)
    assert (found.origin, found.format, found.first_layer_channels) == (origin, "pth", "rgb")
    assert (identify(found), count_classes(found)) == (kind, 20)
    assert {(layer, weight) for layer, weight, _ in found} == {(a, w) for a in arrays for w in arrays[a]}
    for layer, weight, array in found:
        np.testing.assert_array_equal(array, arrays[layer][weight])


def test_values_each_layout_has_marks_of_its_own():
    for layout in layouts():
        assert set(layout.marks) <= set(layout.places)
        others = [other for other in layouts() if other.marks != layout.marks and other.origin != layout.origin]
        assert not any(set(other.marks) <= set(layout.places) for other in others)


# (origin, classes) -> first and last size of the finest and of the coarsest map's boxes, (height, width)
@pytest.mark.parametrize(
    ("origin", "classes", "name", "finest", "coarsest"),
    [
        # clamped to the image: 264 * sqrt(2) would be 373
        ("amdegroot", 20, "ssd300_mAP_77.43_v2.pth", (30, 30), (300, 186.676)),
        ("amdegroot", 20, "mine.pth", (30, 30), (300, 186.676)),
        ("lufficc", 20, "vgg_ssd300_voc0712.pth", (30, 30), (300, 186.676)),
        ("lufficc", 80, "vgg_ssd300_coco_trainval35k.pth", (21, 21), (300, 184.555)),
        ("mmdetection", 80, "ssd300_coco_20210803_015428-d231a06e.pth", (21, 21), (369.11, 184.555)),
        ("mmdetection", 20, "mine.pth", (30, 30), (373.352, 186.676)),
    ],
)
def test_values_anchors_of_300(written, origin, classes, name, finest, coarsest):
    path, _ = written(origin, "ssd300", classes, name)
    recipe = recipe_for(read_weights(path), "ssd300", None)
    levels = recipe.spec().levels
    assert levels[0].boxes_hw[0] == finest
    np.testing.assert_allclose(levels[-1].boxes_hw[-1], coarsest, atol=1e-3)


@pytest.mark.parametrize(
    ("origin", "name", "first"),
    [
        ("lufficc", "vgg_ssd512_coco_trainval35k.pth", 20.48),
        ("mmdetection", "ssd512_coco_20210803_022849-0a47a1ca.pth", 20.0),
        ("mmdetection", "mine.pth", 20.0),
    ],
)
def test_values_anchors_of_512_are_whole_pixels_in_mmdetection_alone(written, origin, name, first):
    path, _ = written(origin, "ssd512", 80, name)
    spec = recipe_for(read_weights(path), "ssd512", None).spec()
    assert spec.levels[0].boxes_hw[0][0] == pytest.approx(first)
    assert max(max(box) for box in spec.levels[-1].boxes_hw) == (
        512 if origin == "lufficc" else pytest.approx(650.54, 1e-4)
    )


@pytest.mark.parametrize(
    ("origin", "mean", "decoding"),
    [
        ("amdegroot", (123, 117, 104), {}),
        ("lufficc", (123, 117, 104), {}),
        ("mmdetection", (123.675, 116.28, 103.53), {"confidence_threshold": 0.02, "clip_boxes": "before"}),
    ],
)
def test_values_means_and_decoding(written, origin, mean, decoding):
    trained = read_weights(written(origin, "ssd300")[0])
    assert trained.preprocessing == (1.0, tuple(-value for value in mean))
    assert trained.decoding == decoding


def test_values_catalogue_says_the_same(written):
    """Rows of published files, and what the reader's conventions say of any file of that project."""
    for entry in zoo.entries(readable=True):
        origin = entry.tag.rpartition("-")[2]
        if origin in ("torchvision", "amdegroot", "lufficc", "mmdetection") and entry.model in ("ssd300", "ssd512"):
            from keras_ssd.models.conventions import CONVENTIONS

            rules = CONVENTIONS[origin]
            np.testing.assert_allclose(entry.preprocessing.mean_rgb, rules.mean_rgb, atol=1e-9)
            assert (entry.anchors_truncated, entry.anchors_clipped) == (rules.truncate_sizes, rules.clamp_sizes)
            assert entry.preprocessing.colour == "rgb"


def test_values_class_names_of_mmdetection(tmp_path):
    arrays = random_arrays(thinned(ssd_shapes("ssd300", 2)))
    value, contents = torch_files.state(state_dict("mmdetection", arrays, "ssd300", 2))
    meta = torch_files.dictionary({"CLASSES": b"(" + torch_files.text("cat") + torch_files.text("dog") + b"t"})
    whole = torch_files.dictionary({"meta": meta, "state_dict": value})
    torch_files.write_zip(tmp_path / "w.pth", whole, contents)
    assert read_weights(tmp_path / "w.pth").classes == ("cat", "dog")


def test_values_unknown_tensors_are_for_the_porter_to_report(written, tmp_path):
    arrays = random_arrays(thinned(ssd_shapes("ssd300", 2)))
    tensors = state_dict("amdegroot", arrays, "ssd300", 2)
    torch_files.write_pth(tmp_path / "w.pth", {**tensors, "vgg.99.weight": np.ones(2, "f4")})
    assert formats.read(tmp_path / "w.pth")["vgg.99"]["weight"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("vgg.0.weight", np.ones((4, 3), "f4")),
        ("vgg.0.bias", np.ones((4, 3), "f4")),
        ("vgg.0.weight", np.ones((4, 3, 3, 3), "i8")),
    ],
)
def test_rejects_tensors_of_another_rank_or_kind(tmp_path, name, array):
    arrays = random_arrays(thinned(ssd_shapes("ssd300", 2)))
    tensors = {**state_dict("amdegroot", arrays, "ssd300", 2), name: array}
    torch_files.write_pth(tmp_path / "w.pth", tensors)
    with pytest.raises(formats.WeightFileError, match=rf"tensor '{name}' must be a"):
        formats.read(tmp_path / "w.pth")


def test_reference_one_network_in_the_names_of_two_projects(tmp_path):
    """The same arrays from lufficc's and MMDetection's file detect alike, once their means are taken off."""
    classes = ("a", "b", "c")
    random = np.random.RandomState(0)
    arrays = {
        layer: {
            w: random.normal(0, (2 / np.prod(s[:-1])) ** 0.5 if len(s) == 4 else 0.1, s).astype("f4")
            for w, s in ws.items()
        }
        for layer, ws in ssd_shapes("ssd300", 3).items()
    }
    image = random.uniform(0, 255, (1, 300, 300, 3)).astype("f4")
    outputs = []
    for origin in ("lufficc", "mmdetection"):
        path = torch_files.write_pth(tmp_path / f"{origin}.pth", state_dict(origin, arrays, "ssd300", 3))
        model = keras_ssd.ssd300(path, classes, anchors="voc")
        shift = model.get_layer("preprocessing").offset
        outputs.append(model.predict_on_batch(image - np.asarray(shift, "f4")))
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-4 * np.abs(outputs[0]).max())
