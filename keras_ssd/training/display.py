"""What a training shows while it runs: bars on a terminal, one line per epoch elsewhere."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import keras

SHOWN = {
    "loss": "loss",
    "localization_loss": "boxes",
    "confidence_loss": "classes",
    "learning_rate": "rate",
    "val_mAP": "AP50",
    "seconds": "seconds",
}
RATE_EVERY = 10  # steps; asking for it makes JAX bring its state back


@contextlib.contextmanager
def display_for(wanted: bool, epochs: int, steps: int) -> "Iterator[list[keras.callbacks.Callback]]":
    """Yields a list with the callback that shows progress, or an empty one."""
    if not wanted:
        yield []
    elif not sys.stderr.isatty():
        yield [Lines(epochs)]
    else:
        with _bars() as bars:
            yield [Bars(bars, epochs, steps)]


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """The line of one epoch."""
    parts = [f"{title} {_number(name, row[name])}" for name, title in SHOWN.items() if name in row]
    return f"epoch {int(row['epoch'])}/{epochs}: " + ", ".join(parts)


def _number(name, value):
    value = float(value)
    if name == "learning_rate":
        return f"{value:.2e}"
    return f"{value:.1f}" if name == "seconds" else f"{value:.3f}"


class Lines(keras.callbacks.Callback):
    """A line per epoch on standard error, for logs of jobs."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs: int = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs and "seconds" in logs:
            print(epoch_line({"epoch": epoch + 1, **logs}, self.epochs), file=sys.stderr, flush=True)


def _bars():
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[numbers]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=Console(stderr=True))


class Bars(keras.callbacks.Callback):
    """One bar for the whole training with its time left, with the numbers of the epoch in progress."""

    def __init__(self, bars: Any, epochs: int, steps: int) -> None:
        super().__init__()
        self.bars: Any = bars
        self.epochs: int = epochs
        self.steps: int = steps
        self.task: Any = None
        self.learning_rate: Any = 0.0
        self.measured: dict[str, Any] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.task is None:
            total, done = self.epochs * self.steps, epoch * self.steps
            self.task = self.bars.add_task("", total=total, completed=done, numbers="")
        self.bars.update(self.task, description=f"epoch {epoch + 1}/{self.epochs}")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if batch % RATE_EVERY == 0:
            self.learning_rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        values = {name: keras.ops.convert_to_numpy(value) for name, value in (logs or {}).items() if name in SHOWN}
        values |= {"learning_rate": self.learning_rate, **self.measured}
        numbers = ", ".join(f"{title} {_number(name, values[name])}" for name, title in SHOWN.items() if name in values)
        self.bars.update(self.task, advance=1, numbers=numbers)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        self.measured |= {"val_mAP": logs["val_mAP"]} if "val_mAP" in logs else {}
        if "seconds" in logs:
            self.bars.console.print(epoch_line({"epoch": epoch + 1, **logs}, self.epochs), highlight=False)
