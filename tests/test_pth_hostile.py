"""Hostile PyTorch files: code that must not run, sizes that are lies, damage of every kind; one clear error each."""

import io
import os
import pickle
import random
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch_files as tf

from keras_ssd import formats
from keras_ssd.formats import WeightFileError, pickles
from keras_ssd.formats.pth import read_state_dict

ROOT = Path(__file__).parents[1]
ONE = {"a": np.ones(3, "f4")}


class Runs:
    """Runs a command when Python unpickles it."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def code_files(folder):
    """{name: a file that runs code in Python's own unpickler, and leaves `ran` in the folder}."""
    ran = f"touch {folder / 'ran'}"
    python = f"open({str(folder / 'ran')!r}, 'w').close()"
    value, contents = tf.state(ONE)
    shell = tf.named("os", "system") + b"(" + tf.text(ran) + b"tR"
    calls = {
        "instead": shell,
        "beside": tf.dictionary({"state_dict": value, "epoch": shell}),
        "before": shell + b"0" + value,
        "builtins": tf.named("builtins", "exec") + b"(" + tf.text(python) + b"tR",
        "by stack": tf.text("os") + tf.text("system") + b"\x93(" + tf.text(ran) + b"tR",
        "inst": b"(" + tf.text(ran) + b"ios\nsystem\n",
        "obj": b"(" + tf.named("os", "system") + tf.text(ran) + b"o",
        "newobj": tf.named("subprocess", "Popen") + b"(" + tf.text("true") + b"t\x81",
        "as tensor": tf.dictionary({"a": tf.named("torch", "load") + b"(" + tf.text("x") + b"tR"}),
        "as storage": tf.dictionary({"a": b"(" + tf.text("storage") + shell + tf.text("0") + b"NK\x03tQ"}),
        "as size": tf.named("torch", "Size") + b"(" + shell + b"tR",
        "as attributes": tf.named("collections", "OrderedDict") + b")R" + shell + b"b",
    }
    files = {}
    for name, instructions in calls.items():
        files[name] = folder / f"{name}.pth"
        tf.write_zip(files[name], instructions, contents)
        files[f"legacy {name}"] = folder / f"legacy {name}.pth"
        tf.write_legacy(files[f"legacy {name}"], instructions, contents, {"0": 4})
    first = folder / "first pickle.pth"
    first.write_bytes(tf.MAGIC[:-1] + b"0" + shell + b".")
    files["first pickle"] = first
    plain = folder / "plain.pth"
    plain.write_bytes(pickle.dumps(Runs(os.system, ran), protocol=2))
    return {**files, "plain": plain}


def test_rejects_code_and_does_not_run_it(tmp_path):
    files = code_files(tmp_path)
    for name, path in files.items():
        with pytest.raises(WeightFileError, match=r"can run code|could run any code|builds objects|damaged") as caught:
            formats.read(path)
        assert str(path) in str(caught.value), name
    assert not (tmp_path / "ran").exists()
    pickle.loads(tf.whole(tf.named("os", "system") + b"(" + tf.text(f"touch {tmp_path / 'ran'}") + b"tR"))
    assert (tmp_path / "ran").exists()  # so they are live


def test_rejects_code_with_python_watching(tmp_path):
    """Python itself tells of every import, call of the system, compilation and look-up of a pickle: there is none."""
    files = [str(path) for path in code_files(tmp_path).values()]
    script = f"""
import sys, types
package = types.ModuleType("keras_ssd"); package.__path__ = ["keras_ssd"]; sys.modules["keras_ssd"] = package
from keras_ssd import formats
from keras_ssd.formats import pth_arrays; from keras_ssd.caffe import files
watched = []
def hook(event, arguments):
    if event in ("import", "exec", "compile", "pickle.find_class", "os.system", "os.exec", "subprocess.Popen"):
        watched.append(event)
caught = 0
for path in {files!r}:
    try:
        formats.read(path)
    except ValueError:
        pass  # the first reading imports what it needs
sys.addaudithook(hook)
for path in {files!r}:
    try:
        formats.read(path)
    except ValueError as error:
        caught += 1
print(caught, watched)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{len(files)} []"
    assert not (tmp_path / "ran").exists()


def test_rejects_names_that_are_not_in_the_table():
    """The table holds functions of the reader alone: nothing that PyTorch or Python calls by these names."""
    from keras_ssd.formats import pth_storages

    for entry in pth_storages.NAMES.values():
        module = (entry if callable(entry) else type(entry)).__module__
        assert module == "keras_ssd.formats.pth_storages"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: tf.tensor("0", "FloatStorage", 3, (4,)), "beyond its storage"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (1,), offset=3), "beyond its storage"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (2, 2), (1, 2)), "beyond its storage"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (3,), (1, 1)), "strides"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (1,) * 40, (1,) * 40), "strides"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (1 << 40, 1 << 40), (0, 0)), "goes beyond"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (1 << 29,), (0,)), "goes beyond"),
        (lambda: tf.tensor("0", "FloatStorage", 1 << 40, (3,)), "a storage whose size"),
        (lambda: tf.tensor("0", "FloatStorage", 4, (3,)), "damaged"),
        (lambda: tf.tensor("9", "FloatStorage", 3, (3,)), "damaged"),
        (lambda: tf.tensor("../0", "FloatStorage", 3, (3,)), "damaged"),
        (lambda: tf.tensor("0", "ComplexFloatStorage", 3, (3,)), "ComplexFloatStorage"),
        (lambda: tf.tensor("0", "QInt8Storage", 3, (3,)), "QInt8Storage"),
        (
            lambda: tf.tensor("0", "FloatStorage", 3, (3,)).replace(b"J\x03\0\0\0", b"J\xff\xff\xff\xff"),
            "a storage whose size",
        ),
        (lambda: tf.tensor("0", "FloatStorage", 3, (3,)).replace(b"(J\x03\0\0\0t", b"(G?\xf0\0\0\0\0\0\0t"), "strides"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (3,)).replace(b"(J\x03\0\0\0t", b"(J\xff\xff\xff\xfft"), "strides"),
        (lambda: tf.tensor("0", "FloatStorage", 3, (3,), view=b"(K\x00K\x01K\x02t"), "share storages"),
        (lambda: tf.named("torch._utils", "_rebuild_tensor_v2") + b")R", "without a storage"),
        (lambda: tf.named("torch._utils", "_rebuild_tensor_v2") + b"(K\x01K\x01K\x01K\x01tR", "without a storage"),
        (lambda: tf.named("torch._utils", "_rebuild_parameter") + b"(K\x01tR", "without a tensor"),
        (lambda: b"K\x01", "no dictionary of tensors"),
    ],
)
def test_rejects_tensors(tmp_path, made, message):
    tf.write_zip(tmp_path / "a.pth", tf.dictionary({"a": made()}), {"0": b"\0" * 12})
    with pytest.raises(WeightFileError, match=message) as caught:
        dict(read_state_dict(tmp_path / "a.pth"))
    assert "a.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("instructions", "message"),
    [
        (b"", "no single value"),
        (b"K\x01", "int, not a dictionary"),
        (b"}", "no dictionary of tensors"),
        (b"0", "takes more than there is"),
        (b"tR", "damaged"),
        (b"K\x01K\x02R", "calls something that is not a function"),
        (b"K\x01K\x02s", "fills what is no dict|takes more"),
        (b"](K\x01u", "fills what is no dict"),
        (b"}(K\x01u", "a key has no value"),
        (b"}" + b")\x85K\x01s", "key of type tuple"),
        (b"h\x05", "damaged"),
        (b"K\x01Q", "not a storage"),
        (b"K\x01b", "takes more|attributes"),
        (b"]K\x01b", "attributes"),
        (b"\x8f", "EMPTY_SET"),
        (b"\x82\x01", "EXT1"),
        (b"\xff", "damaged"),
        (b"X\xff\xff\xff\x7fabc", "damaged"),
    ],
)
def test_rejects_pickles(tmp_path, instructions, message):
    tf.write_zip(tmp_path / "a.pth", instructions, {})
    with pytest.raises(WeightFileError, match=message):
        read_state_dict(tmp_path / "a.pth")


def test_rejects_what_would_take_for_ever_or_fill_the_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    doubled = b")" + b"q\x00h\x00\x86" * 200  # a tuple of the same tuple twice, 200 times: 2^200 leaves
    tf.write_zip(path, tf.dictionary({"a": doubled}), {})
    with pytest.raises(WeightFileError, match="no dictionary of tensors"):
        read_state_dict(path)
    tf.write_zip(path, b"}" + doubled + b"K\x01s", {})
    with pytest.raises(WeightFileError, match="key of type tuple"):
        read_state_dict(path)
    tf.write_zip(path, b"}" + b"r" + struct.pack("<I", 0xFFFFFFF0), {})  # a place far out in the memo
    tracemalloc.start()
    with pytest.raises(WeightFileError, match="no dictionary of tensors"):
        read_state_dict(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()
    tf.write_zip(path, b"]" * 100_000 + b"a" * 99_999, {})  # deeply nested
    with pytest.raises(WeightFileError, match="list, not a dictionary"):
        read_state_dict(path)
    monkeypatch.setattr(pickles, "MAX_OPCODES", 100)
    with pytest.raises(WeightFileError, match="more than 100 instructions"):
        read_state_dict(path)
    monkeypatch.setattr(pickles, "MAX_BYTES", 50)
    with pytest.raises(WeightFileError, match="longer than 50 bytes"):
        read_state_dict(path)


def test_rejects_zip_bombs_and_other_archives(tmp_path):
    path = tmp_path / "a.pth"
    count = 1 << 24
    value = tf.dictionary({"a": tf.tensor("0", "FloatStorage", count, (count,))})
    tf.write_zip(path, value, {"0": bytes(4 * count)}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 200_000
    with pytest.raises(WeightFileError, match="is compressed, and PyTorch compresses nothing"):
        read_state_dict(path)
    value, contents = tf.state(ONE)
    tf.write_zip(path, value, contents, **{"code/__torch__.py": "import os"})
    with pytest.raises(WeightFileError, match="TorchScript program, which holds code"):
        read_state_dict(path)
    tf.write_zip(path, value, contents, **{"inner/data.pkl": "x"})
    with pytest.raises(WeightFileError, match=r"2 members data\.pkl"):
        read_state_dict(path)
    tf.write_zip(path, value, {"0": contents["0"][:-4]})
    with pytest.raises(WeightFileError, match="8 bytes where 12 are needed"):
        dict(read_state_dict(path))
    both = tf.dictionary({"a": tf.tensor("0", "FloatStorage", 3, (3,)), "b": tf.tensor("0", "HalfStorage", 6, (6,))})
    tf.write_zip(path, both, contents)
    with pytest.raises(WeightFileError, match="described in two ways"):
        read_state_dict(path)


def test_rejects_legacy_files_whose_storages_do_not_fit(tmp_path):
    path = tmp_path / "a.pth"
    value, contents = tf.state(ONE, view=b"N")
    for keys, message in ((["1"], "not those that it needs"), ([], "not those"), (["0", "0"], "not those")):
        data = {"0": contents["0"], "1": contents["0"]}
        tf.write_legacy(path, value, data, {"0": 4, "1": 4}, keys)
        with pytest.raises(WeightFileError, match=message):
            read_state_dict(path)
    tf.write_legacy(path, value, {"0": contents["0"] + b"\0\0\0\0"}, {"0": 4})
    with pytest.raises(WeightFileError, match="cut short"):
        read_state_dict(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_rejects_values_that_are_no_finite_numbers(tmp_path, value):
    with pytest.raises(WeightFileError, match="not finite"):
        dict(read_state_dict(tf.write_pth(tmp_path / "a.pth", {"a": np.array([1.0, value])})))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_rejects_files_cut_short(tmp_path, legacy):
    whole = tf.write_pth(tmp_path / "a.pth", ONE, legacy=legacy).read_bytes()
    path = tmp_path / "b.pth"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightFileError, match=r"b\.pth"):
            formats.read(path)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_rejects_fuzzed_files_with_that_error_alone(tmp_path, legacy):
    given = {"backbone.scale_weight": np.ones(5, "f4"), "x.num_batches_tracked": np.array(3, "i8")}
    whole = tf.write_pth(tmp_path / "a.pth", given, legacy=legacy).read_bytes()
    dice, path, read, said = random.Random(1), tmp_path / "b.pth", 0, []
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        try:
            dict(read_state_dict(path))
            read += 1
        except WeightFileError as error:
            said.append(str(error))
    assert 0 < read < 450
    assert all("b.pth" in text for text in said)


def test_rejects_a_flipped_number_of_a_known_network(tmp_path):
    """The archive's checksums find it, also while many tensors are read at once."""
    given = {"L2Norm.weight": np.ones(9, "f4"), "vgg.0.weight": np.ones((9, 9, 3, 3), "f4")}
    path = tf.write_pth(tmp_path / "a.pth", {**given, "conf.0.weight": np.ones((9, 9, 3, 3), "f4")})
    data = bytearray(path.read_bytes())
    at = data.rindex(np.ones(81, "f4").tobytes())
    data[at + 1] ^= 64
    path.write_bytes(data)
    with pytest.raises(WeightFileError, match=r"a\.pth is a damaged PyTorch file.*CRC"):
        formats.read(path)


def test_rejects_whole_models_of_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    stream = io.BytesIO()
    torch.save(torch.nn.Linear(2, 3), stream)
    (tmp_path / "a.pth").write_bytes(stream.getvalue())
    with pytest.raises(WeightFileError, match=r"'torch\.nn\.modules\.linear\.Linear'.*torch\.save\(model\.state_dict"):
        formats.read(tmp_path / "a.pth")
