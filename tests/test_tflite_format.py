"""TensorFlow Lite files: what is read of whole ones, and that odd, damaged and hostile ones end in one clear error."""

import struct
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("flatbuffers")

import tflite_files as tf
import tflite_nets as nets

from keras_ssd import formats
from keras_ssd.formats import WeightFileError
from keras_ssd.formats.tflite import read_tflite
from keras_ssd.formats.tflite.flatbuffer import Flatbuffer, FlatbufferError
from keras_ssd.formats.tflite.flexbuffer import read_map
from keras_ssd.formats.tflite.ssd_mobilenet import layer_name
from keras_ssd.formats.tflite.tensors import Quantization, Tensor

FLIPS = 1000


@pytest.fixture(scope="module")
def thin():
    """A whole network with two channels everywhere: 40 KB, most of them structure."""
    return nets.ssd_mobilenet(channels=2)


def written(tmp_path, content):
    path = tmp_path / "net.tflite"
    path.write_bytes(content if isinstance(content, bytes) else content.bytes())
    return path


@pytest.mark.parametrize("kind", ["uint8", "int8", "float32", "float16"])
def test_values_of_every_kind_of_weights(tmp_path, kind):
    fake = nets.ssd_mobilenet(kind, channels=4)
    path = written(tmp_path, fake)
    assert formats.sniff(path) == "tflite"
    arrays = formats.read(path)
    assert len(arrays.layers) == 47
    for text, layer in (
        ("/Conv2d_0/weights", "conv0"),
        ("Conv2d_7_depthwise/weights", "conv7_depthwise"),
        ("Conv2d_13_pointwise_2_Conv2d_4_3x3_s2_256/weights", "conv16_2"),
        ("BoxPredictor_2/ClassPredictor/weights", "conv14_2_mbox_conf"),
    ):
        tensor = fake.tensors[fake.tensor(text)]
        values = np.asarray(tensor.values, np.float64)
        if tensor.scales:
            sides = [-1 if i == tensor.axis and len(tensor.scales) > 1 else 1 for i in range(4)]
            scales = np.float32(tensor.scales).astype(np.float64)  # the file's scales have single precision
            values = (values - np.float64(tensor.zeros).reshape(sides)) * scales.reshape(sides)
        kernel = values.astype(np.float32).transpose(1, 2, 3, 0)
        np.testing.assert_array_equal(arrays[layer]["kernel"], kernel)


def behind(whole):
    """A file with its values behind the flatbuffer, as ai-edge-quantizer writes them."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(bytearray(whole), 0)
    values = [b"" if one.data is None else np.asarray(one.data, np.uint8).tobytes() for one in model.buffers]

    def packed(start):
        for one, data in zip(model.buffers, values, strict=True):
            one.data, one.offset, one.size = None, start if data else 0, len(data)
            start += len(data)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    return packed(len(packed(1 << 30))) + b"".join(values)


def test_values_behind_the_flatbuffer(tmp_path, thin):
    whole = thin.bytes()
    expected = formats.read(written(tmp_path, whole))
    moved = behind(whole)
    found = formats.read(written(tmp_path, moved))
    assert list(found.layers) == list(expected.layers)
    for name, arrays in expected.layers.items():
        np.testing.assert_array_equal(found[name]["kernel"], arrays["kernel"])
        np.testing.assert_array_equal(found[name]["bias"], arrays["bias"])
    with pytest.raises(
        WeightFileError, match=r"perhaps cut short: [\d,]+ bytes behind the flatbuffer, from .* not there"
    ):
        formats.read(written(tmp_path, moved[:-1]))


def test_values_of_boxes_stand_in_our_order(tmp_path, thin):
    at = thin.tensor("BoxPredictor_0/BoxEncodingPredictor/Conv2D_Fold_bias")
    numbers = np.arange(12, dtype=np.int32)
    arrays = formats.read(written(tmp_path, thin.with_tensor(at, values=numbers, scales=(0.5,))))
    expected = [0.5, 0, 1.5, 1, 2.5, 2, 3.5, 3, 4.5, 4, 5.5, 5]  # (ty, tx, th, tw) becomes (tx, ty, tw, th)
    np.testing.assert_array_equal(arrays["conv11_pointwise_mbox_loc"]["bias"], expected)


def test_values_of_the_ending(tmp_path, thin):
    ending = formats.read(written(tmp_path, thin)).post_processing
    assert ending.scores == "sigmoid"
    assert ending.input_size == (300, 300)
    assert ending.variances == (0.1, 0.1, 0.2, 0.2)
    assert ending.settings["nms_iou_threshold"] == pytest.approx(0.6)
    assert ending.settings["max_detections"] == 10
    wide = ending.anchors_cxcywh[1]  # the second box of the first cell lies
    assert wide[2] == pytest.approx(2 * wide[3], abs=ending.anchors_step)


def test_values_of_a_file_without_ending(tmp_path, thin):
    assert formats.read(written(tmp_path, replace(thin, operators=thin.operators[:-1]))).post_processing is None


def test_values_graph(tmp_path, thin):
    graph = read_tflite(written(tmp_path, thin))
    assert graph.description == "made by a test"
    assert graph.tensors[graph.inputs[0]].shape == (1, 300, 300, 3)
    first = graph.operators[0]
    assert (first.kind, first.options["strides"], first.options["padding"]) == ("CONV_2D", (2, 2), "same")
    assert graph.operators[1].options["multiplier"] == 1


@pytest.mark.parametrize(
    ("tensor", "layer"),
    [
        ("FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_0/weights_quant/FakeQuantWithMinMaxVars", "conv0"),
        ("FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_11_pointwise/weights_quant/x", "conv11_pointwise"),
        ("FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_2_Conv2d_5_3x3_s2_96/weights_quant/x", "conv17_2"),
        ("FeatureExtractor/MobilenetV1/Conv2d_13_pointwise_1_Conv2d_3_1x1_96/weights_quant/x", "conv15_1"),
        ("BoxPredictor_5/BoxEncodingPredictor/weights_quant/x", "conv17_2_mbox_loc"),
        ("BoxPredictor_6/ClassPredictor/weights", None),
        ("MobilenetV1/Conv2d_14_depthwise/weights", None),
        ("MobilenetV1/Conv2d_3/weights", None),
        ("", None),
    ],
)
def test_values_layer_names(tensor, layer):
    assert layer_name(tensor) == layer


def test_roundtrip_options():
    given = {"a": 1, "b": -3, "c": 0.5, "d": True, "long name": 1 << 40, "left out": "text"}
    from flatbuffers import flexbuffers

    read = read_map(flexbuffers.Dumps(given))
    assert read == {name: value for name, value in given.items() if name != "left out"}
    assert read["d"] is True


@pytest.mark.parametrize("data", [b"", b"\1\2", bytes(40), b"\xff" * 40, b"\x05\x26\x01", bytes([1, 0, 0, 9 << 2, 8])])
def test_rejects_options_that_are_no_map(data):
    with pytest.raises(FlatbufferError):
        read_map(data)


def test_rejects_truncation(tmp_path, thin):
    whole = thin.bytes()
    for percent in range(100):
        path = written(tmp_path, whole[: len(whole) * percent // 100])
        with pytest.raises(WeightFileError, match=r"net\.tflite"):
            formats.read(path)


@pytest.mark.slow
def test_rejects_flipped_bytes_without_crashing(tmp_path, thin):
    """A turned byte is either a weight's, or one error comes, and never another one."""
    whole = thin.bytes()
    rng = np.random.default_rng(0)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(FLIPS):
        broken = bytearray(whole)
        for at in rng.integers(8, len(broken), rng.integers(1, 5)):
            broken[at] = rng.integers(256)
        try:
            formats.read(written(tmp_path, bytes(broken)))
            outcomes["read"] += 1
        except WeightFileError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > FLIPS // 10, outcomes


def test_rejects_lists_longer_than_the_file(tmp_path, thin):
    """Every four bytes that may be a length, made huge."""
    whole = thin.bytes()
    for at in range(8, 2000, 4):
        broken = whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :]
        try:
            formats.read(written(tmp_path, broken))
        except WeightFileError as error:
            assert "net.tflite" in str(error)  # noqa: PT017


@pytest.mark.parametrize("dtype", ["float32", "int4", "string", "kind 99", "uint64"])
def test_values_no_range_of_what_is_not_read(dtype):
    """Not even where another library has taught numpy such a type."""
    scheme = Quantization(np.array([0.5], np.float32), np.array([3]))
    assert Tensor("a", (1,), "uint8", scheme, b"").range() == (-1.5, 126)
    assert Tensor("a", (1,), dtype, scheme, b"").range() is None


@pytest.mark.parametrize(("count", "fits"), [(4, True), (5, False), (1 << 31, False)])
def test_rejects_a_list_that_leaves_the_file(count, fits):
    """A table by hand: its vtable at 8, itself at 16, and at 24 a list of bytes, of which four are there."""
    data = struct.pack("<I4xHHHxxiIIBBBB", 16, 6, 8, 4, 8, 4, count, 1, 2, 3, 4)
    table = Flatbuffer(data).root()
    assert table.number(1, "<i", 7) == 7  # a field that is not there
    if fits:
        assert table.array(0, "u1").tolist() == [1, 2, 3, 4]
    else:
        with pytest.raises(FlatbufferError, match="longer than the file"):
            table.array(0, "u1")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"details": 1}, "an unknown quantization"),
        ({"sparse": True}, "stored sparse"),
        ({"scales": (0.1,) * 3, "zeros": (0,) * 3}, "3 scales and 3 zero points along axis 0"),
        ({"scales": (0.1,), "zeros": (0, 0)}, "1 scales and 2 zero points"),
        ({"scales": (), "zeros": ()}, "without a scale"),
        ({"scales": (-1.0,)}, "scale that is not positive"),
        ({"scales": (float("nan"),)}, "scale that is not positive"),
        ({"scales": (3e38,), "zeros": (-(1 << 40),)}, "not finite"),
        ({"dtype": "string"}, "holds string"),
        ({"shape": (5, 1, 1, 2)}, "bytes. The file is damaged"),
        ({"shape": (2, 1, -1, 2)}, "shape"),
        ({"shape": (1,) * 9}, "shape"),
        ({"values": None}, "holds no values"),
    ],
)
def test_rejects_tensors(tmp_path, thin, changes, message):
    at = thin.tensor("Conv2d_3_pointwise/weights")
    with pytest.raises(WeightFileError, match=message):
        formats.read(written(tmp_path, thin.with_tensor(at, **changes)))


def swapped(fake):
    """Two depthwise convolutions of equal shape read each other's maps."""
    first, second = (fake.operator(f"Conv2d_{i}_depthwise/Relu6") for i in (8, 9))
    inputs = [fake.operators[i].inputs for i in (first, second)]
    fake = fake.with_operator(first, inputs=(inputs[1][0], *inputs[0][1:]))
    return fake.with_operator(second, inputs=(inputs[0][0], *inputs[1][1:]))


def another_range(fake, text, low, high):
    scale = (high - low) / 255
    return fake.with_tensor(fake.tensor(text), scales=(scale,), zeros=(round(-low / scale),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.with_operator(0, options=tf.conv_options(1, 0)), r"conv0: strides \(1, 1\), not \(2, 2\)"),
        (lambda f: f.with_operator(0, options=tf.conv_options(2, 0, padding=1)), "conv0: padding valid, not same"),
        (lambda f: f.with_operator(0, options=tf.conv_options(2, 1)), "conv0: activation relu"),
        (lambda f: f.with_operator(0, options=tf.conv_options(2, 0, dilation=2)), "conv0: dilations"),
        (lambda f: f.with_operator(0, options={}), "conv0: padding None"),
        (lambda f: f.with_operator(0, inputs=f.operators[0].inputs[:2]), "no bias"),
        (lambda f: another_range(f, "Conv2d_5_pointwise/Relu6", -3, 3), "conv5_pointwise: activation none"),
        (swapped, "conv8_depthwise: reads conv8_pointwise, not conv7_pointwise"),
        (lambda f: another_range(f, "normalized_input", 0, 255), "must stand for -1..1"),
        (lambda f: f.with_operator(-1, options=tf.post_process({"x_scale": 10.0})), "positive x_scale"),
        (lambda f: f.with_operator(-1, inputs=f.operators[-1].inputs[:2]), "Received: 2 inputs"),
        (lambda f: f.with_operator(-1, options=tf.post_process({**tf.SETTINGS, "nms_iou_threshold": 7.0})), "between"),
        (lambda f: f.with_operator(-2, code=tf.RESHAPE), "scores come out of RESHAPE"),
        (lambda f: f.with_operator(0, outputs=(9999,)), "tensors that it does not hold"),
        (lambda f: replace(f, version=4), "version 4"),
        (lambda f: f.with_tensor(f.tensor("anchors"), shape=(7668,)), "anchors must be"),
    ],
)
def test_rejects_other_networks_under_the_same_names(tmp_path, thin, change, message):
    with pytest.raises(WeightFileError, match=message):
        formats.read(written(tmp_path, change(thin)))


def test_rejects_networks_that_are_no_ssd(tmp_path, thin):
    classifier = replace(thin, operators=thin.operators[:27])
    with pytest.raises(WeightFileError, match=r"no SSD MobileNet V1 .* 20 of its 47 convolutions are not there"):
        formats.read(written(tmp_path, classifier))
    with pytest.raises(WeightFileError, match="47 of its 47"):
        formats.read(written(tmp_path, replace(thin, operators=())))


def test_rejects_a_layer_that_is_there_twice(tmp_path, thin):
    with pytest.raises(WeightFileError, match="two convolutions that are conv0"):
        formats.read(written(tmp_path, replace(thin, operators=(thin.operators[0], *thin.operators))))


def test_rejects_a_file_of_another_kind(tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"\x18\0\0\0TFL3" + b"\0" * 100)
    with pytest.raises(WeightFileError, match=r"net\.tflite"):
        formats.read(tmp_path / "net.tflite")
    (tmp_path / "net.tflite").write_bytes(b"\0" * 100)
    with pytest.raises(WeightFileError, match="not a TensorFlow Lite file"):
        read_tflite(tmp_path / "net.tflite")
