"""`keras-ssd detect`: what it prints and writes, its exit codes, and what it leaves alone."""

import csv
import io
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from keras_ssd.cli import detect as command
from keras_ssd.cli import main, results
from keras_ssd.cli.arguments import class_names
from keras_ssd.cli.quiet import quiet_backend
from keras_ssd.detections import Detections
from keras_ssd.pictures import Source
from keras_ssd.zoo import DownloadError

NAMES = ("cat", "dog")


class Lookalike:
    """Stands for a model: `opened` notes how it was asked for."""

    opened = ()


@pytest.fixture
def pretend(monkeypatch):
    """Replaces the network: every readable picture holds one cat of score 0.75 and one dog of 0.5."""
    import keras_ssd.models.opening
    from keras_ssd.pictures import PictureError, expand_sources, read_picture

    def open_model(weights, model=None, class_names=None):
        Lookalike.opened = (weights, model, class_names)
        return Lookalike()

    def detect(model, sources, *, on_error, classes=None, confidence, **options):
        Lookalike.options = {"classes": classes, "confidence": confidence, **options}
        for source in expand_sources(sources):
            try:
                limits = {key: options[key] for key in options if key == "max_pixels"}
                height, width = read_picture(source.picture, **limits).shape[:2]
            except PictureError as error:
                on_error(error)
                continue
            boxes = [[0, 0, width / 2, height / 2], [1, 1, width, height]]
            found = Detections(boxes, [0.75, 0.5], [0, 1], NAMES, (height, width), source.name)
            yield found.filter(classes=classes, confidence=confidence)

    monkeypatch.setattr(keras_ssd.models.opening, "open_model", open_model)
    monkeypatch.setattr(sys.modules["keras_ssd.detect"], "detect", detect)


@pytest.fixture
def folder(tmp_path):
    pictures = tmp_path / "in"
    pictures.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.gif")):
        Image.new("RGB", (60 + i, 40), (90, 90, 90)).save(pictures / name)
    return pictures


def run(*arguments):
    return main(["detect", *map(str, arguments), "--weights", "some"])


def hidden_files(folder):
    return [path.name for path in folder.rglob(".*")]


# -- the table --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_values_prints_a_table_for_each_picture(folder, capsys):
    assert run(folder) == 0
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if "found" in line] == [
        f"{folder / 'a.png'} (60 x 40): 2 found",
        f"{folder / 'b.jpg'} (61 x 40): 2 found",
        f"{folder / 'c.gif'} (62 x 40): 2 found",
    ]
    assert out.splitlines()[2].split() == ["cat", "0.75", "0.0", "0.0", "30.0", "20.0"]
    assert err == ""


@pytest.mark.usefixtures("pretend")
def test_values_options_reach_the_model(folder, capsys):
    options = ("--classes", "dog", "--confidence", "0.3", "--iou", "0.2", "--batch-size", "3", "--max-pixels", "9999")
    assert run(folder / "a.png", *options, "--model", "ssd7", "--labels", "cat, dog") == 0
    assert Lookalike.opened == ("some", "ssd7", NAMES)
    assert Lookalike.options == {
        "classes": ("dog",),
        "confidence": 0.3,
        "iou_threshold": 0.2,
        "batch_size": 3,
        "max_pixels": 9999,
    }
    assert "cat" not in capsys.readouterr().out


# -- the files --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_values_writes_pictures_json_and_csv(folder, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert run(folder, "--out", out, "--format", "json,csv,pictures") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "a.png",
        "b.jpg",
        "c.gif.png",
        "detections.csv",
        "detections.json",
    ]
    with Image.open(out / "b.jpg") as drawn:
        assert drawn.format == "JPEG"
    with Image.open(out / "a.png") as drawn:
        assert (np.asarray(drawn) != 90).any()
    read = [Detections.from_dict(values) for values in json.loads((out / "detections.json").read_text())]
    assert [one.source for one in read] == [str(folder / name) for name in ("a.png", "b.jpg", "c.gif")]
    assert read[1].names == NAMES
    with open(out / "detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert rows[0] == {
        "source": str(folder / "a.png"),
        "width": "60",
        "height": "40",
        "class": "cat",
        "score": "0.75",
        "xmin": "0.0",
        "ymin": "0.0",
        "xmax": "30.0",
        "ymax": "20.0",
    }
    assert "3 of 3 pictures, 6 objects" in capsys.readouterr().out


@pytest.mark.usefixtures("pretend")
def test_values_writes_pictures_unless_told_otherwise(folder, tmp_path):
    assert run(folder, "--out", tmp_path / "one") == 0
    assert len(list((tmp_path / "one").iterdir())) == 3
    assert run(folder, "--out", tmp_path / "two", "--format", "json") == 0
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["detections.json"]


@pytest.mark.usefixtures("pretend")
def test_values_an_input_is_never_overwritten(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert run(folder, "--out", folder) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in folder.iterdir()) == [
        "a.png",
        "a_2.png",
        "b.jpg",
        "b_2.jpg",
        "c.gif",
        "c.gif.png",
    ]


def test_values_places_of_drawn_pictures(tmp_path):
    def places(*pairs):
        targets = results.picture_targets(tmp_path, [Source(path, path, relative) for path, relative in pairs])
        return [path.relative_to(tmp_path).as_posix() for paths in targets.values() for path in paths]

    assert places(("x/a.png", "a.png"), ("y/a.png", "a.png"), ("z/a.png", "a.png")) == ["a.png", "a_2.png", "a_3.png"]
    assert places(("x/d/a.png", "d/a.png"), ("x/e/a.png", "e/a.png")) == ["d/a.png", "e/a.png"]
    assert places(("x/a.png", "a.png"), ("x/a.png", "a.png")) == ["a.png", "a_2.png"]
    assert places(("http://h/..", "..")) == ["picture.png"]
    assert places(("u", "../../etc/passwd")) == ["etc/passwd.png"]
    assert places(("u", "/etc/a.jpg")) == ["etc/a.jpg"]


# -- what goes wrong --------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
def test_rejects_bad_files_by_name_and_does_the_rest(folder, tmp_path, capsys):
    (folder / "b.jpg").write_text("letter")
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    assert run(folder, empty, folder / "nowhere.png", "--out", out, "--format", "pictures,json") == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 3
    assert all(line.startswith("keras-ssd detect: Cannot read picture ") for line in err)
    assert {name for name in ("b.jpg", "empty", "nowhere.png") if any(name in line for line in err)} == {
        "b.jpg",
        "empty",
        "nowhere.png",
    }
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "c.gif.png", "detections.json"]
    assert len(json.loads((out / "detections.json").read_text())) == 2


@pytest.mark.usefixtures("pretend")
def test_rejects_when_nothing_could_be_done(tmp_path, capsys):
    (tmp_path / "a.jpg").write_text("letter")
    out = tmp_path / "out"
    assert run(tmp_path / "a.jpg", "--out", out, "--format", "json,csv,pictures") == 2
    assert list(out.iterdir()) == []
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert run(out) == 2
    assert "holds no picture" in capsys.readouterr().err


def test_rejects_an_output_folder_that_cannot_be_written_before_any_work(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_ssd.models.opening", None)  # opening a model would be an error
    (tmp_path / "file").touch()
    assert run(folder, "--out", tmp_path / "file") == 2
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert f"cannot write to the output folder {tmp_path / 'file'}" in err


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize("when", ["early", "late"])
def test_rejects_leave_nothing_half_written(folder, tmp_path, monkeypatch, capsys, when):
    """A full disk, at the first or at the last picture: old results stay, and no temporary file does."""
    out = tmp_path / "out"
    assert run(folder, "--out", out, "--format", "json,csv,pictures") == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    countdown = [1 if when == "early" else 3]

    def draw(self):
        countdown[0] -= 1
        if not countdown[0]:
            raise OSError("No space left on device")
        return Image.new("RGB", (5, 5))

    monkeypatch.setattr(Detections, "draw", draw)
    assert run(folder, "--out", out, "--format", "json,csv,pictures") == 2
    assert "No space left" in capsys.readouterr().err
    assert sorted(before) == sorted(path.name for path in out.iterdir())
    for name in ("detections.json", "detections.csv"):
        assert (out / name).read_bytes() == before[name]


@pytest.mark.usefixtures("pretend")
def test_values_an_interruption_keeps_what_was_found(folder, tmp_path, monkeypatch, capsys):
    real = sys.modules["keras_ssd.detect"].detect

    def detect(*args, **options):
        found = real(*args, **options)
        yield next(found)
        yield next(found)
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["keras_ssd.detect"], "detect", detect)
    out = tmp_path / "out"
    assert run(folder, "--out", out, "--format", "json,pictures") == 130
    done = len(json.loads((out / "detections.json").read_text()))
    assert f"interrupted after {done} of 3 pictures" in capsys.readouterr().err
    assert done == len(list(out.iterdir())) - 1 >= 1
    assert hidden_files(out) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--confidence", "1.5"), "0..1"),
        (("--confidence", "high"), "high"),
        (("--batch-size", "0"), "from 1 on"),
        (("--format", "yaml", "--out", "x"), "pictures, json, csv; received yaml"),
    ],
)
def test_rejects_arguments(folder, arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        run(folder, *arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_rejects_format_without_folder(folder, capsys):
    assert run(folder, "--format", "json") == 2
    assert "--out" in capsys.readouterr().err


# -- weights ----------------------------------------------------------------------------------------


@pytest.fixture
def opens(monkeypatch):
    """Replaces opening: `opens[name]` is the error that a name meets; others open."""
    import keras_ssd.models.opening

    errors = {}

    def open_model(weights, model=None, class_names=None):
        if weights in errors:
            raise errors[weights]
        Lookalike.opened = (weights, model, class_names)
        return Lookalike()

    monkeypatch.setattr(keras_ssd.models.opening, "open_model", open_model)
    return errors


def weights(*names):
    return [part for name in names for part in ("--weights", name)]


@pytest.mark.usefixtures("pretend")
def test_values_the_first_weights_that_can_be_had(folder, opens, capsys):
    opens["a"] = DownloadError("a could not be downloaded. Tried:\n  one\n  two")
    opens["b.h5"] = FileNotFoundError("No weight file at 'b.h5'.")
    assert main(["detect", str(folder / "a.png"), *weights("a", "b.h5", "c", "d")]) == 0
    assert Lookalike.opened[0] == "c"
    assert capsys.readouterr().err.splitlines() == [
        "keras-ssd detect: weights a could not be downloaded; trying b.h5",
        "keras-ssd detect: weights b.h5 are not there; trying c",
    ]


@pytest.mark.usefixtures("pretend")
def test_rejects_weights_none_of_which_can_be_had(folder, opens, tmp_path, capsys):
    opens["a"] = DownloadError("a could not be downloaded.\n  one")
    opens["b.h5"] = FileNotFoundError("No weight file at 'b.h5'.")
    arguments = ["detect", str(folder), "--out", str(tmp_path / "out"), "--format", "json", *weights("a", "b.h5")]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "none of the 2 weights can be had:\n- a could not be downloaded.\n  one\n- No weight file at 'b.h5'." in err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.usefixtures("pretend")
def test_rejects_unfit_weights_although_others_follow(folder, opens, capsys):
    opens["a"] = ValueError("a is no detector")
    assert main(["detect", str(folder), *weights("a", "b")]) == 2
    assert capsys.readouterr().err == "keras-ssd detect: a is no detector\n"


def test_values_a_lost_network_leads_to_the_next_weights(monkeypatch, tmp_path, shared, capsys):
    """The real catalogue and a real file; the network is refused where the librarian asks for it."""
    import requests

    def refuse(*args, **kwargs):
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(requests.Session, "request", refuse)
    monkeypatch.setattr(requests.Session, "send", refuse)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path))
    trained = shared("weights", "ssd7_traffic", "ssd7_traffic.h5")
    picture = tmp_path / "a.png"
    Image.new("RGB", (60, 40)).save(picture)
    assert main(["detect", str(picture), *weights("voc07+12", str(trained))]) == 0
    out, err = capsys.readouterr()
    assert "a.png (60 x 40): nothing found" in out
    assert f"weights voc07+12 could not be downloaded; trying {trained}" in err


# -- failures -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pretend")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("model_config"), "failed unexpectedly (KeyError: 'model_config'). `keras-ssd --traceback ...`"),
        (zipfile.BadZipFile("bad magic\nmore"), "failed unexpectedly (BadZipFile: bad magic)."),
        (RuntimeError(), "failed unexpectedly (RuntimeError)."),
        (MemoryError(), "not enough memory. Try a smaller --batch-size."),
        (TypeError("plainly told"), "keras-ssd detect: plainly told\n"),
    ],
)
def test_rejects_any_failure_without_a_traceback(folder, opens, error, said, capsys):
    opens["a"] = error
    assert main(["detect", str(folder), *weights("a")]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err
    with pytest.raises(type(error)):
        main(["--traceback", "detect", str(folder), *weights("a")])


@pytest.mark.usefixtures("pretend")
def test_rejects_large_pictures_with_the_name_of_the_option(folder, capsys):
    assert run(folder / "a.png", "--max-pixels", "100") == 2
    err = capsys.readouterr().err
    assert "60 x 40 pixels and at most 100" in err
    assert "Pass a larger --max-pixels" in err
    assert "max_pixels" not in err


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
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match=r"picture.jpg is no UTF-8 text \(.* at byte 0\)"):
        class_names(str(tmp_path / "picture.jpg"))
    with pytest.raises(ValueError, match="a list of one is written helmet,$"):
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
    pictures = sorted(weights.parent.glob("*.jpg"))
    arguments = [*pictures, "--weights", weights, "--labels", "car,truck,pedestrian,bicyclist,light"]
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
            "json,pictures",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    found = [Detections.from_dict(values) for values in json.loads((tmp_path / "out" / "detections.json").read_text())]
    assert [one.names for one in found] == [("car", "truck"), ("car",)]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == [path.name for path in pictures]


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
