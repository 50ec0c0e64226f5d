"""What the logs of a training have in common: when they begin, what they get after an epoch, how they end."""

import contextlib
import importlib
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras

from keras_ssd.training.checkpoint import replacing

RUNS = "log.json"  # which run of a service a training belongs to, for resuming
FILES = ("model.keras", "curves.png", "predictions.png", "log.csv", "run.json")  # kept with the numbers


class Log(keras.callbacks.Callback):
    """Sends the numbers of each epoch to a service.

    Keras's callback for TensorBoard and the one of Weights & Biases need TensorFlow, and no ready callback knows the
    last measurements, the settings and the files of a training. So each subclass calls its library's functions for
    logging, which work on every backend.

    What fails after the beginning, such as a connection, ends the log with a warning and not the training.

    Args:
        out: the folder of the training.
    """

    name: ClassVar[str]  # of the option, and of the extra
    title: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out: Path = out
        self.running: bool = False

    def begin(self, facts: Mapping[str, Any], resume: bool) -> None:
        """Opens the run, or goes on with that of the training that is resumed.

        Args:
            facts: {name: value} of the settings.
            resume: whether the training is resumed.

        Raises:
            ValueError: the service refuses.
        """
        before = _runs(self.out).get(self.name) if resume else None
        try:
            run = self._open(facts, before)
        except ImportError:
            raise
        except Exception as error:  # each service has classes of its own
            with contextlib.suppress(Exception):
                self._close("failed")
            raise ValueError(
                f"{self.title} cannot be logged to: {_first_line(error)}.{self._advice(before)}"
            ) from error
        self.running = True
        if run is not None:
            with replacing(self.out / RUNS) as temporary:
                temporary.write_text(json.dumps(_runs(self.out) | {self.name: run}) + "\n", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs and "seconds" in logs:  # the epoch is complete
            self._try(self._write, _finite(logs), epoch + 1)

    def end(self, numbers: Mapping[str, float], epoch: int, status: str) -> None:
        """Hands over the last measurements and the files, and closes the run.

        Args:
            numbers: {name: value}.
            epoch: the last one.
            status: "finished", "interrupted" or "failed".
        """
        if numbers:
            self._try(self._write_end, _finite(numbers), epoch)
        files = [self.out / name for name in FILES if (self.out / name).is_file()]
        if status != "failed" and files:
            self._try(self._keep, files, epoch)
        self._try(self._close, status)
        self.running = False

    def _try(self, function, *arguments):
        if not self.running:
            return
        try:
            function(*arguments)
        except Exception as error:  # whatever a service raises must not cost the training
            self.running = False
            logging.getLogger("keras_ssd").warning(
                "%s takes nothing more: %s. The training goes on without it; its numbers are in %s.",
                self.title,
                _first_line(error),
                self.out / "log.csv",
            )

    def _advice(self, before):
        return "" if before is None else f" To begin a new run there, delete {self.out / RUNS} and resume again."

    def _import(self):
        return import_package(self)

    def _open(self, facts: Mapping[str, Any], before: str | None) -> str | None:
        """Begins a run or goes on with one; gives its name at the service."""
        raise NotImplementedError

    def _write(self, numbers: Mapping[str, float], epoch: int) -> None:
        raise NotImplementedError

    def _write_end(self, numbers: Mapping[str, float], epoch: int) -> None:
        self._write(numbers, epoch)

    def _keep(self, files: list[Path], epoch: int) -> None:
        raise NotImplementedError

    def _close(self, status: str) -> None:
        raise NotImplementedError


def import_package(log: Log | type[Log]) -> Any:
    """The library of a log.

    Raises:
        ImportError: it is not installed; names the extra.
    """
    try:
        return importlib.import_module(log.package)
    except ImportError as error:
        raise ImportError(
            f"Logging to {log.title} needs the package `{log.package}`: pip install 'keras-ssd[{log.name}]'"
        ) from error


def _runs(out):
    """{name of a log: run} of a training."""
    path = out / RUNS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _finite(numbers):
    """The numbers as floats, without those of classes that have no objects."""
    floats = {name: float(value) for name, value in numbers.items()}
    return {name: value for name, value in floats.items() if math.isfinite(value)}


def _first_line(error):
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")
