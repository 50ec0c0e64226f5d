"""The search for the settings that suit a dataset: many short trainings, of which the best model is kept."""

import importlib
from typing import TYPE_CHECKING, Any

_LATER = {"Search": "result", "Space": "space", "Trial": "trial", "tune": "search"}
if TYPE_CHECKING:
    from keras_ssd.tuning.result import Search as Search
    from keras_ssd.tuning.search import tune as tune
    from keras_ssd.tuning.space import Space as Space
    from keras_ssd.tuning.trial import Trial as Trial


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found
