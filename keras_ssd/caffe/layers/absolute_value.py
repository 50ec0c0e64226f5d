"""The absolute value as a layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_ssd")
class AbsoluteValue(keras.layers.Layer):
    """|x|: Caffe's AbsVal.

    Input and output: any shape.
    """

    def call(self, inputs):
        return ops.abs(inputs)

    def compute_output_shape(self, input_shape):
        return input_shape
