"""Checks of the arguments of losses."""

import math
import numbers
from collections.abc import Collection
from typing import Any

import numpy as np

from keras_ssd.names import unknown_name


def check_choice(argument: str, value: Any, known: Collection[Any]) -> None:
    """Raises ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"`{argument}`: " + unknown_name("choice", value, known))


def number(argument: str, value: Any, least: float = 0.0, below: float = math.inf) -> float:
    """The value as a float, checked to be finite, at least `least` and below `below`.

    Raises:
        ValueError: it is not such a number.
    """
    fits = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not fits or not math.isfinite(value) or not least <= float(value) < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"`{argument}` must be a number of at least {least:g}{limit}. Received: {argument}={value!r}")
    return float(value)
