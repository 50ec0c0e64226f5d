"""An error about a package that is not installed names the extra that brings it, as pyproject.toml spells it."""

import argparse
import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from keras_ssd.cli.main import main

ROOT = Path(__file__).parents[1]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
NAMED = re.compile(r"keras-ssd\[([^\]{}]+)\]")


def called(module, function, *arguments):
    return lambda: getattr(importlib.import_module(f"keras_ssd.{module}"), function)(*arguments)


def said_by(capsys, *words):
    assert main(list(words)) == 2
    return capsys.readouterr().err


PACKAGES = {  # as one imports it -> (as one installs it, extra, what needs it)
    "jinja2": ("jinja2", "report", called("evaluation.report.writing", "_import_jinja2")),
    "onnx": ("onnx", "onnx", called("exporters.onnx.proto", "import_onnx")),
    "onnxruntime": ("onnxruntime", "onnx", called("exporters.onnx.checking", "check_onnx", "a.onnx", None)),
    "openvino": ("openvino", "fast", called("engines.choosing", "choose", None, "openvino")),
    "faster_coco_eval": ("faster-coco-eval", "coco", called("evaluation.metrics.coco_library", "import_library")),
    "uvicorn": ("uvicorn", "serve", called("serving.settings", "check_packages")),
    "optuna": ("optuna", "tune", called("tuning.study", "import_optuna")),
    "tensorboard": ("tensorboard", "tensorboard", called("training.logs.logs", "check_logs", "tensorboard")),
    "mlflow": ("mlflow", "mlflow", called("training.logs.logs", "check_logs", "mlflow")),
    "wandb": ("wandb", "wandb", called("training.logs.logs", "check_logs", "wandb")),
    "ai_edge_quantizer": ("ai-edge-quantizer", "tflite", called("exporting.tflite.quantizing", "_quantizer")),
    "scipy.optimize": ("scipy", "track", called("tracking.association", "assigned", None)),
    "av": ("av", "video", called("video.errors", "load_av")),
    "shtab": ("shtab", "completion", None),
}
APART = {"mlflow", "wandb", "tflite"}  # bring so much that `full` leaves them out


def packages_of(extra):
    """The names that an extra installs, those of extras in it too."""
    found = set()
    for requirement in EXTRAS[extra]:
        inner = NAMED.match(requirement)
        found |= (
            set().union(*map(packages_of, inner[1].split(","))) if inner else {re.match(r"[\w.-]+", requirement)[0]}
        )
    return found


@pytest.mark.parametrize("module", PACKAGES)
def test_values_a_missing_package_is_named_with_its_extra(module, monkeypatch, capsys):
    package, extra, call = PACKAGES[module]
    monkeypatch.setitem(sys.modules, module, None)
    if call is None:
        message = said_by(capsys, "completion", "bash")
    else:
        with pytest.raises(ImportError) as caught:
            call()
        message = str(caught.value)
    assert f"needs the package `{package}`" in message
    assert f"pip install 'keras-ssd[{extra}]'" in message
    assert package in packages_of(extra)
    assert (package in packages_of("full")) == (extra not in APART)


def test_values_the_shell_asks_for_the_report_package_before_any_work(monkeypatch, tmp_path):
    from keras_ssd.cli.evaluate import _check_report

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"`jinja2`: pip install 'keras-ssd\[report\]'"):
        _check_report(argparse.Namespace(report=str(tmp_path / "report")))


def test_values_every_extra_that_is_named_exists():
    sources = [*(ROOT / "keras_ssd").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    found = {name for path in sources for hit in NAMED.findall(path.read_text("utf-8")) for name in hit.split(",")}
    assert found >= {"onnx", "coco", "report", "completion"}
    assert found <= set(EXTRAS)


def test_values_packages_without_an_error_are_optional_everywhere():
    """OpenCV only makes resizing faster, and KerasHub's backbones are handed in by whoever imported it."""
    from keras_ssd._environment import EXTRAS as BACKENDS

    with_errors = {extra for _, extra, _ in PACKAGES.values()} | set(BACKENDS)
    assert set(EXTRAS) - with_errors == {"cv", "hub", "full", "test", "dev"}
