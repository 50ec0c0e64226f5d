"""The logs that were asked for, from before the first step to after the last measurement."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ssd._version import __version__
from keras_ssd.names import unknown_name
from keras_ssd.training.logs.log import Log, import_package
from keras_ssd.training.logs.mlflow_log import MLflowLog
from keras_ssd.training.logs.tensorboard_log import TensorBoardLog
from keras_ssd.training.logs.wandb_log import WandbLog

LOGS: dict[str, type[Log]] = {log.name: log for log in (MLflowLog, WandbLog, TensorBoardLog)}


def check_logs(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names of logs as a tuple, each once.

    Raises:
        ValueError: an unknown name.
        ImportError: a package is not installed; names the extra.
    """
    listed = (names,) if isinstance(names, str) else tuple(names or ())
    for name in listed:
        if name not in LOGS:
            raise ValueError(unknown_name("log", name, LOGS))
        import_package(LOGS[name])
    return tuple(dict.fromkeys(listed))


def facts_of(model: Any, train_set: Any, validation_set: Any, settings: Any, steps: int) -> dict[str, Any]:
    """{name: value} of what a log says about a training before its numbers.

    Args:
        model: `SSD`.
        train_set, validation_set: `Dataset`s; the second may be None.
        settings: `Settings`.
        steps: per epoch.
    """
    return {
        **settings.to_dict(),
        "model": model.name,
        "parameters": model.count_params(),
        "input_size": "{}x{}".format(*model.input_size),
        "anchors": model.anchor_spec.num_anchors,
        "classes": ", ".join(model.class_names),
        "training_images": len(train_set),
        "validation_images": 0 if validation_set is None else len(validation_set),
        "steps_per_epoch": steps,
        "backend": keras.config.backend(),
        "keras_ssd": __version__,
    }


class Logs:
    """A context that closes every log, whatever happens.

    Args:
        names: of `LOGS`, as `check_logs` gives them.
        out: the folder of the training.
    """

    def __init__(self, names: Sequence[str], out: Path) -> None:
        self.callbacks: list[Log] = [LOGS[name](out) for name in names]
        self._end: tuple[Mapping[str, float], int, str] = ({}, 0, "failed")

    def begin(self, facts: Mapping[str, Any], resume: bool) -> None:
        """Opens them all; `facts` are settings and what is known of model and data."""
        for log in self.callbacks:
            log.begin(facts, resume)

    def finish(self, history: Any) -> None:
        """Notes how the training ended: the APs of best and last model, and the model's own threshold.

        Args:
            history: `History`.
        """
        numbers: dict[str, float] = {}
        for name, measured in (("best", history.best_model), ("last", history.last_model)):
            if measured is not None:
                numbers[f"{name}_AP"] = measured.ap
        if history.best_model is not None:
            numbers["best_epoch"] = 0 if history.best is None else history.best["epoch"]
            if history.best_model.confidence is not None:
                numbers["confidence"] = history.best_model.confidence.value
        epoch = int(history.rows[-1]["epoch"]) if history.rows else 0
        self._end = numbers, epoch, "interrupted" if history.interrupted else "finished"

    def __enter__(self) -> "Logs":
        return self

    def __exit__(self, *_: object) -> None:
        for log in self.callbacks:
            if log.running:
                log.end(*self._end)
