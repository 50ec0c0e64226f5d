"""Arrays of Keras layers."""

import keras
import numpy as np


def array(variable):
    """A weight as float32."""
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float32)


def per_channel(given, channels):
    """A float64 for each channel, from one number or as many."""
    return np.broadcast_to(np.asarray(given, np.float64).ravel(), (channels,))
