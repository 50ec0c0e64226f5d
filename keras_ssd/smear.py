"""Former name of `keras_ssd.demonstration.smear`."""

from typing import Any

from keras_ssd.calling import warn_of_former_name
from keras_ssd.demonstration import smear


def __getattr__(name: str) -> Any:
    if name.startswith("_") or not hasattr(smear, name):
        raise AttributeError(f"module 'keras_ssd.smear' has no attribute {name!r}")
    warn_of_former_name(f"keras_ssd.smear.{name}", f"`keras_ssd.demonstration.smear.{name}`")
    return getattr(smear, name)
