"""Activations, alone or fused into another layer, and other elementwise operations."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.exporters.model_graph import array_of
from keras_ssd.layers import AbsoluteValue, Logarithm, Power

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805
# Keras's names -> Caffe's layer types, of functions that take no numbers.
PLAIN = {"sigmoid": "Sigmoid", "tanh": "TanH", "softplus": "BNLL", "exponential": "Exp"}
OF_FORKS = {"hard_silu": "HardSwish", "hard_swish": "HardSwish", "mish": "Mish"}


def activated(step: Step, x: Blob, activation: Any, suffix: str | None = None) -> Blob:
    """Writes one of Keras's activation functions after a settled blob.

    Args:
        suffix: "activation" for an activation fused into another layer; None for a layer of its own.
    """
    name = _name_of(activation)
    if name == "linear":
        return x
    known = FUNCTIONS.get(name) if name else None
    if known is not None:
        return known(step, x, suffix)
    if name in PLAIN or name in OF_FORKS:
        kind = PLAIN.get(name) or OF_FORKS[name]
        if name in OF_FORKS:
            step.net.forks[kind] += 1
        return step.add(kind, [x], suffix=suffix, in_place=True)
    names = ", ".join(sorted({"linear", *FUNCTIONS, *PLAIN, *OF_FORKS}))
    return step.fail(f"its activation must be one of {names}. Received: activation={name or activation!r}")


def _name_of(activation):
    if activation is None:
        return "linear"
    name = keras.activations.serialize(activation)
    if not isinstance(name, str) or keras.activations.get(name) is not activation:
        return None  # the user's own function, with the name of one of Keras's
    return name


def _relu(step, x, suffix, slope=0.0, highest=None):
    """relu, with a slope below zero and an upper limit."""
    if highest == 6.0 and not slope:
        step.net.forks["ReLU6"] += 1
        return step.add("ReLU6", [x], suffix=suffix, in_place=True)
    params = {"relu_param": {"negative_slope": slope}} if slope else {}
    y = step.add("ReLU", [x], params=params, suffix=suffix, in_place=True)
    if highest is None:
        return y
    # min(y, highest) = highest - relu(highest - y), since Caffe has no minimum.
    down = {"power_param": {"scale": -1.0, "shift": highest}}
    y = step.add("Power", [y], params=down, suffix=_joined(suffix, "down"), in_place=True)
    y = step.add("ReLU", [y], suffix=_joined(suffix, "end"), in_place=True)
    return step.add("Power", [y], params=down, suffix=_joined(suffix, "up"), in_place=True)


def _joined(suffix, more):
    return more if suffix is None else f"{suffix}_{more}"


def _elu(step, x, suffix, alpha=1.0):
    params = {"elu_param": {"alpha": alpha}} if alpha != 1.0 else {}
    return step.add("ELU", [x], params=params, suffix=suffix, in_place=True)


def _selu(step, x, suffix):
    y = _elu(step, x, suffix, SELU_ALPHA)
    params = {"power_param": {"scale": SELU_SCALE}}
    return step.add("Power", [y], params=params, suffix=_joined(suffix, "scale"), in_place=True)


def _silu(step, x, suffix):
    """x * sigmoid(x); SSD's version of Caffe has no Swish layer."""
    gate = step.add("Sigmoid", [x], suffix=_joined(suffix, "gate"))
    return step.add("Eltwise", [x, gate], params={"eltwise_param": {"operation": "PROD"}}, suffix=suffix)


def _hard_sigmoid(step, x, suffix):
    """relu6(x + 3) / 6."""
    y = step.add("Power", [x], params={"power_param": {"shift": 3.0}}, suffix=_joined(suffix, "shift"), in_place=True)
    y = _relu(step, y, suffix, highest=6.0)
    params = {"power_param": {"scale": 1 / 6}}
    return step.add("Power", [y], params=params, suffix=_joined(suffix, "scale"), in_place=True)


def _softmax(step, x, suffix, keras_axis=-1):
    params = {"softmax_param": {"axis": x.axis(keras_axis)}}
    return step.add("Softmax", [x], params=params, suffix=suffix)


FUNCTIONS: dict[str, Callable[..., Blob]] = {
    "relu": _relu,
    "relu6": lambda step, x, suffix: _relu(step, x, suffix, highest=6.0),
    "leaky_relu": lambda step, x, suffix: _relu(step, x, suffix, slope=0.2),
    "elu": _elu,
    "selu": _selu,
    "silu": _silu,
    "swish": _silu,
    "hard_sigmoid": _hard_sigmoid,
    "softmax": _softmax,
}


@writes(keras.layers.Activation)
def activation(step: Step, layer: Any, x: Blob) -> Blob:
    """A function by its name."""
    return activated(step, step.settle(x), layer.activation)


@writes(keras.layers.ReLU)
def relu(step: Step, layer: Any, x: Blob) -> Blob:
    """relu, with a slope and an upper limit."""
    if layer.threshold:
        step.fail(f"Caffe's ReLU has the threshold 0. Received: threshold={layer.threshold}")
    highest = None if layer.max_value is None else float(layer.max_value)
    return _relu(step, step.settle(x), None, float(layer.negative_slope), highest)


@writes(keras.layers.LeakyReLU)
def leaky_relu(step: Step, layer: Any, x: Blob) -> Blob:
    """relu with a slope."""
    return _relu(step, step.settle(x), None, float(layer.negative_slope))


@writes(keras.layers.ELU)
def elu(step: Step, layer: Any, x: Blob) -> Blob:
    """Exponential below zero."""
    return _elu(step, step.settle(x), None, float(layer.alpha))


@writes(keras.layers.PReLU)
def prelu(step: Step, layer: Any, x: Blob) -> Blob:
    """One slope per channel; a shared slope is repeated for each."""
    x, slopes = step.settle(x), array_of(layer.alpha)
    channel = 1 + max(range(slopes.ndim), key=lambda axis: (slopes.shape[axis], axis))
    if slopes.size not in (1, x.shape[channel]):
        step.fail(f"Caffe has one slope per channel, or one for all. Received: slopes of shape {slopes.shape}")
    x = with_channels_first(step, x, channel)
    values = slopes.ravel().repeat(x.shape[channel] // slopes.size)
    return step.add("PReLU", [x], blobs=[values], in_place=True)


def with_channels_first(step: Step, x: Blob, keras_axis: int) -> Blob:
    """The blob, settled, with a Keras axis as Caffe's axis 1, which Caffe uses for channels."""
    x = step.settle(x)
    axis = keras_axis % len(x.order)
    if x.order[1] == axis:
        return x
    return step.ordered(x, (0, axis, *(other for other in range(1, len(x.order)) if other != axis)))


@writes(keras.layers.Softmax)
def softmax(step: Step, layer: Any, x: Blob) -> Blob:
    """Softmax over one axis."""
    axes = layer.axis if isinstance(layer.axis, (tuple, list)) else (layer.axis,)
    if len(axes) != 1:
        step.fail(f"Caffe's Softmax works on one axis. Received: axis={layer.axis}")
    return _softmax(step, step.settle(x), None, axes[0])


@writes(Power)
def power(step: Step, layer: Any, x: Blob) -> Blob:
    """(shift + scale * x) ** power."""
    return powered(step, x, layer.power, layer.scale, layer.shift)


def powered(
    step: Step, x: Blob, exponent: float = 1.0, scale: float = 1.0, shift: float = 0.0, suffix: str | None = None
) -> Blob:
    """Writes a Power layer."""
    given = {"power": exponent, "scale": scale, "shift": shift}
    param = {key: float(value) for key, value in given.items() if value != {"shift": 0.0}.get(key, 1.0)}
    params = {"power_param": param} if param else {}
    return step.add("Power", [step.settle(x)], params=params, suffix=suffix, in_place=True)


@writes(Logarithm)
def logarithm(step: Step, layer: Any, x: Blob) -> Blob:
    """log(shift + scale * x)."""
    given = {"base": -1.0 if layer.base is None else layer.base, "scale": layer.scale, "shift": layer.shift}
    return step.add("Log", [step.settle(x)], params={"log_param": given}, in_place=True)


@writes(AbsoluteValue)
def absolute(step: Step, layer: Any, x: Blob) -> Blob:
    """|x|."""
    return step.add("AbsVal", [step.settle(x)], in_place=True)


@writes(keras.layers.Dropout)
def dropout(step: Step, layer: Any, x: Blob) -> Blob:
    """Dropout, which does nothing in inference; Caffe has none for whole channels or images."""
    if layer.noise_shape is not None:
        return x
    params = {"dropout_param": {"dropout_ratio": float(layer.rate)}}
    return step.add("Dropout", [step.settle(x)], params=params, in_place=True)


@writes(
    keras.layers.Identity,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
    keras.layers.AlphaDropout,
    keras.layers.ActivityRegularization,
)
def nothing(step: Step, layer: Any, x: Blob) -> Blob:
    """Layers that act in training only."""
    return x
