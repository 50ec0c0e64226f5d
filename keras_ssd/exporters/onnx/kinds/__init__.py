"""How each layer is written, a file a family."""

import keras

from keras_ssd.exporters.onnx.kinds import activations, arithmetic, convolution, heads, normalization, pooling, shapes
from keras_ssd.layers import LowestPadding2D

# Layer class -> function(step, *values) that writes it and returns its output.
WRITERS = {
    **activations.WRITERS,
    **arithmetic.WRITERS,
    **convolution.WRITERS,
    **heads.WRITERS,
    **normalization.WRITERS,
    **pooling.WRITERS,
    **shapes.WRITERS,
}

# Layers that do the padding of the layer before them on the way; for all others it is written as an operation.
TAKE_PADDING = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.ZeroPadding2D,
    LowestPadding2D,
)


def writer_of(layer):
    """The function that writes a layer, or None.

    A subclass counts only while it computes as its parent does.
    """
    for kind in type(layer).__mro__:
        if kind in WRITERS:
            return WRITERS[kind] if type(layer).call is kind.call else None
    return None
