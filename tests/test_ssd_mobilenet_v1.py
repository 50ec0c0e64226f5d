"""SSD MobileNet V1: from a TensorFlow Lite file to detections, and trained on."""

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd import formats, zoo
from keras_ssd.anchors import named_spec
from keras_ssd.box_coder import Predictions
from keras_ssd.formats.tflite import read_tflite

FILE = ("weights", "coco_ssd_mobilenet_v1", "detect.tflite")
CLASSES = ["cat", "dog", "bird"]


def images(count=1, size_hw=(300, 300), seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (count, *size_hw, 3)).round().astype(np.float32)


def raw(model, x):
    return Predictions.split(keras.ops.convert_to_numpy(model(x)))


@pytest.fixture(scope="module")
def nets():
    pytest.importorskip("flatbuffers")
    import tflite_nets

    return tflite_nets


@pytest.fixture(scope="module")
def file_of(nets, tmp_path_factory):
    """Writes a network of random weights; each kind once."""
    folder, written = tmp_path_factory.mktemp("tflite"), {}

    def write(**options):
        key = str(sorted(options.items()))
        if key not in written:
            written[key] = nets.ssd_mobilenet(**options).write(folder / f"{len(written)}.tflite")
        return written[key]

    return write


def restated(nets, path, x):
    """(logits, offsets as x, y, w, h) of a file, computed by a plain restatement of its operations."""
    graph = read_tflite(path)
    values = nets.run(graph, x / 127.5 - 1)
    boxes, scores, _ = graph.operators[-1].inputs
    [logits] = [operator.inputs[0] for operator in graph.operators if operator.outputs == (scores,)]
    return values[logits], values[boxes].reshape(len(x), -1, 4)[..., [1, 0, 3, 2]]


def test_values_anchors():
    """The first and last cells by hand: scales 0.2 to 0.95, three boxes in the first map, the square last."""
    spec = named_spec("ssd_mobilenet_v1")
    assert spec.num_anchors == 1917
    assert spec.grids == ((19, 19), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))
    assert spec.boxes_per_cell == (3, 6, 6, 6, 6, 6)
    anchors = spec.anchors_cxcywh()
    first = [[1 / 38, 1 / 38, *wh] for wh in ((0.1, 0.1), (0.2828427, 0.1414214), (0.1414214, 0.2828427))]
    np.testing.assert_allclose(anchors[:3], first, rtol=0, atol=1e-6)
    second = [(0.35, 0.35), (0.4949747, 0.2474874), (0.2474874, 0.4949747), (0.6062178, 0.2020726)]
    np.testing.assert_allclose(anchors[1083:1087, 2:], second, rtol=0, atol=1e-6)
    np.testing.assert_allclose(anchors[1087, 2:], (0.35 * 0.3333**0.5, 0.35 / 0.3333**0.5), rtol=0, atol=1e-6)
    np.testing.assert_allclose(anchors[1088, 2:], (0.4183300, 0.4183300), rtol=0, atol=1e-6)
    np.testing.assert_allclose(anchors[-1], (0.5, 0.5, 0.9746794, 0.9746794), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("width", "batch_norm"), [(1.0, True), (0.5, False)])
def test_values_size(width, batch_norm):
    model = keras_ssd.ssd_mobilenet_v1(classes=CLASSES, width=width, batch_norm=batch_norm)
    filters = [model.get_layer(f"{name}_mbox_loc").input.shape[-1] for name in ("conv11_pointwise", "conv17_2")]
    assert filters == [int(512 * width), int(128 * width)]
    assert model.decoding == {"scores": "sigmoid", "iou_threshold": 0.6, "keep_top_k": 100}
    assert ("conv0_bn" in [layer.name for layer in model.layers]) is batch_norm
    assert model.get_layer("conv14_2_mbox_conf").kernel.shape == (1, 1, int(512 * width), 6 * 4)


@pytest.mark.parametrize("input_size", [(32, 32), (97, 65), (320, 240)])
def test_values_other_sizes(input_size):
    model = keras_ssd.ssd_mobilenet_v1(classes=["a"], input_size=input_size, width=0.25)
    found = raw(model, images(1, input_size))
    assert found.logits.shape == (1, model.anchor_spec.num_anchors, 2)
    assert np.isfinite(found.logits).all()


@pytest.mark.numerical
@pytest.mark.parametrize("kind", ["uint8", "int8", "float16"])
def test_reference_restatement(nets, file_of, kind):
    """Every layer of a random network: padding, ReLU6, order of channels and boxes."""
    path = file_of(kind=kind)
    model = keras_ssd.ssd_mobilenet_v1(weights=path, classes=CLASSES)
    x = images(2)
    logits, offsets = restated(nets, path, x)
    found = raw(model, x)
    assert np.abs(logits).max() > 1
    np.testing.assert_allclose(found.logits, logits, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.offsets, offsets, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(found.anchors_cxcywh[0], named_spec("ssd_mobilenet_v1").anchors_cxcywh())


@pytest.mark.numerical
def test_reference_restatement_of_the_published_file(nets, shared):
    path = shared(*FILE)
    model = keras_ssd.ssd_mobilenet_v1(weights=path)
    x = images(1)
    logits, offsets = restated(nets, path, x)
    found = raw(model, x)
    np.testing.assert_allclose(found.logits, logits[..., [0, *zoo.label_ids("coco")]], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.offsets, offsets, rtol=0, atol=1e-4)


def test_values_of_the_published_file(shared):
    model = keras_ssd.ssd_mobilenet_v1(weights=shared(*FILE))
    assert model.class_names == zoo.labels("coco")
    assert model.count_params() == 3_991_461
    assert model.input_size == (300, 300)
    names = shared("weights", "coco_ssd_mobilenet_v1", "coco_labels.txt").read_text().splitlines()[1:]
    known = {number: name for number, name in enumerate(names, start=1) if name != "???"}
    assert known == dict(zip(zoo.label_ids("coco"), zoo.labels("coco"), strict=True))
    stored = formats.read(shared(*FILE)).post_processing
    off = np.abs(stored.anchors_cxcywh - model.anchor_spec.anchors_cxcywh()).max()
    assert off <= stored.anchors_step / 2 + 1e-6  # the file's are rounded to eight bits


def test_reference_catalogue_knows_the_file(shared):
    """The second source's published checksum is that of the file which the first one's archive holds."""
    import hashlib

    entry = zoo.find("ssd_mobilenet_v1.coco")
    content = shared(*FILE).read_bytes()
    assert entry.sources[1].checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert entry.sources[1].size == len(content)
    assert entry.sources[0].member == "detect.tflite"
    assert entry.readable


def test_values_finds_a_zebra(shared):
    model = keras_ssd.ssd_mobilenet_v1(weights=shared(*FILE), classes=["zebra", "person", "aeroplane"])
    [found] = model.detect([shared("data", "coco_sample", "images", "000000000034.jpg")])
    assert found.names[0] == "zebra"
    np.testing.assert_allclose(found.boxes_xyxy[0], [0, 13, 408, 400], atol=15)


def test_roundtrip_saved_and_sub_sampled(file_of, tmp_path):
    model = keras_ssd.ssd_mobilenet_v1(weights=file_of(), weights_classes=CLASSES)
    assert model.class_names == tuple(CLASSES)
    model.save(tmp_path / "mine.keras")
    reloaded = keras_ssd.load(tmp_path / "mine.keras")
    x = images(1)
    np.testing.assert_array_equal(raw(reloaded, x).logits, raw(model, x).logits)
    assert reloaded.decoding == model.decoding
    other = keras_ssd.ssd_mobilenet_v1(weights=tmp_path / "mine.keras", classes=["bird", "fish"])
    assert other.anchor_spec == model.anchor_spec
    np.testing.assert_allclose(raw(other, x).logits[..., :2], raw(model, x).logits[..., [0, 3]], rtol=0, atol=1e-5)
    assert other.weights_report.classes.initialised == ("fish",)
    assert keras_ssd.open_model(file_of(), class_names=CLASSES).class_names == tuple(CLASSES)
    assert keras_ssd.with_classes(model, ["dog"]).decoding == model.decoding


def test_roundtrip_with_batch_norm(tmp_path):
    model = keras_ssd.ssd_mobilenet_v1(classes=CLASSES, width=0.25, input_size=(64, 96))
    model.save(tmp_path / "mine.keras")
    again = keras_ssd.ssd_mobilenet_v1(weights=tmp_path / "mine.keras")
    assert again.input_size == (64, 96)
    x = images(1, (64, 96))
    np.testing.assert_array_equal(raw(again, x).offsets, raw(model, x).offsets)


def test_values_gaps_of_coco_and_names_of_voc(file_of, caplog):
    path = file_of(num_classes=90)
    model = keras_ssd.ssd_mobilenet_v1(weights=path)
    assert model.class_names == zoo.labels("coco")
    assert "does not name its 90 classes" in caplog.text
    whole = keras_ssd.ssd_mobilenet_v1(weights=path, weights_classes=[f"n{i}" for i in range(90)])
    assert whole.num_classes == 90
    voc = keras_ssd.ssd_mobilenet_v1(weights=path, classes=zoo.labels("voc"))
    assert not voc.weights_report.classes.initialised
    x = images(1)
    logits = raw(whole, x).logits
    np.testing.assert_allclose(raw(model, x).logits, logits[..., [0, *zoo.label_ids("coco")]], rtol=0, atol=1e-5)
    sofa = zoo.labels("voc").index("sofa") + 1
    np.testing.assert_allclose(raw(voc, x).logits[..., sofa], logits[..., 63], rtol=0, atol=1e-5)  # COCO's couch


def test_values_training_step(file_of):
    """Loss from sigmoid scores, encoder with the file's variances: some steps on one image lower the loss."""
    model = keras_ssd.ssd_mobilenet_v1(weights=file_of(), classes=CLASSES, freeze=["conv?_*"])
    encoder = keras_ssd.TargetEncoder.from_model(model)
    boxes = np.array([[0.1, 0.2, 0.6, 0.7]], np.float32)
    targets = encoder.encode(boxes, np.array([1]))[None]
    loss = keras_ssd.SSDLoss(confidence="sigmoid")
    model.compile(keras.optimizers.Adam(1e-3), loss=loss)
    x = images(1)
    losses = [float(model.train_on_batch(x, targets)) for _ in range(4)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert not model.get_layer("conv3_depthwise").trainable


def test_rejects(file_of, tmp_path):
    with pytest.raises(ValueError, match="has width 0.5 and batch_norm=False"):
        keras_ssd.ssd_mobilenet_v1(weights=file_of(), width=1.0)
    with pytest.raises(ValueError, match="has width 0.5 and batch_norm=False"):
        keras_ssd.ssd_mobilenet_v1(weights=file_of(), batch_norm=True)
    with pytest.raises(ValueError, match="needs `classes="):
        keras_ssd.ssd_mobilenet_v1()
    with pytest.raises(ValueError, match="at least 32 pixels"):
        keras_ssd.ssd_mobilenet_v1(classes=["a"], input_size=(300, 31))
    with pytest.raises(ValueError, match="`width` must be"):
        keras_ssd.ssd_mobilenet_v1(classes=["a"], width=0)
    with pytest.raises(ValueError, match="trained on 3 classes"):
        keras_ssd.ssd_mobilenet_v1(weights=file_of(), weights_classes=["a"])
    keras_ssd.ssd7(classes=["a"], input_size=(64, 64)).save(tmp_path / "ssd7.keras")
    with pytest.raises(ValueError, match="holds ssd7, not ssd_mobilenet_v1"):
        keras_ssd.ssd_mobilenet_v1(weights=tmp_path / "ssd7.keras")


def test_rejects_other_anchors(nets, tmp_path):
    fake = nets.ssd_mobilenet()
    at = fake.tensor("anchors")
    path = fake.with_tensor(at, values=fake.tensors[at].values[::-1]).write(tmp_path / "odd.tflite")
    with pytest.raises(ValueError, match="1917 anchors that are not the 1917 of TensorFlow's"):
        keras_ssd.ssd_mobilenet_v1(weights=path, weights_classes=CLASSES)
    own = keras_ssd.ssd_mobilenet_v1(weights=path, weights_classes=CLASSES, anchors=named_spec("ssd_mobilenet_v1"))
    assert own.anchor_spec.num_anchors == 1917
    few = fake.with_tensor(at, values=fake.tensors[at].values[:9], shape=(9, 4)).write(tmp_path / "few.tflite")
    with pytest.raises(ValueError, match="has 9 anchors"):
        keras_ssd.ssd_mobilenet_v1(weights=few, weights_classes=CLASSES)


def test_values_from_the_shell(file_of, tmp_path, capsys):
    from PIL import Image

    from keras_ssd.cli import main

    Image.fromarray(images(1, (60, 80))[0].astype(np.uint8)).save(tmp_path / "a.png")
    command = ["detect", str(tmp_path / "a.png"), "--model", "ssd_mobilenet_v1", "--weights", str(file_of())]
    assert main([*command, "--labels", "cat,dog,bird", "--confidence", "0.2"]) == 0
    assert "a.png (80 x 60)" in capsys.readouterr().out
    assert main(["zoo", "inspect", str(file_of())]) == 0
    text = capsys.readouterr().out
    assert "ssd_mobilenet_v1" in text
    assert "3 without background" in text
    assert "nms_iou_threshold 0.6" in text
