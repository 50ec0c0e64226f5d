"""The quick suite reaches every module of the package, and its list names what is there."""

import ast
import re
from pathlib import Path

from conftest import quick_names
from test_package import PACKAGE, dotted, imports_of, modules

import keras_ssd
from keras_ssd import exporting, training
from keras_ssd.cli.main import COMMANDS

TESTS = Path(__file__).parent


def files_of_tests():
    return {name.partition("::")[0] for name in quick_names()}


def named(text, known, mentions=False):
    """Modules that code imports, or just mentions; public names stand for the modules that have them."""
    names = imports_of(ast.parse(text), running=True)
    names |= set(re.findall(r"keras_ssd(?:\.\w+)+", text)) if mentions else set()
    parts = [name.split(".") for name in names]
    names = {".".join(words[:count]) for words in parts for count in range(2, len(words) + 1)}
    homes = {f"keras_ssd.{name}": home for name, home in keras_ssd._HOME.items() if home != "keras_ssd"}
    homes |= {f"keras_ssd.training.{name}": f"keras_ssd.training.{home}" for name, home in training._LATER.items()}
    homes |= {f"keras_ssd.exporting.{name}": home for name, home in exporting._HOME.items()}
    return {part for name in names for part in (name, homes.get(name))} & known


def reached(files):
    """The modules of the package that these files of tests import, directly, by their helpers, or further on."""
    sources = {dotted(path): path.read_text(encoding="utf-8") for path in modules()}
    found, waiting = set(), {TESTS / name for name in files}
    seen = set(waiting)
    while waiting:
        text = waiting.pop().read_text(encoding="utf-8")
        found |= named(text, sources.keys(), mentions=True)
        helpers = {TESTS / f"{name.partition('.')[0]}.py" for name in imports_of(ast.parse(text))}
        new = {path for path in helpers if path.is_file()} - seen
        seen |= new
        waiting |= new
    if "keras_ssd.cli.main" in found:
        found |= {f"keras_ssd.cli.{command}" for command in COMMANDS}
    waiting = set(found)
    while waiting:
        new = named(sources[waiting.pop()], sources.keys()) - found
        found |= new
        waiting |= new
    return found


def test_values_the_quick_suite_reaches_every_module():
    every = {dotted(path) for path in modules()} - {"keras_ssd", "keras_ssd.__main__"}
    assert every - reached(files_of_tests()) == set()
    assert "keras_ssd.exporters.onnx.exporting" not in reached(["test_boxes_coding.py"])


def test_values_the_list_names_what_is_there():
    for name in quick_names():
        file, _, test = name.partition("::")
        text = (TESTS / file).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, name
    assert PACKAGE.is_dir()
