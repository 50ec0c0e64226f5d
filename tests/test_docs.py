"""What the documentation shows is run: every Python block, every session, every command line, every link.

A block fenced as `python` runs, one fenced as `pycon` is a session whose answers are compared; the blocks of a page
share their names. `python no-run` is for what needs a download or a file that only its owner has: it must be valid
Python, and there may be few of them.
"""

import ast
import doctest
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [pytest.param(path, id=path.stem) for path in DOCS]
WITH_CODE = [pytest.param(path, id=path.stem) for path in DOCS if path.stem != "glossary"]
# Words of other projects that no sentence of the package uses where the glossary has one of its own.
FOREIGN = ("bounding box", "default box", "ground truth", "picture", "post-processing", "pyramid level")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENVIRONMENT = re.compile(r"^[A-Z_]+=\S*$")


def blocks(path, *kinds):
    """(line number, kind, text) of each fenced block of these kinds."""
    text = path.read_text(encoding="utf-8")
    found = [(text.count("\n", 0, hit.start(2)) + 1, hit[1].strip(), hit[2]) for hit in FENCE.finditer(text)]
    return [block for block in found if block[1] in kinds]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the pages take for granted: a few images in the working folder, and a cache of nobody's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_SSD_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name, size in (("street.jpg", (120, 160)), ("photos/a.jpg", (60, 90)), ("photos/b.png", (75, 50))):
        Image.fromarray(rng.integers(0, 256, (*size, 3), "uint8")).save(tmp_path / name)
    keras.utils.set_random_seed(0)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("path", WITH_CODE)
def test_values_of_every_block(path):
    names = {"__name__": path.stem}
    found = blocks(path, "python", "pycon")
    assert found, f"{path.name} shows no code"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False)
    for line, kind, text in found:
        if kind == "python":
            exec(compile("\n" * (line - 1) + text, str(path), "exec"), names)
            continue
        session = doctest.DocTestParser().get_doctest(text, names, path.name, str(path), line - 1)
        said = []
        runner.run(session, out=said.append, clear_globs=False)
        names = session.globs
        assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("path", PAGES)
def test_values_blocks_that_do_not_run_are_python_and_few(path):
    held_back = blocks(path, "python no-run")
    for _, _, text in held_back:
        ast.parse(text)
    assert len(held_back) <= 2


@pytest.mark.parametrize("path", PAGES)
def test_values_every_fence_is_of_a_known_kind(path):
    text = path.read_text(encoding="utf-8")
    fences = FENCE.findall(text)
    assert {kind.strip() for kind, _ in fences} <= {"python", "pycon", "python no-run", "sh", "text", "kotlin"}
    assert text.count("```") == 2 * len(fences)


@pytest.mark.parametrize(
    "path",
    [
        *PAGES,
        pytest.param(ROOT / "README.md", id="README"),
        pytest.param(ROOT / "examples" / "README.md", id="examples"),
    ],
)
def test_values_every_command_line_is_understood(path):
    from keras_ssd.cli.main import make_parser

    for _, _, text in blocks(path, "sh"):
        lines = [part for line in text.replace("\\\n", " ").splitlines() for part in line.split(" && ")]
        for line in filter(None, lines):
            words = shlex.split(line, comments=True)
            while words and ENVIRONMENT.match(words[0]):
                words.pop(0)
            if words[:1] == ["keras-ssd"]:
                make_parser().parse_args(words[1:])
            elif words[:1] == ["python"]:
                assert words[1] == "-m" or (ROOT / words[1]).is_file(), line
            else:
                assert words[:1] in ([], ["pip"], ["export"]), line


@pytest.mark.parametrize("path", PAGES)
def test_values_every_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (path.parent / target).exists(), target


def test_values_the_table_of_decoding_options_is_complete():
    from dataclasses import fields

    from keras_ssd import DecodeOptions

    text = (ROOT / "docs" / "decoding.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)=", text, re.MULTILINE)
    assert listed == [field.name for field in fields(DecodeOptions)]
    for field in fields(DecodeOptions):
        default = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
        assert f"| `{field.name}={default}` |" in text


def test_values_the_table_of_published_figures_is_the_catalogues():
    from keras_ssd import zoo

    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+\.[^`]+)` \| (.*) \|$", text, re.MULTILINE))
    for entry in zoo.entries(readable=True):
        rows = [f"{row.dataset} {row.measure} {row.value:g} ({row.source})" for row in entry.results]
        assert listed.pop(entry.name, "") == "; ".join(rows), entry.name
    assert not listed


def test_values_one_word_for_each_thing():
    """Docstrings of the package use the glossary's words; a first sentence may name the others in brackets."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    elsewhere = " ".join(line.split("|")[3] for line in text.splitlines() if line.count("|") == 4)
    assert not [word for word in FOREIGN if word not in elsewhere]
    found = []
    for path in sorted((ROOT / "keras_ssd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and (said := ast.get_docstring(node)):
                plain = re.sub(r"`[^`]*`|\([^)]*\)|^\s*>>>.*$", "", said, flags=re.MULTILINE).lower()
                found += [f"{path.name}: {word}" for word in FOREIGN if re.search(rf"\b{word}(e?s)?\b", plain)]
    assert not found
