"""The folder of a search: what it must not be, which files stay, and the best model at its top."""

import json
import shutil
from pathlib import Path
from typing import Any

from keras_ssd.replacing import replacing
from keras_ssd.training import checkpoint
from keras_ssd.training.settings import images_digest
from keras_ssd.training.training_callback import BEST, LAST
from keras_ssd.tuning.result import PAGE, Search, trials_of
from keras_ssd.tuning.space import Space
from keras_ssd.tuning.study import FILE
from keras_ssd.tuning.trial import Work

FACTS, TRIALS = "search.json", "trials"
SAME = ("batch_size", "recipe", "seed", "precision")  # options of all trials


def keep_best(study: Any, out: Path) -> None:
    """Copies the best model to the top, then deletes the large files of all other trials."""
    search = Search(trials_of(study), out)
    best = search.best
    if best is not None and (study.user_attrs.get("kept") != best.number or not search.model.is_file()):
        with replacing(search.model) as temporary:
            shutil.copyfile(folder_of(out, best.number) / BEST, temporary)
        study.set_user_attr("kept", best.number)
    known = {trial.number: trial for trial in search.trials}
    for folder in sorted((out / TRIALS).glob("[0-9]*")):
        trial = known.get(int(folder.name))
        if trial is None or trial.ended in ("killed", "interrupted"):
            shutil.rmtree(folder, ignore_errors=True)
            continue
        for name in (LAST, checkpoint.NAME, *(() if trial == best else (BEST,))):
            (folder / name).unlink(missing_ok=True)


def folder_of(out: Path, number: int) -> Path:
    """The folder of a trial."""
    return out / TRIALS / f"{number:03}"


def has_trials(out: Path) -> bool:
    """Whether a trial in a folder came to an end."""
    return any((out / TRIALS).glob("*/*")) and (out / PAGE).is_file()


def facts_of(work: Work, space: Space) -> dict[str, Any]:
    """What must be the same for a search to go on."""
    return {
        "training set": images_digest(work.train_set),
        "validation set": images_digest(work.validation_set),
        "space": space.to_dict(),
        **{name: work.options[name] for name in SAME},
        **work.identity,
    }


def check_folder(out: Path, facts: dict[str, Any], resume: bool) -> None:
    """Refuses to write over a search, or to go on with another.

    Raises:
        ValueError, FileNotFoundError: says what to do.
    """
    path = out / FACTS
    if not resume:
        taken = [name for name in (FACTS, FILE, BEST) if (out / name).exists()]
        if taken:
            raise ValueError(
                f"{out} holds a search or a training already ({', '.join(taken)}). Resume it, or choose another folder."
            )
        return
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path} to go on from.")
    before = json.loads(path.read_text(encoding="utf-8"))
    other = [f"{name} was {before.get(name)}, now {facts[name]}" for name in facts if before.get(name) != facts[name]]
    if other:
        raise ValueError(
            f"{path} is of a search with other settings: {'; '.join(other)}. A search goes on with those it began "
            "with; for others begin a new one, in another folder."
        )
