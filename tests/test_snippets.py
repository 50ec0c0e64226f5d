"""What a reader copies from the pages into a shell or a file does what the page says: nothing is left out unsaid.

The folder has the files that a page names, small ones, and the cache has files under the names of published weights.
A block that no test can run has `<!-- not run in tests: REASON -->` in the line above it, and is listed here.
"""

import re
import shlex
import shutil
from pathlib import Path

import keras
import pytest
import requests
from snippet_files import furnish, narrow_vgg
from test_docs import DOCS, ENVIRONMENT, ROOT, blocks

from keras_ssd.cli.main import main
from keras_ssd.training import pace

README = ROOT / "README.md"
PAGES = [README, *DOCS, ROOT / "examples" / "README.md"]
HELD_BACK = re.compile(r"<!-- not run in tests: (.+) -->\n```sh\n")
NOT_RUN = [  # (page, reason) of each block that is held back
    ("serving.md", "the server runs until it is stopped; tests/test_serving.py runs the command"),
]
# What makes a command of the pages quick.
SHORT = {
    "prune": ("--stop-after", "1"),
    "train": ("--stop-after", "1"),
    "tune": ("--trials", "1", "--epochs", "1", "--input-sizes", "64x96", "--widths", "0.5"),
}
MAY_FIND_FAULTS = "doctor"  # of a detector that was trained for one epoch it says so, with the code 1


def command_lines(path):
    """The `keras-ssd` lines of a page, as lists of words, without those of blocks that are held back."""
    text = path.read_text(encoding="utf-8")
    held = {text.count("\n", 0, hit.end()) + 1 for hit in HELD_BACK.finditer(text)}
    found = []
    for line, _, block in blocks(path, "sh"):
        parts = [part for row in block.replace("\\\n", " ").splitlines() for part in row.split(" && ")]
        for words in (shlex.split(part, comments=True) for part in parts):
            while words and ENVIRONMENT.match(words[0]):
                words.pop(0)
            if words[:1] == ["keras-ssd"] and line not in held:
                found.append(words[1:])
    return found


WITH_COMMANDS = [pytest.param(path, id=path.relative_to(ROOT).stem) for path in PAGES if command_lines(path)]


@pytest.fixture(scope="module")
def furnished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("furnished")
    with pytest.MonkeyPatch.context() as patch:
        narrow_vgg(patch)
        furnish(folder)
    return folder


@pytest.fixture
def folder(furnished, tmp_path, monkeypatch):
    """A copy of the furnished folder, to work in; no network."""

    def refuse(*args, **kwargs):
        raise requests.ConnectionError("a page's lines may not reach the network in tests")

    narrow_vgg(monkeypatch)
    for count in ("WARM_UP", "TIMED"):  # steps of training that only tell how long the training will take
        monkeypatch.setattr(pace, count, 1)
    shutil.copytree(furnished, tmp_path / "work", ignore=shutil.ignore_patterns("home"))
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("KERAS_SSD_HOME", str(furnished / "home"))
    monkeypatch.setattr(requests.Session, "send", refuse)
    keras.utils.set_random_seed(0)
    return tmp_path / "work"


@pytest.mark.slow
@pytest.mark.parametrize("path", WITH_COMMANDS)
def test_values_every_command_line_runs(folder, path, capsys):
    if "--out runs/mine" in path.read_text(encoding="utf-8"):
        shutil.rmtree("runs")  # the page makes it
    for words in command_lines(path):
        done = len(list(folder.glob("runs/*/log.csv")))
        code = main([*words, *SHORT.get(words[0], ())])
        said = capsys.readouterr()
        assert code in ((0, 1) if words[0] == MAY_FIND_FAULTS else (0,)), f"{shlex.join(words)}\n{said.out}{said.err}"
        assert "Traceback" not in said.err
        assert words[0] != "train" or "--resume" in words or len(list(folder.glob("runs/*/log.csv"))) == done + 1
        for option in ("--out", "-o", "--save", "--report"):
            if option in words:
                assert Path(words[words.index(option) + 1]).exists(), shlex.join(words)


@pytest.mark.slow
def test_values_every_block_of_the_readme_runs_in_order(folder, monkeypatch, caplog):
    for name in folder.iterdir():  # what the Python blocks name, and nothing else
        if name.name not in ("photos", "street.jpg", "deploy.prototxt", "plates.caffemodel"):
            shutil.rmtree(name) if name.is_dir() else name.unlink()
    fit = keras.Model.fit
    monkeypatch.setattr(keras.Model, "fit", lambda self, *args, epochs, **more: fit(self, *args, epochs=1, **more))
    names = {"__name__": "readme"}
    for line, _, text in blocks(README, "python"):
        exec(compile("\n" * (line - 1) + text, str(README), "exec"), names)
    [printed] = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("# Classes: ")]
    assert printed.removeprefix("# ") in caplog.text
    assert names["again"].anchor_spec == names["model"].anchor_spec
    assert names["own"].class_names == names["small"].class_names == ("cat", "dog")
    assert len(names["fitted"].levels) == len(names["small"].levels)
    made = {
        "people.png",
        "detector.onnx",
        "detector.keras",
        "plates.onnx",
        "stickers.prototxt",
        "stickers.caffemodel",
        "report",
    }
    assert made <= {path.name for path in folder.iterdir()}


def test_values_the_readme_has_no_blocks_that_are_held_back():
    text = README.read_text(encoding="utf-8")
    kinds = {kind.strip() for kind in re.findall(r"^```([^\n]+)$", text, re.MULTILINE)}
    assert kinds <= {"sh", "python", "pycon", "text"}


def test_values_blocks_held_back_are_these():
    found = [(path.name, reason) for path in PAGES for reason in HELD_BACK.findall(path.read_text(encoding="utf-8"))]
    marks = sum(path.read_text(encoding="utf-8").count("not run in tests") for path in PAGES)
    print(f"{len(found)} blocks of the pages are not run:", *found, sep="\n  ")
    assert marks == len(found), "a mark must stand in the line above its ```sh block"
    assert found == NOT_RUN
