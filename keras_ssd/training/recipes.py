"""Optimizers with their schedules, by what they are for: `caffe_sgd`, `modern`, `small_data`."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name
from keras_ssd.training.averaging import AveragingAdamW
from keras_ssd.training.caffe_sgd import CaffeSGD

NOT_DECAYED = ("bias", "beta", "gamma")


def caffe_sgd(
    steps: int = 120_000,
    learning_rate: float = 1e-3,
    *,
    drops: Sequence[float] = (2 / 3, 5 / 6),
    weight_decay: float = 5e-4,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """The original recipe: SGD with momentum 0.9, the rate cut to a tenth at two thirds and five sixths.

    The original trains 120,000 steps of 32 images from the ImageNet VGG, without warm-up and without clipping; give
    `global_clipnorm` where the loss runs away at the start.

    Args:
        steps: of the whole training.
        learning_rate: at the start; 1e-3 for 32 images a step.
        drops: shares of `steps` at which the rate falls to a tenth.
        weight_decay: as in Caffe.
        **options: of `CaffeSGD`.

    Returns:
        A Keras optimizer.

    Source: weiliu89/caffe, branch ssd, examples/ssd/ssd_pascal.py: 80,000 and 100,000 of 120,000 steps.
    """
    _check(steps, learning_rate)
    # Caffe drops the rate *at* the step, Keras's schedule after it.
    boundaries = [max(round(share * steps) - 1, 0) for share in drops]
    if not boundaries:
        return CaffeSGD(learning_rate, weight_decay=weight_decay, **options)
    values = [learning_rate * 0.1**power for power in range(len(boundaries) + 1)]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    return CaffeSGD(schedule, weight_decay=weight_decay, **options)


def modern(
    steps: int,
    learning_rate: float = 1e-3,
    *,
    warm_up: int | None = None,
    weight_decay: float = 0.05,
    clip: float | None = 10.0,
    average: float | None = 0.998,
    **options: Any,
) -> keras.optimizers.Optimizer:
    """AdamW with warm-up, cosine decay, clipping, and a running average of the weights.

    Args:
        steps: of the whole training.
        learning_rate: the highest.
        warm_up: steps in which the rate rises to it; None is a twentieth, at most 500.
        weight_decay: decoupled; biases and normalisations have none.
        clip: largest norm of all gradients together; None for no clipping.
        average: highest momentum of the running average that the trained model ends with, see `AveragingAdamW`; None
            for the weights as they are.
        **options: of `keras.optimizers.AdamW`.

    Returns:
        A Keras optimizer. With `average`, use `keras.callbacks.SwapEMAWeights` or the package's trainer, so that
        validation and checkpoints see the averaged weights.
    """
    _check(steps, learning_rate)
    warm_up = min(500, max(steps // 20, 1)) if warm_up is None else warm_up
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100, max(steps - warm_up, 1), alpha=0.01, warmup_target=learning_rate, warmup_steps=warm_up
    )
    options = {"weight_decay": weight_decay, "global_clipnorm": clip, **options}
    if average is None:
        optimizer = keras.optimizers.AdamW(schedule, **options)
    else:
        optimizer = AveragingAdamW(schedule, ema_momentum=average, **options)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


def small_data(steps: int, learning_rate: float = 2e-3, **options: Any) -> keras.optimizers.Optimizer:
    """`modern` for a few hundred images and a small network from nothing: a higher rate, 60 steps of warm-up.

    Args:
        steps: of the whole training.
        learning_rate: the highest.
        **options: of `modern`.
    """
    return modern(steps, learning_rate, **{"warm_up": min(60, max(steps // 4, 1)), **options})


RECIPES: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "caffe": caffe_sgd,
    "modern": modern,
    "small-data": small_data,
}


@checked_arguments
def named(name: str) -> Callable[..., keras.optimizers.Optimizer]:
    """A recipe's function by name.

    Raises:
        ValueError: no such name.
    """
    if name not in RECIPES:
        raise ValueError(unknown_name("recipe", name, RECIPES))
    return RECIPES[name]


def _check(steps, learning_rate):
    if not steps >= 1:
        raise ValueError(f"`steps` must be at least 1. Received: steps={steps!r}")
    if not learning_rate > 0:
        raise ValueError(f"`learning_rate` must be positive. Received: learning_rate={learning_rate!r}")
