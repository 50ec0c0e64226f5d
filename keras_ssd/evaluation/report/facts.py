"""The facts on the page: date, version, data, and detectors."""

import datetime
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_ssd._version import __version__
from keras_ssd.evaluation.figures import counted
from keras_ssd.evaluation.tables import ObjectTable

if TYPE_CHECKING:
    from keras_ssd.evaluation.report.page import Run

_SETTINGS = ("recipe", "epochs", "batch_size", "learning_rate", "augment", "precision", "seed")


def facts(runs: "Sequence[Run]", measure: str) -> list[tuple[str, str]]:
    """(name, value) pairs in the order of the page, for its `Run`s and the name of the measure."""
    first = runs[0].result
    truth = first.truth
    classes = counted(len(truth.class_names), "class", "classes")
    counts = f"{counted(len(truth.images), 'image')}, {counted(len(truth), 'object')}, {classes}"
    said = [
        ("date", today().isoformat()),
        ("version", f"keras_ssd {__version__}"),
        ("data", getattr(first.dataset, "name", "") or "not named"),
        ("", counts),
        ("fingerprint", fingerprint(truth)),
        ("measure", measure),
    ]
    for run in runs:
        said.append(("detector" if len(runs) == 1 else f"detector {run.letter}", run.name))
        said += _detector(run.result.origin)
    return said


def today() -> datetime.date:
    """The date on the page."""
    return datetime.date.today()


def fingerprint(truth: ObjectTable) -> str:
    """Sixteen digits that identify images, classes and boxes in their order."""
    digest = hashlib.sha256(json.dumps([list(truth.class_names), [str(name) for name in truth.images]]).encode())
    for array in (truth.image, truth.boxes_xyxy, truth.class_ids, truth.difficult, truth.crowd):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _detector(origin):
    if origin is None:
        return []
    height, width = origin.input_size
    size = "any size" if height is None or width is None else f"{height}\u00a0x\u00a0{width} pixels"
    said = [("network", f"{origin.network}, input {size}")]
    if origin.weights is not None:
        said.append(("weights", origin.weights))
    training = origin.training
    if training is None:
        return said
    planned = training.settings.get("epochs", training.epochs)
    done = counted(training.epochs, "epoch") if planned == training.epochs else f"{training.epochs} of {planned} epochs"
    rest = [
        f"{name.replace('_', ' ')} {training.settings[name]}"
        for name in _SETTINGS
        if name != "epochs" and training.settings.get(name) is not None
    ]
    said.append(("training", ", ".join([done, *rest])))
    return [*said, ("training set", training.data)] if training.data else said
