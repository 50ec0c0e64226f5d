"""Normalization, and a scale and bias per channel."""

import keras

from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.building import Step, Stored
from keras_ssd.caffe.importer.kinds.axes import checked_axis, image_like, spread
from keras_ssd.caffe.importer.registry import builds
from keras_ssd.layers import ChannelAffine, L2Normalization, LocalResponseNormalization, MeanVarianceNormalization


@builds("BatchNorm")
def batch_norm(step: Step, x: Blob) -> Blob:
    """Caffe's BatchNorm with the Scale after it, as one BatchNormalization."""
    s = step.settings("batch_norm_param")
    channels, axis, convert = x.shape[1], x.axis(1), x.turned
    shape = (channels,)
    weights = {
        "moving_mean": Stored(0, shape, convert, factor=2),
        "moving_variance": Stored(1, shape, convert, factor=2),
    }
    has_bias = False
    if step.merged:
        [scale] = step.merged
        has_bias = bool(scale.settings("scale_param")["bias_term"])
        weights["gamma"] = Stored(0, shape, convert, layer=scale)
        if has_bias:
            weights["beta"] = Stored(1, shape, convert, layer=scale)
    layer = keras.layers.BatchNormalization(
        axis=axis,
        momentum=s["moving_average_fraction"],
        epsilon=s["eps"],
        center=has_bias,
        scale=bool(step.merged),
        name=step.label(),
    )
    return x.like(step.apply(layer, x.tensor, weights=weights))


@builds("Scale")
def scale(step: Step, x: Blob, factor: Blob | None = None) -> Blob:
    """Caffe's Scale: a learned factor per channel, or the product with another blob."""
    s = step.settings("scale_param")
    if factor is None:
        return _affine(step, x, s, has_scale=True, has_bias=bool(s["bias_term"]))
    if s["bias_term"]:
        step.fail("a learned bias after the product of two blobs is not supported; write a Bias layer for it.")
    return _joined(step, x, factor, s, keras.layers.Multiply)


@builds("Bias")
def bias(step: Step, x: Blob, summand: Blob | None = None) -> Blob:
    """Caffe's Bias: a learned bias per channel, or the sum with another blob."""
    s = step.settings("bias_param")
    if summand is None:
        return _affine(step, x, s, has_scale=False, has_bias=True)
    return _joined(step, x, summand, s, keras.layers.Add)


def _joined(step, x, other, settings, kind):
    """Two blobs; the second has the first axes of the first."""
    if settings["axis"] % len(x.shape):
        step.fail(
            f"a second input has the batch as its first axis, so axis must be 0. Received: axis={settings['axis']}"
        )
    return x.like(step.apply(kind(name=step.label()), x.tensor, spread(step, other, x)))


def _affine(step, x, settings, has_scale, has_bias):
    count = settings["num_axes"]
    if count == 0:
        axes, shape = (), (1,)
    else:
        first = checked_axis(step, x, settings["axis"])
        last = len(x.shape) if count == -1 else first + count
        if last > len(x.shape):
            step.fail(f"num_axes {count} from axis {first} reaches beyond its input of shape {x.shape}.")
        axes = tuple(range(first, last))
        shape = x.shape[first:last]
    if len(axes) > 1:
        x = x.straight()
    places = [axis for axis in x.order if axis in axes]  # Caffe's axes in the tensor's order

    def convert(a):
        if not axes:
            return a.reshape(1)
        a = x.turned(a) if axes == (1,) else a
        return a.transpose([axes.index(axis) for axis in places])

    names = [name for name, has in (("gamma", has_scale), ("beta", has_bias)) if has]
    weights = {name: Stored(index, shape, convert) for index, name in enumerate(names)}
    axis = tuple(map(x.axis, places)) or -1
    layer = ChannelAffine(has_scale, has_bias, shared=not axes, axis=axis, name=step.label())
    return x.like(step.apply(layer, x.tensor, weights=weights))


@builds("Normalize")
def normalize(step: Step, x: Blob) -> Blob:
    """SSD's Normalize as L2Normalization."""
    s = step.settings("norm_param")
    shared, across = bool(s["channel_shared"]), bool(s["across_spatial"])
    layer = L2Normalization(1.0, epsilon=s["eps"], channel_shared=shared, across_spatial=across, name=step.label())
    stored = Stored(0, (1,), lambda a: a.reshape(1)) if shared else Stored(0, (x.shape[1],), x.turned)
    return Blob.of_maps(
        step.apply(layer, image_like(step, x), weights={"gamma": stored}), channels_reversed=x.channels_reversed
    )


@builds("LRN")
def local_response(step: Step, x: Blob) -> Blob:
    """Caffe's LRN; its windows are symmetric, so the channels may be in either order."""
    s = step.settings("lrn_param")
    numbers, within = (s[name] for name in ("local_size", "alpha", "beta", "k")), s["norm_region"] == "WITHIN_CHANNEL"
    layer = LocalResponseNormalization(*numbers, within_channel=within, name=step.label())
    return Blob.of_maps(step.apply(layer, image_like(step, x)), channels_reversed=x.channels_reversed)


@builds("MVN")
def mean_variance(step: Step, x: Blob) -> Blob:
    """Caffe's MVN."""
    s = step.settings("mvn_param")
    layer = MeanVarianceNormalization(
        s["normalize_variance"], across_channels=bool(s["across_channels"]), epsilon=s["eps"], name=step.label()
    )
    return Blob.of_maps(step.apply(layer, image_like(step, x)), channels_reversed=x.channels_reversed)
