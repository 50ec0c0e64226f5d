"""A slice of a tensor."""

from typing import Any

import keras

from keras_ssd.calling import checked_arguments


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class SliceAxis(keras.layers.Layer):
    """x[start:stop] on one axis: Caffe's Slice and Crop.

    Args:
        axis: any axis but the batch.
        start: first index to keep, from 0.
        stop: first index after the slice; None keeps the rest.
        **kwargs: of `keras.layers.Layer`.

    Input: any shape; output: the same with `stop - start` on the axis.

    Raises:
        ValueError: the slice is empty or exceeds the input.
    """

    def __init__(self, axis: int, start: int = 0, stop: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.start = int(start)
        self.stop = None if stop is None else int(stop)
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise ValueError(f"SliceAxis needs 0 <= start < stop. Received: start={start}, stop={stop}")

    def _checked_axis(self, shape):
        rank = len(shape)
        if not (-rank <= self.axis < rank and self.axis % rank):
            raise ValueError(
                f"`axis` must name an axis of the input {tuple(shape)} other than the batch. Received: axis={self.axis}"
            )
        axis = self.axis % rank
        size = shape[axis]
        if size is not None and max(self.stop or 0, self.start + 1) > size:
            raise ValueError(
                f"The slice {self.start}:{self.stop} of axis {self.axis} exceeds the input. "
                f"Received: shape={tuple(shape)}"
            )
        return axis

    def call(self, inputs: Any) -> Any:
        axis = self._checked_axis(inputs.shape)
        return inputs[(slice(None),) * axis + (slice(self.start, self.stop),)]

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        axis = self._checked_axis(input_shape)
        size = input_shape[axis]
        stop = self.stop if self.stop is not None else size
        return (*input_shape[:axis], None if stop is None else stop - self.start, *input_shape[axis + 1 :])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "start": self.start, "stop": self.stop}
