"""`train`: from a model and annotated images to a trained model, in a folder that a training can go on from."""

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ssd import models
from keras_ssd.calling import checked_arguments
from keras_ssd.data.batches import batches
from keras_ssd.data.dataset import Dataset
from keras_ssd.losses import SSDLossMetric
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector
from keras_ssd.training import checkpoint, finishing, report
from keras_ssd.training.display import display_for
from keras_ssd.training.fresh import fresh_folder
from keras_ssd.training.interrupts import Interrupt
from keras_ssd.training.pace import measured_pace
from keras_ssd.training.settings import Settings, identity
from keras_ssd.training.training_callback import BEST, LAST, Keeper
from keras_ssd.training.training_copy import twin_of

MOST_BYTES_IN_MEMORY = 1 << 30


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training is about to do.

    Args:
        settings: `Settings`, with the epochs that fit into the time where only that was given.
        steps: an epoch.
        every: epochs from one measurement on the validation set to the next.
        patience: epochs without a better measurement after which it ends; None for all epochs.
        seconds: that it will take at most, as measured on a few steps; None where they were not timed.
    """

    settings: Settings
    steps: int
    every: int
    patience: int | None
    seconds: float | None


@dataclasses.dataclass(frozen=True)
class History:
    """What a training did.

    Args:
        rows: a dictionary an epoch: epoch (from 1), loss and its parts, rate, seconds, and val_mAP where it was
            measured, with "val_AP <class>" of each class.
        out: the folder.
        interrupted: whether it ended early, at a Ctrl-C or after `stop_after` epochs.
        left_out: `Problems` of images that turned out to be unreadable during the training.
        best_model, last_model: `Measured`, the two models on the validation set; None without one, or before the end.
        start: AP on the validation set before the first step; None without a set, or where nothing was found.
    """

    rows: tuple
    out: Path
    interrupted: bool = False
    left_out: tuple = ()
    best_model: finishing.Measured | None = None
    last_model: finishing.Measured | None = None
    start: float | None = None

    @property
    def best(self):
        """The row with the highest val_mAP; None without validation."""
        measured = [
            row for row in reversed(self.rows) if math.isfinite(row.get("val_mAP", math.nan))
        ]  # of equals the later one
        return max(measured, key=lambda row: row["val_mAP"], default=None)


@checked_arguments
def train(
    model: SSD,
    train_set: Dataset,
    validation_set: Dataset | None = None,
    *,
    out: str | os.PathLike,
    epochs: int | None = None,
    minutes: float | None = None,
    patience: int | None = None,
    batch_size: int = 8,
    recipe: Any = "small-data",
    learning_rate: float | None = None,
    augment: Any = "light",
    loss: keras.losses.Loss | None = None,
    seed: int = 0,
    precision: str = "float32",
    resume: bool = False,
    stop_after: int | None = None,
    workers: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    display: bool = True,
    planned: Callable[[Plan], Any] | None = None,
):
    """Trains a detector and keeps the best.

    The folder `out` always holds what is needed to go on: `checkpoint.h5` is replaced as a whole after each epoch, so
    a killed training loses at most the epoch it was in, and one that is resumed ends with the weights, to the bit on
    a CPU, of one that was not stopped. `model.keras` is the model to use: the best on the validation set, which may be
    the one that the training began with, or the last where there is none. Where the recipe averages weights, these are
    the averages. Ctrl-C ends after the step in progress and leaves both files, too. A training that fails before its
    first epoch is complete leaves no folder.

    Args:
        model: `SSD` of raw predictions; at the end it has the weights of `model.keras`. Layers with
            `trainable=False` stay as they are.
        train_set: `keras_ssd.data.Dataset` with the model's classes.
        validation_set: another one, whose mean AP at IoU 0.5 is measured after each epoch; or None.
        out: folder to write to; made if it is missing.
        epochs, batch_size, recipe, learning_rate, augment, seed, precision: see `Settings`. Without `epochs` they
            follow from `minutes`.
        minutes: that the training may take; a few steps are timed, and as many epochs are done as fit. The schedule of
            the rate comes to its end in them.
        patience: end when so many epochs brought no better measurement on the validation set; None for all epochs.
        loss: `SSDLoss`; None is the recipe's.
        resume: go on from the checkpoint in `out`, with the same settings.
        stop_after: end after this epoch, to be resumed later; the schedule is still made for all `epochs`.
        workers: threads that make batches; None is one a processor.
        callbacks: more Keras callbacks; their `model` is a copy that is trained. `val_mAP` is among their logs.
        display: whether to show progress.
        planned: function that is called with the `Plan` when all is checked, before the first step. A few steps are
            timed for it.

    Returns:
        `History`.

    Raises:
        ValueError: settings out of range, data of other classes, a folder that holds a training already, or none to
            resume, or one with other settings.
        DivergedError: the loss became infinite or NaN; names the images.
        DataError: an image cannot be read, and the data were not read with a policy that leaves it out.

    Example:
        >>> data = keras_ssd.data.read_splits("BCCD", policy="drop")
        >>> model = keras_ssd.ssd_small(classes=data["train"].classes, anchors="cells")
        >>> history = keras_ssd.train(model, data["train"], data["val"], out="runs/cells", epochs=60)
    """
    out, model = Path(out), as_detector(model)
    if epochs is None and minutes is None:
        raise ValueError("`epochs` or `minutes` must say how long to train. Received: epochs=None, minutes=None")
    if minutes is not None and not minutes > 0:
        raise ValueError(f"`minutes` must be positive. Received: minutes={minutes!r}")
    if epochs is None and resume:
        epochs = checkpoint.read_facts(out / checkpoint.NAME)["identity"]["epochs"]
    settings = Settings(1 if epochs is None else epochs, batch_size, recipe, learning_rate, augment, seed, precision)
    loss = loss or settings.loss(model.decoding)
    _check_validation(validation_set, model)
    facts = identity(model, train_set, validation_set, settings, loss)
    _check_folder(out, facts, resume)
    twin = twin_of(model, precision)
    source = _source(train_set, twin, settings, workers)
    _compile(twin, settings, loss, len(source))
    pace = None
    if epochs is None or planned is not None:
        pace = measured_pace(twin, source, validation_set, model)
    if epochs is None:
        settings = dataclasses.replace(settings, epochs=pace.epochs_within(60 * minutes, len(source)))
        _compile(twin, settings, loss, len(source))
        facts = identity(model, train_set, validation_set, settings, loss)
    plan = _plan(settings, len(source), validation_set, patience, pace)
    keeper = Keeper(model, source, validation_set, out, facts, settings.epochs, plan.every, plan.patience)
    if resume:
        keeper.restore(twin)
    last = min(settings.epochs, stop_after or settings.epochs)
    try:
        with (
            fresh_folder(out, lambda: keeper.rows or keeper.interrupted),
            Interrupt() as interrupt,
            display_for(display, settings.epochs, len(source)) as shown,
        ):
            keeper.interrupt = interrupt
            if planned is not None:
                planned(plan)
            if not keeper.rows:
                keeper.measure_start()
            if keeper.epochs_done < last and not keeper.has_ended:
                twin.fit(
                    source,
                    epochs=last,
                    initial_epoch=keeper.epochs_done,
                    verbose=0,
                    shuffle=False,
                    callbacks=[keeper, *report.tensorboard(out), *callbacks, *shown],
                )
    finally:
        source.close()
    return _finished(model, keeper, train_set, validation_set)


def _compile(twin, settings, loss, steps):
    optimizer = settings.optimizer(steps * settings.epochs)
    twin.compile(optimizer=optimizer, loss=loss, metrics=[SSDLossMetric(loss)])
    optimizer.build(twin.trainable_variables)


def _plan(settings, steps, validation_set, patience, pace):
    every = 1 if pace is None or validation_set is None else pace.every(steps)
    seconds = None if pace is None else pace.seconds(settings.epochs, steps)
    return Plan(settings, steps, every, None if validation_set is None else patience, seconds)


def _finished(model, keeper, train_set, validation_set):
    interrupted = keeper.interrupted or not keeper.has_ended
    history = History(tuple(keeper.rows), keeper.out, interrupted, keeper.left_out, start=keeper.start)
    best = None
    if validation_set is not None and not interrupted:
        batch_size = keeper.source.batch_size
        best, best_model = finishing.measure(keeper.out / BEST, validation_set, batch_size)
        _, last_model = finishing.measure(keeper.out / LAST, validation_set, batch_size)
        history = dataclasses.replace(history, best_model=best_model, last_model=last_model)
        if best.confidence is not None:
            model.confidence = best.confidence
    elif (keeper.out / BEST).is_file():
        best = models.load(keeper.out / BEST)
    if best is not None:
        model.set_weights(best.get_weights())
    if history.rows:
        report.write(model, history, train_set if validation_set is None else validation_set)
    return history


def _check_folder(out, facts, resume):
    """Refuses to write over a training, or to go on with another."""
    path = out / checkpoint.NAME
    if not resume:
        taken = [name for name in (checkpoint.NAME, BEST, LAST) if (out / name).exists()]
        if taken:
            raise ValueError(
                f"{out} holds a training already ({', '.join(taken)}). Resume it, or choose another folder."
            )
        return
    before = checkpoint.read_facts(path)["identity"]
    other = [
        f"{name} was {before.get(name)}, now {value}" for name, value in facts.items() if before.get(name) != value
    ]
    if other:
        raise ValueError(
            f"{path} is of a training with other settings: {'; '.join(other)}. A training goes on with the settings it "
            "began with; for others begin a new one, in another folder, from its model.keras."
        )


def _check_validation(dataset, model):
    if dataset is None:
        return
    if tuple(dataset.classes) != tuple(model.class_names):
        raise ValueError(
            f"The validation set has the classes {', '.join(dataset.classes)}, the model "
            f"{', '.join(model.class_names)}. Use dataset.with_classes(...)."
        )
    if all((annotation.difficult | annotation.crowd).all() for annotation in dataset):
        raise ValueError(
            f"The validation set {dataset.name} has no objects to find (difficult ones and crowds do not count), so "
            "there is nothing to measure. Use another one, or none."
        )


def _source(train_set, model, settings, workers):
    """The batches; images stay in memory where all of them fit easily."""
    sizes = [annotation.size_hw for annotation in train_set]
    fits = None not in sizes and sum(3 * height * width for height, width in sizes) <= MOST_BYTES_IN_MEMORY
    return batches(
        train_set,
        model,
        settings.augment,
        settings.batch_size,
        seed=settings.seed,
        workers=workers,
        images_in_memory=fits,
    )
