"""One training of a search: what it was, how it went, and its early end where others were better."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_ssd.data.dataset import Dataset
from keras_ssd.training import DivergedError, History, train
from keras_ssd.tuning.study import import_optuna, tenth


@dataclasses.dataclass(frozen=True)
class Trial:
    """A training of a search.

    Args:
        number: from 0 on; its folder is `trials/NUMBER`.
        settings: {name: value} of what was searched.
        ended: "complete", "pruned" because others were better by then, "diverged", "interrupted", "too large" for the
            memory, or "killed".
        ap: mean AP at IoU 0.5 on the validation images: of the best model, or of the last measurement before the end.
        epochs: of its schedule.
        seconds: that it took.
        parameters: of the model.
        curve: {tenth of the schedule: mean AP}.
        command: of the shell, which does the same again; empty in Python.
    """

    number: int
    settings: dict[str, Any]
    ended: str
    ap: float | None = None
    epochs: int | None = None
    seconds: float = 0.0
    parameters: int | None = None
    curve: dict[int, float] = dataclasses.field(default_factory=dict)
    command: str = ""


def trial_of(frozen: Any) -> Trial:
    """The `Trial` of a finished trial of Optuna."""
    facts = frozen.user_attrs
    curve = dict(sorted(frozen.intermediate_values.items()))
    value = frozen.value if frozen.value is not None else next(iter(reversed(curve.values())), None)
    return Trial(
        frozen.number,
        facts.get("settings", dict(frozen.params)),
        facts.get("ended", "killed"),
        value,
        facts.get("epochs"),
        facts.get("seconds", 0.0),
        facts.get("parameters"),
        curve,
        facts.get("command", ""),
    )


class Pruning(keras.callbacks.Callback):
    """Reports the AP at each tenth of a schedule, and ends a training that falls behind the others.

    Args:
        trial: of Optuna.
        epochs: function that gives the epochs of the schedule.
    """

    def __init__(self, trial: Any, epochs: Callable[[], int]) -> None:
        super().__init__()
        self.trial: Any = trial
        self.epochs: Callable[[], int] = epochs
        self._reported: int = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        now = tenth(epoch + 1, self.epochs())
        value = (logs or {}).get("val_mAP")
        if value is None or "seconds" not in (logs or {}) or now <= self._reported:
            return
        for place in range(self._reported + 1, now + 1):  # those without a measurement too, or few trials compare
            self.trial.report(float(value), place)
        self._reported = now
        if epoch + 1 < self.epochs() and self.trial.should_prune():
            raise import_optuna().TrialPruned


@dataclasses.dataclass(frozen=True)
class Work:
    """What every trial of a search has in common.

    Args:
        train_set, validation_set: `Dataset`s, the same ones in all trials.
        build: function from {setting: value} to the `SSD` to train.
        options: further arguments of `keras_ssd.train`.
        command: function from ({setting: value}, epochs) to the command of the shell; or None.
        identity: {name: plain value} of what else must be the same for a search to go on.
    """

    train_set: Dataset
    validation_set: Dataset
    build: Callable[[dict[str, Any]], Any]
    options: dict[str, Any]
    command: Callable[[dict[str, Any], int], str] | None = None
    identity: dict[str, Any] = dataclasses.field(default_factory=dict)

    def run(self, trial: Any, settings: dict[str, Any], out: Path) -> str:
        """Trains once, and notes at the trial what there is to know.

        Returns:
            How it ended, see `Trial`.
        """
        began, plans = time.perf_counter(), []
        trial.set_user_attr("settings", settings)
        try:
            history = self._train(trial, settings, out, plans)
            ended = "interrupted" if history.interrupted else "complete"
            if history.best_model is not None:
                trial.set_user_attr("ap", history.best_model.ap)
        except import_optuna().TrialPruned:
            ended = "pruned"
        except DivergedError:
            ended = "diverged"
        except Exception as error:
            if not is_of_memory(error):
                raise
            ended = "too large"
        trial.set_user_attr("seconds", round(time.perf_counter() - began, 1))
        trial.set_user_attr("ended", ended)
        return ended

    def _train(self, trial, settings, out, plans) -> History:
        keras.utils.set_random_seed(self.options["seed"])
        model = self.build(settings)
        trial.set_user_attr("parameters", model.count_params())

        def planned(plan):
            plans.append(plan)
            trial.set_user_attr("epochs", plan.settings.epochs)
            if self.command is not None:
                trial.set_user_attr("command", self.command(settings, plan.settings.epochs))

        return train(
            model,
            self.train_set,
            self.validation_set,
            out=out,
            learning_rate=settings["learning_rate"],
            augment=None if settings["augment"] == "none" else settings["augment"],
            callbacks=[Pruning(trial, lambda: plans[-1].settings.epochs)],
            planned=planned,
            **self.options,
        )


def is_of_memory(error: Exception) -> bool:
    """Whether memory ran out, in Python or in a backend, whose errors are recognised by name and text."""
    named = type(error).__name__ in ("ResourceExhaustedError", "OutOfMemoryError")
    text = str(error)
    return isinstance(error, MemoryError) or named or "RESOURCE_EXHAUSTED" in text or "can't allocate memory" in text


def told(trial: Trial) -> str:
    """How a trial ended, in words."""
    value = "" if trial.ap is None else f"AP {trial.ap:.3f}"
    epochs = f"{trial.epochs} epochs, " if trial.epochs and trial.ended == "complete" else ""
    return f"{trial.ended}: {value or 'no AP'}, {epochs}{trial.seconds / 60:.1f} min"
