"""How layers of coordinates treat Keras's arguments."""

from typing import Any


def in_float32(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `keras.layers.Layer` for a layer that computes in float32 whatever the dtype policy says.

    Coordinates lose their places in anything less. `dtype` is taken so that a config of another policy still loads.
    """
    return {**arguments, "dtype": "float32", "autocast": False}
