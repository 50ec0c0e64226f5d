"""The copy of a model that is trained, apart from the one that is kept."""

import keras

from keras_ssd.formats import NamedArrays
from keras_ssd.keras_private import averages, trained_variables
from keras_ssd.models import SSD
from keras_ssd.zoo.port import arrays_of, port, target_weights, to_numpy


def twin_of(model, precision=None):
    """A copy with weights of its own and another numerical precision.

    What is validated and saved has averaged weights and computes in float32; what is trained has neither. Two models
    keep the two apart, where swapping weights to and fro in one would leave the wrong ones behind an error.

    Args:
        model: `SSD`.
        precision: a dtype policy such as "mixed_bfloat16", whose weights are float32; None for the model's own.

    Returns:
        An `SSD` with the same layers, names, weights and frozen layers.
    """

    def clone(layer):
        config = layer.get_config()
        if precision is not None and "dtype" in config and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = precision
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    names = model.class_names if model.names_classes else ()
    twin = SSD(copy.inputs[0], copy.outputs[0], name=model.name, class_names=names, decoding=model.decoding)
    for layer in twin.layers:
        if layer.weights:  # the input may have got another name
            layer.trainable = model.get_layer(layer.name).trainable
    port(twin, arrays_of(model))
    return twin


def write_averaged(twin, model):
    """Writes the twin's weights into the model: the running averages where its optimizer keeps them."""
    averages = averages_of(twin.optimizer)
    layers = {}
    for (layer, weight), variable in target_weights(twin).items():
        layers.setdefault(layer, {})[weight] = to_numpy(averages.get(id(variable), variable))
    port(model, NamedArrays(layers, format="model"))


def averages_of(optimizer):
    """{id of a variable: its running average}; empty without averaging."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    if not optimizer.use_ema:
        return {}
    pairs = zip(trained_variables(optimizer), averages(optimizer), strict=True)
    return {id(variable): average for variable, average in pairs if average is not None}
