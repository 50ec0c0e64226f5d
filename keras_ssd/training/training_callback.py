"""The callback that validates, keeps checkpoints and models, writes the log, and stops what diverges."""

import csv
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ssd.callbacks import Evaluate
from keras_ssd.data.batches import Batches, batch_names
from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation import evaluate
from keras_ssd.models.model import SSD
from keras_ssd.training import checkpoint
from keras_ssd.training.choosing import kept_row
from keras_ssd.training.interrupts import Interrupt
from keras_ssd.training.training_copy import write_averaged

BEST, LAST, LOG = "model.keras", "last.keras", "log.csv"
LEAST_START = 0.05  # AP from which on starting weights have learnt something
NAMED = 16  # images that an error names


class DivergedError(ValueError):
    """The loss or the weights became infinite or NaN.

    Attributes:
        images: names of the images in that batch.
    """

    def __init__(self, message: str, images: Iterable[str]) -> None:
        super().__init__(message)
        self.images: tuple[str, ...] = tuple(images)


class TrainingCallback(keras.callbacks.Callback):
    """Validates, writes checkpoints, models and the log, and stops a training that diverges.

    Keras's own callbacks know neither the averaged weights, nor files that are replaced as a whole, nor the names of
    images, nor measurements that are not made in every epoch.

    Args:
        kept: the model that is validated and saved; the callback's own `model` is the copy that is trained.
        source: `Batches` that the copy is trained on.
        validation_set: `Dataset` or None.
        out: the folder, a `Path`.
        facts: dictionary of what must be the same when the training is resumed.
        epochs: of the whole training.
        every: epochs from one measurement on the validation set to the next; the last epoch is always measured.
        patience: the training ends after so many epochs that are more than 0.005 AP below the best; None: it does not.
        measured: the model that is measured on the validation set, where that is not `kept`: a copy of its layers.

    Attributes:
        start: AP on the validation set of the weights that the training began with, as far as these find anything;
            else None. Where no epoch is better they stay the best model.
    """

    def __init__(
        self,
        kept: SSD,
        source: Batches,
        validation_set: Dataset | None,
        out: Path,
        facts: dict[str, Any],
        epochs: int,
        every: int = 1,
        patience: int | None = None,
        measured: SSD | None = None,
    ) -> None:
        super().__init__()
        self.kept: SSD = kept
        self.measured: SSD = kept if measured is None else measured
        self.source: Batches = source
        self.out: Path = out
        self.facts: dict[str, Any] = facts
        self.epochs: int = epochs
        self.every: int = every
        self.patience: int | None = patience
        self.rows: list[dict[str, Any]] = []
        self.interrupt: Interrupt | None = None
        self.interrupted: bool = False
        self._epoch, self._steps, self._began = 0, 0, 0.0
        self.start: float | None = None
        self._start_weights = None
        self._evaluation = None
        if validation_set is not None:
            self._evaluation = Evaluate(validation_set, "voc12", batch_size=source.batch_size, model=self.measured)

    @property
    def epochs_done(self) -> int:
        """Complete epochs."""
        return len(self.rows)

    @property
    def left_out(self) -> Any:
        """`Problems` of images that could not be read."""
        return self.source.left_out

    @property
    def has_ended(self) -> bool:
        """Whether all epochs are done, or the last `patience` ones are worse than the one to keep."""
        if self.epochs_done >= self.epochs:
            return True
        measured = [row for row in self.rows if math.isfinite(row.get("val_mAP", math.nan))]
        if self.patience is None or not measured:
            return False
        kept = kept_row(self.rows, self.start)
        return measured[-1]["epoch"] - (0 if kept is None else kept["epoch"]) >= self.patience

    def measure_start(self) -> None:
        """Measures the weights that the training begins with."""
        if self._evaluation is None:
            return
        tell = self._evaluation
        measured = evaluate(
            self.measured, tell.dataset, tell.measure, progress=False, engine="keras", **tell.options
        ).map
        if measured >= LEAST_START:
            self.start, self._start_weights = measured, self.kept.get_weights()

    def restore(self, trained: SSD) -> None:
        """Goes back to the checkpoint."""
        facts = checkpoint.load(self.out / checkpoint.NAME, trained)
        self.rows, self.start = _with_nan(facts["rows"]), facts.get("start")
        self._write_log()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._steps, self._began = epoch, 0, time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._steps = batch + 1
        loss = float(keras.ops.convert_to_numpy((logs or {}).get("loss", 0.0)))
        if not math.isfinite(loss):
            self._diverged(batch, f"the loss became {loss}")
        if self.interrupt is not None and self.interrupt.wanted:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        trained = self.model
        if self._steps < len(self.source):
            self.interrupted = True
            write_averaged(trained, self.kept)
            self._save_model(LAST)
            self._save_first()
            return
        if not all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in trained.weights):
            self._diverged(self._steps - 1, "the weights became infinite or NaN")
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(trained.optimizer.learning_rate))
        write_averaged(trained, self.kept)
        if self.measured is not self.kept:
            write_averaged(trained, self.measured)
        done = epoch + 1
        if self._evaluation is not None and (done % self.every == 0 or done == self.epochs):
            self._evaluation.on_epoch_end(epoch, logs)
        logs["seconds"] = round(time.perf_counter() - self._began, 3)
        self.rows.append({"epoch": epoch + 1, **{name: float(value) for name, value in logs.items()}})
        # The model first: a checkpoint that records a best model has its file beside it.
        if self._is_best():
            self._save_model(BEST)
        else:
            self._save_first()
        facts = {"identity": self.facts, "rows": _without_nan(self.rows), "start": self.start}
        checkpoint.save(self.out / checkpoint.NAME, trained, facts)
        self._write_log()
        if self.interrupt is not None and self.interrupt.wanted:
            self.interrupted = True
            trained.stop_training = True
        if self.has_ended:
            trained.stop_training = True

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if not self.interrupted:
            self._save_model(LAST)

    def _is_best(self):
        """Whether the last row is the one to keep of those that were measured; as long as nothing was, always."""
        if not any("val_mAP" in row for row in self.rows):
            return self.start is None
        if "val_mAP" not in self.rows[-1]:
            return False
        return kept_row(self.rows, self.start) is self.rows[-1]

    def _save_first(self):
        """Where there is no best model yet: the start if that finds anything, else the one of now."""
        now = self.kept.get_weights()
        if self._start_weights is not None:
            self.kept.set_weights(self._start_weights)
        self._save_model(BEST, only_if_missing=True)
        self.kept.set_weights(now)

    def _save_model(self, name, only_if_missing=False):
        path = self.out / name
        if not (only_if_missing and path.exists()):
            with checkpoint.replacing(path) as temporary:
                self.kept.save(temporary)

    def _write_log(self):
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with (
            checkpoint.replacing(self.out / LOG) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)

    def _diverged(self, batch, what):
        # The source may be an epoch ahead: its threads are.
        names = batch_names(self.source, self._epoch, batch)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        kept = f"Epoch {self.epochs_done} is kept." if self.rows else "No epoch was complete before."
        raise DivergedError(
            f"In epoch {self._epoch + 1}, step {batch + 1}, {what}. The images of that step: "
            f"{', '.join(names[:NAMED])}{more}. {kept} A lower learning rate is the usual remedy; if it happens at "
            "once, look at the boxes of these images.",
            names,
        )


def _without_nan(rows):
    """JSON has no NaN."""
    return [{key: None if math.isnan(value) else value for key, value in row.items()} for row in rows]


def _with_nan(rows):
    return [{key: math.nan if value is None else value for key, value in row.items()} for row in rows]
