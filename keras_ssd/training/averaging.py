"""AdamW whose running average of the weights is good from the first steps on."""

from typing import Any

import keras
from keras import ops

from keras_ssd.calling import checked_arguments

SHARE = 5  # an average reaches over about the last fifth of the steps so far


@checked_arguments
@keras.saving.register_keras_serializable("keras_ssd")
class AveragingAdamW(keras.optimizers.AdamW):
    """Keras's AdamW with `use_ema=True`, whose momentum grows from 0 to `ema_momentum`.

    With a fixed momentum of 0.998 the average holds more of the first, untrained weights than of all others during the
    first 350 steps: validation finds no objects, and a short training would end with these useless averages. Here the
    momentum is the smaller of `ema_momentum` and t / (t + 5) at step t, so the average reaches over about the last
    fifth of the steps.

    Args:
        learning_rate: float or schedule.
        ema_momentum: 0..1, the highest.
        **kwargs: of `keras.optimizers.AdamW`.

    Source: Shamir and Zhang, Stochastic Gradient Descent for Non-smooth Optimization (2013), section 4.
    """

    def __init__(
        self, learning_rate: Any = 1e-3, *, ema_momentum: float = 0.998, name: str = "averaging_adamw", **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, use_ema=True, ema_momentum=ema_momentum, name=name, **kwargs)

    @property
    def ema_momentum(self) -> Any:
        """The momentum of the step in progress, a tensor."""
        step = ops.cast(self.iterations, "float32")
        return ops.minimum(step / (step + SHARE), self._highest_momentum)

    @ema_momentum.setter
    def ema_momentum(self, value: float) -> None:
        self._highest_momentum = float(value)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "ema_momentum": self._highest_momentum}
        del config["use_ema"]
        return config
