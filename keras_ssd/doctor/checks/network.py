"""Whether the backend computes what it should, and whether all heads are alive."""

import keras
import numpy as np

from keras_ssd.box_coder import Predictions
from keras_ssd.doctor.findings import DOUBT, FAULT, FINE, Finding
from keras_ssd.doctor.probe import Probe
from keras_ssd.names import listed

ROUNDING = 0.02  # share of an output's spread that float32, summed in any order, stays far below
POSITIONS = 8  # places of a feature map that are computed anew
STILL = 1e-6  # an answer that moves less than this from place to place is always the same


def check_backend(probe: Probe) -> Finding:
    """The compiled network against the uncompiled one, and a convolution against numpy."""
    backend = f"Keras {keras.__version__} on {keras.config.backend()}, {probe.model.compute_dtype}"
    if not np.isfinite(probe.raw).all():
        weights = _broken_weights(probe.model)
        if weights:
            text = f"these weights hold NaN or infinite numbers: {listed(weights)}."
            return Finding("heads", FAULT, text, "These weights are lost. Load them again, or train with a lower rate.")
        advice = "Use float32: keras.config.set_dtype_policy('float32') before the model is made or loaded."
        return Finding("backend", FAULT, f"{backend}: the answers hold NaN or infinite numbers.", advice)
    some = probe.inputs[:2]
    eager = np.asarray(keras.ops.convert_to_numpy(probe.network(some, training=False)), np.float32)
    apart = _apart(probe.raw[: len(some)], eager)
    if apart > ROUNDING:
        text = f"{backend}: compiled and uncompiled answers differ by {apart:.0%} of their spread."
        advice = "Try another backend (KERAS_BACKEND=tensorflow, jax or torch), and report it with this text."
        return Finding("backend", FAULT, text, advice)
    apart = _apart(*_one_convolution(probe.network, some[:1]))
    if apart > ROUNDING:
        text = f"{backend}: a convolution differs from numpy's by {apart:.1%} of its spread."
        advice = "Ask for full precision (on JAX: jax_default_matmul_precision='highest'), or try another backend."
        return Finding("backend", FAULT if apart > 5 * ROUNDING else DOUBT, text, advice)
    return Finding("backend", FINE, f"{backend}: compiled, uncompiled and numpy's numbers agree.")


def _apart(found, expected):
    """Largest difference in shares of what is expected's spread."""
    return float(np.abs(found - expected).max() / max(expected.std(), 1e-12))


def _one_convolution(network, images):
    """The first plain convolution's outputs at some places, from the backend and from numpy."""
    for layer in network.layers:
        plain = isinstance(layer, keras.layers.Conv2D) and layer.groups == 1 and set(layer.dilation_rate) == {1}
        if (plain and layer.activation is keras.activations.linear) or (
            plain and layer.activation is keras.activations.relu
        ):
            break
    else:
        return np.zeros(1), np.ones(1)
    parts = keras.Model(network.inputs[0], [layer.input, layer.output])
    x, y = (np.asarray(keras.ops.convert_to_numpy(part), np.float64)[0] for part in parts(images, training=False))
    kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel), np.float64)
    bias = 0 if layer.bias is None else np.asarray(keras.ops.convert_to_numpy(layer.bias), np.float64)
    size, strides = np.array(kernel.shape[:2]), np.array(layer.strides)
    total = np.maximum((np.array(y.shape[:2]) - 1) * strides + size - x.shape[:2], 0)
    before = total // 2 if layer.padding == "same" else 0 * total
    rng = np.random.default_rng(0)
    inner = [(low, max(low + 1, n - low)) for low, n in zip(-(-size // strides), y.shape[:2], strict=True)]
    places = np.stack([rng.integers(low, high, POSITIONS) for low, high in inner], axis=1)
    found, expected = [], []
    for place in places:
        top, left = place * strides - before
        window = x[top : top + size[0], left : left + size[1]]
        if window.shape[:2] != tuple(size) or top < 0 or left < 0:
            continue
        value = np.einsum("hwi,hwio->o", window, kernel) + bias
        expected.append(np.maximum(value, 0) if layer.activation is keras.activations.relu else value)
        found.append(y[tuple(place)])
    return (np.array(found), np.array(expected)) if found else (np.zeros(1), np.ones(1))


def check_heads(probe: Probe) -> Finding:
    """Weights that are all zero, and heads that answer the same at every place."""
    silent = _silent_layers(probe.model)
    advice = "Load the weights again and print model.weights_report: it lists layers without loaded weights."
    if silent:
        text = f"these layers have kernels of nothing but zeros: {listed(silent)}."
        return Finding("heads", FAULT, text, advice)
    logits, still = Predictions.split(probe.raw).logits, []
    for number, rows in enumerate(_level_rows(probe.model.anchor_spec)):
        moves = logits[:, rows].std(axis=(0, 1)) if _places(logits[:, rows]) > 1 else np.ones(logits.shape[-1])
        if moves.max() < STILL:
            still.append(f"feature map {number + 1}")
        else:
            names = ("background", *probe.model.class_names)
            still += [f"{names[i]!r} on feature map {number + 1}" for i in np.flatnonzero(moves < STILL)]
    if still:
        text = f"always the same answer, at every place of every image: {listed(still)}."
        return Finding("heads", FAULT, text, advice)
    count = len(probe.model.anchor_spec.levels)
    return Finding("heads", FINE, f"those of all {count} feature maps answer, and not everywhere the same.")


def _broken_weights(model):
    return [
        w.path for w in model.weights if not np.isfinite(np.asarray(keras.ops.convert_to_numpy(w), np.float32)).all()
    ]


def _silent_layers(model):
    """Layers with a kernel of nothing but zeros."""
    kernels = [(layer.name, getattr(layer, "kernel", None)) for layer in model.layers]
    return [name for name, kernel in kernels if kernel is not None and not np.any(keras.ops.convert_to_numpy(kernel))]


def _level_rows(spec):
    """The rows of the predictions of each feature map."""
    ends = np.cumsum([level.num_anchors for level in spec.levels])
    return [slice(end - level.num_anchors, end) for level, end in zip(spec.levels, ends, strict=True)]


def _places(logits):
    """How many answers of one kind there are."""
    return logits.shape[0] * logits.shape[1]
