"""Weights times gradients of a detector's loss, batch by batch, on every backend.

Keras has no gradient of its own for all backends. An optimizer gets them on each one, so one that only notes them
does it.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_ssd.data.batches import batches as batches_of
from keras_ssd.data.dataset import Dataset
from keras_ssd.keras_private import variable_index
from keras_ssd.models.model import SSD
from keras_ssd.training.settings import Settings
from keras_ssd.training.training_copy import training_copy_of
from keras_ssd.zoo.port import target_weights, to_numpy


class NotingOptimizer(keras.optimizers.Optimizer):
    """Keeps the last gradients and changes no weight."""

    def __init__(self) -> None:
        super().__init__(learning_rate=0.0, name="noting")
        self.noted: list[Any] = []

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self.noted = [self.add_variable_from_reference(variable, name="noted") for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        noted = self.noted[variable_index(self, variable)]
        self.assign(noted, keras.ops.cast(gradient, noted.dtype))

    def get_config(self) -> dict[str, Any]:
        return {}


def products_of(
    model: SSD, dataset: Dataset, count: int, batch_size: int
) -> Iterator[dict[tuple[str, str], np.ndarray]]:
    """{(layer, weight): weight times gradient of the recipe's loss} of each batch.

    Args:
        model: `SSD`.
        dataset: with the model's classes.
        count: of batches, at most.
        batch_size: images in each.
    """
    settings = Settings(1, max(1, min(batch_size, len(dataset))), augment=None)
    copy: Any = training_copy_of(model)
    for layer in copy.layers:
        layer.trainable = True
    optimizer = NotingOptimizer()
    copy.compile(optimizer=optimizer, loss=settings.loss(model.decoding))
    optimizer.build(copy.trainable_variables)
    source = batches_of(dataset, copy, settings.augment, settings.batch_size, seed=settings.seed)
    named = target_weights(copy)
    try:
        for place in range(min(count, len(source))):
            images, targets = source[place]
            copy.train_on_batch(images, targets)
            noted = {id(v): one for v, one in zip(copy.trainable_variables, optimizer.noted, strict=True)}
            yield {key: to_numpy(v) * to_numpy(noted[id(v)]) for key, v in named.items() if id(v) in noted}
    finally:
        source.close()
