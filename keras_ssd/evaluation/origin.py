"""Where detections come from: the network, its weights, and how they were trained, as far as files say."""

import csv
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments

_LOG, _RUN = "log.csv", "run.json"  # what a training leaves beside its model
_TAIL = 0.2  # of the epochs, at the end: still rising if these are better than all before
_RISE, _FALL = 0.01, 0.03  # of mAP, and of the loss as a share, that count as progress


@dataclasses.dataclass(frozen=True)
class Training:
    """How weights were trained.

    Args:
        rows: tuple of dictionaries, an epoch each: "epoch", "loss", and "val_mAP" where it was measured.
        settings: dictionary of what the training was asked for; empty if unknown.
        data: name and number of images of the training set, "" if unknown.
    """

    rows: tuple[dict[str, float], ...]
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    data: str = ""

    @property
    def epochs(self) -> int:
        """How many are complete."""
        return len(self.rows)

    def progress(self) -> tuple[str, float, float] | None:
        """How the last epochs went: ("val_mAP" or "loss", best value before, best value at the end) where they are
        still clearly better than all before; None where they are not, or where one epoch is all there is."""
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
    """The detector behind a result.

    Args:
        network: the model's name.
        input_size: (height, width) in pixels.
        weights: their name or file, None if unknown.
        training: `Training`, None if unknown.
        confidence: the score from which the model's own threshold shows detections, None if it has none.
    """

    network: str
    input_size: tuple[int, int]
    weights: str | None = None
    training: Training | None = None
    confidence: float | None = None


@checked_arguments
def origin_of(model: Any, weights: str | os.PathLike[str] | None = None) -> Origin:
    """The `Origin` of a model, with the training whose log lies beside a file of weights.

    Args:
        model: `SSD`, or another Keras model.
        weights: name or path of what was loaded.
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
    """The `Training` of which files lie beside a file of weights, or None; a file that cannot be read tells nothing."""
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
