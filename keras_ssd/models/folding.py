"""Copies of models with batch normalisation folded into the convolutions for good."""

import keras
import numpy as np

from keras_ssd.folding import foldable_pairs
from keras_ssd.models.model import SSD


def fold_batch_normalization(model: keras.Model) -> keras.Model:
    """A copy of a functional model whose batch normalisations are folded into the convolutions before them.

    A normalisation with fixed averages is a scale and bias per channel, which the convolution can include: the outputs
    are equal up to rounding, with fewer layers and in less time. Such a model is for detecting; training it would
    continue without normalisation.
    """
    pairs = foldable_pairs(model)
    folded = {conv.name: norm for conv, norm in pairs}
    gone = {norm.name for _, norm in pairs}

    def clone(layer):
        config = layer.get_config()
        if layer.name in folded:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    def call(layer, *args, **kwargs):
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for layer in copy.layers:
        if not layer.weights:
            continue
        source = model.get_layer(layer.name)
        if layer.name in folded:
            _write(layer, source, folded[layer.name])
        else:
            layer.set_weights(source.get_weights())
    if not isinstance(model, SSD):
        return copy
    names = model.class_names if model.names_classes else ()
    return SSD(copy.inputs[0], copy.outputs[0], name=model.name, class_names=names, decoding=model.decoding)


def _write(layer, source, norm):
    """Sets the folded kernel and bias, computed in double precision."""

    def value(variable, default):
        return np.float64(default) if variable is None else np.asarray(keras.ops.convert_to_numpy(variable), np.float64)

    factor = value(norm.gamma, 1) / np.sqrt(value(norm.moving_variance, 1) + norm.epsilon)
    bias = value(source.bias if source.use_bias else None, 0)
    kernel = value(source.kernel, 0)
    # A depthwise kernel is (kh, kw, channels, multiplier), its outputs are channel-major.
    depthwise = isinstance(source, keras.layers.DepthwiseConv2D)
    shaped = factor.reshape(kernel.shape[2:]) if depthwise else factor
    layer.kernel.assign((kernel * shaped).astype(np.float32))
    beta = value(norm.beta, 0) + (bias - value(norm.moving_mean, 0)) * factor
    layer.bias.assign(beta.astype(np.float32))
