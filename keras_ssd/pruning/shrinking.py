"""The smaller network: layers with fewer channels, and the rows of their weights that stay."""

from typing import Any

import keras
import numpy as np

from keras_ssd.models import SSD
from keras_ssd.pruning.tracing import Traced


def without_channels(model: SSD, traced: Traced, alive: np.ndarray) -> SSD:
    """A copy of a detector without the groups of channels of which `alive` is false; the given model is unchanged."""

    def clone(layer):
        config = layer.get_config()
        option, groups = traced.options.get(layer.name, ("", ()))
        if option and not alive[groups].all():
            count = int(np.count_nonzero(alive[groups]))
            config[option] = (*config[option][:-1], count) if isinstance(config[option], (list, tuple)) else count
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    names = model.class_names if model.names_classes else ()
    kept = {"name": model.name, "decoding": model.decoding, "sources": model.sources}
    smaller = SSD(copy.inputs[0], copy.outputs[0], class_names=names, **kept)
    if model.confidence is not None:
        smaller.confidence = model.confidence
    for layer in smaller.layers:
        if not layer.weights:  # an input without a name has another one in the copy
            continue
        source = model.get_layer(layer.name)
        layer.trainable = source.trainable
        axes = traced.weights.get(layer.name, {})
        layer.set_weights([_cut(weight, axes.get(weight.name, {}), alive) for weight in source.weights])
    return smaller


def _cut(weight: Any, axes: dict[int, np.ndarray], alive: np.ndarray) -> np.ndarray:
    values = keras.ops.convert_to_numpy(weight)
    for axis, groups in axes.items():
        values = np.compress(alive[groups], values, axis=axis)
    return values
