"""Hostile, damaged and mistaken weight files: each ends in one clear error, nothing is followed or unpacked."""

import io
import json
import pickle
import zipfile

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


@pytest.fixture
def small():
    return random_arrays(thinned(ssd_shapes("ssd300", 2)))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"extractor/conv1_1/W": np.array([None, 1])}, "pickled object"),
        ({"weights": np.ones(3)}, "belongs to no SSD of chainercv"),
        ({"extractor/conv1_1/W": np.ones(3)}, "belongs to no SSD of chainercv"),
        ({"multibox/loc/0/b": np.ones(6)}, "4 channels per box"),
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
