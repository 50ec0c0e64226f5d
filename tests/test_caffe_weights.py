"""Caffemodels as weights: layouts of every kind of layer, and each original set from two sources that agree."""

import io
import tarfile
from dataclasses import replace

import numpy as np
import pytest
from caffe_files import caffemodel, framed, integer, layer, legacy, packed, v1_layer
from download_server import Reply
from foreign_files import random_arrays, ssd_shapes, thinned, write_keras_h5
from keras import ops

import keras_ssd
from keras_ssd import formats, zoo
from keras_ssd.caffe.files import read_caffemodel_arrays
from keras_ssd.formats import WeightFileError
from keras_ssd.zoo.errors import DownloadError

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")

ORIGINALS = [entry for entry in zoo.entries() if any(s.file.endswith(".h5") for s in entry.sources)]
ORIGINALS = [entry for entry in ORIGINALS if any(s.format == "caffemodel" for s in entry.sources) and entry.classes]
CLASSES = {"voc": 20, "coco": 80, "ilsvrc": 200}


def caffe_layers(arrays):
    """Records of a training snapshot with these arrays: {layer: {weight: array}} in Keras layout, names of Caffe."""
    records = [layer("data", "AnnotatedData", tops=("data", "label"), rest=framed(8, integer(1, 0)))]
    for name, weights in arrays.items():
        if "gamma" in weights:
            records.append(layer(name, "Normalize", weights["gamma"]))
        else:
            kernel = np.transpose(weights["kernel"], (3, 2, 0, 1))  # (out, in, kh, kw)
            records.append(layer(name, "Convolution", kernel, weights["bias"], bottoms=("x",), tops=(name,)))
            records.append(layer(f"relu_{name}", "ReLU", bottoms=(name,), tops=(name,)))
    return [*records, layer("mbox_loss", "MultiBoxLoss", rest=framed(201, integer(4, 21)))]


def assert_same(arrays, expected):
    assert set(arrays.layers) == set(expected)
    for name, weights in expected.items():
        assert set(arrays[name]) == set(weights)
        for weight, array in weights.items():
            np.testing.assert_array_equal(arrays[name][weight], array, err_msg=f"{name}/{weight}")


def test_values_every_kind_of_layer(tmp_path):
    rng = np.random.default_rng(0)

    def random(*sides):
        return rng.normal(size=sides).astype(np.float32)

    conv, grouped, depthwise, named, up = (
        random(6, 3, 5, 2),
        random(6, 2, 3, 3),
        *(random(4, 1, 3, 3) for _ in "ab"),
        random(3, 4, 2, 2),
    )
    dense, turned, old, bias, vector = random(5, 7), random(7, 5), random(5, 7), random(6), random(4)
    path = caffemodel(
        tmp_path / "a.caffemodel",
        layer("conv", "Convolution", conv, bias),
        layer("grouped", "Convolution", grouped, rest=framed(106, integer(1, 6) + integer(5, 2))),
        layer("depthwise", "Convolution", depthwise, vector, rest=framed(106, integer(1, 4) + integer(5, 4))),
        layer("named", "ConvolutionDepthwise", named),
        layer("grey", "Convolution", depthwise),  # one input channel, yet no depthwise convolution
        layer("up", "Deconvolution", up),
        layer("dense", "InnerProduct", dense, bias[:5]),
        layer("turned", "InnerProduct", turned, rest=framed(117, integer(6, 1))),
        layer("norm", "Normalize", vector),
        layer("bn", "BatchNorm", vector, vector * 3, np.float32([4])),
        layer("untrained", "BatchNorm", vector, vector, np.float32([0])),
        layer("scale", "Scale", vector, -vector),
        layer("only", "Scale", vector),
        layer("prelu", "PReLU", vector),
        layer("other", "Mine", dense, vector),
        layer("pool", "Pooling"),
    )
    quarter = np.float32(0.25)
    expected = {
        "conv": {"kernel": conv.transpose(2, 3, 1, 0), "bias": bias},
        "grouped": {"kernel": grouped.transpose(2, 3, 1, 0)},
        "depthwise": {"kernel": depthwise.transpose(2, 3, 0, 1), "bias": vector},
        "named": {"kernel": named.transpose(2, 3, 0, 1)},
        "grey": {"kernel": depthwise.transpose(2, 3, 1, 0)},
        "up": {"kernel": up.transpose(2, 3, 1, 0)},
        "dense": {"kernel": dense.T, "bias": bias[:5]},
        "turned": {"kernel": turned},
        "norm": {"gamma": vector},
        "bn": {"moving_mean": vector * quarter, "moving_variance": vector * 3 * quarter},
        "untrained": {"moving_mean": vector * 0, "moving_variance": vector * 0},
        "scale": {"gamma": vector, "beta": -vector},
        "only": {"gamma": vector},
        "prelu": {"alpha": vector},
        "other": {"blob_0": dense, "blob_1": vector},
    }
    arrays = read_caffemodel_arrays(path)
    assert_same(arrays, expected)
    assert (arrays.format, arrays.first_layer_channels, arrays.path) == ("caffemodel", "bgr", path)
    assert arrays["conv"]["kernel"].shape == (5, 2, 3, 6)
    assert all(array.flags.owndata or array.base.flags.owndata for _, _, array in arrays)
    path.unlink()
    v1 = caffemodel(
        path,
        v1_layer("conv", 4, legacy(6, 3, 5, 2) + packed(conv), legacy(1, 1, 1, 6) + packed(bias)),
        v1_layer("dense", 14, legacy(1, 1, 5, 7) + packed(old), legacy(1, 1, 1, 5) + packed(bias[:5])),
    )
    assert_same(
        formats.read(v1),
        {"conv": expected["conv"], "dense": {"kernel": old.T, "bias": bias[:5]}},
    )


def test_values_grey_nets_have_no_colours_to_turn(tmp_path):
    path = caffemodel(tmp_path / "a.caffemodel", layer("conv", "Convolution", np.ones((8, 1, 3, 3), np.float32)))
    assert formats.read(path).first_layer_channels == "rgb"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([layer("a", "X", np.ones(2, np.float32)), layer("a", "X", np.ones(2, np.float32))], "two layers named 'a'"),
        ([layer("a", "ReLU"), layer("b", "ReLU")], "2 layers but has no arrays"),
        ([layer("a", "Scale", np.float32([1, np.nan]))], "'a/gamma' holds values that are not finite"),
    ],
)
def test_rejects_files_that_are_no_weights(tmp_path, records, message):
    with pytest.raises(WeightFileError, match=message):
        formats.read(caffemodel(tmp_path / "a.caffemodel", *records))


def tarball(member, data):
    """A .tar.gz as the originals were published: a folder of prototxts and one caffemodel."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        folder = "models/VGGNet/VOC0712/SSD_300x300"
        for name, content in (
            (f"{folder}/deploy.prototxt", b'layer { name: "n" type: "ReLU" }'),
            (f"{folder}/{member}", data),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return memory.getvalue()


def test_values_there_are_fourteen_originals():
    assert len(ORIGINALS) == 14
    assert all(entry.readable for entry in ORIGINALS)
    assert [entry.name for entry in ORIGINALS if entry.described] == ["ssd500.ilsvrc"]


@pytest.mark.parametrize("entry", ORIGINALS, ids=lambda entry: entry.name)
def test_roundtrip_every_original_from_two_sources(tmp_path, server, entry):
    """The set's Caffe source, archive and all, and its .h5 hold the same arrays."""
    shapes = thinned(ssd_shapes("ssd300" if entry.model == "ssd300" else "ssd512", CLASSES[entry.classes]), most=4)
    arrays = random_arrays(shapes, seed=len(entry.name))
    data = caffemodel(tmp_path / "net", *caffe_layers(arrays)).read_bytes()
    # Of the published checks of the real file, none can hold for this one.
    [source] = [s for s in entry.sources if s.format == "caffemodel"][:1]
    body = tarball((source.member or source.file).split("/")[-1], data) if source.archive else data
    local = replace(source, url=server.play("/file", Reply(body)), size=len(body), checksum=None)
    path = zoo.download(replace(entry, sources=(local,)), formats=("caffemodel",), progress=False)
    assert path.name == source.file
    write_keras_h5(tmp_path / "a.h5", arrays)
    ours, theirs = formats.read(path), formats.read(tmp_path / "a.h5")
    assert ours.first_layer_channels == theirs.first_layer_channels == "bgr"
    assert_same(ours, theirs.layers)
    assert_same(ours, arrays)
    assert zoo.by_file_name(path) == entry


def test_rejects_downloads_that_are_no_whole_caffemodel(tmp_path, server):
    data = caffemodel(tmp_path / "net", *caffe_layers(random_arrays(thinned(ssd_shapes("ssd300", 2))))).read_bytes()
    entry = zoo.find("ssd300.coco")
    for number, (body, message) in enumerate([(data[:-100], "cut short"), (b"\x89HDF\r\n\x1a\n" * 9, "HDF5")]):
        url = server.play(f"/{number}", Reply(body))
        source = zoo.Source("caffemodel", url, "w.caffemodel")
        with pytest.raises(DownloadError, match=message):
            zoo.download(replace(entry, sources=(source,)), progress=False)
    assert not list((tmp_path / "home").rglob("w.caffemodel"))


@pytest.mark.slow
def test_roundtrip_ssd300_of_caffe_and_of_ssd_keras(tmp_path):
    """One line loads the original; the model equals that of the .h5, value for value."""
    arrays = random_arrays(ssd_shapes("ssd300", 20), seed=2)
    name = "VGG_VOC0712_SSD_300x300_iter_120000"
    write_keras_h5(tmp_path / f"{name}.h5", arrays)
    caffemodel(tmp_path / f"{name}.caffemodel", *caffe_layers(arrays))
    models = [keras_ssd.ssd300(weights=tmp_path / f"{name}{ending}") for ending in (".caffemodel", ".h5")]
    assert models[0].weights_report.channels_reversed == "conv1_1"
    assert {model.class_names for model in models} == {zoo.labels("voc")}
    for one, other in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(one), ops.convert_to_numpy(other), err_msg=one.path)
    kernel = ops.convert_to_numpy(models[0].get_layer("conv1_1").kernel)
    np.testing.assert_array_equal(kernel, arrays["conv1_1"]["kernel"][:, :, ::-1])
    assert keras_ssd.open_model(tmp_path / f"{name}.caffemodel").anchor_spec == models[1].anchor_spec
