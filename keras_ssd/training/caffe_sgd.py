"""Stochastic gradient descent as Caffe's solver does it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import trained_variables, variable_index


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class CaffeSGD(keras.optimizers.Optimizer):
    """Momentum with the rate inside, weight decay inside the gradient, and biases of their own.

    v = momentum * v + rate * (gradient + weight_decay * w);  w = w - v.

    Keras's SGD has the same rule for one fixed rate, but neither the decay (its `weight_decay` shrinks weights apart
    from momentum) nor what SSD's layers say of biases: twice the rate and no decay. Ports that leave that out train
    another recipe. Clipping (`global_clipnorm`) comes before the decay and counts all weights, as `clip_gradients` in
    Caffe; `gradient_accumulation_steps` is its `iter_size`.

    Args:
        learning_rate: float or schedule.
        momentum: 0..1.
        weight_decay: factor of the weights in their gradient; Keras's L2 penalty l2 * sum(w^2) is l2 = decay / 2.
        bias_rate: multiplier of the rate for biases.
        bias_decay: multiplier of the decay for biases.
        bias_names: weights of these names are biases; all others, the scales of L2Normalization among them, are not.
        **kwargs: of `keras.optimizers.Optimizer`.

    Source: weiliu89/caffe, branch ssd, src/caffe/solvers/sgd_solver.cpp, and python/caffe/model_libs.py for the biases.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        *,
        bias_rate: float = 2.0,
        bias_decay: float = 0.0,
        bias_names: Sequence[str] = ("bias", "beta"),
        name: str = "caffe_sgd",
        **kwargs: Any,
    ) -> None:
        for what, value, most in (("momentum", momentum, 1), ("weight_decay", weight_decay, None)):
            if not value >= 0 or (most is not None and not value < most):
                raise ValueError(
                    f"`{what}` must be at least 0{f' and below {most}' if most else ''}. Received: {what}={value!r}"
                )
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum = float(momentum)
        self.decay = float(weight_decay)
        self.bias_rate = float(bias_rate)
        self.bias_decay = float(bias_decay)
        self.bias_names = tuple(bias_names)

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = variable_index(self, variable)
        # TensorFlow hands its own variable over, which has another name than Keras's.
        is_bias = trained_variables(self)[index].name in self.bias_names
        rate = ops.cast(learning_rate, variable.dtype) * (self.bias_rate if is_bias else 1.0)
        decay = self.decay * (self.bias_decay if is_bias else 1.0)
        velocity = self._velocities[index]
        gradient = ops.cast(gradient, variable.dtype)
        if decay:
            gradient = gradient + decay * variable
        self.assign(velocity, self.momentum * velocity + rate * gradient)
        self.assign_sub(variable, velocity)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "weight_decay": self.decay,
            "bias_rate": self.bias_rate,
            "bias_decay": self.bias_decay,
            "bias_names": list(self.bias_names),
        }
