"""How layers of coordinates treat Keras's arguments."""

from typing import Any


def in_float32(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `keras.layers.Layer` for a layer that computes in float32 for every dtype policy.

    Less precision would move boxes. `dtype` is accepted so that a config with another policy still loads.
    """
    return {**arguments, "dtype": "float32", "autocast": False}
