"""Normalization, and a learned scale and bias per channel."""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from keras_ssd.caffe.exporter.blobs import Blob
from keras_ssd.caffe.exporter.kinds.activations import powered, with_channels_first
from keras_ssd.caffe.exporter.registry import writes
from keras_ssd.caffe.exporter.writing import Step
from keras_ssd.exporters.model_graph import array_of
from keras_ssd.layers import ChannelAffine, L2Normalization, LocalResponseNormalization, MeanVarianceNormalization
from keras_ssd.layout import plain_order

# OpenCV merges a Scale into these layers before it, without a look at its axes.
LINEAR = ("Convolution", "Deconvolution", "InnerProduct", "BatchNorm", "Scale", "Power")


@writes(keras.layers.BatchNormalization)
def batch_normalization(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's BatchNorm, followed by a Scale."""
    axis = layer.axis[0] if isinstance(layer.axis, (tuple, list)) else layer.axis
    x = step.apart(with_channels_first(step, x, axis), ("Deconvolution",))
    mean, variance = array_of(layer.moving_mean), array_of(layer.moving_variance)
    param = {"use_global_stats": True, "moving_average_fraction": float(layer.momentum), "eps": float(layer.epsilon)}
    blobs = [mean, variance, np.ones(1)]
    y = step.add("BatchNorm", [x], params={"batch_norm_param": param}, blobs=blobs, in_place=True)
    if not (layer.scale or layer.center):
        return y
    gamma = array_of(layer.gamma) if layer.scale else np.ones_like(mean)
    return affine(step, y, (axis,), gamma, array_of(layer.beta) if layer.center else None, suffix="scale")


def affine(
    step: Step,
    x: Blob,
    keras_axes: Iterable[int],
    gamma: np.ndarray,
    beta: np.ndarray | None = None,
    *,
    suffix: str | None = None,
) -> Blob:
    """Writes a Scale; `gamma` and `beta` have the shape of these axes in ascending order."""
    rank = len(x.order)
    axes = sorted(axis % rank for axis in keras_axes)
    if not _neighbours(x.order, axes):
        plain, other = plain_order(rank), (0, rank - 1, *range(1, rank - 1))
        x = step.ordered(x, plain if _neighbours(plain, axes) else other)
    places = sorted(x.axis(axis) for axis in axes)
    x = step.apart(x, ("Deconvolution",) if places == [1] else LINEAR)
    order = [axes.index(x.order[place]) for place in places]
    param = {"axis": places[0], "num_axes": len(places), "bias_term": beta is not None}
    default = {"axis": 1, "num_axes": 1, "bias_term": False}
    param = {key: value for key, value in param.items() if value != default[key]}
    blobs = [np.asarray(values).transpose(order) for values in (gamma, beta) if values is not None]
    return step.add(
        "Scale", [x], params={"scale_param": param} if param else {}, blobs=blobs, suffix=suffix, in_place=True
    )


def _neighbours(order, axes):
    """Whether the axes are adjacent."""
    places = sorted(order.index(axis) for axis in axes)
    return places == list(range(places[0], places[0] + len(places)))


@writes(ChannelAffine)
def channel_affine(step: Step, layer: Any, x: Blob) -> Blob:
    """A learned scale and bias; shared ones are repeated for each channel."""
    x = step.settle(x)
    axes = (-1,) if layer.shared else layer.axis
    shape = [x.shape[axis] for axis in sorted(axis % len(x.order) for axis in axes)]
    given = [None if weight is None else array_of(weight) for weight in (layer.gamma, layer.beta)]
    gamma, beta = (w if w is None or not layer.shared else np.broadcast_to(w, shape) for w in given)
    return affine(step, x, axes, np.ones(shape) if gamma is None else gamma, beta)


@writes(L2Normalization)
def l2_normalization(step: Step, layer: Any, x: Blob) -> Blob:
    """SSD's Normalize.

    With one norm for the whole map, OpenCV takes a single scale, so scales per channel become a Scale layer. With a
    norm for each location, a shared scale is repeated for each channel.
    """
    x, gamma, across = step.maps(x), array_of(layer.gamma), layer.across_spatial
    param = {"across_spatial": across, "channel_shared": across, "eps": layer.epsilon}
    shared = gamma.reshape(()) if layer.channel_shared else np.ones(())
    scales = shared if across else np.broadcast_to(gamma, (x.shape[-1],))
    y = step.add("Normalize", [x], params={"norm_param": param}, blobs=[scales])
    return affine(step, y, (-1,), gamma, suffix="scale") if across and not layer.channel_shared else y


@writes(LocalResponseNormalization)
def local_response(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's LRN. OpenCV takes k as 1 in any case, so another k becomes a factor."""
    region = "WITHIN_CHANNEL" if layer.within_channel else "ACROSS_CHANNELS"
    if layer.k <= 0:
        step.fail(f"its k must be positive. Received: k={layer.k}")
    param = {"local_size": layer.size, "alpha": layer.alpha / layer.k, "beta": layer.beta, "norm_region": region}
    y = step.add("LRN", [step.maps(x)], params={"lrn_param": param})
    return y if layer.k == 1.0 else powered(step, y, scale=layer.k**-layer.beta, suffix="factor")


@writes(MeanVarianceNormalization)
def mean_variance(step: Step, layer: Any, x: Blob) -> Blob:
    """Caffe's MVN."""
    param = {
        "normalize_variance": layer.normalize_variance,
        "across_channels": layer.across_channels,
        "eps": layer.epsilon,
    }
    return step.add("MVN", [step.maps(x)], params={"mvn_param": param})
