"""run.json: what a training was asked for, so that it can be told and repeated."""

import argparse
import json
import platform
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_ssd.data import Dataset
    from keras_ssd.models import SSD

RUN = "run.json"
POSITIONAL = {"train": ("data",), "prune": ("weights", "data")}  # arguments without a name, of each command
NOT_TOLD = ("run", "parser", "command", "traceback", "needs_backend")


def write_run(
    out: Path,
    args: argparse.Namespace,
    plan: Any,
    train_set: "Dataset",
    validation_set: "Dataset | None",
    model: "SSD",
) -> None:
    """Writes what was asked for into the folder; a resumed training adds its command."""
    import keras
    import numpy as np

    from keras_ssd._version import __version__
    from keras_ssd.training.checkpoint import replacing

    path = out / RUN
    before = json.loads(path.read_text(encoding="utf-8"))["commands"] if args.resume and path.exists() else []
    facts = {
        "commands": [*before, _command(args)],
        "settings": plan.settings.to_dict(),
        "expected_seconds": plan.seconds and round(plan.seconds),
        "model": {"name": model.name, "parameters": model.count_params(), "input_size": model.input_size},
        "classes": train_set.classes,
        "train": {
            "name": train_set.name,
            "images": len(train_set),
            "objects": train_set.counts(),
            "left_out": _left_out(train_set),
        },
        "validation": validation_set
        and {
            "name": validation_set.name,
            "images": len(validation_set),
            "objects": validation_set.counts(),
            "left_out": _left_out(validation_set),
            "names": [annotation.name for annotation in validation_set],
        },
        "versions": {
            "keras_ssd": __version__,
            "keras": keras.__version__,
            "backend": keras.config.backend(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _left_out(dataset):
    """A line for each fault of the data that something was left out for."""
    return [str(problem) for problem in dataset.problems.faults if problem.done]


def _command(args):
    """The command line that means the same."""
    positional = POSITIONAL[args.command]
    words = ["keras-ssd", args.command, *(getattr(args, name) for name in positional)]
    for name, value in vars(args).items():
        if name in (*positional, *NOT_TOLD) or value in (None, False):
            continue
        words.append(f"--{name.replace('_', '-')}")
        if name == "input_size":
            words.append("x".join(map(str, value)))
        elif value is not True:
            words.append(",".join(value) if isinstance(value, tuple) else str(value))
    return shlex.join(words)
