"""Weights as numpy arrays."""

import numpy as np
from keras import ops


def array_of(variable):
    """A weight's values in float32."""
    return np.asarray(ops.convert_to_numpy(variable), np.float32)
