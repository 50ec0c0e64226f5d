"""The examples run as a newcomer runs them, and say what is true."""

import importlib.util
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from example_scripts import EXAMPLES, run, script
from PIL import Image

import keras_ssd

SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
TRAFFIC = ("car", "truck", "pedestrian", "bicyclist", "light")

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data belongs to TensorFlow")
with_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def shell(name, *arguments, **environment):
    """An example in a process of its own."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)


@pytest.fixture(autouse=True)
def importable_by_other_processes(monkeypatch):
    """The package need not be installed for the tests of a checkout."""
    paths = [str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture
def street(tmp_path, monkeypatch):
    """Two images of noise and a small untrained model, in the folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, size in (("a.jpg", (90, 150)), ("b.png", (120, 80))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), "uint8")).save(tmp_path / name)
    keras.utils.set_random_seed(0)
    keras_ssd.ssd7(classes=["cat", "dog"], input_size=(64, 96)).save(tmp_path / "tiny.keras")
    return tmp_path


@pytest.fixture
def traffic(shared, tmp_path, monkeypatch):
    """The folder of the trained traffic model, and that model as a .keras file."""
    folder = shared("weights", "ssd7_traffic")
    monkeypatch.chdir(tmp_path)
    keras_ssd.ssd7(weights=folder / "ssd7_traffic.h5", classes=TRAFFIC).save(tmp_path / "traffic.keras")
    return folder, tmp_path / "traffic.keras"


def test_values_the_readme_lists_every_example():
    listed = re.findall(r"\]\((\w+)\.py\)", (EXAMPLES / "README.md").read_text())
    assert sorted(listed) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_values_help(name, capsys):
    if name == "inside_torch":
        pytest.importorskip("torch")
    if name == "inside_tf_data":
        pytest.importorskip("tensorflow")
    if name == "opencv5_onnx":
        pytest.importorskip("cv2")
    with pytest.raises(SystemExit) as ended:
        run(name, "--help")
    assert ended.value.code == 0
    assert f"python examples/{name}.py" in capsys.readouterr().out


@pytest.mark.numerical
def test_values_detect(street, capsys):
    assert run("detect", "a.jpg", "nowhere.jpg", "b.png", "--weights", "tiny.keras", "--out", "found") == 1
    said = capsys.readouterr()
    assert re.search(r"^a.jpg \(150 x 90\): .+ found$", said.out, re.MULTILINE)
    assert "nowhere.jpg" in said.err
    with Image.open(street / "found" / "0001_b.png") as drawn:
        assert drawn.size == (80, 120)


def test_values_detect_finds_what_was_trained(traffic, capsys):
    folder, _ = traffic
    code = run("detect", folder, "--weights", folder / "ssd7_traffic.h5", "--labels", ",".join(TRAFFIC))
    assert code == 0
    assert "    car: 100% sure, 161 x 141 pixels" in capsys.readouterr().out


def test_values_detect_from_the_shell(street):
    done = shell("detect", "a.jpg", "--weights", "tiny.keras")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a.jpg (150 x 90): ")


@pytest.mark.numerical
def test_values_subsample(street, capsys):
    model, out = ("--model", "ssd7", "--weights", "tiny.keras"), ("--out", "mine.keras")
    assert run("subsample", *model, "--classes", "bird,dog", *out) == 0
    said = capsys.readouterr().out
    assert "kept:        dog\n" in said
    assert "initialised: bird\n" in said
    source, mine = keras_ssd.load("tiny.keras"), keras_ssd.load("mine.keras")
    assert mine.class_names == ("bird", "dog")
    images = np.random.default_rng(1).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    before, after = (keras_ssd.Predictions.split(m.predict_on_batch(images)) for m in (source, mine))
    np.testing.assert_allclose(after.logits[..., 2], before.logits[..., 2], atol=1e-5)  # dog is last in both
    np.testing.assert_allclose(after.offsets, before.offsets, atol=1e-5)
    assert run("subsample", *model, "--classes", "cat,dog", *out) == 0
    assert "nothing was chosen" in capsys.readouterr().out


def test_values_subsampled_classes_are_still_found(traffic, capsys):
    folder, path = traffic
    model = ("--model", "ssd7", "--weights", path, "--out", "mine.keras")
    assert run("subsample", *model, "--classes", "light,car") == 0
    assert "initialised" not in capsys.readouterr().out
    (found,) = keras_ssd.load("mine.keras").detect(folder / "1478899365487445082.jpg")
    (expected,) = keras_ssd.load(path).detect(folder / "1478899365487445082.jpg")
    assert found.names == expected.names == ("car",)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.01)


@pytest.mark.numerical
@pytest.mark.slow
def test_roundtrip_save_and_reload(street, capsys):
    assert run("save_and_reload", "--weights", "tiny.keras", "--folder", "saved") == 0
    said = capsys.readouterr().out
    assert "classes cat, dog; anchors equal bit for bit: True" in said
    assert "in a fresh process: largest difference" in said
    assert keras_ssd.load("saved/detector.keras").has_decoder
    assert script("save_and_reload").compare("x", np.zeros(2), np.array([0, 0.1])) is False


@pytest.mark.numerical
@pytest.mark.slow
def test_values_any_backbone(tmp_path, capsys):
    path = tmp_path / "mine.keras"
    size = ("--input-size", 96, 128, "--alpha", 0.35)
    assert run("any_backbone", "--classes", "cat,dog,bird", *size, "--out", path) == 0
    said = capsys.readouterr().out
    assert "out_relu: 3x4 cells" in said
    model = keras_ssd.load(path)
    assert model.class_names == ("cat", "dog", "bird")
    # 6x8, 3x4, 2x2, 1x1, 1x1 cells with 4, 6, 6, 6, 4 boxes
    assert model.output.shape == (None, 298, 16)
    assert "298 anchors" in said


@on_tensorflow
def test_values_inside_tf_data(street, capsys):
    assert run("inside_tf_data", "a.jpg", "b.png", "--weights", "tiny.keras", "--confidence", 0, "--batch-size", 2) == 0
    said = capsys.readouterr().out
    assert said.count("\n  cat ") + said.count("\n  dog ") == 2 * 200


@on_tensorflow
def test_values_inside_tf_data_equals_detect(traffic):
    folder, path = traffic
    model = keras_ssd.load(path)
    images = sorted(folder.glob("*.jpg"))
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.5)
    (batch,) = script("inside_tf_data").pipeline(images, detector).as_numpy_iterator()
    for found, name, ids, scores, boxes in zip(model.detect(images), *batch, strict=True):
        assert name.decode() == found.source
        used = ids >= 0
        np.testing.assert_array_equal(ids[used], found.class_ids)
        np.testing.assert_allclose(scores[used], found.scores, atol=0.02)
        # TensorFlow decodes JPEG a little differently, and does not round the resized pixels.
        np.testing.assert_allclose(boxes[used], found.boxes_xyxy, atol=1.5)


@with_torch
def test_values_inside_torch(street):
    done = shell("inside_torch", "a.jpg", "b.png", "--weights", "tiny.keras", "--confidence", 0, KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr
    values, *lines = done.stdout.splitlines()
    trainable_and_not = keras_ssd.load("tiny.keras").count_params()
    assert values == f"{trainable_and_not:,} values in the module"
    assert [line.split(":")[0] for line in lines] == ["a.jpg", "b.png"]
    for line in lines:
        assert sum(int(number) for number in re.findall(r"(\d+) (?:cat|dog)", line)) == 200


@with_torch
def test_values_inside_torch_counts_what_is_there(traffic):
    folder, path = traffic
    names = ("1478899159823020309.jpg", "1478899365487445082.jpg")
    done = shell("inside_torch", *(folder / name for name in names), "--weights", path, KERAS_BACKEND="torch")
    assert done.returncode == 0, done.stderr
    counts = [line.split(": ")[1] for line in done.stdout.splitlines()[1:]]
    assert counts == ["1 car, 1 truck", "1 car"]


@with_torch
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch is the right one")
def test_rejects_the_wrong_backend(capsys):
    assert run("inside_torch", "a.jpg", "--weights", "tiny.keras") == 2
    assert "Set KERAS_BACKEND=torch" in capsys.readouterr().err


def test_values_finetune_caffe_takes_one_step(shared, tmp_path, capsys):
    """One step for another class set on the plate detector: filters of `plate` are kept, `sticker` is new."""
    folder = shared("weights", "plate_ssd512")
    table = tmp_path / "boxes.csv"
    lines = [f"{folder}/1.jpg,261,203,377,241,plate", f"{folder}/2.jpg,465,810,590,880,sticker"]
    table.write_text("\n".join(["image,xmin,ymin,xmax,ymax,class", *lines]))
    files = [folder / f"mininet_ssd_v1.{ending}" for ending in ("prototxt", "caffemodel")]
    preprocessing = ["--mean", "123.675,116.28,103.53", "--scale", "0.01712,0.01751,0.01743", "--channel-order", "rgb"]
    classes = ["--classes", "plate,sticker", "--trained-on", "plate"]
    out = tmp_path / "mine.keras"
    assert run("finetune_caffe", *files, table, *classes, *preprocessing, "--epochs", 1, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "1 of 2 keep their trained rows: plate" in printed
    assert "loss:" in printed
    model = keras_ssd.load(out)
    assert model.class_names == ("plate", "sticker")
    assert [found.names for found in model.detect(folder / "1.jpg", confidence=0.3, classes="plate")] == [("plate",)]
