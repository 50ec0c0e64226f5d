"""What a search may choose from: the values of each setting, and the ones to begin with."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssd import models
from keras_ssd.data.augment import CHAINS
from keras_ssd.data.dataset import Dataset
from keras_ssd.names import unknown_name
from keras_ssd.training import defaults

AREAS = (0.6, 1.0, 1.6)  # of the input that a training would take by itself
LARGER = 1.25  # an input may have so many times the pixels of the median image, not more: that only costs time
WIDTHS = (0.5, 0.75, 1.0, 1.5)  # factors of the filters of `ssd_small`
ANCHORS = ("general", "cells", "fit")
AUGMENTS = ("light", "light-turns", "mosaic", "ssd")
RATES = (0.25, 4.0)  # lowest and highest, as factors of the usual learning rate
NAMES = ("input_size", "width", "anchors", "learning_rate", "augment")


@dataclasses.dataclass(frozen=True)
class Space:
    """The settings of a search.

    Args:
        choices: {setting: its values, as text or numbers}. A setting with one value is fixed.
        rates: (lowest, highest) learning rate; the search is uniform in its logarithm. Equal ones fix it.
        start: {setting: the value of the first trial}, learning_rate among them.
    """

    choices: dict[str, tuple[Any, ...]]
    rates: tuple[float, float]
    start: dict[str, Any]

    def suggest(self, trial: Any) -> dict[str, Any]:
        """{setting: value} of a trial of Optuna."""
        values = {name: trial.suggest_categorical(name, list(found)) for name, found in self.choices.items()}
        return values | {"learning_rate": trial.suggest_float("learning_rate", *self.rates, log=True)}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**{name: list(values) for name, values in self.choices.items()}, "learning_rate": list(self.rates)}

    @property
    def searched(self) -> tuple[str, ...]:
        """The settings that have more than one value."""
        names = [name for name, values in self.choices.items() if len(values) > 1]
        return (*names, "learning_rate") if self.rates[0] < self.rates[1] else tuple(names)


def make_space(
    train_set: Dataset,
    learning_rate: float,
    given: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
) -> Space:
    """The `Space` of a dataset: the usual values, with those that the user names in their place.

    Args:
        train_set: `Dataset`.
        learning_rate: the one of a plain training.
        given: {setting: list of values}, for learning_rate (lowest, highest).
        without: settings that the model to train does not have.

    Raises:
        ValueError: an unknown setting, an unknown value, or a rate that is not positive.
    """
    given = dict(given or {})
    for name in given:
        if name not in NAMES or name in without:
            raise ValueError(unknown_name("setting to search", name, [one for one in NAMES if one not in without]))
    known: dict[str, Sequence[Any]] = {
        "input_size": input_sizes(train_set),
        "width": WIDTHS,
        "anchors": ANCHORS,
        "augment": AUGMENTS,
    }
    choices = {name: _values(name, given.get(name, values)) for name, values in known.items() if name not in without}
    rates = _rates(given.get("learning_rate", (RATES[0] * learning_rate, RATES[1] * learning_rate)))
    plain = {
        "input_size": size_text(defaults.input_size(train_set)),
        "width": 1.0,
        "anchors": plain_anchors(train_set) if len(choices.get("anchors", ())) > 1 else "",
        "augment": "light",
    }
    begin: dict[str, Any] = {
        name: plain[name] if plain[name] in values else values[0] for name, values in choices.items()
    }
    begin["learning_rate"] = float(np.clip(learning_rate, *rates))
    return Space(choices, rates, begin)


def input_sizes(train_set: Dataset) -> list[str]:
    """Input sizes around the usual one, in the images' shape, as text."""
    height, width = defaults.input_size(train_set)
    sizes = [annotation.size_hw for annotation in train_set if annotation.size_hw]
    most = LARGER * float(np.median([np.prod(size) for size in sizes])) if sizes else math.inf
    found = []
    for area in AREAS:
        root, grid = math.sqrt(area), defaults.GRID
        size = tuple(max(2 * grid, grid * round(side * root / grid)) for side in (height, width))
        if area <= 1 or np.prod(size) <= most:
            found.append(size_text(size))
    return list(dict.fromkeys(found))


def plain_anchors(train_set: Dataset) -> str:
    """The anchors that a training would take by itself: "general" or "fit"."""
    height, width = defaults.input_size(train_set)
    usual = models.ssd_small(classes=train_set.classes, input_size=(height, width))
    return "general" if defaults.anchors_for(train_set, usual).spec is None else "fit"


def size_text(size: Sequence[int]) -> str:
    """ "240x320" of (240, 320)."""
    return "x".join(map(str, size))


def size_of(text: str) -> tuple[int, int]:
    """(240, 320) of "240x320"."""
    height, width = text.split("x")
    return int(height), int(width)


def value_text(name: str, value: Any) -> str:
    """A value of a setting for people, and for the shell."""
    if name == "learning_rate":
        return f"{value:.3g}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(name, values):
    if isinstance(values, (str, float, int)) or not isinstance(values, Sequence) or not values:
        values = (values,)
    return tuple(dict.fromkeys(_value(name, value) for value in values))


def _value(name, value):
    if name == "input_size":
        return value if isinstance(value, str) else size_text(value)
    if name == "width":
        if not float(value) > 0:
            raise ValueError(f"`width` must be positive. Received: width={value!r}")
        return float(value)
    value = "none" if value is None else str(value)
    if name == "augment" and value not in (*CHAINS, "none"):
        raise ValueError(unknown_name("augmentation", value, (*CHAINS, "none")))
    if name == "anchors" and value not in ANCHORS:
        raise ValueError(unknown_name("anchors", value, ANCHORS))
    return value


def _rates(values):
    rates = (values, values) if isinstance(values, (int, float)) else tuple(map(float, values))
    if len(rates) == 1:
        rates = rates * 2
    if len(rates) != 2 or not 0 < rates[0] <= rates[1] < math.inf:
        raise ValueError(
            f"`learning_rate` must be the lowest and the highest, or one. Received: learning_rate={list(rates)}"
        )
    return float(rates[0]), float(rates[1])
