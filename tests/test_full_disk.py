"""A full disk: what is written is whole or not there, what was there before stays, and one error says so."""

import contextlib

import keras
import numpy as np
import pytest
from onnx_nets import randomized, tamed
from PIL import Image
from tiny_models import tiny_ssd
from training_toys import run, squares, toy

import keras_ssd
from keras_ssd.cli.main import main
from keras_ssd.data import cached, write
from keras_ssd.data.reading import WRITTEN
from keras_ssd.formats import write_keras_h5
from keras_ssd.images import write_image
from keras_ssd.zoo.port import arrays_of

resource = pytest.importorskip("resource", reason="no limits on the size of files on this system")

FULL = r"File too large; nothing was written, and what was there before stays: '.*{}'"


@contextlib.contextmanager
def room(size):
    """No file can grow beyond this many bytes: what a full disk is to one who writes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def contents(folder):
    """{path: bytes} of all files, hidden ones too."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A training of four epochs after its first, and what all four come to."""
    whole = tmp_path_factory.mktemp("whole")
    model = toy()
    run(whole, model=model)
    return model.get_weights()


def test_rejects_training_on_and_can_go_on_afterwards(tmp_path, begun):
    out = tmp_path / "run"
    run(out, stop_after=1)
    before = contents(out)
    sizes = {name: len(data) for name, data in before.items()}
    assert sizes["model.keras"] < sizes["checkpoint.h5"]
    with room(sizes["model.keras"] // 2), pytest.raises(OSError, match=FULL.format("model.keras")):
        run(out, resume=True)
    assert contents(out) == before
    with room(sizes["checkpoint.h5"] - 1), pytest.raises(OSError, match=FULL.format("checkpoint.h5")):
        run(out, resume=True)
    after = contents(out)
    assert set(after) == set(before)
    assert after["checkpoint.h5"] == before["checkpoint.h5"]
    keras_ssd.load(out / "model.keras")  # of one epoch or the other, and whole
    model = toy()
    run(out, model=model, resume=True)
    for ours, expected in zip(model.get_weights(), begun, strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("size", [100, 4000, 12000])
def test_rejects_weights(tmp_path, size):
    """HDF5's own writing may end the process here."""
    layers = arrays_of(toy()).layers
    path = write_keras_h5(tmp_path / "small.h5", layers)
    before = path.read_bytes()
    assert len(before) > size
    with room(size), pytest.raises(OSError, match=FULL.format("small.h5")):
        write_keras_h5(path, layers)
    assert contents(tmp_path) == {"small.h5": before}


def test_rejects_a_model_and_keeps_the_old_one(tmp_path):
    model = toy()
    model.save(tmp_path / "toy.keras")
    before = contents(tmp_path)
    with room(20000), pytest.raises(OSError, match=FULL.format("toy.keras")):
        model.save(tmp_path / "toy.keras")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["mine.onnx", "mine.xml", "mine.prototxt", "mine.tflite"])
def test_rejects_an_export_and_keeps_the_old_one(tmp_path, name):
    """OpenVINO writes in C++, and its .xml is the largest of its files here."""
    pytest.importorskip("onnx")
    pytest.importorskip("openvino" if name.endswith("xml") else "onnxruntime")
    if name.endswith("tflite"):
        pytest.importorskip("ai_edge_litert")
        if keras.config.backend() != "tensorflow":
            pytest.skip("elsewhere another process converts, slowly")
    model = keras_ssd.ssd7(classes=["cat"], input_size=(64, 64)) if name.endswith("prototxt") else tiny_ssd()
    model = tamed(randomized(model))
    keras_ssd.export(model, tmp_path / name)
    before = contents(tmp_path)
    for size in (3000, max(map(len, before.values())) - 1):
        with room(size), pytest.raises(OSError, match=r"nothing was written, and what was there before stays: '.*mine"):
            keras_ssd.export(model, tmp_path / name)
        assert contents(tmp_path) == before


@pytest.mark.parametrize("format", WRITTEN)
@pytest.mark.parametrize("size", [1500, 50])
def test_rejects_data(tmp_path, format, size):
    data = squares(3)
    with room(size), pytest.raises(OSError, match=FULL.format("new")):
        write(data, tmp_path / "new", format)
    assert not list(tmp_path.iterdir())


def test_rejects_a_conversion_from_the_shell(tmp_path, capsys):
    write(squares(3), tmp_path / "old", "voc")
    before = contents(tmp_path)
    with room(1500):
        assert main(["data", "convert", str(tmp_path / "old"), "--to", "yolo", "--out", str(tmp_path / "new")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0
    assert "File too large; nothing was written" in error
    assert contents(tmp_path) == before


def test_rejects_a_cache_and_keeps_the_old_one(tmp_path):
    old, new = squares(2), squares(4)
    cached(old, tmp_path / "cache")
    before = contents(tmp_path)
    with room(8000), pytest.raises(OSError, match=FULL.format("cache")):
        cached(new, tmp_path / "cache")
    assert contents(tmp_path) == before
    np.testing.assert_array_equal(np.array(cached(old, tmp_path / "cache")[1].image), old[1].image)
    assert len(cached(new, tmp_path / "cache")) == 4


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_rejects_images(tmp_path, ending):
    """Pillow's own writing leaves a JPEG cut short and says nothing."""
    path = tmp_path / f"drawn.{ending}"
    write_image(Image.new("RGB", (8, 8)), path)
    before = contents(tmp_path)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8))
    with room(2000), pytest.raises(OSError, match=FULL.format(path.name)):
        write_image(noise, path)
    assert contents(tmp_path) == before


def test_rejects_endings_that_are_no_images(tmp_path):
    with pytest.raises(ValueError, match=r"such as .png or .jpg. Received: path='.*a.txt'"):
        write_image(Image.new("RGB", (8, 8)), tmp_path / "a.txt")


def test_values_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\[Errno 2\] No such file"):
        write_image(Image.new("RGB", (8, 8)), tmp_path / "nowhere" / "a.png")
