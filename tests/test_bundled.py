"""Weights that are part of the package: written small, found on the shelf, loaded without cache and network."""

import re
import shutil
import socket

import keras
import numpy as np
import pytest

import keras_ssd
from keras_ssd import formats, zoo
from keras_ssd.anchors import named_recipe
from keras_ssd.cli import main
from keras_ssd.zoo import cache, catalog, shelf
from keras_ssd.zoo.port import arrays_of

NAME, FILE = "ssd_small.cells", "ssd_small.cells.h5"
CELLS = ("RBC", "WBC", "Platelets")


@pytest.fixture(scope="module")
def untrained():
    keras.utils.set_random_seed(3)
    return keras_ssd.ssd_small(classes=CELLS, anchors="cells")


@pytest.fixture
def own_shelf(tmp_path, monkeypatch, untrained):
    """A shelf of the test's own, with a stand-in for the trained weights; no cache, and no network."""
    folder = tmp_path / "shelf"
    shutil.copytree(shelf.shelf(), folder, ignore=shutil.ignore_patterns("weights"))
    (folder / "weights").mkdir()
    path = formats.write_keras_h5(folder / "weights" / FILE, arrays_of(untrained).layers)
    text = (folder / "catalog.toml").read_text(encoding="utf-8")
    promised = f'file = "{FILE}", size = {path.stat().st_size}, checksum = "sha256:{cache.digest(path, "sha256")}"'
    text, count = re.subn(rf'file = "{FILE}"[^}}]*?(?= }})', promised, text)
    assert count == 1
    (folder / "catalog.toml").write_text(text, encoding="utf-8")
    for module in (cache, catalog):
        monkeypatch.setattr(module, "shelf", lambda: folder)
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(socket.socket, "connect", _no_network)
    catalog._tables.cache_clear()
    yield folder
    catalog._tables.cache_clear()


def _no_network(*_):
    raise AssertionError("the network was asked")


@pytest.mark.numerical
def test_values_loaded_without_network(own_shelf, untrained, tmp_path):
    model = keras_ssd.ssd_small(weights="cells")
    assert model.class_names == CELLS
    assert model.anchor_spec == named_recipe("ssd_small_cells").spec()
    for (layer, name, array), (_, _, kept) in zip(arrays_of(untrained), arrays_of(model), strict=True):
        rounded = array.astype("float16" if array.ndim > 1 else "float32").astype("float32")
        np.testing.assert_array_equal(kept, rounded, err_msg=f"{layer}/{name}")
    assert not (tmp_path / "home").exists()


def test_values_other_classes_start_from_it(own_shelf):
    model = keras_ssd.ssd_small(weights=NAME, classes=["parasite", "WBC"])
    assert model.class_names == ("parasite", "WBC")
    assert model.weights_report.classes.initialised == ("parasite",)
    assert keras_ssd.open_model(NAME).class_names == CELLS


def test_values_zoo_knows_it(own_shelf, capsys):
    path = own_shelf / "weights" / FILE
    assert zoo.find(NAME).bundled
    assert not zoo.find("ssd300.coco").bundled
    assert zoo.cached(NAME) == zoo.download(NAME) == path
    assert zoo.by_file_name(f"elsewhere/{FILE}").name == NAME
    assert main(["zoo", "list", "--model", "ssd_small"]) == 0
    assert re.match(rf"{NAME}\t.*\tincluded\n", capsys.readouterr().out)
    assert main(["zoo", "download", NAME]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert main(["zoo", "show", NAME]) == 0
    card = capsys.readouterr().out
    assert f"included in this package as {path}" in card
    assert "  part of this package\n" in card
    assert "pinned" not in card


def test_rejects_a_damaged_file(own_shelf):
    path = own_shelf / "weights" / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(zoo.IntegrityError, match=r"is damaged: the sha256 is .* Install keras-ssd again"):
        keras_ssd.ssd_small(weights="cells")


def test_rejects_a_missing_file(own_shelf, capsys):
    (own_shelf / "weights" / FILE).unlink()
    with pytest.raises(zoo.IntegrityError, match=r"its file is missing: expected .*ssd_small\.cells\.h5"):
        keras_ssd.ssd_small(weights="cells")
    assert main(["zoo", "list", "--model", "ssd_small"]) == 0
    assert capsys.readouterr().out.endswith("\tmissing\n")
    assert "missing from this installation" in zoo.describe(NAME)


def test_roundtrip_small_files(tmp_path):
    arrays = {"a": {"kernel": np.full((1, 2), 1 / 3), "bias": np.array([1e-9, 7e5])}, "b": {"gamma": np.ones(3)}}
    half = formats.write_keras_h5(tmp_path / "half.h5", arrays)
    full = formats.write_keras_h5(tmp_path / "full.h5", arrays, kernels="float32")
    again = formats.read(half)
    assert again.format == "keras_h5"
    assert {layer: set(weights) for layer, weights in again.layers.items()} == {"a": {"kernel", "bias"}, "b": {"gamma"}}
    np.testing.assert_array_equal(again["a"]["kernel"], np.float32(np.float16(1 / 3)))
    np.testing.assert_array_equal(again["a"]["bias"], np.float32([1e-9, 7e5]))
    np.testing.assert_array_equal(formats.read(full)["a"]["kernel"], np.float32(1 / 3))
    first = half.read_bytes()
    assert formats.write_keras_h5(half, arrays).read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.h5", "half.h5"]


def test_rejects_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="'float16' or 'float32'. Received: kernels='int8'"):
        formats.write_keras_h5(tmp_path / "w.h5", {}, kernels="int8")
    with pytest.raises(formats.WeightFileError, match=r"a/kernel holds values that float16 cannot.* up to 65504\. "):
        formats.write_keras_h5(tmp_path / "w.h5", {"a": {"kernel": np.full((1, 1), 1e5)}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "more", [{"url": None}, {"url": "https://example.org/w.h5", "bundled": True}, {"bundled": True, "archive": "a.zip"}]
)
def test_rejects_sources_from_nowhere_or_two_places(more):
    with pytest.raises(ValueError, match="either has a url or is `bundled = true`"):
        zoo.Source(**{"format": "keras_h5", "url": None, "file": "w.h5", **more})


def test_values_the_trained_file_is_there_and_whole():
    """What an installation brings; the tests before use a stand-in."""
    path = zoo.download(NAME)
    assert path.parent == shelf.shelf() / "weights"
    assert path.stat().st_size <= 4_000_000
    [source] = zoo.find(NAME).sources
    assert source.checksum == f"sha256:{cache.digest(path, 'sha256')}"
    assert {file.name for file in path.parent.iterdir()} == {FILE, "small_body.distilled.h5"}


@pytest.mark.slow
def test_reference_results_on_bccd(shared):
    """The figures of catalogue, card and README."""
    from keras_ssd.evaluation import evaluate

    test = keras_ssd.data.read(shared("data", "bccd"), "test", policy="drop").with_classes(CELLS)
    assert len(test) == 72
    model = keras_ssd.ssd_small(weights="cells")
    measured = evaluate(model, test, "voc12", progress=False)
    stated = {result.measure.removeprefix("AP of "): result.value for result in zoo.find(NAME).results}
    for name, value in {**measured.per_class, "mAP": measured.map}.items():
        assert abs(100 * value - stated[name]) < 0.06, name
