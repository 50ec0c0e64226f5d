"""What each kind of layer does with channels: which go through, which it makes, which of its weights belong to them.

A kind without a rule here is left as it is, with all channels that it reads and makes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np

from keras_ssd import layers as ours
from keras_ssd.exporters.model_graph import writer_of
from keras_ssd.pruning.channels import Channels

# {weight: {axis: channels}}; where a weight has two, the one that is made stands last
WeightAxes = dict[str, dict[int, np.ndarray]]


class NoRuleError(Exception):
    """This layer does something with channels that cannot be followed."""


@dataclass(frozen=True)
class Use:
    """One call of a layer.

    Args:
        outputs: the channels of its output.
        weights: the channels of its weights.
        option: the entry of its configuration that holds the number of output channels; "" for none.
    """

    outputs: np.ndarray
    weights: WeightAxes = field(default_factory=dict)
    option: str = ""


@dataclass(frozen=True)
class Reading:
    """What a rule gets.

    Args:
        layer: the layer or operation.
        inputs: the channels of each input.
        shapes: the shape of each input and, last, that of the output.
        channels: the `Channels` to tie.
        make: function of a number to the channels that the layer makes, the same ones in each of its calls.
        arguments: what the call is given besides tensors.
    """

    layer: Any
    inputs: Sequence[np.ndarray]
    shapes: Sequence[tuple[Any, ...]]
    channels: Channels
    make: Callable[[int], np.ndarray]
    arguments: Sequence[Any] = ()


def use_of(reading: Reading) -> Use:
    """What a call does with channels.

    Raises:
        NoRuleError: it cannot be said.
    """
    layer = reading.layer
    if isinstance(layer, keras.layers.Layer):
        rule = writer_of(layer, RULES)
    else:
        rule = OPERATIONS.get(type(layer).__name__) if type(layer).__module__.startswith("keras.src.ops") else None
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    if rule is None or not last or getattr(layer, "lora_enabled", False):
        raise NoRuleError
    use = rule(reading)
    there = {weight.name for weight in getattr(layer, "weights", ())}
    if there - set(use.weights):
        raise NoRuleError
    return replace(use, weights={name: axes for name, axes in use.weights.items() if name in there})


_ACROSS = {"softmax", "log_softmax", "glu", "sparsemax"}  # activations that look at all channels


def _check_activation(layer):
    function = getattr(layer, "activation", None)
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "") or ""
    if function is not None and (name in _ACROSS or not module.startswith("keras.src.activations")):
        raise NoRuleError


def through(reading: Reading) -> Use:
    """Each channel stays what it is."""
    _check_activation(reading.layer)
    return Use(reading.inputs[0])


def vectors(*names: str) -> Callable[[Reading], Use]:
    """Each channel stays what it is, and has an entry in each of these weights."""

    def rule(reading):
        if any(axis % len(reading.shapes[0]) != len(reading.shapes[0]) - 1 for axis in _axes(reading.layer)):
            raise NoRuleError
        given = reading.inputs[0]
        shapes = {weight.name: weight.shape for weight in reading.layer.weights if weight.name in names}
        # A weight of one number is for all channels.
        return Use(given, {n: {len(s) - 1: given} if s[-1] == len(given) else {} for n, s in shapes.items()})

    return rule


def _axes(layer):
    axis = getattr(layer, "axis", -1)
    return (axis,) if isinstance(axis, int) else tuple(axis)


def scalar(*options: str) -> Callable[[Reading], Use]:
    """Each channel stays what it is where these options are single numbers."""

    def rule(reading):
        if any(np.ndim(getattr(reading.layer, option)) for option in options):
            raise NoRuleError
        return Use(reading.inputs[0])

    return rule


def convolution(reading: Reading) -> Use:
    layer = reading.layer
    _check_activation(layer)
    if layer.groups != 1:
        raise NoRuleError
    made = reading.make(layer.filters)
    return Use(made, {"kernel": {2: reading.inputs[0], 3: made}, "bias": {0: made}}, "filters")


def transposed(reading: Reading) -> Use:
    _check_activation(reading.layer)
    made = reading.make(reading.layer.filters)
    return Use(made, {"kernel": {3: reading.inputs[0], 2: made}, "bias": {0: made}}, "filters")


def depthwise(reading: Reading) -> Use:
    _check_activation(reading.layer)
    given = reading.inputs[0]
    outputs = np.repeat(given, reading.layer.depth_multiplier)
    return Use(outputs, {"kernel": {2: given}, "bias": {0: outputs}})


def separable(reading: Reading) -> Use:
    layer, given = reading.layer, reading.inputs[0]
    _check_activation(layer)
    made = reading.make(layer.filters)
    between = np.repeat(given, layer.depth_multiplier)
    weights = {
        "depthwise_kernel": {2: given},
        "pointwise_kernel": {2: between, 3: made},
        "bias": {0: made},
    }
    return Use(made, weights, "filters")


def dense(reading: Reading) -> Use:
    _check_activation(reading.layer)
    made = reading.make(reading.layer.units)
    return Use(made, {"kernel": {0: reading.inputs[0], 1: made}, "bias": {0: made}}, "units")


def merged(reading: Reading) -> Use:
    """Sums, products and the like: channels of the same place go together."""
    widest = max(reading.inputs, key=len)
    for given in reading.inputs:
        if len(given) == len(widest):
            reading.channels.tie(given, widest)
        else:  # one number for all channels
            reading.channels.keep(given)
    if any(np.ndim(value) for value in reading.arguments):
        raise NoRuleError
    return Use(widest)


def concatenated(reading: Reading) -> Use:
    rank = len(reading.shapes[0])
    if reading.layer.axis % rank == rank - 1:
        return Use(np.concatenate(reading.inputs))
    return merged(reading)


def reshaped(reading: Reading) -> Use:
    """Only what leaves the last axis as it is."""
    before, after = reading.shapes[0], reading.shapes[-1]
    if before[-1] != after[-1] or getattr(reading.layer, "target_shape", (-1,))[-1] == -1:
        raise NoRuleError
    return Use(reading.inputs[0], {}, "target_shape")


_KERAS = keras.layers
RULES: dict[Any, Callable[[Reading], Use]] = {
    **dict.fromkeys(
        (
            *(_KERAS.Activation, _KERAS.ReLU, _KERAS.LeakyReLU, _KERAS.ELU, _KERAS.Identity),
            *(_KERAS.ZeroPadding2D, _KERAS.Cropping2D, _KERAS.UpSampling2D, _KERAS.Resizing),
            *(_KERAS.MaxPooling2D, _KERAS.AveragePooling2D, _KERAS.GlobalMaxPooling2D, _KERAS.GlobalAveragePooling2D),
            *(_KERAS.Dropout, _KERAS.SpatialDropout2D, _KERAS.GaussianNoise, _KERAS.ActivityRegularization),
            *(ours.LowestPadding2D, ours.BilinearResize, ours.PaddedAveragePooling2D),
            *(ours.AbsoluteValue, ours.Power, ours.Logarithm),
        ),
        through,
    ),
    **dict.fromkeys((_KERAS.Add, _KERAS.Subtract, _KERAS.Multiply, _KERAS.Average, _KERAS.Maximum), merged),
    **dict.fromkeys((_KERAS.Minimum, ours.WeightedAdd), merged),
    _KERAS.Rescaling: scalar("scale", "offset"),
    _KERAS.Concatenate: concatenated,
    _KERAS.Conv2D: convolution,
    _KERAS.Conv2DTranspose: transposed,
    _KERAS.DepthwiseConv2D: depthwise,
    _KERAS.SeparableConv2D: separable,
    _KERAS.Dense: dense,
    _KERAS.BatchNormalization: vectors("gamma", "beta", "moving_mean", "moving_variance"),
    _KERAS.PReLU: vectors("alpha"),
    _KERAS.Reshape: reshaped,
    ours.L2Normalization: vectors("gamma"),
    ours.ChannelAffine: vectors("gamma", "beta"),
}
OPERATIONS: dict[str, Callable[[Reading], Use]] = dict.fromkeys(
    (
        *("Add", "Subtract", "Multiply", "Divide", "TrueDivide", "Maximum", "Minimum"),
        *("Relu", "Relu6", "Sigmoid", "HardSigmoid", "Silu", "HardSilu", "Tanh", "Clip"),
    ),
    merged,
)
