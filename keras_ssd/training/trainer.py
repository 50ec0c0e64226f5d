"""`train` trains a model on annotated images and writes a folder from which the training can be resumed."""

import dataclasses
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
from keras_ssd.training.choosing import kept_row
from keras_ssd.training.display import display_for
from keras_ssd.training.fresh import fresh_folder
from keras_ssd.training.interrupts import Interrupt
from keras_ssd.training.logs.logs import Logs, check_logs, facts_of
from keras_ssd.training.pace import measured_pace
from keras_ssd.training.settings import Settings, identity
from keras_ssd.training.training_callback import BEST, LAST, TrainingCallback
from keras_ssd.training.training_copy import training_copy_of

MOST_BYTES_IN_MEMORY = 1 << 30


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training will do.

    Args:
        settings: `Settings`; where only the time was given, with as many epochs as fit into it.
        steps: per epoch.
        every: epochs from one measurement on the validation set to the next.
        patience: it ends after so many epochs that are more than 0.005 AP below the best; None for all epochs.
        seconds: the longest time that it will take, measured on a few steps; None where they were not timed.
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
        rows: one dictionary per epoch: epoch (from 1), loss and its parts, learning_rate, seconds, and where it was
            measured val_mAP with "val_AP <class>" of each class.
        out: the folder.
        interrupted: whether it ended early, at a Ctrl-C or after `stop_after` epochs.
        left_out: `Problems` of images that turned out to be unreadable during the training.
        best_model, last_model: `Measured`, the two models on the validation set; None without one, or before the end.
        start: AP on the validation set before the first step; None without a set, or where nothing was found.
    """

    rows: tuple[dict[str, Any], ...]
    out: Path
    interrupted: bool = False
    left_out: tuple[Any, ...] = ()
    best_model: finishing.Measured | None = None
    last_model: finishing.Measured | None = None
    start: float | None = None

    @property
    def best(self) -> dict[str, Any] | None:
        """The row of `model.keras`, see `kept_row`; None without validation, or where the start was better."""
        return kept_row(self.rows, self.start)


@checked_arguments
def train(
    model: SSD,
    train_set: Dataset,
    validation_set: Dataset | None = None,
    *,
    out: str | os.PathLike[str],
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
    qat: bool = False,
    resume: bool = False,
    stop_after: int | None = None,
    workers: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    calibrate: bool = False,
    log: str | Sequence[str] | None = None,
    display: bool = True,
    planned: Callable[[Plan], Any] | None = None,
) -> History:
    """Trains a detector and keeps the best.

    The folder `out` always holds what resuming needs. `checkpoint.h5` is replaced as a whole after each epoch, so a
    killed training loses at most the current epoch. A resumed training ends with the same weights as one that was not
    stopped, to the bit on a CPU. `model.keras` is the model to use: of the epochs whose AP on the validation set is
    within 0.005 of the best the latest, or the weights that the training began with where these are better; the last
    epoch without such a set. Where the recipe averages weights, it holds the
    averages. Ctrl-C ends the training after the current step and leaves both files, too. A training that fails before
    the end of its first epoch leaves no folder.

    Args:
        model: `SSD` of raw predictions; at the end it has the weights of `model.keras`. Layers with
            `trainable=False` stay as they are.
        train_set: `keras_ssd.data.Dataset` with the model's classes.
        validation_set: another one, whose mean AP at IoU 0.5 is measured after each epoch; or None.
        out: folder to write to; made if it is missing.
        epochs, batch_size, recipe, learning_rate, augment, seed, precision: see `Settings`. Without `epochs` they
            follow from `minutes`.
        qat: quantisation-aware training: weights and feature maps are rounded as in an int8 file, so that the weights
            learn to do with it. The model stays an ordinary one in float32. Validation measures the rounding network.
        minutes: the longest time of the training; it times a few steps and does as many epochs as fit. The schedule of
            the learning rate ends with them. With `epochs` too, these are the most.
        patience: end after so many epochs in a row whose AP is more than 0.005 below the best; None for all epochs.
        loss: `SSDLoss`; None is the recipe's.
        resume: go on from the checkpoint in `out`, with the same settings.
        stop_after: end after this epoch, to be resumed later; the schedule is still made for all `epochs`.
        workers: threads that make batches; None is one a processor.
        callbacks: more Keras callbacks; their `model` is a copy that is trained. `val_mAP` is among their logs.
        calibrate: whether to calibrate the scores on the validation set at the end, see `keras_ssd.calibrate`. A
            calibration that the model has before the training is dropped in any case.
        log: "mlflow", "wandb" or "tensorboard", or several of them: where else the numbers, settings and files go.
        display: whether to show progress.
        planned: function that gets the `Plan` after all checks and before the first step. The plan times a few steps.

    Returns:
        `History`.

    Raises:
        ValueError: settings out of range, data of other classes, a folder that holds a training already, or none to
            resume, or one with other settings; a log that cannot be opened.
        ImportError: the package of a log is not installed.
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
    if resume and (epochs is None or minutes is not None):
        epochs = checkpoint.read_facts(out / checkpoint.NAME)["identity"]["epochs"]
    numbers = (1 if epochs is None else epochs, batch_size, recipe, learning_rate, augment, seed, precision, qat)
    settings = Settings(*numbers)
    log = check_logs(log)
    loss = loss or settings.loss(model.decoding)
    _check_validation(validation_set, model)
    facts = identity(model, train_set, validation_set, settings, loss)
    _check_folder(out, facts, resume)
    model.calibration = None  # of the weights as they were
    trained = training_copy_of(model, precision, qat)
    measured = training_copy_of(model, qat=True) if qat else model
    source = _source(train_set, trained, settings, workers)
    _compile(trained, settings, loss, len(source))
    pace = None
    timed = minutes is not None and not resume
    if timed or planned is not None:
        pace = measured_pace(trained, source, validation_set, model)
    if timed and pace is not None and minutes is not None:
        fitting = pace.epochs_within(60 * minutes, len(source))
        settings = dataclasses.replace(settings, epochs=fitting if epochs is None else min(epochs, fitting))
        _compile(trained, settings, loss, len(source))
        facts = identity(model, train_set, validation_set, settings, loss)
    plan = _plan(settings, len(source), validation_set, patience, pace)
    limits = (settings.epochs, plan.every, plan.patience)
    callback = TrainingCallback(model, source, validation_set, out, facts, *limits, measured=measured)
    if resume:
        callback.restore(trained)
    last = min(settings.epochs, stop_after or settings.epochs)
    with Logs(log, out) as logs:
        try:
            with (
                fresh_folder(out, lambda: callback.rows or callback.interrupted),
                Interrupt() as interrupt,
                display_for(display, settings.epochs, len(source)) as shown,
            ):
                callback.interrupt = interrupt
                if planned is not None:
                    planned(plan)
                logs.begin(facts_of(model, train_set, validation_set, settings, len(source)), resume)
                if not callback.rows:
                    callback.measure_start()
                if callback.epochs_done < last and not callback.has_ended:
                    source.epoch = callback.epochs_done
                    trained.fit(
                        source,
                        epochs=last,
                        initial_epoch=callback.epochs_done,
                        verbose=0,
                        shuffle=False,
                        callbacks=[callback, *logs.callbacks, *callbacks, *shown],
                    )
        finally:
            source.close()
        history = _finished(model, callback, train_set, validation_set, calibrate)
        logs.finish(history)
    return history


def _compile(trained, settings, loss, steps):
    optimizer = settings.optimizer(steps * settings.epochs)
    trained.compile(optimizer=optimizer, loss=loss, metrics=[SSDLossMetric(loss)])
    optimizer.build(trained.trainable_variables)


def _plan(settings, steps, validation_set, patience, pace):
    every = 1 if pace is None or validation_set is None else pace.every(steps)
    seconds = None if pace is None else pace.seconds(settings.epochs, steps)
    return Plan(settings, steps, every, None if validation_set is None else patience, seconds)


def _finished(model, callback, train_set, validation_set, calibrate):
    interrupted = callback.interrupted or not callback.has_ended
    history = History(tuple(callback.rows), callback.out, interrupted, callback.left_out, start=callback.start)
    best = None
    if validation_set is not None and not interrupted:
        batch_size = callback.source.batch_size
        best, best_model = finishing.measure(callback.out / BEST, validation_set, batch_size, calibrate)
        _, last_model = finishing.measure(callback.out / LAST, validation_set, batch_size, calibrate)
        history = dataclasses.replace(history, best_model=best_model, last_model=last_model)
        if best.confidence is not None:
            model.calibration, model.confidence = best.calibration, best.confidence
    elif (callback.out / BEST).is_file():
        best = models.load(callback.out / BEST)
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
