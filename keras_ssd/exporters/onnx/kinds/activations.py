"""Activations, as layers and at the end of other layers."""

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import activations

from keras_ssd.exporters.model_graph import array_of
from keras_ssd.exporters.onnx.onnx_graph import Step
from keras_ssd.exporters.onnx.values import Value


def _one(operator, **attributes):
    """A function that ONNX has."""
    return lambda step, x: step.node(operator, x, **attributes)


def _over_channels(operator):
    """A function of all channels together."""
    return lambda step, x: step.node(operator, x, axis=x.axis(-1))


def _gated(*operators):
    """x times a function of x: rows (operator, attributes), one after the other."""

    def write(step, x):
        gate = x
        for operator, attributes in operators:
            gate = step.node(operator, gate, part=operator.lower(), **attributes)
        return step.node("Mul", x, gate)

    return write


def _clip(low, high):
    return lambda step, x: step.node("Clip", x, step.constant(low, "min"), step.constant(high, "max"))


def _gelu(step, x):
    y = step.node("Mul", x, step.constant(math.sqrt(0.5), "root"), part="scaled")
    y = step.node("Add", step.node("Erf", y, part="erf"), step.constant(1.0, "one"), part="add")
    half = step.node("Mul", x, step.constant(0.5, "half"), part="halved")
    return step.node("Mul", half, y)


def _hard_sigmoid(step, x):
    """Not by ONNX's HardSigmoid: OpenCV 5.0 takes its product with anything, a gate for example, for a hard swish."""
    y = step.node("Mul", x, step.constant(1 / 6, "sixth"), part="scaled")
    y = step.node("Add", y, step.constant(0.5, "half"), part="add")
    return _clip(0.0, 1.0)(step, y)


HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}

# Keras's function -> what writes it, from a step and its input to the name of the output.
FUNCTIONS: dict[Any, Callable[..., str]] = {
    activations.relu: _one("Relu"),
    activations.relu6: _clip(0.0, 6.0),
    activations.leaky_relu: _one("LeakyRelu", alpha=0.2),
    activations.elu: _one("Elu", alpha=1.0),
    activations.selu: _one("Selu"),
    activations.sigmoid: _one("Sigmoid"),
    activations.tanh: _one("Tanh"),
    activations.softplus: _one("Softplus"),
    activations.softsign: _one("Softsign"),
    activations.exponential: _one("Exp"),
    activations.hard_sigmoid: _hard_sigmoid,
    activations.hard_silu: _gated(("HardSigmoid", HARD_SIGMOID)),
    activations.silu: _gated(("Sigmoid", {})),
    activations.mish: _gated(("Softplus", {}), ("Tanh", {})),
    activations.gelu: _gelu,
    activations.softmax: _over_channels("Softmax"),
    activations.log_softmax: _over_channels("LogSoftmax"),
}


def part_before(activation: Any) -> str | None:
    """The part that a layer's operation is when this activation follows it: None for the last."""
    return None if activation is activations.linear else "linear"


def activated(step: Step, x: Value) -> Value:
    """What a layer has computed, after the activation that it ends in."""
    activation = step.layer.activation
    return x if activation is activations.linear else x.like(FUNCTIONS[activation](step, x))


def elu(step: Step, x: Value) -> Value:
    return x.like(step.node("Elu", x, alpha=float(step.layer.alpha)))


def leaky_relu(step: Step, x: Value) -> Value:
    return x.like(step.node("LeakyRelu", x, alpha=float(step.layer.negative_slope)))


def relu(step: Step, x: Value) -> Value:
    """ReLU with a slope below zero, and an end above it."""
    slope, highest = float(step.layer.negative_slope), step.layer.max_value
    if highest is None:
        return x.like(step.node("LeakyRelu", x, alpha=slope) if slope else step.node("Relu", x))
    if not slope:
        return x.like(_clip(0.0, float(highest))(step, x))
    y = step.node("LeakyRelu", x, alpha=slope, part="leaky")
    return x.like(step.node("Min", y, step.constant(float(highest), "max")))


def prelu(step: Step, x: Value) -> Value:
    """ReLU with learned slopes; those of single cells OpenCV's PRelu does not know."""
    alpha = array_of(step.layer.alpha)[None]
    slope = step.constant(_by_channel(x, alpha), "alpha")
    if alpha.size in (1, alpha.shape[-1]):
        return x.like(step.node("PRelu", x, slope))
    below = step.node("Min", x, step.constant(0.0, "zero"), part="below")
    below = step.node("Mul", below, slope, part="sloped")
    return x.like(step.node("Add", step.node("Relu", x, part="above"), below))


def _by_channel(x, alpha):
    """Slopes as ONNX lines them up with an image: from behind, so without the batch."""
    return x.turned(alpha).transpose(x.order)[0]


def softmax(step: Step, x: Value) -> Value:
    return x.like(step.node("Softmax", x, axis=x.axis(step.layer.axis)))


WRITERS: dict[Any, Callable[..., Any]] = {
    keras.layers.Activation: activated,
    keras.layers.ELU: elu,
    keras.layers.LeakyReLU: leaky_relu,
    keras.layers.PReLU: prelu,
    keras.layers.ReLU: relu,
    keras.layers.Softmax: softmax,
}
