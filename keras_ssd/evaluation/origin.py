"""The network of a result, its weights and their training, as far as files tell."""

import csv
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments

_LOG, _RUN = "log.csv", "run.json"  # files of a training beside its model
_TAIL = 0.2  # share of the epochs, at the end: still rising if these are better than all before
_RISE, _FALL = 0.01, 0.03  # of mAP, and of the loss as a share, that count as progress


@dataclasses.dataclass(frozen=True)
class Training:
    """How weights were trained.

    Args:
        rows: tuple of dictionaries, one per epoch: "epoch", "loss", and "val_mAP" if it was measured.
        settings: dictionary of the training's settings; empty if unknown.
        data: name and number of images of the training set, "" if unknown.
    """

    rows: tuple[dict[str, float], ...]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: str = ""

    @property
    def epochs(self) -> int:
        """Number of complete epochs."""
        return len(self.rows)

    def progress(self) -> tuple[str, float, float] | None:
        """("val_mAP" or "loss", best value before the last epochs, best value in them) if they were still better.

        None if they were not clearly better, or after one epoch.
        """
        tail = max(1, round(_TAIL * self.epochs))
        measured = [row.get("val_mAP", math.nan) for row in self.rows]
        if any(value > 0 for value in measured):
            before, end = _best(max, measured[:-tail]), _best(max, measured[-tail:])
            return ("val_mAP", before, end) if end - before >= _RISE else None
        losses = [row.get("loss", math.nan) for row in self.rows]
        before, end = _best(min, losses[:-tail]), _best(min, losses[-tail:])
        return ("loss", before, end) if before - end >= _FALL * before else None


@dataclasses.dataclass(frozen=True)
class Origin:
    """The detector of a result.

    Args:
        network: the model's name.
        input_size: (height, width) in pixels.
        weights: their name or file, None if unknown.
        training: `Training`, None if unknown.
        confidence: the model's own confidence threshold, None if it has none.
    """

    network: str
    input_size: tuple[int, int]
    weights: str | None = None
    training: Training | None = None
    confidence: float | None = None


@checked_arguments
def origin_of(model: Any, weights: str | os.PathLike[str] | None = None) -> Origin:
    """The `Origin` of a model, with the training whose log is beside the file of weights.

    Args:
        model: `SSD`, or another Keras model.
        weights: name or path of the weights.
    """
    size = getattr(model, "input_size", None) or tuple(model.input_shape[1:3])
    own = getattr(model, "confidence", None)
    return Origin(
        model.name,
        tuple(size),
        None if weights is None else str(weights),
        read_training(weights),
        None if own is None else own.value,
    )


def read_training(weights: str | os.PathLike[str] | None) -> Training | None:
    """The `Training` from the files beside a file of weights; None if they are missing or unreadable."""
    if weights is None or not Path(weights).is_file():
        return None
    folder = Path(weights).parent
    rows = _rows(folder / _LOG)
    if not rows:
        return None
    try:
        run = json.loads((folder / _RUN).read_text(encoding="utf-8"))
        train = run["train"]
        return Training(rows, dict(run["settings"]), f"{train['name']}, {train['images']} images")
    except (OSError, ValueError, KeyError, TypeError):
        return Training(rows)


def _rows(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            read = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError):
        return ()
    return tuple(row for row in read if "epoch" in row)


def _best(function, values):
    return function((value for value in values if math.isfinite(value)), default=math.nan)
