"""Values and gradients by the tape of the backend in use."""

import keras
import numpy as np


def value_and_gradient(function, x):
    """The value of a scalar function of one tensor at the array `x`, and its gradient there, as numpy arrays."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        point = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = function(point)
        return value.numpy(), tf.convert_to_tensor(tape.gradient(value, point)).numpy()
    if keras.backend.backend() == "jax":
        import jax

        value, gradient = jax.value_and_grad(function)(x)
        return np.asarray(value), np.asarray(gradient)
    import torch

    point = torch.tensor(x, requires_grad=True)
    value = function(point)
    value.backward()
    return value.detach().numpy(), point.grad.numpy()


def compiled(function):
    """The function as the backend's compiler runs it; PyTorch's own call where there is none."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    return function
