"""Small detectors for the tests of ONNX files: one for each kind of layer, read out by linear heads."""

import keras
import numpy as np
from keras import layers

from keras_ssd import layers as own
from keras_ssd.anchors import AnchorLevel, AnchorSpec
from keras_ssd.backbones.blocks import max_pool
from keras_ssd.caffe.layers.grayscale import Grayscale
from keras_ssd.layers.class_columns import BoxesOfClasses, ClassColumns
from keras_ssd.layers.reverse_channels import ReverseChannels
from keras_ssd.models import SSD

LINEAR = {"code_type": "corner", "scores": "probabilities"}  # nothing hides a difference


def spec_of(grid_hw, boxes_per_cell=1, image_size=(18, 22), variances=(1.0, 1.0, 1.0, 1.0)):
    """Anchors of one level; their sizes are of no matter."""
    boxes = tuple((4.0 + i, 6.0 + i) for i in range(boxes_per_cell))
    return AnchorSpec(image_size, (AnchorLevel(grid_hw, (2.0, 2.0), boxes),), variances)


def detector(x_of_images, image_size=(18, 22), *, preprocessing=None, decoding=LINEAR, grey=False):
    """An `SSD` around a function from the prepared image to a map or to (B, C)."""
    inputs = keras.Input((*image_size, 3), name="images")
    x = Grayscale(name="grayscale")(inputs) if grey else inputs
    x = (preprocessing or layers.Rescaling([0.01, 0.02, 0.015], [-1.0, -1.5, -2.0], name="preprocessing"))(x)
    y = x_of_images(x)
    if len(y.shape) == 2:
        y = layers.Reshape((1, 1, y.shape[1]))(y)
    confidence = layers.Conv2D(3, 1, kernel_initializer="he_normal", name="confidence")(y)
    offsets = layers.Conv2D(4, 1, kernel_initializer="he_normal", name="offsets")(y)
    predictions = own.AnchorBoxes(spec_of(y.shape[1:3], 1, image_size))([confidence], [offsets])
    return randomized(SSD(inputs, predictions, name="probe", decoding=decoding))


def randomized(model, seed=0):
    """The model with seeded weights, all different: no bias of zeros, no scale of ones."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if variable.name in ("gamma", "moving_variance", "alpha"):
                value = rng.uniform(0.5, 1.5, shape)
            elif len(shape) > 1:
                value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
            else:
                value = rng.normal(0, 0.3, shape)
            variable.assign(value.astype(np.float32))
    return model


def tamed(model):
    """The model with heads whose outputs are as large as those of trained nets: random offsets make endless boxes."""
    image = np.random.default_rng(0).integers(0, 256, (1, *model.input_size, 3)).astype(np.float32)
    heads = [layer for layer in model.layers if layer.name.endswith(("_mbox_loc", "_mbox_conf"))]
    heads += [layer for layer in model.layers if layer.name.startswith(("boxes", "classes"))]
    outputs = keras.Model(model.inputs[0], [head.output for head in heads])(image)
    for head, output in zip(heads, outputs, strict=True):
        head.kernel.assign(head.kernel * (2.0 / np.abs(keras.ops.convert_to_numpy(output)).max()))
    return model


def after_stem(function, channels=6):
    """A probe of a function on a map of 9 x 11 cells, made of the image by a convolution."""

    def build():
        def body(x):
            return function(layers.Conv2D(channels, 2, strides=2, name="stem")(x))

        return detector(body)

    return build


def on_image(function):
    """A probe of a function that sees the image itself, which may be in BGR."""
    return lambda: detector(function)


def activation(name):
    return after_stem(lambda x: layers.Activation(name)(x))


def _two(x):
    return x, layers.Conv2D(x.shape[-1], 1, name="branch")(x)


def merged(layer):
    return after_stem(lambda x: layer(list(_two(x))))


def _gate(x):
    """Squeeze and excitation, the gate as a vector."""
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(3, activation="relu")(gate)
    gate = layers.Dense(x.shape[-1], activation="sigmoid")(gate)
    return layers.Multiply()([x, gate])


def _gate_map(x):
    """The same with a gate of one cell, as Keras's own networks have it."""
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Reshape((1, 1, x.shape[-1]))(gate)
    return layers.Multiply()([x, layers.Conv2D(x.shape[-1], 1, activation="hard_sigmoid")(gate)])


def _flattened(x):
    return layers.Dense(5, activation="tanh")(layers.Flatten()(x))


def _columns(layer, columns, **decoding):
    """A detector whose confidence map goes through one of the layers for foreign heads."""

    def build():
        inputs = keras.Input((18, 22, 3), name="images")
        x = layers.Rescaling(0.01, -1.0, name="preprocessing")(inputs)
        x = layers.Conv2D(8, 3, strides=2, name="stem")(x)
        boxes = 2 * (columns if isinstance(layer, BoxesOfClasses) else 1)
        confidence = layer(layers.Conv2D(2 * columns, 1, name="confidence")(x))
        offsets = layers.Conv2D(4 * boxes, 1, name="offsets")(x)
        y = own.AnchorBoxes(spec_of(x.shape[1:3], boxes))([confidence], [offsets])
        return randomized(SSD(inputs, y, name="columns", decoding={"code_type": "corner", **decoding}))

    return build


def _cut_and_joined(x):
    x = layers.ZeroPadding2D(1)(x)
    parts = [own.SliceAxis(-1, 0, 2)(x), own.SliceAxis(-1, 2)(x), own.SliceAxis(-1, 1, 3)(x)]
    x = layers.Concatenate()(parts)
    return layers.Concatenate(axis=1)([own.SliceAxis(1, 2, 5)(x), own.SliceAxis(1, 0, 4)(x)])


def _permuted(x):
    x = layers.Permute((3, 1, 2))(x)  # (B, C, H, W), which is how it is stored
    x = layers.Softmax(axis=1)(x)
    return layers.Permute((2, 3, 1))(x)


def _reshaped(x):
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height * width, channels))(x)
    x = layers.Dense(4)(x)
    return layers.Reshape((height, width, 4))(x)


def _normalized_image(x):
    return layers.Conv2D(4, 3)(own.L2Normalization(3.0)(x))


def _turned_everything(x):
    """Layers that work on either direction of the channels, before one that does not."""
    x = layers.BatchNormalization(name="norm")(x)
    x = own.ChannelAffine(name="affine")(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    return layers.Conv2D(4, 1)(x)


PADDED = ((2, 1), (0, 3))
ACTIVATIONS = (
    "relu6",
    "leaky_relu",
    "selu",
    "sigmoid",
    "tanh",
    "softplus",
    "softsign",
    "exponential",
    "hard_sigmoid",
    "hard_silu",
    "silu",
    "mish",
    "gelu",
    "softmax",
    "log_softmax",
)

KINDS = {
    "conv": after_stem(lambda x: layers.Conv2D(4, (3, 2), padding="same")(x)),
    "conv_valid_relu": after_stem(lambda x: layers.Conv2D(4, (2, 3), strides=(2, 1), activation="relu")(x)),
    "conv_same_stride": after_stem(lambda x: layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)(x)),
    "conv_same_even": after_stem(lambda x: layers.Conv2D(4, (4, 2), padding="same")(x)),
    "conv_dilated": after_stem(lambda x: layers.Conv2D(4, 3, dilation_rate=(2, 1), padding="same")(x)),
    "conv_groups": after_stem(lambda x: layers.Conv2D(9, 3, groups=3)(x)),
    "conv_padded": after_stem(lambda x: layers.Conv2D(4, 3, strides=2)(layers.ZeroPadding2D(PADDED)(x))),
    "conv_padded_same": after_stem(
        lambda x: layers.Conv2D(4, 3, strides=2, padding="same")(layers.ZeroPadding2D(PADDED)(x))
    ),
    "conv_cell_padded": after_stem(lambda x: layers.Conv2D(4, 1)(layers.ZeroPadding2D(1)(x))),
    "conv_far_padded": after_stem(lambda x: layers.Conv2D(4, 2, strides=2)(layers.ZeroPadding2D(3)(x))),
    "conv_dilated_padded": after_stem(lambda x: layers.Conv2D(4, 3, dilation_rate=4)(layers.ZeroPadding2D(4)(x))),
    "conv_stride_of_dilated": after_stem(
        lambda x: layers.MaxPooling2D(1, strides=2)(layers.Conv2D(4, 2, dilation_rate=2)(x))
    ),
    "depthwise": after_stem(lambda x: layers.DepthwiseConv2D(3, padding="same", activation="relu6")(x)),
    "depthwise_multiplier": after_stem(
        lambda x: layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2)(layers.ZeroPadding2D(1)(x))
    ),
    "separable": after_stem(lambda x: layers.SeparableConv2D(5, 3, padding="same", activation="relu")(x)),
    "deconvolution": after_stem(lambda x: own.Deconvolution2D(4, 4, 2, 1)(x)),
    "deconvolution_groups": after_stem(lambda x: own.Deconvolution2D(6, (3, 2), (2, 1), (1, 0), groups=6)(x)),
    "deconvolution_dilated": after_stem(lambda x: own.Deconvolution2D(4, 3, 2, 2, 2, use_bias=False)(x)),
    "dense_on_map": after_stem(lambda x: layers.Dense(5, activation="relu")(x)),
    "flatten_dense": after_stem(_flattened),
    "max_pool": after_stem(lambda x: layers.MaxPooling2D(2)(x)),
    "max_pool_same": after_stem(lambda x: layers.MaxPooling2D(3, strides=2, padding="same")(x)),
    "max_pool_caffe": after_stem(lambda x: max_pool(x, "pool", 3, 2, 1)),
    "max_pool_ceil": after_stem(lambda x: max_pool(x, "pool", 2, 2)),
    "max_pool_beyond": after_stem(lambda x: layers.ReLU()(max_pool(x, "pool", 1, 3))),
    "max_pool_lowest": after_stem(
        lambda x: layers.MaxPooling2D(3, strides=2)(own.LowestPadding2D(((0, 2), (1, 0)))(x))
    ),
    "max_pool_zeros": after_stem(lambda x: layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))),
    "max_pool_wide": after_stem(
        lambda x: layers.ReLU()(layers.MaxPooling2D(2)(own.LowestPadding2D(((0, 2), (3, 0)))(x)))
    ),
    "average_pool": after_stem(lambda x: layers.AveragePooling2D(2)(x)),
    "average_pool_same": after_stem(lambda x: layers.AveragePooling2D(3, strides=2, padding="same")(x)),
    "average_pool_zeros": after_stem(lambda x: layers.AveragePooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))),
    "average_pool_caffe": after_stem(lambda x: own.PaddedAveragePooling2D(3, 2, 1)(x)),
    "average_pool_ceil": after_stem(lambda x: own.PaddedAveragePooling2D((2, 3), (2, 3))(x)),
    "average_pool_beyond": after_stem(lambda x: own.PaddedAveragePooling2D(1, 3)(x)),
    "global_average": after_stem(lambda x: layers.GlobalAveragePooling2D()(x)),
    "global_max_map": after_stem(lambda x: layers.GlobalMaxPooling2D(keepdims=True)(x)),
    "padding_alone": after_stem(lambda x: layers.Activation("sigmoid")(layers.ZeroPadding2D(PADDED)(x))),
    "padding_twice": after_stem(
        lambda x: layers.Conv2D(4, 3)(layers.ZeroPadding2D(PADDED)(layers.ZeroPadding2D(1)(x)))
    ),
    "batch_norm": after_stem(lambda x: layers.BatchNormalization()(x)),
    "batch_norm_rows": after_stem(lambda x: layers.BatchNormalization(axis=1, scale=False)(x)),
    "batch_norm_vector": after_stem(lambda x: layers.BatchNormalization()(layers.GlobalMaxPooling2D()(x))),
    "affine": after_stem(lambda x: own.ChannelAffine()(x)),
    "affine_shared": after_stem(lambda x: own.ChannelAffine(bias=False, shared=True)(x)),
    "affine_axes": after_stem(lambda x: own.ChannelAffine(axis=(1, 3))(x)),
    "l2": after_stem(lambda x: own.L2Normalization(20.0)(x)),
    "l2_spatial": after_stem(lambda x: own.L2Normalization(20.0, across_spatial=True, channel_shared=True)(x)),
    "lrn": after_stem(lambda x: own.LocalResponseNormalization(3, 0.5)(x)),
    "lrn_within": after_stem(lambda x: own.LocalResponseNormalization(3, 0.5, within_channel=True)(x)),
    "mvn": after_stem(lambda x: own.MeanVarianceNormalization()(x)),
    "mvn_across": after_stem(lambda x: own.MeanVarianceNormalization(across_channels=True)(x)),
    "mvn_mean": after_stem(lambda x: own.MeanVarianceNormalization(False)(x)),
    "relu_slope": after_stem(lambda x: layers.ReLU(negative_slope=0.1)(x)),
    "relu_max": after_stem(lambda x: layers.ReLU(max_value=0.7)(x)),
    "relu_both": after_stem(lambda x: layers.ReLU(max_value=0.7, negative_slope=0.1)(x)),
    "leaky_relu": after_stem(lambda x: layers.LeakyReLU(0.3)(x)),
    "prelu": after_stem(lambda x: layers.PReLU(shared_axes=[1, 2])(x)),
    "prelu_shared": after_stem(lambda x: layers.PReLU(shared_axes=[1, 2, 3])(x)),
    "prelu_cells": after_stem(lambda x: layers.PReLU()(x)),
    "elu": after_stem(lambda x: layers.ELU(0.7)(x)),
    **{name: activation(name) for name in ACTIVATIONS},
    "softmax_rows": after_stem(lambda x: layers.Softmax(axis=1)(x)),
    "power": after_stem(lambda x: own.Power(1.0, 2.0, 0.5)(x)),
    "power_two": after_stem(lambda x: own.Power(2.0, 2.0, 0.5)(x)),
    "power_root": after_stem(lambda x: own.Power(0.5, 1.0, 1.0)(layers.ReLU()(x))),
    "power_cube": after_stem(lambda x: own.Power(3.0)(layers.Activation("tanh")(x))),
    "power_zero": after_stem(lambda x: own.Power(0.0)(x)),
    "power_nothing": after_stem(lambda x: own.Power()(x)),
    "logarithm": after_stem(lambda x: own.Logarithm(2.0, 0.5, 1.0)(layers.ReLU()(x))),
    "absolute": after_stem(lambda x: own.AbsoluteValue()(x)),
    "add": merged(layers.Add()),
    "subtract": merged(layers.Subtract()),
    "multiply": merged(layers.Multiply()),
    "maximum": merged(layers.Maximum()),
    "minimum": merged(layers.Minimum()),
    "average": merged(layers.Average()),
    "weighted_add": merged(own.WeightedAdd([1.0, -0.5])),
    "add_three": after_stem(lambda x: layers.Add()([*_two(x), layers.Activation("tanh")(x)])),
    "add_itself": after_stem(lambda x: layers.Add()([x, x])),
    "gate": after_stem(_gate),
    "gate_map": after_stem(_gate_map),
    "concatenate": merged(layers.Concatenate()),
    "cut_and_joined": after_stem(_cut_and_joined),
    "cropping": after_stem(lambda x: layers.Cropping2D(((1, 2), (0, 3)))(x)),
    "permute": after_stem(_permuted),
    "reshape": after_stem(_reshaped),
    "dropout": after_stem(lambda x: layers.Dropout(0.5)(x)),
    "shuffle": after_stem(lambda x: own.ShuffleChannels(3)(x)),
    "resize": after_stem(lambda x: own.BilinearResize(17, 13)(x)),
    "resize_cropped": after_stem(lambda x: own.BilinearResize(4, 21, cropping=((1, 2), (0, 1)))(x)),
    "resize_to_one": after_stem(lambda x: own.BilinearResize(1, 5)(x)),
    "upsample": after_stem(lambda x: layers.UpSampling2D((2, 3))(x)),
    "upsample_bilinear": after_stem(lambda x: layers.UpSampling2D(2, interpolation="bilinear")(x)),
    "called_twice": after_stem(lambda x: (lambda conv: conv(conv(x)))(layers.Conv2D(x.shape[-1], 3, name="twice"))),
    "named_like_the_outputs": after_stem(lambda x: layers.Conv2D(4, 1, name="boxes")(layers.ReLU(name="scores")(x))),
    "columns_last_background": _columns(ClassColumns(4, 3), 4, scores="softmax"),
    "columns_no_background": _columns(ClassColumns(3, -1), 3, scores="sigmoid"),
    "boxes_of_classes": _columns(BoxesOfClasses(3), 3, scores="sigmoid"),
    "boxes_of_classes_probabilities": _columns(BoxesOfClasses(3, "probabilities"), 3, scores="probabilities"),
    "image_convolved": on_image(lambda x: layers.Conv2D(4, 3, strides=2)(x)),
    "image_grouped": on_image(lambda x: layers.Conv2D(6, 3, groups=3)(x)),
    "image_normalized": on_image(_normalized_image),
    "image_turned": on_image(lambda x: layers.Conv2D(4, 3)(ReverseChannels()(x))),
    "image_reversed": on_image(lambda x: layers.DepthwiseConv2D(3)(ReverseChannels()(x))),
    "image_dense": on_image(lambda x: layers.Dense(4)(x)),
    "image_cut": on_image(lambda x: layers.Concatenate()([own.SliceAxis(-1, 0, 2)(x), x])),
    "image_flat": on_image(_flattened),
    "image_normalization": on_image(
        lambda x: layers.Conv2D(4, 3)(layers.Normalization(mean=[0.3, 0.5, -0.2], variance=[0.5, 2.0, 1.0])(x))
    ),
    "normalization_inverted": after_stem(lambda x: layers.Normalization(mean=0.3, variance=2.0, invert=True)(x)),
    "image_everything": on_image(_turned_everything),
    "image_grey": lambda: detector(
        lambda x: layers.Conv2D(4, 3, strides=2)(x),
        preprocessing=layers.Rescaling(0.01, -1.0, name="preprocessing"),
        grey=True,
    ),
}
