"""PyTorch's files read without PyTorch: both layouts, all numbers, views, checkpoints; by PyTorch, and by hand."""

import argparse
import collections
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch_files as tf

from keras_ssd import formats
from keras_ssd.formats.pth import read_state_dict

ROOT = Path(__file__).parents[1]
LAYOUTS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def arrays():
    random = np.random.RandomState(0)
    return {
        "a.weight": random.normal(size=(4, 3, 2, 2)).astype("f4"),
        "a.bias": random.normal(size=4).astype("f8"),
        "b": random.normal(size=(2, 5)).astype("f2"),
        "count": np.array(12345678901, "i8"),
        "nothing": np.zeros((0, 3), "f4"),
        "bytes": np.arange(5, dtype="u1"),
    }


@LAYOUTS
def test_roundtrip_by_hand(tmp_path, legacy):
    given = arrays()
    found = read_state_dict(tf.write_pth(tmp_path / "a.pth", given, legacy=legacy))
    assert list(found) == list(given)
    assert len(found) == 6
    for name, array in given.items():
        assert found[name].dtype == ("f4" if array.dtype.kind == "f" else array.dtype)
        np.testing.assert_array_equal(found[name], array.astype(found[name].dtype))


@LAYOUTS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_roundtrip_of_pytorch(tmp_path, torch, legacy, protocol):
    base = torch.randn(4, 6)
    given = {
        "plain": base,
        "turned view of the same": base.t()[1:3, ::2],
        "expanded": torch.ones(1).expand(3, 4),
        "half": torch.randn(3).half(),
        "bfloat16": torch.randn(2, 3).bfloat16(),
        "double": torch.randn(2).double(),
        "scalar": torch.tensor(7),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(torch.randn(2)),
        "empty": torch.zeros(0, 3),
        **{f"module.{name}": value for name, value in torch.nn.Conv2d(3, 4, 3).state_dict().items()},
    }
    path = tmp_path / "a.pth"
    torch.save(
        collections.OrderedDict(given), path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy
    )
    found = read_state_dict(path)
    assert list(found) == list(given)
    for name, value in given.items():
        value = value.detach()
        np.testing.assert_array_equal(found[name], (value.float() if value.is_floating_point() else value).numpy())
    module = torch.nn.BatchNorm2d(3)  # its state dict carries `_metadata`
    torch.save(module.state_dict(), path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    np.testing.assert_array_equal(read_state_dict(path)["running_var"], np.ones(3, "f4"))


@LAYOUTS
def test_roundtrip_checkpoint_of_a_training_program(tmp_path, torch, legacy):
    """torchvision's: arguments, and a schedule with a Counter, stand beside the weights."""
    weights = {"module.a": torch.ones(2), "module.b": torch.zeros(3)}
    checkpoint = {
        "optimizer": {"state": {0: {"momentum_buffer": torch.randn(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "lr_scheduler": {"milestones": collections.Counter([80, 110]), "gamma": 0.1},
        "args": argparse.Namespace(dataset="coco", lr=0.02),
        "model": weights,
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = read_state_dict(tmp_path / "a.pth")
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["a"], [1, 1])


@pytest.mark.parametrize(
    ("meta", "classes"),
    [
        (tf.dictionary({"CLASSES": b"(" + tf.text("cat") + tf.text("dog") + b"t"}), ("cat", "dog")),
        (tf.dictionary({"dataset_meta": tf.dictionary({"classes": b"](" + tf.text("cat") + b"e"})}), ("cat",)),
        (tf.dictionary({"CLASSES": b"N"}), None),
        (b"N", None),
    ],
)
def test_values_class_names_of_the_file(tmp_path, meta, classes):
    value, contents = tf.state({"a": np.ones(2, "f4")})
    tf.write_zip(tmp_path / "a.pth", tf.dictionary({"meta": meta, "state_dict": value}), contents)
    assert read_state_dict(tmp_path / "a.pth").class_names == classes


def test_values_first_version_of_tensors_and_big_endian(tmp_path):
    value, contents = tf.state({"a": np.arange(6, dtype="f4").reshape(2, 3)}, function="_rebuild_tensor")
    tf.write_zip(tmp_path / "a.pth", value, contents)
    assert read_state_dict(tmp_path / "a.pth")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    with tf.zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("x/data.pkl", tf.whole(value))
        archive.writestr("x/byteorder", "big")
        archive.writestr("x/data/0", np.arange(6, dtype=">f4").tobytes())
    assert read_state_dict(tmp_path / "b.pth")["a"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_values_as_python_2_wrote_it_on_a_gpu(tmp_path):
    """Text as bytes, the ordered dictionary as a list of pairs, the storage's kind named in torch.cuda."""

    def old(value):
        return b"U" + bytes([len(value)]) + value.encode()

    kind = tf.named("torch.cuda", "FloatStorage")
    identity = b"(" + old("storage") + kind + old("94") + old("cuda:0") + tf.number(2) + b"NtQ"
    rebuilt = tf.named("torch._utils", "_rebuild_tensor") + b"(" + identity + b"K\x00(K\x02t(K\x01ttR"
    pairs = b"](](" + old("vgg.0.bias") + rebuilt + b"ee"
    value = tf.named("collections", "OrderedDict") + pairs + b"\x85R"
    tf.write_legacy(tmp_path / "a.pth", value, {"94": np.array([3, 4], "f4").tobytes()}, {"94": 4})
    found = read_state_dict(tmp_path / "a.pth")
    assert {name: array.tolist() for name, array in found.items()} == {"vgg.0.bias": [3, 4]}


def test_values_strided_view_by_hand(tmp_path):
    storage = np.arange(12, dtype="f4")
    value = tf.dictionary({"v": tf.tensor("0", "FloatStorage", 12, (2, 3), (1, 4), offset=1)})
    tf.write_zip(tmp_path / "a.pth", value, {"0": storage.tobytes()})
    assert read_state_dict(tmp_path / "a.pth")["v"].tolist() == [[1, 5, 9], [2, 6, 10]]


@LAYOUTS
def test_values_bytes_decide_what_a_file_is(tmp_path, legacy):
    assert formats.sniff(tf.write_pth(tmp_path / "weights.h5", arrays(), legacy=legacy)) == "pth"
    with pytest.raises(formats.WeightFileError, match=r"unknown network: 6 tensors, the first a\.weight, a\.bias"):
        formats.read(tmp_path / "weights.h5")


def test_values_pytorch_is_not_needed(tmp_path):
    path = tf.write_pth(tmp_path / "a.pth", arrays())
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import types; package = types.ModuleType('keras_ssd')\n"
        "package.__path__ = ['keras_ssd']; sys.modules['keras_ssd'] = package\n"
        "from keras_ssd.formats.pth import read_state_dict\n"
        f"print(len(read_state_dict({str(path)!r})), 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6", "False"]
