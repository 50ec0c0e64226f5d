"""What a search found."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ssd.training.training_callback import BEST
from keras_ssd.tuning.trial import Trial, trial_of

PAGE = "tune.html"


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search found.

    Args:
        trials: in the order in which they ran.
        out: the folder.
        interrupted: whether it ended at a Ctrl-C.
    """

    trials: tuple[Trial, ...]
    out: Path
    interrupted: bool = False

    @property
    def best(self) -> Trial | None:
        """The complete trial with the highest AP; None as long as none is complete."""
        done = [trial for trial in self.trials if trial.ended == "complete"]
        return max(done, key=lambda trial: trial.ap or 0.0, default=None)

    @property
    def model(self) -> Path:
        """The file of the best trial's model."""
        return self.out / BEST

    @property
    def page(self) -> Path:
        """The file that compares the trials."""
        return self.out / PAGE


def trials_of(study: Any) -> tuple[Trial, ...]:
    """The `Trial`s that ran in one of Optuna's studies, in order."""
    return tuple(trial_of(one) for one in study.get_trials(deepcopy=False) if one.state.is_finished())
