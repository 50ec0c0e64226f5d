"""The page that compares the trials of a search: one HTML file that fetches nothing."""

import base64
import hashlib
import importlib.resources
from typing import TYPE_CHECKING, Any

from keras_ssd.replacing import replacing
from keras_ssd.tuning import charts
from keras_ssd.tuning.result import PAGE, Search
from keras_ssd.tuning.space import Space, value_text
from keras_ssd.tuning.trial import Trial, Work

if TYPE_CHECKING:
    from keras_ssd.tuning.search import Limits

TITLES = {
    "input_size": "input size",
    "width": "width",
    "anchors": "anchors",
    "augment": "augmentation",
    "learning_rate": "learning rate",
}


def import_jinja2() -> Any:
    """The package that fills in the page.

    Raises:
        ImportError: the extra `tune` is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError("The page of a search needs the package `jinja2`: pip install 'keras-ssd[tune]'") from error
    return jinja2


def write(search: Search, space: Space, work: Work, limits: "Limits") -> None:
    """Writes the page into the folder of a search, in place of the one before.

    Args:
        search: `Search` of at least one trial.
        space: what was searched.
        work: what the trials have in common.
        limits: how long it may go on.
    """
    jinja2 = import_jinja2()
    script = _read("evaluation.report", "sort.js").strip()
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: _read("tuning", name)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(
        **contents(search, space, work, limits),
        style=_read("evaluation.report", "style.css").strip(),
        script=script,
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with replacing(search.out / PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def contents(search: Search, space: Space, work: Work, limits: "Limits") -> dict[str, Any]:
    """What the template fills in, by name."""
    best = search.best
    first = search.trials[0]
    names = [name for name in TITLES if name in first.settings]
    rows = [_row(trial, names, best) for trial in search.trials]
    complete = [trial for trial in search.trials if trial.ended == "complete"]
    return {
        "best": best,
        "gain": None if best is None or first.ap is None or first.ended != "complete" else (best.ap or 0.0) - first.ap,
        "first": first,
        "data": work.train_set.name,
        "tiles": [
            ("n/a" if best is None else f"{best.ap:.3f}", "AP of the best trial"),
            (str(len(search.trials)), "trials"),
            (str(len(complete)), "ran to their end"),
            (f"{sum(trial.seconds for trial in search.trials) / 60:.0f} min", f"of {limits.minutes:g}"),
        ],
        "images": (len(work.train_set), len(work.validation_set)),
        "titles": [TITLES[name] for name in names],
        "rows": rows,
        "curves": charts.curves(search.trials, best),
        "order": charts.in_order(search.trials, best),
        "settings": [
            (TITLES[name], charts.by_setting(search.trials, best, name, TITLES[name])) for name in space.searched
        ],
        "fixed": [
            (TITLES[name], value_text(name, first.settings[name])) for name in names if name not in space.searched
        ],
        "minutes": f"{limits.each:.3g}",
    }


def _row(trial: Trial, names, best):
    return {
        "trial": trial,
        "ap": -1.0 if trial.ap is None else trial.ap,
        "values": [(_sortable(trial.settings[name]), value_text(name, trial.settings[name])) for name in names],
        "minutes": trial.seconds / 60,
        "best": best is not None and trial.number == best.number,
    }


def _sortable(value):
    """A number to sort a column by, or None for texts."""
    return value if isinstance(value, float) else None


def _read(room, name):
    return importlib.resources.files(f"keras_ssd.{room}").joinpath("templates", name).read_text("utf-8")
