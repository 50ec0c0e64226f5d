"""How each layer is written, a file a family."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ssd.exporters.onnx.kinds import activations, arithmetic, convolution, heads, normalization, pooling, shapes
from keras_ssd.layers import LowestPadding2D

# Layer class -> function(step, *values) that writes it and returns its output.
WRITERS: dict[Any, Callable[..., Any]] = {
    **activations.WRITERS,
    **arithmetic.WRITERS,
    **convolution.WRITERS,
    **heads.WRITERS,
    **normalization.WRITERS,
    **pooling.WRITERS,
    **shapes.WRITERS,
}

# Layers that do the padding of the layer before them on the way; for all others it is written as an operation.
TAKE_PADDING: tuple[Any, ...] = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.ZeroPadding2D,
    LowestPadding2D,
)
