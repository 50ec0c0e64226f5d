"""Training: optimizers and schedules, and the trainer behind `keras-ssd train`."""

import importlib
from typing import TYPE_CHECKING, Any

# Optimizers register themselves with Keras, so that compiled models load; the rest is imported when it is asked for.
from keras_ssd.training.averaging import AveragingAdamW as AveragingAdamW
from keras_ssd.training.caffe_sgd import CaffeSGD as CaffeSGD

_LATER = {"DivergedError": "training_callback", "History": "trainer", "train": "trainer"}
if TYPE_CHECKING:
    from keras_ssd.training.trainer import History as History
    from keras_ssd.training.trainer import train as train
    from keras_ssd.training.training_callback import DivergedError as DivergedError


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
    globals()[name] = found
    return found
