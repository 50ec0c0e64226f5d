"""Activations and other elementwise operations."""

import math

import keras

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step, Stored
from keras_ssd.caffe.importer.kinds.axes import checked_axis
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import AbsoluteValue, Logarithm, Power

# Layer types without settings -> Keras's names of the same functions.
PLAIN = {
    "Sigmoid": "sigmoid",
    "TanH": "tanh",
    "BNLL": "softplus",
    "HardSwish": "hard_silu",
    "HSwish": "hard_silu",
    "Mish": "mish",
}


@builds(*PLAIN)
def activation(step: Step, x: Blob) -> Blob:
    """A function without parameters."""
    layer = keras.layers.Activation(PLAIN[step.layer.type], name=step.label())
    return x.like(step.apply(layer, x.tensor))


@builds("ReLU")
def relu(step: Step, x: Blob) -> Blob:
    """ReLU, with a slope below zero if one is given."""
    slope = step.settings("relu_param")["negative_slope"]
    layer = keras.layers.LeakyReLU(slope, name=step.label()) if slope else keras.layers.ReLU(name=step.label())
    return x.like(step.apply(layer, x.tensor))


@builds("ReLU6")
def relu6(step: Step, x: Blob) -> Blob:
    """ReLU with the maximum 6."""
    slope = step.settings("relu6_param")["negative_slope"]
    if slope:
        step.fail(f"is only supported without a slope below zero. Received: negative_slope={slope}")
    return x.like(step.apply(keras.layers.ReLU(max_value=6.0, name=step.label()), x.tensor))


@builds("PReLU")
def prelu(step: Step, x: Blob) -> Blob:
    """ReLU with a learned slope per channel, or one for all."""
    shared = bool(step.settings("prelu_param")["channel_shared"])
    rank, channel, channels = len(x.shape), x.axis(1), x.shape[1]
    shape = [channels if axis == channel and not shared else 1 for axis in range(1, rank)]
    layer = keras.layers.PReLU(
        shared_axes=[axis for axis in range(1, rank) if shared or axis != channel], name=step.label()
    )
    stored = Stored(0, (1 if shared else channels,), lambda a: x.turned(a).reshape(shape))
    return x.like(step.apply(layer, x.tensor, weights={"alpha": stored}))


@builds("ELU")
def elu(step: Step, x: Blob) -> Blob:
    """Exponential below zero."""
    return x.like(step.apply(keras.layers.ELU(step.settings("elu_param")["alpha"], name=step.label()), x.tensor))


@builds("Swish")
def swish(step: Step, x: Blob) -> Blob:
    """x * sigmoid(beta * x)."""
    beta = step.settings("swish_param").get("beta", 1.0)
    if beta == 1.0:
        return x.like(step.apply(keras.layers.Activation("silu", name=step.label()), x.tensor))
    gate = step.apply(Power(scale=beta, name=step.label("beta")), x.tensor)
    gate = step.apply(keras.layers.Activation("sigmoid", name=step.label("gate")), gate)
    return x.like(step.apply(keras.layers.Multiply(name=step.label()), x.tensor, gate))


@builds("Clip")
def clip(step: Step, x: Blob) -> Blob:
    """min(max(x, low), high), as a ReLU between two shifts."""
    s = step.settings("clip_param")
    low, high = s.get("min"), s.get("max")
    if low is None or high is None or not low <= high:
        return step.fail(f"needs min and max, in this order. Received: min={low}, max={high}")
    y = x.tensor
    if low:
        y = step.apply(Power(shift=-low, name=step.label("down")), y)
    y = step.apply(keras.layers.ReLU(max_value=high - low, name=step.label()), y)
    return x.like(step.apply(Power(shift=low, name=step.label("up")), y) if low else y)


@builds("Power")
def power(step: Step, x: Blob) -> Blob:
    """(shift + scale * x) ** power."""
    s = step.settings("power_param")
    layer = Power(s["power"], s["scale"], s["shift"], name=step.label())
    return x.like(step.apply(layer, x.tensor))


@builds("Exp")
def exponential(step: Step, x: Blob) -> Blob:
    """base ** (shift + scale * x); the base -1 means e."""
    s = step.settings("exp_param")
    rate = 1.0 if s["base"] == -1 else math.log(_base(step, s))
    y = x.tensor
    if (rate * s["scale"], rate * s["shift"]) != (1.0, 0.0):
        y = step.apply(Power(scale=rate * s["scale"], shift=rate * s["shift"], name=step.label("exponent")), y)
    return x.like(step.apply(keras.layers.Activation("exponential", name=step.label()), y))


@builds("Log")
def logarithm(step: Step, x: Blob) -> Blob:
    """The logarithm of shift + scale * x; the base -1 means e."""
    s = step.settings("log_param")
    base = None if s["base"] == -1 else _base(step, s)
    return x.like(step.apply(Logarithm(base, s["scale"], s["shift"], name=step.label()), x.tensor))


def _base(step, settings):
    if not settings["base"] > 0 or (step.layer.type == "Log" and settings["base"] == 1):
        step.fail(f"needs a positive base, or -1 for e. Received: base={settings['base']}")
    return settings["base"]


@builds("AbsVal")
def absolute(step: Step, x: Blob) -> Blob:
    """|x|."""
    return x.like(step.apply(AbsoluteValue(name=step.label()), x.tensor))


@builds("Softmax")
def softmax(step: Step, x: Blob) -> Blob:
    """Softmax over Caffe's axis."""
    axis = checked_axis(step, x, step.settings("softmax_param")["axis"])
    return x.like(step.apply(keras.layers.Softmax(axis=x.axis(axis), name=step.label()), x.tensor))


@builds("Dropout")
def dropout(step: Step, x: Blob) -> Blob:
    """Dropout: nothing in inference, and a part of training."""
    ratio = step.settings("dropout_param")["dropout_ratio"]
    return x.like(step.apply(keras.layers.Dropout(ratio, name=step.label()), x.tensor))
