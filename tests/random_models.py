"""Random functional models of every layer that Caffe has a word for, with random weights."""

import keras
import numpy as np

from keras_ssd import layers
from keras_ssd.backbones.blocks import max_pool
from keras_ssd.layers.class_columns import ClassColumns
from keras_ssd.layers.reverse_channels import ReverseChannels

ACTIVATIONS = (
    *(None, "relu", "relu6", "leaky_relu", "elu", "selu", "silu", "sigmoid", "tanh"),
    *("softplus", "hard_sigmoid", "hard_silu", "mish", "softmax"),
)


def randomize(model, seed=0):
    """Gives every weight a value of a size that keeps features near 1."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed_generator" in weight.path:
            continue
        shape = weight.shape
        if weight.name in ("gamma", "moving_variance", "variance"):
            value = rng.uniform(0.5, 1.5, shape)
        elif "kernel" in weight.name:
            value = rng.normal(size=shape) * np.sqrt(1.5 / max(np.prod(shape[:-1]), 1))
        else:
            value = rng.normal(size=shape) * 0.2
        weight.assign(np.asarray(value, np.float32))
    return model


class Chance:
    """A random generator that picks whole numbers and options."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def number(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, *options):
        return options[self.number(0, len(options) - 1)]

    def pair(self, low, high):
        return self.number(low, high), self.number(low, high)

    def cells(self, most):
        return self.pair(0, most), self.pair(0, most)


def convolution(c, x):
    if c.number(0, 1):
        x = keras.layers.ZeroPadding2D(c.cells(3))(x)
    dilated = c.number(0, 1)
    groups = c.pick(1, x.shape[-1]) if x.shape[-1] < 5 else 1
    return keras.layers.Conv2D(
        groups * c.number(1, 4),
        c.pair(1, 4 if not dilated else 2),
        strides=1 if dilated else c.pair(1, 3),
        dilation_rate=c.pair(1, 3) if dilated else 1,
        padding=c.pick("same", "valid") if min(x.shape[1:3]) > 6 else "same",
        groups=groups,
        activation=c.pick(*ACTIVATIONS),
        use_bias=c.pick(True, False),
    )(x)


def depthwise(c, x):
    if c.number(0, 1):
        x = keras.layers.ZeroPadding2D(c.cells(2))(x)
    options = {"strides": c.number(1, 2), "padding": c.pick("same", "valid") if min(x.shape[1:3]) > 4 else "same"}
    if c.number(0, 3):
        return keras.layers.DepthwiseConv2D(c.pair(1, 4), depth_multiplier=c.number(1, 2), **options)(x)
    return keras.layers.SeparableConv2D(c.number(1, 4), c.pair(1, 3), activation="relu", **options)(x)


def deconvolution(c, x):
    kernel, stride, groups = c.pair(1, 4), c.pair(1, 3), c.pick(1, x.shape[-1])
    ours = c.number(0, 1)  # Keras itself warns that its own comes out otherwise on PyTorch
    if ours or keras.backend.backend() == "torch":
        padding = tuple(c.number(0, (k - 1) // 2) for k in kernel)
        return layers.Deconvolution2D(
            groups * 2, kernel, stride, padding, groups=groups, use_bias=c.pick(True, False), dilation_rate=c.pair(1, 2)
        )(x)
    return keras.layers.Conv2DTranspose(c.number(1, 4), kernel, strides=stride, padding=c.pick("same", "valid"))(x)


def pooling(c, x):
    size = c.pair(1, min(3, *x.shape[1:3]))
    options = {"strides": c.pick(None, c.pair(1, 3)), "padding": c.pick("same", "valid")}
    kind = c.number(0, 4)
    near = tuple(min(step, k) for step, k in zip(c.pair(1, 3), size, strict=True))  # no window lies behind the map
    if kind == 0:
        pads = tuple(c.number(0, k - 1) for k in size)
        return max_pool(x, f"pool{c.number(0, 10**9)}", size, near, pads, ceil_mode=c.pick(True, False))
    if kind == 1:
        pads = tuple(c.number(0, k - 1) for k in size)
        return layers.PaddedAveragePooling2D(size, near, pads, ceil_mode=c.pick(True, False))(x)
    if kind == 2:
        return keras.layers.AveragePooling2D(size, **options)(x)
    return keras.layers.MaxPooling2D(size, **options)(x)


def normalization(c, x):
    axes = c.pick(-1, 1, (1, 2), (2, 3), (1, 3), (1, 2, 3))
    layer = c.pick(
        keras.layers.BatchNormalization(scale=c.pick(True, False), center=c.pick(True, False)),
        keras.layers.BatchNormalization(axis=c.pick(1, 2)),
        layers.ChannelAffine(True, c.pick(True, False), axis=axes, shared=c.pick(False, True)),
        layers.ChannelAffine(False, True),
        layers.L2Normalization(2.0, channel_shared=c.pick(True, False), across_spatial=c.pick(True, False)),
        layers.LocalResponseNormalization(3, 0.5, k=2.0, within_channel=c.pick(True, False)),
        layers.MeanVarianceNormalization(across_channels=c.pick(True, False)),
        keras.layers.Rescaling(c.rng.normal(size=x.shape[-1]).tolist(), 0.5),
    )
    return layer(x)


def values(c, x):
    shared = c.pick((1, 2), (1, 2, 3), (1, 3))
    layer = c.pick(
        keras.layers.Activation(c.pick(*ACTIVATIONS[1:])),
        keras.layers.ReLU(c.pick(None, 6.0, 1.5), negative_slope=c.pick(0.0, 0.25)),
        keras.layers.LeakyReLU(0.1),
        keras.layers.ELU(0.7),
        keras.layers.PReLU(shared_axes=shared),
        layers.Power(2.0, 0.5, 0.25),
        layers.AbsoluteValue(),
        keras.layers.Rescaling(0.5, -0.25),
        keras.layers.Dropout(0.3),
        keras.layers.Softmax(axis=c.pick(1, 2, 3)),
    )
    return layer(x)


def branches(c, x):
    """Two ways that meet again."""
    left, right = values(c, x), keras.layers.Conv2D(x.shape[-1], 3, padding="same")(x)
    layer = c.pick(
        keras.layers.Add(),
        keras.layers.Subtract(),
        keras.layers.Average(),
        keras.layers.Multiply(),
        keras.layers.Maximum(),
        layers.WeightedAdd((0.5, -2.0)),
        keras.layers.Concatenate(axis=c.pick(1, 2, 3, -1)),
    )
    return layer([left, right])


def squeezed(c, x):
    """Squeeze and excitation, or attention to places."""
    if c.number(0, 1):
        gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        gate = keras.layers.Conv2D(x.shape[-1], 1, activation="sigmoid")(gate)
    elif c.number(0, 1):
        gate = keras.layers.Dense(x.shape[-1], activation="sigmoid")(keras.layers.GlobalMaxPooling2D()(x))
        gate = keras.layers.Reshape((1, 1, -1))(gate)
    else:
        gate = keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")(x)
    return keras.layers.Multiply()([x, gate])


def moved(c, x):
    channels = x.shape[-1]
    half = keras.layers.Conv2D(2 * channels, 1)(x)
    return c.pick(
        lambda: layers.ShuffleChannels(2)(half),
        lambda: layers.SliceAxis(c.pick(3, -1), c.number(0, channels - 1), c.pick(None, channels + 1))(half),
        lambda: layers.SliceAxis(1, 0, max(x.shape[1] - 1, 1))(x),
        lambda: keras.layers.Permute(c.pick((1, 2, 3), (2, 1, 3), (3, 1, 2), (1, 3, 2)))(x),
        lambda: keras.layers.Reshape((x.shape[2], x.shape[1], channels))(x),
        lambda: keras.layers.Cropping2D(((0, x.shape[1] // 3), (x.shape[2] // 4, 0)))(x),
        lambda: keras.layers.ZeroPadding2D(c.cells(2))(x),
        lambda: layers.BilinearResize(*c.pair(2, 9))(x),
        lambda: keras.layers.UpSampling2D(c.pair(1, 2))(x),
        lambda: ReverseChannels()(x),
        lambda: ClassColumns(2, c.pick(0, 1))(half),
        lambda: keras.layers.Dense(channels + 1, activation="relu")(x),
    )()


KINDS = (convolution, depthwise, deconvolution, pooling, normalization, values, branches, squeezed, moved)


def ending(c, x):
    """What may stand behind the last map."""
    return c.pick(
        lambda: x,
        lambda: keras.layers.Dense(5, activation="softmax")(keras.layers.Flatten()(x)),
        lambda: keras.layers.Flatten()(x),
        lambda: keras.layers.Reshape((-1, x.shape[-1]))(x),
        lambda: keras.layers.Dense(3)(keras.layers.Reshape((-1, x.shape[-1]))(x)),
        lambda: keras.layers.GlobalAveragePooling2D()(x),
    )()


def random_model(seed, depth=5, kinds=KINDS):
    """A model from images (H, W, 3) to something."""
    c = Chance(seed)
    inputs = x = keras.Input((c.number(6, 11), c.number(6, 11), 3))
    if c.number(0, 2):
        x = keras.layers.Rescaling(c.pick(1 / 64, [1 / 60, 1 / 64, 1 / 70]), c.pick(-2.0, [-2.0, -1.9, -1.7]))(x)
    else:
        x = keras.layers.Rescaling(1 / 64)(x)
    for _ in range(c.number(1, depth)):
        x = c.pick(*kinds)(c, x)
        if x.shape[1] * x.shape[2] > 900:
            x = keras.layers.MaxPooling2D(3)(x)
    return randomize(keras.Model(inputs, ending(c, x), name=f"random_{seed}"), seed)
