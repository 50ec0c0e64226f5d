"""Caffemodels: every way in which numbers are stored, both kinds of records, and what the writer writes."""

from dataclasses import replace

import numpy as np
import pytest
from caffe_files import (
    blob,
    caffemodel,
    double,
    framed,
    integer,
    key,
    layer,
    legacy,
    packed,
    shape,
    single,
    unpacked,
    v1_layer,
    varint,
)

from keras_ssd.caffe.files import (
    CaffeFileError,
    CaffeLayer,
    CaffeNet,
    looks_like_caffemodel,
    parse_prototxt,
    read_caffemodel,
    read_mean,
    write_caffemodel,
)

VALUES = np.float32([[1.5, -2.25, 3e-20], [np.pi, 65504, -0.0]])
BYTES = VALUES.tobytes()


def arrays(path):
    return [array for found in read_caffemodel(path).layers for array in found.blobs]


@pytest.mark.parametrize(
    ("content", "tolerance"),
    [
        (shape(2, 3) + packed(VALUES), 0),
        (packed(VALUES) + shape(2, 3), 0),
        (shape(2, 3, packed=False) + unpacked(VALUES), 0),
        (shape(2, 3) + packed(VALUES[0]) + packed(VALUES[1]), 0),
        (shape(2, 3) + packed(VALUES[0]) + unpacked(VALUES[1]), 0),
        (shape(2, 3) + unpacked(VALUES[0]) + integer(99, 1) + unpacked(VALUES[1]), 0),
        (shape(2, 3) + packed(VALUES, 8, "<f8"), 0),
        (shape(2, 3) + b"".join(double(8, value) for value in VALUES.ravel()), 0),
        (shape(2, 3) + integer(10, 1) + framed(12, BYTES), 0),
        (shape(2, 3) + integer(10, 0) + framed(12, VALUES.astype("<f8").tobytes()), 0),
        (shape(2, 3) + framed(12, VALUES.astype("<f8").tobytes()), 0),
        (shape(2, 3) + integer(10, 2) + framed(12, VALUES.astype("<f2").tobytes()), 2e-3),
        # What a reader has to pass over: gradients, fields of forks, groups.
        (shape(2, 3) + packed(-VALUES, 6) + packed(VALUES) + packed(VALUES, 9, "<f8"), 0),
        (shape(2, 3) + b"".join(single(6, 1) for _ in range(9)) + packed(VALUES) + single(77, 2), 0),
        (key(50, 3) + framed(5, b"x") + key(51, 3) + key(51, 4) + single(1, 1) + key(50, 4) + blob(VALUES), 0),
    ],
)
def test_values_every_way_to_store_numbers(tmp_path, content, tolerance):
    [array] = arrays(caffemodel(tmp_path / "a.caffemodel", layer("a", "Scale", content)))
    assert (array.dtype, array.shape) == (np.float32, (2, 3))
    assert not array.flags.writeable
    if tolerance:
        np.testing.assert_allclose(array, VALUES, rtol=tolerance, atol=1e-7)
    else:
        assert array.tobytes() == BYTES


def test_values_shapes(tmp_path):
    contents = {
        (1, 2, 1, 3): legacy(1, 2, 1, 3) + packed(VALUES),
        (6,): packed(VALUES),
        (2, 3): shape(2, 3) + legacy(9, 9, 9, 9) + packed(VALUES),
        (): framed(7, b"") + packed([5]),
        (1,) * 32: shape(*[1] * 32) + packed([5]),
    }
    found = arrays(caffemodel(tmp_path / "a.caffemodel", layer("a", "X", *contents.values())))
    assert [array.shape for array in found] == list(contents)


def test_values_not_finite_numbers_are_delivered(tmp_path):
    odd = np.float32([np.nan, np.inf, -np.inf, 1])
    for content in (shape(4) + packed(odd), shape(4) + unpacked(odd)):
        [array] = arrays(caffemodel(tmp_path / "a.caffemodel", layer("a", "X", content)))
        np.testing.assert_array_equal(array, odd)
    huge = shape(1) + packed([1e300], 8, "<f8")
    [array] = arrays(caffemodel(tmp_path / "a.caffemodel", layer("a", "X", huge)))
    assert np.isinf(array[0])


def test_values_layers_and_settings(tmp_path):
    transform = b"".join(
        [single(1, 0.5), single(5, 104), single(5, 117), framed(8, integer(2, 1) + integer(3, 300) + packed([1], 6))]
    )
    convolution = framed(4, varint(3) + varint(5)) + integer(3, 1) + integer(2, 0) + framed(7, framed(1, "xavier"))
    path = caffemodel(
        tmp_path / "a.caffemodel",
        layer("data", "AnnotatedData", rest=framed(100, transform) + framed(8, integer(1, 0)), tops=("data", "label")),
        layer(
            "conv",
            "Convolution",
            rest=framed(106, convolution)
            + framed(6, single(3, 2))
            + framed(6, b"")
            + integer(10, 1)
            + integer(144000, 3),
            bottoms=("data",),
            tops=("conv",),
        ),
        layer("flat", "Flatten", rest=framed(135, integer(2, -2)) + framed(203, single(10, 8) + integer(4, 0))),
    )
    data, conv, flat = read_caffemodel(path).layers
    assert (data.name, data.type, data.tops) == ("data", "AnnotatedData", ("data", "label"))
    assert data.params["include"] == [{"phase": "TRAIN"}]
    settings = data.settings("transform_param")
    assert (settings["scale"], settings["mean_value"], settings["mirror"]) == (0.5, (104.0, 117.0), False)
    resize = settings["resize_param"]
    assert (resize["resize_mode"], resize["height"], resize["width"], resize["pad_value"]) == ("WARP", 300, 0, (1.0,))
    assert conv.params == {
        "convolution_param": {
            "kernel_size": [3, 5],
            "pad": [1],
            "bias_term": False,
            "weight_filler": {"type": "xavier"},
        },
        "param": [{"lr_mult": 2.0}, {}],
        "phase": "TEST",
    }
    assert flat.settings("flatten_param")["end_axis"] == -2
    assert (flat.settings("prior_box_param")["step"], flat.settings("prior_box_param")["flip"]) == (8.0, False)


def test_values_settings_of_a_fork_are_left_out(tmp_path):
    """Number 143 is Caffe's input_param and another fork's interp_param; an unknown enum has no name."""
    path = caffemodel(
        tmp_path / "a.caffemodel",
        layer("a", "Interp", rest=framed(143, framed(1, b"\xff\xff")) + framed(121, integer(1, 9) + integer(2, 3))),
        layer("b", "Own", np.ones(2, np.float32), rest=framed(117, b"\x0a\x7f")),
    )
    first, second = read_caffemodel(path).layers
    assert first.params == {"pooling_param": {"kernel_size": 3}}
    assert second.params == {}
    assert second.blobs[0].tolist() == [1, 1]
    assert read_caffemodel(path).unknown == (
        ("a", "field 143 of LayerParameter, which is no input_param"),
        ("a", "a value of pool that is no enum"),
        ("b", "field 117 of LayerParameter, which is no inner_product_param"),
    )


def test_values_unknown_numbers_are_kept(tmp_path):
    """On every level: the net, a layer, a message, a message in a message, an array."""
    inner = framed(106, integer(1, 3) + integer(55, 1) + framed(7, framed(1, "xavier") + integer(44, 1)))
    path = caffemodel(
        tmp_path / "a.caffemodel",
        integer(77, 1),
        layer("a", "Convolution", shape(1) + packed([1]) + integer(33, 2), rest=inner + inner + framed(8801, "x")),
        layer("b", "ReLU"),
        layer("a", "Convolution", rest=single(8802, 2)),
    )
    assert read_caffemodel(path).unknown == (
        ("", "field 77 of the net"),
        ("a", "field 33 of BlobProto"),
        ("a", "field 55 of ConvolutionParameter"),
        ("a", "field 44 of FillerParameter"),
        ("a", "field 8801 of LayerParameter"),
        ("a", "field 8802 of LayerParameter"),
    )


# Numbers of caffe.proto's V1LayerType and what upgrade_proto.cpp makes of them.
V1_NUMBERS = {
    "ReLU": 18,
    "Pooling": 17,
    "InnerProduct": 14,
    "LRN": 15,
    "Softmax": 20,
    "SoftmaxWithLoss": 21,
    "TanH": 23,
}
V1_NUMBERS |= {"Eltwise": 25, "Power": 26, "Slice": 33, "AbsVal": 35, "Deconvolution": 39, "Concat": 3, "ReLU6": 61}


def test_values_gradients_cost_nothing(tmp_path):
    """A snapshot may hold as many gradients as weights."""
    gradients = np.ones(1 << 20, np.float32)
    path = caffemodel(
        tmp_path / "a.caffemodel", layer("a", "X", packed(gradients, 6) + unpacked(gradients[:9]) + shape(3, 3))
    )
    assert arrays(path)[0].shape == (3, 3)


def test_values_v1_records(tmp_path):
    old = legacy(1, 1, 2, 3) + unpacked(VALUES)
    rates = single(7, 1) + single(7, 2) + single(8, 1) + framed(10, integer(1, 2)) + framed(1001, "shared")
    path = caffemodel(
        tmp_path / "a.caffemodel",
        v1_layer("conv1", 4, old, rest=rates, bottoms=("data",), tops=("conv1",)),
        *[v1_layer(kind, number) for kind, number in V1_NUMBERS.items()],
        v1_layer("odd", 200),
        framed(3, "data"),
        *[integer(4, side) for side in (1, 3, 20, 30)],
    )
    data, conv, *others, odd = read_caffemodel(path).layers
    assert (data.type, data.params["input_param"]) == ("Input", {"shape": [{"dim": [1, 3, 20, 30]}]})
    assert (conv.type, conv.bottoms, conv.tops) == ("Convolution", ("data",), ("conv1",))
    assert conv.blobs[0].shape == (1, 1, 2, 3)
    assert conv.blobs[0].tobytes() == BYTES
    assert conv.params["param"] == [{"name": "shared", "lr_mult": 1.0, "decay_mult": 1.0}, {"lr_mult": 2.0}]
    assert [found.type for found in others] == list(V1_NUMBERS)
    assert odd.type == "V1LayerType 200"


def test_values_arrays_are_views_of_the_file(tmp_path):
    big = np.arange(1 << 20, dtype=np.float32)
    path = caffemodel(tmp_path / "a.caffemodel", layer("a", "X", big), layer("b", "X", big))
    one, other = arrays(path)
    assert not one.flags.owndata
    assert not other.flags.owndata
    np.testing.assert_array_equal(one, other)


def test_values_mean_file(tmp_path):
    mean = np.arange(24, dtype=np.float32).reshape(3, 2, 4)
    (tmp_path / "old.binaryproto").write_bytes(legacy(1, 3, 2, 4) + packed(mean))
    (tmp_path / "new.binaryproto").write_bytes(blob(mean))
    for name in ("old", "new"):
        found = read_mean(tmp_path / f"{name}.binaryproto")
        assert found.flags.owndata
        np.testing.assert_array_equal(found, mean)
    (tmp_path / "flat.binaryproto").write_bytes(blob(mean.ravel()))
    with pytest.raises(CaffeFileError, match=r"one image.*Received: an array of shape \(24,\)"):
        read_mean(tmp_path / "flat.binaryproto")
    net = caffemodel(tmp_path / "net.caffemodel", layer("a", "X", mean))
    with pytest.raises(CaffeFileError):
        read_mean(net)


def random_net(seed=0):
    """Layers with every kind of setting, and arrays of every rank."""
    rng = np.random.default_rng(seed)
    prototxt = """
        name: "random" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }
        layer { name: "a" type: "Convolution" bottom: "data" top: "a" param { lr_mult: 0.5 } phase: TEST
          convolution_param { num_output: 4 kernel_size: [3, 2] engine: CUDNN weight_filler { std: 0.25 sparse: -1 } } }
        layer { name: "b" type: "ReLU" bottom: "a" top: "a" propagate_down: [true, false] loss_weight: [1, 0.5]
          include { phase: TEST min_level: -3 stage: "x" } relu_param { negative_slope: 0.125 } }
        layer { name: "c" type: "InnerProduct" bottom: "a" top: "c" reshape_param { shape { dim: [0, -1] } } }
    """
    net = parse_prototxt(prototxt)
    shapes = {"a": [(4, 3, 3, 2), (4,)], "c": [(5, 24), (5,), ()]}
    blobs = {name: [rng.normal(size=s).astype(np.float32) for s in found] for name, found in shapes.items()}
    return replace(net, layers=tuple(replace(found, blobs=blobs.get(found.name, ())) for found in net.layers))


def test_roundtrip_binary(tmp_path):
    net = random_net()
    write_caffemodel(net, tmp_path / "a.caffemodel")
    again = read_caffemodel(tmp_path / "a.caffemodel")
    assert again.name == "random"
    assert looks_like_caffemodel(tmp_path / "a.caffemodel")
    for one, other in zip(net.layers, again.layers, strict=True):
        assert repr(one) == repr(other)
        assert one.params == other.params
        assert [a.tobytes() for a in one.blobs] == [a.tobytes() for a in other.blobs]
    assert [path.name for path in tmp_path.iterdir()] == ["a.caffemodel"]


def test_rejects_what_cannot_be_written(tmp_path):
    def write(*layers):
        write_caffemodel(CaffeNet("n", layers), tmp_path / "a.caffemodel")

    with pytest.raises(ValueError, match="Layer 'a': arrays must be float32.*dtype=float64"):
        write(CaffeLayer("a", "X", blobs=[np.ones(2)]))
    with pytest.raises(ValueError, match="pool must be one of MAX, AVE, STOCHASTIC. Received: 'MIN'"):
        write(CaffeLayer("a", "Pooling", params={"pooling_param": {"pool": "MIN"}}))
    big = np.broadcast_to(np.float32(0), (1 << 29, 2))
    with pytest.raises(ValueError, match="2,147,483,647 bytes"):
        write(CaffeLayer("a", "X", blobs=[big]))
    assert not list(tmp_path.iterdir())
