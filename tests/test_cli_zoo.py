"""`keras-ssd zoo`: what it prints, where it prints it, and its exit codes."""

import io
import json
import re
import sys
from dataclasses import replace

import h5py
import pytest
from download_server import Reply, Server

from keras_ssd import zoo
from keras_ssd.cli import main
from keras_ssd.zoo import catalog


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def place(home, name="VGG_VOC0712_SSD_300x300_iter_120000.h5"):
    """Puts a small HDF5 file where the cache would have it."""
    path = home / "weights" / name
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file["conv1_1/conv1_1/kernel:0"] = [1.0]
    return path


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_a_terminal(monkeypatch, width, *arguments):
    """What a command prints on a terminal of this width, as lines."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    assert main(["zoo", *arguments]) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()


def test_values_list_is_plain_when_piped(capsys, home):
    place(home)
    assert main(["zoo", "list", "--model", "ssd300"]) == 0
    out, err = capsys.readouterr()
    rows = [line.split("\t") for line in out.splitlines()]
    assert err == ""
    assert rows[0] == [
        "ssd300.voc07+12",
        "SSD300, VGG16-atrous",
        "voc 20",
        "300x300",
        "77.2 VOC2007",
        "-",
        "cached",
    ]
    assert [row[0] for row in rows] == [entry.name for entry in zoo.entries(model="ssd300", readable=True)]
    assert {row[-1] for row in rows[1:]} == {"available"}


@pytest.mark.parametrize("width", [80, 140])
def test_values_table_fits_the_terminal(monkeypatch, width):
    lines = on_a_terminal(monkeypatch, width, "list")
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for entry in zoo.entries(readable=True):
        assert entry.name in text  # a name that is broken over two lines cannot be copied
    assert "--all shows them" in lines[-1]
    assert "resnet10_ssd.face" not in text
    assert "300x300" in text


def test_values_table_of_everything(monkeypatch):
    text = "\n".join(on_a_terminal(monkeypatch, 200, "list", "--all"))
    assert all(entry.name in text for entry in zoo.entries())
    assert "142.6 MB" in text
    assert "later: known" in text
    assert "SSD300, VGG16-atrous" in text


def test_values_json_holds_the_catalogue(capsys, home):
    path = place(home)
    assert main(["zoo", "list", "--all", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {entry.name for entry in zoo.entries()}
    row = rows["ssd300.voc07+12"]
    assert row["cached"] == str(path)
    assert row["class_names"][14] == "person"
    assert row["input_size"] == [300, 300]
    assert row["sources"][0]["format"] == "ssd_keras_h5"
    assert rows["ssd500.ilsvrc"]["readable"] is True
    assert rows["resnet10_ssd.face"]["readable"] is False


def test_values_show(capsys):
    assert main(["zoo", "show", "ssd300.coco"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ssd300.coco\n")
    assert "25.1 % AP on COCO test-dev2015" in out
    assert main(["zoo", "show", "ssd300.coco", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scales"] == "coco"


def test_rejects_unknown_names(capsys):
    assert main(["zoo", "show", "ssd300.cocoo"]) == 2
    assert main(["zoo", "list", "--model", "ssd3000"]) == 2
    assert main(["zoo", "download", "ssd300.coco", "ssd300.cocoo"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("Did you mean 'ssd300.coco'") == 2
    assert "Did you mean 'ssd300'" in err


def test_values_download_prints_the_path(capsys, home):
    path = place(home)
    assert main(["zoo", "download", "ssd300.voc07+12"]) == 0
    assert capsys.readouterr().out == f"{path}\n"


@pytest.fixture
def two_sets(monkeypatch):
    """A catalogue of two sets: one that the server has, one that it has not."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file["x"] = [1.0]
    with Server() as server:
        url = server.play("/good.h5", Reply(memory.getvalue()))
        good = replace(zoo.find("ssd300.coco"), tag="good", sources=(zoo.Source("ssd_keras_h5", url, "good.h5"),))
        lost = zoo.Source("ssd_keras_h5", server.address + "/lost.h5", "lost.h5")
        bad = replace(good, tag="bad", sources=(lost,))
        formats, models, _ = catalog._tables()
        monkeypatch.setattr(catalog, "_tables", lambda: (formats, models, (good, bad)))
        yield server


def test_values_exit_codes_of_downloads(two_sets, capsys, home):
    assert main(["zoo", "download", "ssd300.bad"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "404" in err
    assert "lost.h5" in err
    assert main(["zoo", "download", "ssd300.bad", "ssd300.good"]) == 1
    out, err = capsys.readouterr()
    assert out == f"{home / 'weights' / 'good.h5'}\n"
    assert "ssd300.bad could not be downloaded" in err
    assert main(["zoo", "download", "ssd300.good", "--quiet"]) == 0
    assert two_sets.count("/good.h5") == 1


def test_rejects_formats_that_are_not_published(capsys):
    assert main(["zoo", "download", "ssd300.coco", "--format", "onnx"]) == 2
    assert "published as: caffemodel, ssd_keras_h5" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["list"], ["show"], ["download"]])
def test_values_help(words, capsys):
    with pytest.raises(SystemExit) as left:
        main(["zoo", *words, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "ssd300.voc07+12" in out
