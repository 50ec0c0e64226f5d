"""Readers of foreign weight files: what they return, and that hostile files end in one clear error."""

import io
import json
import pickle
import zipfile
from dataclasses import astuple

import h5py
import numpy as np
import pytest
from foreign_files import (
    random_arrays,
    ssd_keras_config,
    ssd_shapes,
    thinned,
    write_chainercv_npz,
    write_keras_h5,
)

from keras_ssd import formats
from keras_ssd.formats import NamedArrays, WeightFileError, named_arrays

SMALL = thinned(ssd_shapes("ssd300", 2))
WEIGHTLESS = ("input_1", "identity_layer", "input_mean_normalization", "input_channel_swap", "pool1")


@pytest.fixture
def small():
    return random_arrays(SMALL)


def assert_same(arrays, expected):
    assert set(arrays.layers) == set(expected)
    for layer, weights in expected.items():
        assert set(arrays[layer]) == set(weights)
        for weight, array in weights.items():
            assert arrays[layer][weight].dtype == np.float32
            np.testing.assert_array_equal(arrays[layer][weight], array, err_msg=f"{layer}/{weight}")


def test_roundtrip_keras_h5_weights_only(tmp_path, small):
    write_keras_h5(tmp_path / "a.h5", small)
    arrays = formats.read(tmp_path / "a.h5")
    assert_same(arrays, small)
    assert (arrays.format, arrays.first_layer_channels, arrays.config) == ("keras_h5", "bgr", None)
    assert arrays.parameters == sum(a.size for w in small.values() for a in w.values())


@pytest.mark.parametrize(
    ("weightless", "config", "suffix", "channels"),
    [
        ((), None, ":0", "bgr"),  # only layers with weights: the convention of the published files
        (WEIGHTLESS, None, ":0", "bgr"),
        ([n for n in WEIGHTLESS if "swap" not in n], None, ":0", "rgb"),
        ((), ssd_keras_config(swap=True), ":0", "bgr"),
        ((), ssd_keras_config(swap=False), ":0", "rgb"),
        ((), None, "", "rgb"),
    ],
)
def test_values_colour_order_of_the_first_layer(tmp_path, small, weightless, config, suffix, channels):
    write_keras_h5(tmp_path / "a.h5", small, weightless=weightless, config=config, suffix=suffix)
    assert formats.read(tmp_path / "a.h5").first_layer_channels == channels


@pytest.mark.parametrize("name", ["conv4_3_norm_gamma:0", "gamma:0", "conv4_3_norm/Variable:0", "scale"])
def test_values_norm_vector_under_any_name(tmp_path, name):
    vector = np.arange(512, dtype=np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[f"conv4_3_norm/{name}"] = vector
        file["conv1_1/conv1_1_2/kernel:0"] = np.ones((3, 3, 3, 4), np.float16)
        file["conv1_1/conv1_1_2/bias:0"] = np.ones(4, np.float64)
    arrays = formats.read(tmp_path / "a.h5")
    np.testing.assert_array_equal(arrays["conv4_3_norm"]["gamma"], vector)
    assert {w: a.dtype for w, a in arrays["conv1_1"].items()} == {"kernel": np.float32, "bias": np.float32}


def test_values_nested_model_is_opened(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for layer in ("conv1", "conv2"):
            file[f"model_1/{layer}/kernel:0"] = np.ones((3, 3, 3, 4), np.float32)
    assert set(formats.read(tmp_path / "a.h5").layers) == {"conv1", "conv2"}


@pytest.mark.parametrize("recorded", [None, {"this_steps": 8, "this_offsets": 0.5}, {"this_steps": (8, 16)}])
def test_values_model_config(tmp_path, small, recorded):
    config = ssd_keras_config((300, 480), recorded)
    write_keras_h5(tmp_path / "a.h5", small, config=config, weightless=WEIGHTLESS)
    found = formats.read(tmp_path / "a.h5")
    assert_same(found, small)
    assert found.config.input_size == (300, 480)
    assert found.config.lambda_layers == ("identity_layer", "input_mean_normalization", "input_channel_swap")
    first, second = found.config.anchor_boxes
    steps = {None: None, 8: 8.0, (8, 16): (8.0, 16.0)}[(recorded or {}).get("this_steps")]
    offsets = (recorded or {}).get("this_offsets")
    assert astuple(first) == (
        *("conv4_3_norm_mbox_priorbox", "conv4_3_norm_mbox_loc", (300, 480), 0.1, 0.2, (1.0, 2.0, 0.5), True),
        *((0.1, 0.1, 0.2, 0.2), steps, offsets, False, "centroids", True),
    )
    assert second.aspect_ratios == (1.0, 2.0, 0.5, 3.0, 1 / 3)


def test_reference_ssd7_traffic_is_read_whole(shared):
    path = shared("weights", "ssd7_traffic", "ssd7_traffic.h5")
    arrays = formats.read(path)
    with h5py.File(path) as file:
        counted = []
        group = file["model_weights"]
        group.visititems(lambda _, o: counted.append(o.size) if isinstance(o, h5py.Dataset) else None)
        variance = group["bn3/bn3/moving_variance:0"][()]
    np.testing.assert_array_equal(arrays["bn3"]["moving_variance"], variance)
    assert arrays.parameters == sum(counted) == 213_904
    assert len(list(arrays)) == len(counted) == 58
    assert arrays.first_layer_channels == "rgb"
    assert arrays.config.input_size == (300, 480)
    scales = [(a.this_scale, a.next_scale) for a in arrays.config.anchor_boxes]
    assert scales == [(0.08, 0.16), (0.16, 0.32), (0.32, 0.64), (0.64, 0.96)]
    assert {(a.steps, a.offsets, a.aspect_ratios) for a in arrays.config.anchor_boxes} == {
        (None, None, (0.5, 1.0, 2.0))
    }


@pytest.mark.parametrize("kind", ["ssd300", "ssd512", "vgg16"])
def test_roundtrip_chainercv(tmp_path, kind):
    expected = random_arrays(thinned(ssd_shapes(kind, 3)))
    write_chainercv_npz(tmp_path / "a.npz", expected)
    arrays = formats.read(tmp_path / "a.npz")
    assert_same(arrays, expected)
    assert (arrays.format, arrays.first_layer_channels) == ("chainercv_npz", "rgb")


def test_values_chainercv_orders(tmp_path):
    """Hand-written: offsets of two boxes as chainercv stores them, a kernel that counts its entries."""
    kernel = np.arange(2 * 3 * 1 * 2, dtype=np.float32).reshape(2, 3, 1, 2)  # (out, in, kh, kw)
    members = {
        "multibox/loc/0/b": np.array([1, 0, 3, 2, 5, 4, 7, 6], np.float32),  # cy, cx, h, w
        "multibox/conf/6/b": np.array([0, 1, 2], np.float32),
        "extractor/conv8_1/W": kernel,
        "extractor/conv12_2/b": np.ones(2, np.float32),
        "extractor/conv6/b": np.ones(3, np.float32),
        "extractor/norm4/scale": np.full(2, 20, np.float32),
    }
    np.savez(tmp_path / "a.npz", **members)
    arrays = formats.read(tmp_path / "a.npz")
    assert arrays["conv4_3_norm_mbox_loc"]["bias"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]  # cx, cy, w, h
    assert arrays["conv10_2_mbox_conf"]["bias"].tolist() == [0, 1, 2]
    assert arrays["conv6_1"]["kernel"].shape == (1, 2, 3, 2)
    assert arrays["conv6_1"]["kernel"][0, 1, 2, 1] == kernel[1, 2, 0, 1]
    assert set(arrays.layers) == {
        "conv4_3_norm_mbox_loc",
        "conv10_2_mbox_conf",
        "conv6_1",
        "conv10_2",
        "fc6",
        "conv4_3_norm",
    }


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"extractor/conv1_1/W": np.array([None, 1])}, "pickled object"),
        ({"weights": np.ones(3)}, "belongs to no SSD of chainercv"),
        ({"extractor/conv1_1/W": np.ones(3)}, "belongs to no SSD of chainercv"),
        ({"multibox/loc/0/b": np.ones(6)}, "4 channels a box"),
        ({"extractor/conv1_1/b": np.array([1.0, np.nan])}, "not finite"),
        ({"extractor/conv1_1/b": np.array([1, 2])}, "floating point"),
        ({}, "zip archive|arrays"),
    ],
)
def test_rejects_npz(tmp_path, members, message):
    np.savez(tmp_path / "a.npz", **members)
    with pytest.raises(WeightFileError, match=message):
        formats.read(tmp_path / "a.npz")


def hostile_npz(path, shape, values=b"\0" * 64):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("extractor/conv1_1/W.npy", header.getvalue() + values)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1 << 40,), "goes beyond"), ((10_000_000,), "cut short"), ((-5, 4), "goes beyond")],
)
def test_rejects_npz_that_declares_more_than_it_holds(tmp_path, shape, message):
    hostile_npz(tmp_path / "a.npz", shape)
    with pytest.raises(WeightFileError, match=message):
        formats.read(tmp_path / "a.npz")


def test_rejects_npz_cut_short(tmp_path, small):
    write_chainercv_npz(tmp_path / "a.npz", small)
    whole = (tmp_path / "a.npz").read_bytes()
    for length in (3, 200, len(whole) // 2, len(whole) - 10):
        (tmp_path / "b.npz").write_bytes(whole[:length])
        with pytest.raises(WeightFileError, match=r"b\.npz"):
            formats.read(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", "empty", "is empty"),
        (b"conv1_1 0.25 0.5\n" * 100, "text", "text file"),
        (pickle.dumps({"conv1_1": [1.0]}), "pickle", "pickle"),
        (b"\n<!DOCTYPE html><html><title>Google Drive - Virus scan warning", "html", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git_lfs", "git lfs pull"),
        (b"\x1f\x8b\x08\0\0\0", "archive", "Unpack"),
        (bytes(range(256)), "unknown", "no known format"),
        (b"\x80", "unknown", "no known format"),
    ],
)
def test_rejects_what_is_no_weight_file(tmp_path, content, kind, message):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    assert formats.sniff(path) == kind
    with pytest.raises(WeightFileError, match=message) as caught:
        formats.read(path)
    assert "weights.h5" in str(caught.value)


def test_rejects_missing_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.h5"):
        formats.read(tmp_path / "nothing.h5")
    with pytest.raises(WeightFileError, match="folder"):
        formats.read(tmp_path)


def test_rejects_torch_and_other_zips(tmp_path):
    for member, message in [("archive/data.pkl", "PyTorch"), ("readme.txt", "zip archive")]:
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            archive.writestr(member, "x")
        with pytest.raises(WeightFileError, match=message):
            formats.read(tmp_path / "a.pth")


def test_rejects_truncated_h5(tmp_path, small):
    write_keras_h5(tmp_path / "a.h5", small, config=ssd_keras_config())
    whole = (tmp_path / "a.h5").read_bytes()
    for length in (9, 100, 2000, len(whole) // 2, len(whole) - 1):
        (tmp_path / "b.h5").write_bytes(whole[:length])
        with pytest.raises(WeightFileError, match=r"b\.h5 .*(cut short|not a readable)"):
            formats.read(tmp_path / "b.h5")


def test_rejects_h5_without_weights_or_of_another_layout(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("conv1_1")
    with pytest.raises(WeightFileError, match="without weights"):
        formats.read(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["measurements"] = np.ones(5)
    with pytest.raises(WeightFileError, match="outside any layer group"):
        formats.read(tmp_path / "b.h5")


def test_rejects_h5_that_leads_out_of_the_file(tmp_path, small):
    secret = tmp_path / "secret.h5"
    write_keras_h5(secret, small)
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"\0" * 400)

    def soft(file):
        file["conv1_1/conv1_1/kernel:0"] = h5py.SoftLink("/conv1_2/conv1_2/kernel:0")

    def external(file):
        file["conv1_1"] = h5py.ExternalLink(str(secret), "/conv1_1")

    def external_root(file):
        file["model_weights"] = h5py.ExternalLink(str(secret), "/")

    def external_storage(file):
        file.create_dataset("conv1_1/conv1_1/bias:0", (100,), "f4", external=[(str(raw), 0, 400)])

    def virtual(file):
        layout = h5py.VirtualLayout((64,), "f4")
        layout[:8] = h5py.VirtualSource(str(secret), "conv1_1/conv1_1/bias:0", (8,))
        file.create_virtual_dataset("conv1_1/conv1_1/bias:0", layout)

    for number, attack in enumerate([soft, external, external_root, external_storage, virtual]):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            attack(file)
        with pytest.raises(WeightFileError, match=r"not followed|another file"):
            formats.read(path)


def test_rejects_h5_that_would_take_all_memory(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("conv1_1/conv1_1/kernel:0", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    with pytest.raises(WeightFileError, match="goes beyond"):
        formats.read(tmp_path / "a.h5")
    monkeypatch.setattr(named_arrays, "MAX_TOTAL_BYTES", 1000)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for i in range(3):
            file[f"conv{i}/conv{i}/bias:0"] = np.ones(100, np.float32)
    with pytest.raises(WeightFileError, match="1,000 bytes"):
        formats.read(tmp_path / "b.h5")


def test_rejects_h5_groups_in_a_circle(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("a")["a"] = file["/"]
    with pytest.raises(WeightFileError, match="levels"):
        formats.read(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([1.0, np.inf], np.float32), "not finite"),
        (np.array([1e300]), "not finite"),
        (np.array([1, 2]), "floating point"),
        (np.array([b"ab"]), "floating point"),
    ],
)
def test_rejects_h5_values(tmp_path, value, message):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["conv1_1/conv1_1/bias:0"] = value
    with pytest.raises(WeightFileError, match=message):
        formats.read(tmp_path / "a.h5")


def broken_configs():
    whole = ssd_keras_config()
    yield "{"
    yield "[1, 2]"
    yield json.dumps({"config": {"layers": [1]}})
    yield "[" * 100_000
    for field, value in [("this_scale", "x"), ("variances", [1]), ("aspect_ratios", 3), ("img_height", None)]:
        config = json.loads(json.dumps(whole))
        config["config"]["layers"][-1]["config"][field] = value
        yield json.dumps(config)


@pytest.mark.parametrize("text", list(broken_configs()))
def test_rejects_broken_model_config(tmp_path, small, text):
    write_keras_h5(tmp_path / "a.h5", small, config={})
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["model_config"] = text
    with pytest.raises(WeightFileError, match="configuration"):
        formats.read(tmp_path / "a.h5")


def test_rejects_damaged_h5_without_crashing(tmp_path, small):
    """Bytes turned at random places: either the weights are read, or one error type comes."""
    few = {layer: small[layer] for layer in ("conv1_1", "conv4_3_norm")}
    write_keras_h5(tmp_path / "a.h5", few)
    whole = bytearray((tmp_path / "a.h5").read_bytes())
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        broken = bytearray(whole)
        for at in rng.integers(0, len(broken), 8):
            broken[at] = rng.integers(256)
        (tmp_path / "b.h5").write_bytes(broken)
        try:
            formats.read(tmp_path / "b.h5")
            outcomes.add("read")
        except WeightFileError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_rejects_unknown_colour_order():
    with pytest.raises(ValueError, match="first_layer_channels='gbr'"):
        NamedArrays({}, "model", first_layer_channels="gbr")
