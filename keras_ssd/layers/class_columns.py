"""Layers that bring the class columns of foreign heads into this package's form."""

from typing import Any

import keras
from keras import ops

from keras_ssd.box_coder import NO_BACKGROUND as NEVER
from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import maker_of, nodes_of_layer


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class ClassColumns(keras.layers.Layer):
    """Puts the background first among the class columns of every box.

    Args:
        num_columns: class columns per box in the input, including the background's if there is one.
        background: its column; -1 if there is none: then a column with a very low score is added as the first.
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, boxes * num_columns), class fastest; output: the same, or (B, H, W, boxes * (num_columns + 1)) with
    an added background.
    """

    def __init__(self, num_columns: int, background: int, **kwargs: Any):
        super().__init__(**kwargs)
        if not -1 <= background < num_columns:
            raise ValueError(
                f"`background` must be one of the {num_columns} columns or -1. Received: background={background}"
            )
        self.num_columns = int(num_columns)
        self.background = int(background)

    def call(self, inputs: Any) -> Any:
        height, width, channels = inputs.shape[1:]
        boxes = channels // self.num_columns
        x = ops.reshape(inputs, (-1, height, width, boxes, self.num_columns))
        if self.background < 0:
            x = ops.pad(x, ((0, 0),) * 4 + ((1, 0),), constant_values=NEVER)
        else:
            at = self.background
            x = ops.concatenate([x[..., at : at + 1], x[..., :at], x[..., at + 1 :]], axis=-1)
        return ops.reshape(x, (-1, *self.compute_output_shape(inputs.shape)[1:]))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        columns = self.num_columns + (self.background < 0)
        return (*input_shape[:-1], input_shape[-1] // self.num_columns * columns)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_columns": self.num_columns, "background": self.background}


def head_of(tensor: Any) -> tuple[Any, Any]:
    """(layer that made the columns of a box, `ClassColumns` behind it or None)."""
    layer = maker_of(tensor)
    if isinstance(layer, ClassColumns):
        return maker_of(nodes_of_layer(layer)[0].input_tensors[0]), layer
    return layer, None


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class BoxesOfClasses(keras.layers.Layer):
    """The class columns of heads that predict one box per class (Caffe's `share_location: false`).

    Each prior becomes one anchor per class. That anchor scores only its class: its column keeps the class's score as
    the logit of a sigmoid, and all others have a very low score. Such predictions are for detecting; training is not
    supported.

    Args:
        num_columns: class columns per prior.
        scores: how the net made scores: "softmax" over the columns, "sigmoid" of each, or "probabilities".
        **kwargs: of `keras.layers.Layer`.

    Input: (B, H, W, priors * num_columns), class fastest; output: (B, H, W, priors * num_columns * num_columns), logits
    for a sigmoid, or probabilities if `scores` is "probabilities".
    """

    def __init__(self, num_columns: int, scores: str = "softmax", **kwargs: Any):
        super().__init__(**kwargs)
        self.num_columns = int(num_columns)
        self.scores = scores

    def call(self, inputs: Any) -> Any:
        height, width, channels = inputs.shape[1:]
        count = self.num_columns
        own = ops.eye(count, dtype=self.compute_dtype)  # row: the anchor's class, column: the score's class
        x = ops.reshape(inputs, (-1, height, width, channels // count, count, 1))
        if self.scores == "softmax":
            others = ops.swapaxes(x, -1, -2) + own * NEVER  # (..., 1, C) + (C, C): row c without column c
            x = x - ops.logsumexp(others, axis=-1, keepdims=True)  # the logit of p is log p - log(1 - p)
        never = 0.0 if self.scores == "probabilities" else NEVER
        x = x * own + (1.0 - own) * never
        return ops.reshape(x, (-1, height, width, channels * count))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape[:-1], input_shape[-1] * self.num_columns)

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_columns": self.num_columns, "scores": self.scores}
