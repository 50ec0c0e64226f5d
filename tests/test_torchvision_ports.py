"""torchvision's SSD300 and SSDlite320: its state dicts, its numbers, its anchors, its detections, its 91 slots."""

import logging

import numpy as np
import pytest
import torch_files
import torch_nets as tn

import keras_ssd
from keras_ssd import zoo
from keras_ssd.anchors import named_recipe
from keras_ssd.cli.main import main
from keras_ssd.zoo.port import PortError

FILES = {
    tn.SSD300: "ssd300_vgg16_coco-b556d3b4.pth",
    tn.SSDLITE: "ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
}
FACTORIES = {tn.SSD300: keras_ssd.ssd300, tn.SSDLITE: keras_ssd.ssdlite320}
BOTH = pytest.mark.parametrize("net", [tn.SSD300, tn.SSDLITE])
# On every backend the small one; the layers of the large one are those of Caffe's SSD300.
EVERYWHERE = pytest.mark.parametrize("net", [tn.SSD300, pytest.param(tn.SSDLITE, marks=pytest.mark.numerical)])
SLOTS = zoo.slots("coco")


class Made(dict):
    """Values by network, made when asked for and kept."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def __missing__(self, net):
        self[net] = self.make(net)
        return self[net]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of the published names, tensors and shapes, written without PyTorch."""
    folder = tmp_path_factory.mktemp("torchvision")
    return Made(lambda net: torch_files.write_pth(folder / FILES[net], tn.arrays(net)))


@pytest.fixture(scope="module")
def models(files):
    """With all 90 slots, to compare every column."""
    return Made(lambda net: FACTORIES[net](files[net], weights_classes=SLOTS))


@pytest.fixture(scope="module")
def raw(models):
    return Made(lambda net: models[net].predict_on_batch(tn.images(net)))


@pytest.fixture
def reference():
    with np.load(tn.REFERENCE / "outputs.npz") as data:
        return dict(data)


@BOTH
def test_values_parameters_as_published(net):
    shapes = tn.shapes(net)
    learnt = [s for name, s in shapes.items() if not name.endswith(("running_mean", "running_var", "tracked"))]
    assert sum(int(np.prod(shape)) for shape in learnt) == {tn.SSD300: 35_641_826, tn.SSDLITE: 3_440_060}[net]


@BOTH
def test_values_every_tensor_is_used(models, net):
    counted = [shape for name, shape in tn.shapes(net).items() if not name.endswith("tracked")]
    assert models[net].weights_report.parameters == sum(int(np.prod(shape)) for shape in counted)
    assert models[net].weights_report.channels_reversed is None  # RGB


@EVERYWHERE
def test_reference_outputs(raw, reference, net):
    """Of torchvision itself."""
    found = raw[net][0, ::23]
    np.testing.assert_allclose(found[:, :91], reference[f"{net}.logits"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[:, 91:95], reference[f"{net}.offsets"], rtol=0, atol=1e-4)


@BOTH
def test_reference_outputs_in_plain_pytorch(tmp_path, net):
    """Other weights, by PyTorch's own writer, and all anchors; statistics of BatchNorm included."""
    torch = pytest.importorskip("torch")
    random = np.random.RandomState(11)
    tensors = {k: torch.tensor(v * random.uniform(0.95, 1.05) if v.ndim else v) for k, v in tn.arrays(net).items()}
    tensors = {k: v.float() if v.dtype == torch.float64 else v for k, v in tensors.items()}
    torch.save(tensors, tmp_path / "w.pth", _use_new_zipfile_serialization=net == tn.SSDLITE)
    found = FACTORIES[net](tmp_path / "w.pth", weights_classes=SLOTS).predict_on_batch(tn.images(net, 2))
    logits, offsets = tn.raw_predictions(net, tensors, tn.images(net, 2))
    np.testing.assert_allclose(found[..., :91], logits.numpy(), rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[..., 91:95], offsets.numpy(), rtol=0, atol=1e-4)


# Corners in pixels of the boxes of the first cell, of each map: what torchvision's DefaultBoxGenerator gives.
LITE_CELLS = (
    ((-24, -24, 40, 40), (-34.332, -34.332, 50.332, 50.332), (-37.2548, -14.6274, 53.2548, 30.6274)),
    ((-40, -40, 72, 72), (-50.9328, -50.9328, 82.9328, 82.9328), (-63.196, -23.598, 95.196, 55.598)),
    ((-48, -48, 112, 112), (-59.214, -59.214, 123.214, 123.214), (-81.1371, -24.5685, 145.1371, 88.5685)),
    (
        (-50.6667, -50.6667, 157.3333, 157.3333),
        (-62.0443, -62.0443, 168.711, 168.711),
        (-93.7449, -20.2058, 200.4116, 126.8724),
    ),
    ((-48, -48, 208, 208), (-59.4848, -59.4848, 219.4848, 219.4848), (-80, -10.5097, 240, 170.5097)),
    ((8, 8, 312, 312), (4.0513, 4.0513, 315.9487, 315.9487), (0, 52.5198, 320, 267.4802)),
)
LITE_LAST = (
    (293.5248, 256.5744, 330.4752, 367.4256),
    (271.6684, 207.0052, 336.3316, 400.9948),
    (241.812, 149.4359, 334.188, 426.564),
    (206.6222, 106.6667, 326.7111, 426.6666),
    (166.0992, 80, 313.9008, 400),
    (72.2428, 0, 247.7572, 320),
)
CELLS_300 = (
    ((-6.5, -6.5, 14.5, 14.5), (-11.3704, -11.3704, 19.3704, 19.3704), (-10.8492, -3.4246, 18.8492, 11.4246)),
    ((-14.5, -14.5, 30.5, 30.5), (-25.3729, -25.3729, 41.3729, 41.3729), (-23.8198, -7.9099, 39.8198, 23.9099)),
    ((-33.5, -33.5, 65.5, 65.5), (-45.5366, -45.5366, 77.5366, 77.5366), (-54.0036, -19.0018, 86.0036, 51.0018)),
    ((-44.5, -44.5, 108.5, 108.5), (-56.9817, -56.9817, 120.9817, 120.9817), (-76.1873, -22.0937, 140.1873, 86.0937)),
    ((-53.5, -53.5, 153.5, 153.5), (-66.2185, -66.2185, 166.2186, 166.2186), (-96.3711, -23.1856, 196.3711, 123.1856)),
    ((19.5, 19.5, 280.5, 280.5), (6.6342, 6.6342, 293.3658, 293.3658), (0, 57.7226, 300, 242.2774)),
)
LAST_300 = (
    (292.5754, 285.1508, 307.4246, 314.8492),
    (283.0096, 257.0289, 308.9904, 334.9711),
    (275.4212, 218.2635, 332.5788, 389.7365),
    (243.8327, 155.4981, 332.1673, 420.5019),
    (176.8144, 103.6289, 323.1856, 396.3711),
    (57.7226, 0, 242.2774, 300),
)


@pytest.mark.parametrize(
    ("recipe", "total", "sums", "cells", "last"),
    [
        (named_recipe("ssdlite320"), 3234, (370975.7188, 663904.2783), LITE_CELLS, LITE_LAST),
        (
            named_recipe("ssd300_coco", truncate_sizes=False, clamp_sizes=True),
            8732,
            (1157388.8383, 1508979.1625),
            CELLS_300,
            LAST_300,
        ),
    ],
)
def test_values_anchors_of_torchvisions_generator(recipe, total, sums, cells, last):
    spec = recipe.spec()
    boxes = spec.anchors_xyxy().astype(np.float64) * spec.image_size[0]
    assert len(boxes) == total
    np.testing.assert_allclose(boxes.sum(0), np.repeat(sums, 2), rtol=3e-7)
    start = 0
    for level, first, final in zip(spec.levels, cells, last, strict=True):
        np.testing.assert_allclose(boxes[start : start + 3], first, rtol=0, atol=2e-4)
        # The fourth box is the third one turned by a right angle.
        np.testing.assert_allclose(boxes[start + 3], np.asarray(first[2])[[1, 0, 3, 2]], rtol=0, atol=2e-4)
        start += level.num_anchors
        np.testing.assert_allclose(boxes[start - 1], final, rtol=0, atol=2e-4)
    assert spec.variances == (0.1, 0.1, 0.2, 0.2)  # weights 10, 10, 5, 5 of its box coder


@BOTH
def test_values_models_have_these_anchors_and_thresholds(models, net):
    lite = net == tn.SSDLITE
    recipe = named_recipe("ssdlite320") if lite else named_recipe("ssd300_coco", clamp_sizes=True)
    assert models[net].anchor_spec == recipe.spec()
    options = keras_ssd.with_decoder(models[net]).layers[-1].get_config()
    thresholds = [options[name] for name in ("confidence_threshold", "iou_threshold", "top_k", "keep_top_k")]
    assert thresholds == ([0.001, 0.55, 300, 300] if lite else [0.01, 0.45, 400, 200])
    assert options["clip_boxes"] == "before"


@EVERYWHERE
def test_reference_detections(models, raw, reference, net):
    """Scores, classes and boxes of torchvision's whole detector; its labels count from 1."""
    rows = keras_ssd.with_decoder(models[net]).predict_on_batch(tn.images(net))[0]
    expected = reference[f"{net}.detections"]
    assert len(expected) == len(rows)
    np.testing.assert_allclose(rows[:, 1], expected[:, 1], rtol=0, atol=1e-5)
    # Equal scores may change places: sort by class, then by score.
    ours, theirs = (
        table[np.lexsort((-np.round(table[:, 1], 4), table[:, 0]))]
        for table in (np.concatenate([rows[:, :1] + 1, rows[:, 1:2], rows[:, 2:] * tn.SIDES[net]], 1), expected)
    )
    same = (ours[:, 0] == theirs[:, 0]) & (np.abs(ours[:, 2:] - theirs[:, 2:]).max(1) < 0.01)
    assert same.mean() > 0.98, same.mean()


@BOTH
def test_values_slots_without_a_class_are_left_out(files, models, raw, net, caplog):
    model = FACTORIES[net](files[net])
    assert model.class_names == zoo.labels("coco")
    columns = [0, *zoo.label_ids("coco")]
    found = model.predict_on_batch(tn.images(net))
    np.testing.assert_allclose(found[..., :81], raw[net][..., columns], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found[..., 81:], raw[net][..., 91:])


def test_values_sub_sampling_by_name(files, raw):
    model = keras_ssd.ssdlite320(files[tn.SSDLITE], classes=["dog", "aeroplane", "helmet"])
    found = model.predict_on_batch(tn.images(tn.SSDLITE))
    np.testing.assert_allclose(found[..., :3], raw[tn.SSDLITE][..., [0, 18, 5]], rtol=0, atol=1e-5)
    assert "aeroplane (trained as 'airplane')" in str(model.weights_report.classes)
    assert model.weights_report.classes.initialised == ("helmet",)


def test_values_a_file_of_another_name_is_taken_for_coco_with_a_warning(files, tmp_path, caplog):
    (tmp_path / "mine.pt").write_bytes(files[tn.SSDLITE].read_bytes())
    with caplog.at_level(logging.WARNING, "keras_ssd"):
        model = keras_ssd.ssdlite320(tmp_path / "mine.pt")
    assert model.class_names == zoo.labels("coco")
    assert "taking them for COCO's 80 and the gaps between" in caplog.text


@pytest.mark.numerical
def test_roundtrip_keras_file(models, raw, tmp_path):
    model = models[tn.SSDLITE]
    model.save(tmp_path / "lite.keras")
    for same in (keras_ssd.load(tmp_path / "lite.keras"), keras_ssd.ssdlite320(tmp_path / "lite.keras")):
        np.testing.assert_allclose(same.predict_on_batch(tn.images(tn.SSDLITE)), raw[tn.SSDLITE], rtol=0, atol=1e-5)
        assert (same.decoding, same.class_names, same.anchor_spec) == (model.decoding, SLOTS, model.anchor_spec)


def test_roundtrip_keras_file_keeps_mean_anchors_and_decoding(models, raw, tmp_path):
    """The mean is not Caffe's, and the anchors are clamped: both must come back through the factory."""
    model = models[tn.SSD300]
    model.save(tmp_path / "tv.keras")
    same = keras_ssd.ssd300(tmp_path / "tv.keras")
    found = same.predict_on_batch(tn.images(tn.SSD300))
    np.testing.assert_allclose(found, raw[tn.SSD300], rtol=0, atol=1e-5)
    assert (same.decoding, same.anchor_spec) == ({"clip_boxes": "before"}, model.anchor_spec)


def test_values_open_model_finds_the_network(files):
    model = keras_ssd.open_model(files[tn.SSDLITE])
    assert (model.name, model.input_size, model.num_classes) == ("ssdlite320", (320, 320), 80)


def test_values_in_a_shell(files, raw, tmp_path, capsys):
    assert main(["zoo", "inspect", str(files[tn.SSDLITE])]) == 0
    text = capsys.readouterr().out
    assert "ssdlite320" in text
    assert "90 without background" in text
    assert "backbone.features.1.0.2.fc1" in text
    assert main(["convert", str(files[tn.SSDLITE]), "-o", str(tmp_path / "lite.keras"), "-q"]) == 0
    model = keras_ssd.load(tmp_path / "lite.keras")
    columns = [0, *zoo.label_ids("coco")]
    found = model.predict_on_batch(tn.images(tn.SSDLITE))
    np.testing.assert_allclose(found[..., :81], raw[tn.SSDLITE][..., columns], rtol=0, atol=1e-5)
    other = torch_files.write_pth(tmp_path / "other.pth", {"stem.weight": np.ones((2, 3), "f4")})
    assert main(["zoo", "inspect", str(other)]) == 0
    text = capsys.readouterr().out
    assert "an unknown network" in text
    assert "weight 2x3" in text


def test_values_catalogue():
    assert zoo.find("coco", model="ssdlite320").readable
    assert zoo.find("ssd300.coco-torchvision").readable
    assert "80 (coco), in 91 slots" in zoo.describe("ssdlite320.coco")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda a: a.pop("backbone.features.1.2.block.2.fc2.bias"), "block15_excite/bias"),
        (lambda a: a.update({"backbone.extra.9.0.weight": np.ones(2, "f4")}), "backbone.extra.9.0/weight"),
        (lambda a: a.update({"backbone.extra.0.0.1.weight": np.ones(2, "f4")}), r"extra1_1_bn/gamma \(2,\)"),
    ],
)
def test_rejects_files_that_do_not_fit(tmp_path, change, part):
    tensors = tn.arrays(tn.SSDLITE)
    change(tensors)
    path = torch_files.write_pth(tmp_path / "w.pth", tensors)
    with pytest.raises(PortError, match=part):
        keras_ssd.ssdlite320(path, classes=zoo.labels("coco"))


def test_rejects_other_arguments(files):
    with pytest.raises(ValueError, match="holds ssdlite320, not ssd300"):
        keras_ssd.ssd300(files[tn.SSDLITE])
    with pytest.raises(ValueError, match="reduced_tail=True; leave that to the weights"):
        keras_ssd.ssdlite320(files[tn.SSDLITE], reduced_tail=False)
    with pytest.raises(ValueError, match="needs `classes"):
        keras_ssd.ssdlite320()
    with pytest.raises(ValueError, match="at least 32 pixels"):
        keras_ssd.ssdlite320(classes=["cat"], input_size=(16, 320))
