"""`tune` searches the settings of a training by short trainings, and keeps the best model."""

import dataclasses
import gc
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ssd import models
from keras_ssd.calling import checked_arguments
from keras_ssd.data.dataset import Dataset
from keras_ssd.replacing import replacing
from keras_ssd.training import defaults, recipes
from keras_ssd.training.fresh import fresh_folder
from keras_ssd.tuning import page
from keras_ssd.tuning.folder import FACTS, check_folder, facts_of, folder_of, has_trials, keep_best
from keras_ssd.tuning.result import Search, trials_of
from keras_ssd.tuning.space import Space, make_space, size_of, value_text
from keras_ssd.tuning.study import import_optuna, open_study
from keras_ssd.tuning.trial import Work, told

SHARE, LEAST_MINUTES = 0.1, 1.0  # of the search for a trial; and at least so much
LAST_SHARE = 0.75  # of a trial's time, that must be left for another one


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long a search goes on.

    Args:
        minutes: of all trials together, those before a resumption included.
        trials: their number at most; None for as many as fit.
        trial_minutes: of one; None for a tenth of all, at least one minute.
        epochs: of one at most.
    """

    minutes: float
    trials: int | None
    trial_minutes: float | None
    epochs: int

    def __post_init__(self) -> None:
        for name in ("minutes", "trials", "trial_minutes", "epochs"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}")

    @property
    def each(self) -> float:
        """Minutes of one trial."""
        return self.trial_minutes or min(self.minutes, max(LEAST_MINUTES, SHARE * self.minutes))


@checked_arguments
def tune(
    train_set: Dataset,
    validation_set: Dataset,
    *,
    out: str | os.PathLike[str],
    minutes: float = 60.0,
    trials: int | None = None,
    trial_minutes: float | None = None,
    space: Mapping[str, Any] | None = None,
    build: Callable[[dict[str, Any]], models.SSD] | None = None,
    epochs: int | None = None,
    batch_size: int = 16,
    recipe: str = "small-data",
    seed: int = 0,
    precision: str = "float32",
    workers: int | None = None,
    log: str | Sequence[str] | None = None,
    resume: bool = False,
    display: bool = True,
) -> Search:
    """Searches input size, width, anchors, learning rate and augmentation for a dataset.

    Each trial is a whole short training as `keras_ssd.train` does it, with its schedule fitted into the same time. The
    first has the settings of a plain training. Optuna proposes the next ones from what was found so far, and a trial
    ends early where its AP is below the median of the others. All trials are measured on the same held-out images.

    The folder holds `study.db` (the trials), `tune.html` (a page that compares them), `trials/` (a folder each) and
    `model.keras`, the best so far. A killed search loses at most the trial in hand.

    Args:
        train_set, validation_set: `Dataset`s of the same classes. Keep test images out of both: the best of many trials
            is chosen by the second.
        out: folder to write to; made if it is missing.
        minutes: of all trials together.
        trials: number of trials at most; None for as many as fit.
        trial_minutes: of one trial; None is a tenth of `minutes`, at least one.
        space: {setting: list of values} in place of the usual ones, for "learning_rate" the lowest and the highest. A
            setting with one value is fixed.
        build: function from {setting: value} to the `SSD` to train; None builds `ssd_small`. With one of
            your own, only "learning_rate" and "augment" are searched, and what `space` names.
        epochs: of a trial at most; None is what a plain training would do.
        batch_size, recipe, seed, precision, workers, log: see `keras_ssd.train`.
        resume: go on with the search in `out`.
        display: whether to show progress.

    Returns:
        `Search`.

    Raises:
        ImportError: the extra `tune` is not installed.
        ValueError: a folder that holds a search already, or none to resume, or one of other data or settings.

    Example:
        >>> found = keras_ssd.tune(train, val, out="runs/search", minutes=60)
        >>> found.best.settings
        >>> model = keras_ssd.load(found.model)
    """
    import_optuna()
    page.import_jinja2()
    batch_size = max(1, min(batch_size, len(train_set)))
    learning_rate = inspect.signature(recipes.named(recipe)).parameters["learning_rate"].default
    named = dict(space or {})
    without = () if build is None else [name for name in ("input_size", "width", "anchors") if name not in named]
    made = make_space(train_set, learning_rate, named, without)
    cap = epochs or defaults.epochs(max(1, len(train_set) // batch_size))
    options = {"batch_size": batch_size, "recipe": recipe, "seed": seed, "precision": precision}
    options |= {"workers": workers, "log": log, "display": display and sys.stderr.isatty()}
    work = Work(train_set, validation_set, build or (lambda values: _small(train_set, values)), options)
    return run_search(work, made, Limits(minutes, trials, trial_minutes, cap), out, resume=resume, display=display)


def _small(train_set, values):
    """`ssd_small` with new heads, with the settings of a trial; the backbone that ships is of width 1."""
    size, width = size_of(values["input_size"]), values["width"]
    weights = "distilled" if width == 1 else None
    anchors = values["anchors"]
    if anchors == "fit":
        usual = models.ssd_small(classes=train_set.classes, input_size=size)
        anchors = defaults.anchors_for(train_set, usual, fit=True).spec
    return models.ssd_small(weights, train_set.classes, input_size=size, width=width, anchors=anchors)


def run_search(
    work: Work,
    space: Space,
    limits: Limits,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    display: bool = True,
) -> Search:
    """See `tune`; for those who build models and commands in another way."""
    out = Path(out)
    facts = facts_of(work, space)
    check_folder(out, facts, resume)
    with fresh_folder(out, lambda: has_trials(out)):
        with replacing(out / FACTS) as temporary:
            temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        study = open_study(out, space, work.options["seed"])
        interrupted = _run(study, work, space, limits, out, display)
    return Search(trials_of(study), out, interrupted)


def _run(study, work, space, limits, out, display) -> bool:
    """Runs trials until the time is over; whether Ctrl-C ended it."""
    optuna = import_optuna()
    options = {**work.options, "minutes": limits.each, "epochs": limits.epochs}
    work = dataclasses.replace(work, options=options)
    keep_best(study, out)
    while not _is_over(trials_of(study), limits):
        trial = study.ask()
        settings = rounded_settings(space, trial)
        _say(display, f"trial {trial.number}: {settings_text(settings)}")
        folder = folder_of(out, trial.number)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            ended = work.run(trial, settings, folder)
        except Exception:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise
        if ended == "complete":
            study.tell(trial, study.trials[trial.number].user_attrs["ap"])
        elif ended == "pruned":
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        elif ended == "interrupted":
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            study.enqueue_trial(trial.params)
            return True
        else:
            study.tell(trial, 0.0)  # so that the next ones are unlike it
        gc.collect()  # the model of a trial, before the next one is made
        keep_best(study, out)
        found = Search(trials_of(study), out)
        page.write(found, space, work, limits)
        best = "" if found.best is None else f"; best so far {found.best.ap:.3f}, trial {found.best.number}"
        spent = sum(trial.seconds for trial in found.trials) / 60
        _say(display, f"  {told(found.trials[-1])}{best}; {spent:.0f} of {limits.minutes:g} min")
    return False


def rounded_settings(space: Space, trial: Any) -> dict[str, Any]:
    """The settings of a trial of Optuna, as they are printed: so a printed command does exactly what the trial did."""
    values = space.suggest(trial)
    return values | {"learning_rate": float(value_text("learning_rate", values["learning_rate"]))}


def settings_text(settings: Mapping[str, Any]) -> str:
    """The settings of a trial in a line."""
    return ", ".join(f"{name.replace('_', ' ')} {value_text(name, value)}" for name, value in settings.items())


def _is_over(trials, limits):
    done = [trial for trial in trials if trial.ended not in ("interrupted", "killed")]
    if not done:
        return False
    spent = sum(trial.seconds for trial in trials) / 60
    return len(done) >= (limits.trials or sys.maxsize) or spent + LAST_SHARE * limits.each > limits.minutes


def _say(display, text):
    if display:
        print(text, file=sys.stderr, flush=True)
