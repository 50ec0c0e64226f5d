"""The copy of a model that a training changes, apart from the model that is validated and saved."""

from typing import Any

import keras

from keras_ssd.formats import NamedArrays
from keras_ssd.keras_private import averages, trained_variables
from keras_ssd.models import SSD
from keras_ssd.quantizing import ENDING, fake_quantized
from keras_ssd.zoo.port import arrays_of, port, target_weights, to_numpy


def training_copy_of(model: SSD, precision: str | None = None, qat: bool = False) -> SSD:
    """A copy with weights of its own and another numerical precision.

    The model that is validated and saved has averaged weights and computes in float32; the copy that is trained has
    neither. With one model, an error while the weights are swapped would leave the wrong ones.

    Args:
        model: `SSD`.
        precision: a dtype policy such as "mixed_bfloat16", whose weights are float32; None for the model's own.
        qat: whether it computes as an int8 file does: quantisation-aware training.

    Returns:
        An `SSD` with the same layers, names, weights and frozen layers; with `qat` there are layers that round between
        them.
    """

    def clone(layer):
        config = layer.get_config()
        if precision is not None and "dtype" in config and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = precision
        return layer.__class__.from_config(config)

    copy = fake_quantized(model) if qat else keras.models.clone_model(model, clone_function=clone)
    names = model.class_names if model.names_classes else ()
    trained = SSD(copy.inputs[0], copy.outputs[0], name=model.name, class_names=names, decoding=model.decoding)
    for layer in trained.layers:
        if layer.weights and not layer.name.endswith(ENDING):  # the input may have got another name
            layer.trainable = model.get_layer(layer.name).trainable
    port(trained, arrays_of(model), keep=(f"*{ENDING}",))
    return trained


def write_averaged(trained: SSD, model: SSD) -> None:
    """Writes the weights of the trained copy into the model: the running averages where the optimizer keeps them.

    Layers of the copy that round, and that the model does not have, are left out.
    """
    running = averages_of(trained.optimizer)
    layers, wanted = {}, {layer for layer, _ in target_weights(model)}
    for (layer, weight), variable in target_weights(trained).items():
        if layer.endswith(ENDING) and layer not in wanted:
            continue
        layers.setdefault(layer, {})[weight] = to_numpy(running.get(id(variable), variable))
    port(model, NamedArrays(layers, format="model"))


def averages_of(optimizer: Any) -> dict[int, Any]:
    """{id of a variable: its running average}; empty without averaging."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    if not optimizer.use_ema:
        return {}
    pairs = zip(trained_variables(optimizer), averages(optimizer), strict=True)
    return {id(variable): average for variable, average in pairs if average is not None}
