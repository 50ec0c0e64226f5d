"""The channel shuffle of ShuffleNet."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class ShuffleChannels(keras.layers.Layer):
    """Distributes the channels of each group over all groups, so that grouped convolutions see each other's features.

    It reads the channels, seen as a table (groups, C / groups), column by column.

    Args:
        groups: number of groups; it divides the channels.
        **kwargs: of `keras.layers.Layer`.

    Input and output: (B, ..., C), channels last.

    Source: Zhang et al., ShuffleNet (arXiv 1707.01083), section 3.1; farmingyard/ShuffleNet, shuffle_channel_layer.cpp.
    """

    def __init__(self, groups: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.groups = int(groups)
        if self.groups < 1:
            raise ValueError(f"`groups` must be at least 1. Received: groups={groups}")

    def build(self, input_shape: Any) -> None:
        if input_shape[-1] is None or input_shape[-1] % self.groups:
            raise ValueError(
                f"The channels must be a multiple of {self.groups} groups. Received: shape={tuple(input_shape)}"
            )
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        shape = ops.shape(inputs)
        table = ops.reshape(inputs, (*shape[:-1], self.groups, shape[-1] // self.groups))
        return ops.reshape(ops.swapaxes(table, -1, -2), shape)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "groups": self.groups}
