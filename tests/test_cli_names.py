"""An option of the shell bears the name of the Python argument that it sets; older names still work."""

import argparse
import inspect

import pytest

import keras_ssd
from keras_ssd.benchmarking import benchmark, side_by_side
from keras_ssd.cli.main import make_parser as command_parser
from keras_ssd.data import contact_sheet, read, write
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation import collect, evaluate, read_detections
from keras_ssd.models.opening import FACTORIES
from keras_ssd.serving.settings import Settings

FACTORY_ARGUMENTS = {name for factory in FACTORIES.values() for name in inspect.signature(factory).parameters}
# What each command hands its options to.
CALLED = {
    "anchors fit": (keras_ssd.anchors.fit, read, *FACTORIES.values()),
    "anchors report": (keras_ssd.anchors.report, read, *FACTORIES.values()),
    "anchors show": (keras_ssd.anchors.draw_anchors, *FACTORIES.values()),
    "benchmark": (benchmark, keras_ssd.open_model, read),
    "convert": (keras_ssd.from_caffe, keras_ssd.to_onnx, keras_ssd.open_model),
    "data check": (read, Dataset.report),
    "data convert": (read, write),
    "data show": (read, contact_sheet, Dataset.sample),
    "demo": (keras_ssd.demo,),
    "detect": (keras_ssd.detect, keras_ssd.video.track, keras_ssd.open_model),
    "doctor": (keras_ssd.open_model,),
    "evaluate": (evaluate, collect, read, read_detections, keras_ssd.open_model),
    "export": (keras_ssd.export, keras_ssd.open_model, read),
    "label": (keras_ssd.label, keras_ssd.open_model),
    "prune": (keras_ssd.prune, side_by_side, keras_ssd.train, keras_ssd.open_model, read, *FACTORIES.values()),
    "serve": (Settings, keras_ssd.open_model),
    "train": (keras_ssd.train, keras_ssd.open_model, keras_ssd.data.batches, read, *FACTORIES.values()),
    "tune": (keras_ssd.tune, keras_ssd.train, keras_ssd.open_model, read, *FACTORIES.values()),
    "zoo download": (keras_ssd.zoo.download,),
    "zoo list": (keras_ssd.zoo.entries,),
}
# What a shell alone needs: files to write, forms of output, and what stands for an object of Python.
SHELL_ALONE = {
    "all", "anchors", "augment", "classes", "compare", "csv_columns", "data", "decode", "detections", "export_float16",
    "first_label", "float16", "format", "int8", "json", "model", "out", "quiet", "report", "to", "traceback",
    "host", "port", "workers",  # of a server
    "count_line", "show", "trace", "track", "zone",  # what a video is made into
    "augments", "input_sizes", "rates", "widths",  # the space of `keras_ssd.tune`
}  # fmt: skip
OLD_NAMES = [
    ("anchors fit", ["x", "--iou", "0.4"], "iou_threshold", 0.4),
    ("anchors report", ["x", "--iou", "0.4"], "iou_threshold", 0.4),
    ("anchors show", ["x", "--out", "y", "--iou", "0.4"], "iou_threshold", 0.4),
    ("convert", ["x", "--out", "y", "--labels", "voc"], "class_names", "voc"),
    ("convert", ["x", "--out", "y", "--image", "voc"], "check_with", "voc"),
    ("convert", ["x", "--out", "y", "--keep-fractions"], "truncate_sizes", False),
    ("convert", ["x", "--out", "y"], "truncate_sizes", True),
    ("data check", ["x", "--labels", "voc"], "class_names", "voc"),
    ("data convert", ["x", "--to", "voc", "--out", "y", "--labels", "voc"], "class_names", "voc"),
    ("data show", ["x", "--labels", "voc"], "class_names", "voc"),
    ("detect", ["x", "-w", "y", "--iou", "0.4"], "iou_threshold", 0.4),
    ("detect", ["x", "-w", "y", "--labels", "voc"], "class_names", "voc"),
    ("detect", ["x", "-w", "y", "--fps", "5"], "frame_rate", 5.0),
    ("doctor", ["x", "--labels", "voc"], "class_names", "voc"),
    ("evaluate", ["x", "--iou", "0.4"], "iou_threshold", 0.4),
    ("evaluate", ["x", "--labels", "voc"], "class_names", "voc"),
    ("evaluate", ["x", "--format", "coco"], "save_format", "coco"),
    ("train", ["x", "--out", "y", "--labels", "voc"], "weights_classes", "voc"),
    ("train", ["x", "--out", "y", "--class-names", "voc"], "weights_classes", "voc"),
    ("train", ["x", "--out", "y", "--validation", "none"], "validation_set", "none"),
    ("zoo download", ["x", "--format", "onnx"], "formats", ["onnx"]),
]


def parsers(parser=None, path=()):
    """(name, parser) of every command."""
    parser = parser or command_parser()
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield " ".join(path), parser
    for action in inner:
        for name, child in action.choices.items():
            yield from parsers(child, (*path, name))


@pytest.mark.parametrize("name", sorted(CALLED))
def test_values_options_bear_the_names_of_arguments(name):
    known = {argument for function in CALLED[name] for argument in inspect.signature(function).parameters}
    for function in CALLED[name]:
        known |= getattr(function, "second_names", {}).keys()
    # An option without its own argument is one of a file, an output, or an object; all others are named alike.
    [parser] = [parser for other, parser in parsers() if other == name]
    options = [action for action in parser._actions if action.option_strings and action.dest != "help"]
    for action in options:
        first = action.option_strings[0].removeprefix("--").removeprefix("no-").replace("-", "_")
        assert first in known | SHELL_ALONE, f"{name} {action.option_strings[0]}"
        assert action.dest in (first, f"no_{first}"), f"{name} {action.option_strings[0]}"


def test_values_every_command_with_options_is_compared():
    apart = {"completion", "data", "zoo show", "zoo inspect", "anchors"}
    assert {name for name, _ in parsers()} - apart == set(CALLED)


@pytest.mark.parametrize(("name", "words", "argument", "value"), OLD_NAMES)
def test_values_older_names_still_work(name, words, argument, value):
    assert getattr(command_parser().parse_args([*name.split(), *words]), argument) == value
