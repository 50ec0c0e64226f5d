"""What all commands share: labels, silence, closed outputs, quick help; and one command as a user runs it."""

import io
import json
import os
import subprocess
import sys

import pytest
from cli_lookalike import NAMES

from keras_ssd._quiet import quiet_backend, quiet_imports
from keras_ssd.cli import detect as command
from keras_ssd.cli.arguments import class_names
from keras_ssd.detections import Detections
from keras_ssd.wording import as_options


@pytest.mark.parametrize("arguments", [["list", "--all", "--json"], ["show", "ssd300.coco"]])  # long, and short
def test_values_a_closed_output_ends_quietly(arguments):
    command = [sys.executable, "-m", "keras_ssd", "zoo", *arguments]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered) as process:
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""


# -- labels -----------------------------------------------------------------------------------------


def test_values_labels(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("red fox\n\n owl \n", encoding="utf-8")
    assert class_names(str(path)) == ("red fox", "owl")
    assert class_names("cat, dog") == NAMES
    assert class_names("voc")[0] == "aeroplane"
    assert class_names(None) is None
    assert class_names("helmet,") == ("helmet",)
    path.write_text("red fox\n", encoding="utf-8-sig")  # as Windows editors write it
    assert class_names(str(path)) == ("red fox",)


def test_rejects_labels(tmp_path):
    with pytest.raises(ValueError, match="no label file"):
        class_names(str(tmp_path / "nowhere.txt"))
    with pytest.raises(ValueError, match="'voc'"):
        class_names("vox")
    (tmp_path / "none.txt").touch()
    with pytest.raises(ValueError, match="is empty"):
        class_names(str(tmp_path / "none.txt"))
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"image.jpg:1 cannot be read: it is not UTF-8 text"):
        class_names(str(tmp_path / "image.jpg"))
    with as_options({}), pytest.raises(ValueError, match="a list of one is written helmet,$"):
        class_names("helmet")
    with pytest.raises(ValueError, match="Unknown label set ','"):
        class_names(",")


# -- silence ----------------------------------------------------------------------------------------


def test_values_chatter_is_dropped_and_errors_are_not(capfd):
    chatter = (
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
        "I0000 00:00:1795227847.386053    5734 port.cc:153] oneDNN custom operations are on.\n"
        "W0000 00:00:1795227847.386053    5734 gpu.cc:1] no device\n"
        "2026-01-01 10:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This binary\n"
    )
    kept = "E0000 00:00:1795227847.386053    5734 gpu.cc:1] broken driver\nTraceback: a real error\n"
    with quiet_backend():
        os.write(2, (chatter + kept).encode())
        print("from Python", file=sys.stderr)
    os.write(2, b"after\n")
    err = capfd.readouterr().err
    assert "absl" not in err
    assert "I0000" not in err
    assert "cpu_feature_guard" not in err
    assert kept in err
    assert err.endswith("after\n")


def test_values_an_error_inside_silence_is_heard(capfd):
    @quiet_backend()
    def break_down():
        os.write(2, b"it broke\n")
        raise ImportError("no backend")

    with pytest.raises(ImportError, match="no backend"):
        break_down()
    assert capfd.readouterr().err == "it broke\n"


def test_values_quiet_imports_leave_no_trace_in_a_program(monkeypatch, tmp_path, capfd):
    (tmp_path / "tensorflow.py").write_text("import os\nos.write(2, b'I0000 00:00:1.5 1 chatter\\nbroken\\n')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    finders = list(sys.meta_path)
    with quiet_imports():
        __import__("tensorflow")
    del sys.modules["tensorflow"]  # not by monkeypatch, which would put it back
    assert capfd.readouterr().err == "broken\n"
    assert sys.meta_path == finders


def test_values_progress_bar_only_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with command._progress(3, True, command._Log()) as advance:
            advance(2)
        assert ("2/3" in stream.getvalue()) is shown


# -- all of it --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_reference_ssd7_finds_the_cars_without_noise(shared, tmp_path):
    weights = shared("weights", "ssd7_traffic", "ssd7_traffic.h5")
    images = sorted(weights.parent.glob("*.jpg"))
    arguments = [*images, "--weights", weights, "--labels", "car,truck,pedestrian,bicyclist,light"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "keras_ssd",
            "detect",
            *arguments,
            "--out",
            tmp_path / "out",
            "--format",
            "json,images",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"},  # TensorFlow sets it
    )
    assert done.stderr == ""
    assert done.returncode == 0
    found = [Detections.from_dict(values) for values in json.loads((tmp_path / "out" / "detections.json").read_text())]
    assert [one.names for one in found] == [("car", "truck"), ("car",)]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == [path.name for path in images]


def test_values_help_is_instant_and_imports_no_backend():
    code = (
        "import sys; sys.argv = ['keras-ssd', 'detect', '--help']\n"
        "from keras_ssd.cli import main\n"
        "try: main()\n"
        "except SystemExit: print([m for m in ('keras', 'tensorflow', 'jax', 'torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "examples:" in done.stdout
