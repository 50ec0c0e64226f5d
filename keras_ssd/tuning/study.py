"""Optuna's study in a file of the output folder, and what becomes of a trial that was killed."""

import logging
from pathlib import Path
from typing import Any

from keras_ssd.tuning.space import Space

FILE = "study.db"  # SQLite: a killed process leaves it whole
NAME = "keras_ssd"
RANDOM = 5  # trials before the sampler learns from the others
COMPARED = 3  # complete trials before one is pruned
TENTHS = 10  # points of a schedule at which trials are compared
PRUNED_FROM = 3  # tenths of the schedule; no trial is pruned before
TRIES = 2  # of a trial whose process dies; then it is left out


def import_optuna() -> Any:
    """The package that searches.

    Raises:
        ImportError: the extra `tune` is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError("Searching settings needs the package `optuna`: pip install 'keras-ssd[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return optuna


def storage_of(out: Path) -> Any:
    """Where the trials of a search are kept, as Optuna takes it."""
    return f"sqlite:///{(out / FILE).as_posix()}"


def open_study(out: Path, space: Space, seed: int) -> Any:
    """The study of a folder; a new one begins with the settings of a plain training.

    What ran when the process was killed is marked as failed and will be done again, once.
    """
    optuna = import_optuna()
    study = optuna.create_study(
        study_name=NAME,
        storage=storage_of(out),
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=COMPARED, n_warmup_steps=PRUNED_FROM),
    )
    # The same seed after a restart would propose the same trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), n_startup_trials=RANDOM)
    if not study.trials:
        study.enqueue_trial(space.start)
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        tries = trial.user_attrs.get("tries", 1)
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        if tries < TRIES:
            study.enqueue_trial(trial.params, user_attrs={"tries": tries + 1})
    return study


def tenth(epoch: int, epochs: int) -> int:
    """At which tenth of its schedule a training is after an epoch, 0..10."""
    return TENTHS * epoch // epochs
