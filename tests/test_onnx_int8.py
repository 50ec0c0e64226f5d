"""ONNX and OpenVINO files in whole numbers: what becomes int8, what stays in float, how far the results are."""

import sys

import keras
import numpy as np
import pytest
from onnx_nets import detector, tamed
from tiny_models import tiny_backbone, tiny_spec, tiny_ssd

import keras_ssd
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporting.formats import onnx_file
from keras_ssd.exporting.int8 import Quantized, search
from keras_ssd.exporting.onnx_int8 import int8_onnx
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.parity import TOLERANCES
from keras_ssd.file_metadata import KEY, FileMetadata
from keras_ssd.models import Tap, ssd

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def waves(count):
    """Smooth images (40, 56, 3) uint8."""
    y, x = np.mgrid[0:40, 0:56] / 10
    parts = [[np.sin(x * (1 + i % 3) + y * channel + i) for channel in range(3)] for i in range(count)]
    return [(127.5 + 127.5 * np.stack(one, axis=-1)).astype(np.uint8) for one in parts]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return tamed(tiny_ssd(preprocessing="tf"))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """What `export` gave for an ONNX file in int8."""
    path = tmp_path_factory.mktemp("int8") / "mine.onnx"
    return keras_ssd.export(model, path, precision="int8", calibrate=waves(6))


def whole_number_layers(proto):
    """{name of a convolution: whether it reads and gives whole numbers}."""
    made = {output: node for node in proto.graph.node for output in node.output}
    return {
        node.name: all(made[name].op_type == "DequantizeLinear" for name in node.input[:2])
        for node in proto.graph.node
        if node.op_type == "Conv"
    }


def test_values_every_layer_in_whole_numbers(exported, model):
    assert exported.notes == ("every layer is in whole numbers",)
    assert (exported.metadata.precision, exported.metadata.dtype) == ("int8", "float32")
    assert exported.parity.holds
    assert (exported.parity.images, exported.parity.tolerance) == (6, TOLERANCES["int8"])
    proto = onnx.load(exported.path)
    whole = whole_number_layers(proto)
    assert len(whole) == 9
    assert all(whole.values())
    assert {node.domain for node in proto.graph.node} == {""}
    assert [(row.domain, row.version) for row in proto.opset_import] == [("", 13)]
    told = {entry.key: entry.value for entry in proto.metadata_props}
    assert FileMetadata.from_properties(told) == exported.metadata
    assert not [key for key in told if key.startswith("onnx.")]
    behind = [node for node in proto.graph.node if node.name.startswith(("predictions/", "boxes/", "detections"))]
    made = {output: node.op_type for node in proto.graph.node for output in node.output}
    assert "DequantizeLinear" not in {made.get(name) for node in behind for name in node.input}


def test_values_weights_have_a_scale_for_each_channel_and_seven_bits(exported):
    arrays = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(exported.path).graph.initializer}
    kernels = {name: array for name, array in arrays.items() if name.endswith("kernel_quantized")}
    assert len(kernels) == 9
    for name, kernel in kernels.items():
        assert kernel.dtype == np.int8
        assert 60 <= np.abs(kernel).max() <= 64
        assert arrays[name.replace("_quantized", "_scale")].shape == kernel.shape[:1]


def test_reference_a_file_detects_as_its_model(exported, model):
    """In onnxruntime, and in OpenVINO, which computes such a file of free batch wrongly if nothing is done."""
    images = waves(3)
    expected = list(model.detect(images, engine="keras", confidence=0.3))
    assert sum(map(len, expected)) > 10
    for engine in ("onnxruntime", "openvino"):
        pytest.importorskip(engine)
        opened = keras_ssd.load(exported.path)
        for batch_size in (3, 2):
            found = list(opened.detect(images, engine=engine, confidence=0.3, batch_size=batch_size))
            for ours, theirs in zip(found, expected, strict=True):
                assert len(ours) == pytest.approx(len(theirs), abs=max(2, 0.1 * len(theirs)))
                few = min(len(ours), len(theirs))
                assert np.abs(ours.scores[:few] - theirs.scores[:few]).mean() < 0.02


def test_values_openvino_takes_one_image_at_once(model, tmp_path):
    pytest.importorskip("openvino")
    done = keras_ssd.export(model, tmp_path / "mine.xml", precision="int8", calibrate=waves(4))
    assert done.metadata.batch == 1
    assert done.parity.holds
    whole, once = done.notes
    assert whole == "every layer is in whole numbers"
    assert once.startswith("takes one image at once: OpenVINO computes whole numbers wrongly")
    assert b'type="FakeQuantize"' in done.path.read_bytes()
    opened = keras_ssd.load(done.path)
    assert opened.metadata.precision == "int8"
    assert len(opened.detect(waves(3), batch_size=3)) == 3
    three = keras_ssd.export(model, tmp_path / "three.xml", batch=3, precision="int8", calibrate=waves(4))
    assert (three.metadata.batch, three.notes) == (3, ("every layer is in whole numbers",))


def test_values_batch_normalisations_are_folded_and_bgr_is_calibrated_as_bgr(tmp_path):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((40, 56, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", use_bias=False, name="fine_conv")(inputs)
    x = keras.layers.BatchNormalization(name="fine_bn")(x)
    x = keras.layers.ReLU(name="fine")(x)
    made = tamed(ssd(keras.Model(inputs, x, name="small"), [Tap("fine")], ["cat", "dog"], first_level()))
    images = [image * np.uint8([1, 0, 0]) for image in waves(4)]  # red alone: its range is that of the channel
    done = keras_ssd.export(made, tmp_path / "mine.onnx", precision="int8", channels="bgr", calibrate=images)
    assert done.parity.holds
    kinds = {node.op_type for node in onnx.load(done.path).graph.node}
    assert "BatchNormalization" not in kinds


def first_level():
    import dataclasses

    spec = tiny_spec()
    return dataclasses.replace(spec, levels=spec.levels[:1])


class Rounded:
    """Trials of four operations: b and c together cost much, and only both in float spare it."""

    operations = ("a", "b/linear", "c", "d")

    def without(self, places):
        return bytes(places)

    def loss(self, data):
        return 0.3 if not {1, 2} <= set(data) else 0.01

    def worst_first(self):
        return [3, 1, 2, 0]


def test_values_the_search_leaves_what_matters_in_float():
    found = search(Rounded(), ["a", "b", "c", "d"])
    assert (found.left, found.in_float, found.loss) == ((1, 2), ("b", "c"), 0.01)
    assert found.notes == ("left in float, because they would lose too much: b, c",)
    assert search(Rounded(), [], enough=0.5) == Quantized(b"", (), 0.3)


def test_values_layers_that_lose_too_much_stay_in_float():
    """One channel a thousand times as large as the others takes all of the 256 steps from them."""
    keras.utils.set_random_seed(0)
    made = ssd(tiny_backbone(), [Tap("fine")], ["cat", "dog"], first_level(), preprocessing="tf")
    kernel, bias = made.get_layer("fine").get_weights()
    bias[0] = 3000.0
    made.get_layer("fine").set_weights([kernel, bias])
    for name in ("fine_mbox_conf", "fine_mbox_loc"):
        kernel, bias = made.get_layer(name).get_weights()
        kernel[:, :, 0] = 0  # nobody looks at it
        made.get_layer(name).set_weights([kernel * 10, bias])
    options = ExportOptions(precision="int8", calibrate=waves(4))
    proto, found = int8_onnx(made, onnx_file.OnnxForm("rgb", "tables", None), {}, options)
    assert set(found.in_float) == {"fine", "fine_mbox_conf", "fine_mbox_loc"}
    assert not any(whole_number_layers(proto).values())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mine.onnx", {}, "`calibrate` must name some, a folder of a hundred for example. Received: calibrate=None"),
        ("mine.xml", {}, "`calibrate` must name some"),
        ("mine.onnx", {"calibrate": []}, "There is no image to calibrate on"),
        ("mine.onnx", {"calibrate": waves(1), "suppression": "tensorrt"}, "Export in float32 or float16"),
    ],
)
def test_rejects_and_writes_nothing(model, tmp_path, name, options, message):
    if name.endswith(".xml"):
        pytest.importorskip("openvino")
    with pytest.raises(ValueError, match=message):
        keras_ssd.export(model, tmp_path / name, precision="int8", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["mine.onnx", "mine.xml"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_rejects_layers_before_anything_is_written(tmp_path, name, precision):
    if name.endswith(".xml"):
        pytest.importorskip("openvino")

    def body(x):
        return keras.layers.GaussianDropout(0.1, name="noise")(keras.layers.Conv2D(4, 2, name="conv")(x))

    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(ExportError, match=r"1 layer cannot be written as ONNX: noise \(GaussianDropout\)"):
        keras_ssd.export(detector(body), tmp_path / name, precision=precision, calibrate=waves(1))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: b"before"}


def test_values_the_description_is_read_from_openvino(model, tmp_path):
    openvino = pytest.importorskip("openvino")
    done = keras_ssd.export(model, tmp_path / "mine.xml", precision="int8", calibrate=waves(2), suppression=False)
    told = openvino.Core().read_model(str(done.path)).get_rt_info([KEY]).astype(str)
    assert FileMetadata.from_json(told).precision == "int8"


@pytest.mark.parametrize(
    ("missing", "name", "message"),
    [
        ("onnxruntime", "mine.onnx", r"Whole numbers need the package `onnxruntime`: pip install 'keras-ssd\[onnx\]'"),
        ("openvino", "mine.xml", r"OpenVINO files need the package `openvino`: pip install 'keras-ssd\[fast\]'"),
    ],
)
def test_rejects_a_missing_runtime_before_anything_is_written(model, tmp_path, monkeypatch, missing, name, message):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message):
        keras_ssd.export(model, tmp_path / name, precision="int8", calibrate=waves(1))
    assert list(tmp_path.iterdir()) == []
