"""A catalogue row without a factory: its archive describes the network, and the name is enough."""

import io
import shutil
import tarfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from caffe_nets import random_weights, written
from download_server import Reply
from PIL import Image
from test_caffe_heads import small_net

import keras_ssd
from keras_ssd import zoo
from keras_ssd.cli.main import main
from keras_ssd.zoo import catalog
from keras_ssd.zoo.errors import DownloadError

pytest_plugins = ("downloading",)
pytestmark = pytest.mark.usefixtures("home")

NAME = "VGG_ilsvrc15_SSD_500x500_iter_480000"
LABELS = ("plate", "cup", "fork")


def tarball(files):
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"models/VGGNet/ilsvrc15/SSD_500x500/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return memory.getvalue()


@pytest.fixture(scope="module")
def net():
    return random_weights(small_net(more="code_type: CENTER_SIZE"), seed=4)


@pytest.fixture
def files(net, tmp_path):
    (tmp_path / "made").mkdir()
    prototxt, caffemodel = written(net, tmp_path / "made")
    return {"deploy.prototxt": prototxt.read_bytes(), f"{NAME}.caffemodel": caffemodel.read_bytes()}


@pytest.fixture
def offer(server, monkeypatch):
    """Makes the row's archive one of this server, with three classes; its files are returned by name."""

    def offer(files):
        formats, models, rows = catalog._tables()
        url = server.play("/archive", Reply(tarball(files)))

        def local(row):
            archived = [source for source in row.sources if source.prototxt][:1]
            return replace(row, sources=tuple(replace(source, url=url) for source in archived))

        rows = tuple(local(row) if row.name == "ssd500.ilsvrc" else row for row in rows)
        monkeypatch.setattr(catalog, "_tables", lambda: (formats, models, rows))
        monkeypatch.setattr("keras_ssd.opening.zoo.labels", lambda name: {"ilsvrc": LABELS}[name])
        return server

    return offer


def test_values_the_name_is_enough(net, files, offer):
    """The network is the archive's, classes and preprocessing are the row's; the second time needs no server."""
    server = offer(files)
    model = keras_ssd.open_model("ssd500.ilsvrc")
    assert model.class_names == LABELS
    assert model.name == "ssd500_ilsvrc"
    expected = keras_ssd.from_caffe(net, net, mean=(104, 117, 123), scale=1)
    images = np.random.default_rng(5).uniform(0, 255, (2, 24, 32, 3)).astype(np.float32)
    one, other = (keras.ops.convert_to_numpy(m(images)) for m in (model, expected))
    np.testing.assert_array_equal(one, other)
    assert server.count("/archive") == 1
    again = keras_ssd.open_model("ilsvrc", model="ssd500")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(images)), one)
    assert server.count("/archive") == 1
    cached = zoo.cached("ssd500.ilsvrc")
    assert sorted(path.name for path in cached.parent.glob("*.[pc]*")) == [f"{NAME}.caffemodel", f"{NAME}.prototxt"]
    by_path = keras_ssd.open_model(cached)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(by_path(images)), one)


def test_values_commands_take_the_name(files, offer, tmp_path, monkeypatch, capsys):
    offer(files)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((24, 32, 3), "uint8")).save("a.png")
    (tmp_path / "a.csv").write_text("image,class,xmin,ymin,xmax,ymax\na.png,cup,5,5,20,20\n")
    assert main(["zoo", "download", "ssd500.ilsvrc", "--quiet"]) == 0
    path = capsys.readouterr().out.strip()
    assert path.endswith(f"{NAME}.caffemodel")
    assert main(["detect", "a.png", "--weights", "ssd500.ilsvrc", "--format", "json", "--out", "found"]) == 0
    assert main(["evaluate", "a.csv", "--weights", "ssd500.ilsvrc"]) == 0
    assert "published" in capsys.readouterr().out
    for source in ("ssd500.ilsvrc", path):
        assert main(["convert", source, "--out", "m.keras", "--quiet"]) == 0
        assert keras_ssd.load("m.keras").class_names == LABELS
    line = "train a.csv --out run --weights ssd500.ilsvrc --epochs 1 --validation-set none"
    assert main([*line.split(), "--input-size", "64x64"]) == 2
    assert "--input-size is part of the network of these weights" in capsys.readouterr().err
    assert main(line.split()) == 0
    assert keras_ssd.load("run/model.keras").class_names == ("cup",)


def test_rejects_an_archive_without_the_network(files, offer, tmp_path):
    del files["deploy.prototxt"]
    offer(files)
    with pytest.raises(DownloadError, match="the archive holds no 'deploy.prototxt', which describes the net") as told:
        keras_ssd.open_model("ssd500.ilsvrc")
    assert f"deploy.prototxt of it as\n  {tmp_path / 'home' / 'weights' / NAME}.prototxt" in str(told.value)
    left = [path.name for path in (tmp_path / "home").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []


def test_rejects_an_archive_whose_network_is_none(files, offer, tmp_path):
    offer(files | {"deploy.prototxt": b"layer { name: 'a' "})
    with pytest.raises(DownloadError, match="this is not a prototxt"):
        keras_ssd.open_model("ssd500.ilsvrc")
    assert not list((tmp_path / "home").rglob("*.prototxt"))
    assert not list((tmp_path / "home").rglob("*.caffemodel"))


def test_rejects_the_weights_without_their_network(files, tmp_path):
    path = tmp_path / f"{NAME}.caffemodel"
    path.write_bytes(files[path.name])
    with pytest.raises(FileNotFoundError, match=f"described by deploy.prototxt of the same .*{NAME}.prototxt'"):
        keras_ssd.open_model(path)
    shutil.copy(tmp_path / "made" / "net.prototxt", path.with_suffix(".prototxt"))
    with pytest.raises(ValueError, match="must name the net's 3 classes"):  # those of ILSVRC are 200
        keras_ssd.open_model(path)


def test_values_files_placed_by_hand_need_no_server(files, server, tmp_path):
    folder = tmp_path / "home" / "weights"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.caffemodel").write_bytes(files[f"{NAME}.caffemodel"])
    assert zoo.cached("ssd500.ilsvrc") is None
    (folder / f"{NAME}.prototxt").write_bytes(files["deploy.prototxt"])
    assert zoo.download("ssd500.ilsvrc") == zoo.cached("ssd500.ilsvrc") == folder / f"{NAME}.caffemodel"
    assert server.seen == []


def test_rejects_unknown_models_with_all_that_can_be_had():
    with pytest.raises(ValueError, match="Did you mean 'ssd500'"):
        keras_ssd.open_model("ilsvrc", model="ssd50O")
