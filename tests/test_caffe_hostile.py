"""Hostile, damaged and mistaken Caffe files: one clear error each, in time and memory that their size bounds."""

import re
import time
import tracemalloc

import numpy as np
import pytest
from caffe_files import (
    blob,
    caffemodel,
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

from keras_ssd import formats
from keras_ssd.caffe.files import CaffeFileError, parse_prototxt, read_caffemodel, read_mean, read_prototxt
from keras_ssd.formats import WeightFileError

SOON = 10  # seconds, on a busy machine and with memory traced; most take milliseconds
PARSED = 2 << 20  # what the settings of a few hundred layers may take as Python objects
WEIGHTS = np.arange(900, dtype=np.float32).reshape(9, 100)


def read_measured(path):
    """(net or error, seconds, bytes at the peak) of reading a file; anything but a `CaffeFileError` passes through."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        found = read_caffemodel(path)
    except CaffeFileError as error:
        found = error
    seconds = time.perf_counter() - start
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, seconds, peak


def written(path):
    """A small file with every kind of record."""
    return caffemodel(
        path,
        layer("data", "Input", rest=framed(143, framed(1, framed(1, varint(1) + varint(3)))), tops=("data",)),
        layer("conv", "Convolution", WEIGHTS, shape(100) + unpacked(WEIGHTS[0]), rest=framed(106, integer(1, 9))),
        layer("bn", "BatchNorm", shape(100) + packed(WEIGHTS[1], 8, "<f8"), rest=framed(6, single(3, 0)) * 3),
        layer("half", "Scale", shape(100) + integer(10, 2) + framed(12, WEIGHTS[2].astype("<f2").tobytes())),
        layer("out", "DetectionOutput", rest=framed(204, integer(1, 2) + framed(4, single(1, 0.5)))),
    )


def written_v1(path):
    return caffemodel(
        path,
        *[
            v1_layer(f"conv{i}", 4, legacy(1, 1, 9, 100) + packed(WEIGHTS), rest=framed(10, integer(1, 9)))
            for i in range(9)
        ],
    )


@pytest.fixture(params=["written", "written_v1", "plates"])
def whole(request, tmp_path):
    """An honest file of each kind."""
    if request.param == "plates":
        return request.getfixturevalue("shared")("weights", "plate_ssd512", "mininet_ssd_v1.caffemodel")
    return {"written": written, "written_v1": written_v1}[request.param](tmp_path / "whole.caffemodel")


def test_rejects_files_cut_short(tmp_path, whole):
    data = whole.read_bytes()
    names = [found.name for found in read_caffemodel(whole).layers]
    path = tmp_path / "cut.caffemodel"
    errors = 0
    for percent in range(100):
        path.write_bytes(data[: len(data) * percent // 100])
        found, seconds, _ = read_measured(path)
        assert seconds < SOON
        if isinstance(found, CaffeFileError):
            assert str(path) in str(found)
            errors += 1
        else:  # cut exactly between two layers: what is missing shows where the net is known
            assert [one.name for one in found.layers] == names[: len(found.layers)]
            assert len(found.layers) < len(names)
    assert errors >= 97


@pytest.mark.slow
def test_rejects_files_with_flipped_bits(tmp_path, whole):
    """A thousand over the three files; half of them where the structure is, since arrays are most of the bytes."""
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(len(data))
    marks = [match.start() for match in re.finditer(rb"Convolution|conv|\xa2\x06", bytes(data))] or [0]
    path = tmp_path / "flipped.caffemodel"
    outcomes = {"read": 0, "refused": 0}
    for case in range(334):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            at = rng.integers(len(data)) if case % 2 else min(rng.choice(marks) + rng.integers(-8, 80), len(data) - 1)
            damaged[max(at, 0)] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        found, seconds, peak = read_measured(path)
        assert seconds < SOON
        assert peak < 2 * len(data) + PARSED
        outcomes["refused" if isinstance(found, CaffeFileError) else "read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_rejects_flipped_prototxts(shared):
    text = shared("weights", "mobilenet_ssd_voc", "deploy.prototxt").read_text()
    rng = np.random.default_rng(5)
    messages = []
    for _ in range(200):
        letters = list(text)
        for at in rng.integers(len(text), size=3):
            letters[at] = chr(rng.integers(1, 128))
        try:
            parse_prototxt("".join(letters))
        except CaffeFileError as error:
            messages.append(str(error))
    assert 20 < len(messages) < 200
    assert all(re.search(r"line \d+|layer|input", message) for message in messages)


OVERFLOW = (1 << 32, 1 << 31, 2)  # 2**64: nothing in 64 bits


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (shape(0, 3), r"sides must be positive.*Received: shape \(0, 3\)"),
        (shape(2, 0) + packed([]), r"shape \(2, 0\)"),
        (shape(-1, 3) + packed([1]), r"shape \(-1, 3\)"),
        (legacy(0, 0, 0, 0), r"shape \(0, 0, 0, 0\)"),
        (integer(4, 3) + packed([1, 2, 3]), r"shape \(0, 0, 0, 3\)"),
        (b"", r"shape \(0\)"),
        (shape(*OVERFLOW), r"needs more than 2\*\*63 values. Received: 0 values"),
        (shape(*[1 << 62] * 30) + packed([1]), r"needs more than 2\*\*63 values. Received: 1 values"),
        (shape(1 << 40) + packed([1]), "needs 1,099,511,627,776 values. Received: 1 values"),
        (shape(*[1] * 33) + packed([1]), "at most 32 of them"),
        (shape(*[1] * 20_000) + packed([1]), "at most 32 of them"),
        (shape(2) + packed([1]), r"shape \(2\) needs 2 values. Received: 1 values"),
        (shape(1) + packed([1, 2]), r"shape \(1\) needs 1 values. Received: 2 values"),
        (shape(2) + framed(5, b"1234567"), "packed values of 4 bytes. Received: 7 bytes"),
        (
            shape(1) + packed([1]) + packed([1], 8, "<f8"),
            "must hold its values in one field. Received: data and double_data",
        ),
        (shape(1) + integer(10, 3) + framed(12, b"1234"), "DOUBLE, FLOAT, FLOAT16. Received: raw_data_type=INT"),
        (shape(1) + integer(10, 1) + framed(12, b"12345"), "a multiple of 4 bytes. Received: 5 bytes"),
    ],
)
def test_rejects_arrays(tmp_path, content, message):
    path = caffemodel(tmp_path / "a.caffemodel", layer("fine", "X", np.ones(3, np.float32)), layer("bad", "X", content))
    found, seconds, peak = read_measured(path)
    assert isinstance(found, CaffeFileError)
    assert re.search(message, str(found)), str(found)
    assert str(path) in str(found)
    assert "byte" in str(found)
    assert seconds < SOON
    assert peak < PARSED + 100 * path.stat().st_size


def nested(depth):
    data = b""
    for _ in range(depth):
        data = framed(100, data)
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            key(100, 2) + varint(1 << 62),
            "at most 0 bytes, the rest of the message. Received: 4,611,686,018,427,387,904",
        ),
        (framed(100, framed(1, "a") + key(7, 2) + varint(100) + b"x"), "at most 1 bytes, the rest of the message"),
        (framed(100, key(7, 2) + b"\xff" * 11), "more than 10 bytes"),
        (key(100, 2) + b"\xff", "an integer. Received: the end"),
        (b"\x02\x00", "a field number from 1"),
        (b"\x0f", "a known wire type. Received: wire type 7"),
        (key(9, 4), "a known wire type. Received: wire type 4"),
        (key(50, 3) * 100_000, "groups nested at most 32 deep"),
        (key(50, 3) + key(51, 4), "the end of the group that is open"),
        (key(50, 3), "an integer. Received: the end"),
        (framed(100, key(5, 5) + b"12"), "a value of 4 bytes. Received: 2 bytes"),
        (nested(2000), "has no type|holds no layers"),
        (framed(99, b"other"), "holds no layers"),
        (framed(100, framed(1, "a")), "layer 'a' has no type"),
        (framed(2, framed(1, framed(1, "a"))), "Caffe of 2013"),
        (framed(100, framed(8, b"\xff" * 11) + framed(2, "X")), "more than 10 bytes"),
        (layer("a", "X") + v1_layer("b", 4), "both `layer` and `layers`"),
    ],
)
def test_rejects_records(tmp_path, data, message):
    path = caffemodel(tmp_path / "a.caffemodel", data)
    found, seconds, peak = read_measured(path)
    assert isinstance(found, CaffeFileError)
    assert re.search(message, str(found)), str(found)
    assert str(path) in str(found)
    assert seconds < SOON
    assert peak < PARSED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (framed(100, framed(2, "X")) * 500_000, "at most"),
        (framed(100, framed(2, "X") + framed(7, single(5, 1) + integer(9, 1)) * 400_000), "250,000 records"),
        (framed(100, framed(2, "X") + framed(7, (single(5, 1) + single(6, 1)) * 400_000)), "250,000 records"),
        (framed(100, framed(2, "X") + single(5, 1) * 4_000_000), "bytes of names and settings"),
        (framed(100, framed(2, "X" * 8_000_000)), "bytes of names and settings"),
        (framed(100, framed(2, "X") + framed(106, integer(3, 1) * 4_000_000)), "bytes of names and settings"),
        (
            framed(100, framed(2, "X") + framed(7, framed(7, framed(1, varint(1) * 5_000_000)))),
            "bytes of names and settings",
        ),
        (framed(4, varint(1) * 5_000_000), "bytes of names and settings"),
    ],
)
def test_rejects_what_only_costs(tmp_path, data, message):
    """Files of megabytes whose records would each become a Python object."""
    path = caffemodel(tmp_path / "a.caffemodel", data)
    found, seconds, peak = read_measured(path)
    assert isinstance(found, CaffeFileError)
    assert message in str(found)
    assert seconds < 30  # tracing memory takes most of it
    assert peak < 300 << 20


NOT_CAFFE = [
    (b"", "is empty"),
    (b"<!DOCTYPE html><html>", "is a web page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer"),
    (b"\x1f\x8b\x08\x00tar", "is an archive"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
]


@pytest.mark.parametrize(("data", "message"), NOT_CAFFE)
def test_rejects_other_files(tmp_path, data, message):
    path = tmp_path / "a.file"
    path.write_bytes(data)
    for read in (read_caffemodel, read_prototxt, read_mean):
        with pytest.raises(CaffeFileError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_rejects_the_two_files_swapped(tmp_path):
    model = written(tmp_path / "a.caffemodel")
    text = tmp_path / "a.prototxt"
    text.write_text('# a net\nname: "n"\nlayer { name: "a" type: "ReLU" }\n')
    with pytest.raises(CaffeFileError, match=r"is a binary file; expected a prototxt.*other way round"):
        read_prototxt(model)
    with pytest.raises(CaffeFileError, match=r"is a prototxt.*expected a caffemodel.*other way round"):
        read_caffemodel(text)
    assert formats.sniff(model) == "caffemodel"
    assert formats.sniff(text) == "prototxt"
    with pytest.raises(WeightFileError, match=r"is a Caffe prototxt.*Give the .caffemodel"):
        formats.read(text)


def test_rejects_missing_files_and_folders(tmp_path):
    for read in (read_caffemodel, read_prototxt, read_mean):
        with pytest.raises(FileNotFoundError, match="There is no"):
            read(tmp_path / "none")
        with pytest.raises(CaffeFileError, match="is a folder"):
            read(tmp_path)


def test_rejects_prototxt_beyond_any_net(tmp_path):
    path = tmp_path / "a.prototxt"
    path.write_text('layer { name: "a" type: "ReLU" }\n' * 200_000)
    with pytest.raises(CaffeFileError, match="larger than a net's prototxt"):
        read_prototxt(path)
    start = time.perf_counter()
    with pytest.raises(CaffeFileError, match="at most 20,000 are read"):
        parse_prototxt("layer { type: 'X' }" * 30_000)
    assert time.perf_counter() - start < 10


def test_values_sniffing_is_no_guess(tmp_path, whole):
    """A caffemodel is known even when cut; bytes that are none are not taken for one."""
    data = whole.read_bytes()
    path = tmp_path / "a.bin"
    path.write_bytes(data[: len(data) // 3])
    assert formats.sniff(path) == "caffemodel"
    rng = np.random.default_rng(9)
    for _ in range(200):
        path.write_bytes(rng.integers(0, 256, 400, np.uint8).tobytes())
        assert formats.sniff(path) != "caffemodel"
    for other in (b"\n\x05hello\n\x05again", blob(WEIGHTS), b"\x08\x07\x12\x03tf2", framed(2, framed(9, b"ab"))):
        path.write_bytes(other)
        assert formats.sniff(path) != "caffemodel"
