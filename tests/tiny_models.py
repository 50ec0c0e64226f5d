"""A small SSD of three levels, for tests."""

import keras

import keras_ssd
from keras_ssd.models.composing import Extra, ssd
from keras_ssd.models.heads import Tap


def tiny_backbone(size=(40, 56)):
    inputs = keras.Input((*size, 3))
    x = keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="fine")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="coarse")(x)
    return keras.Model(inputs, x, name="tiny")


def tiny_spec(size=(40, 56)):
    level = keras_ssd.AnchorLevel.prior_box
    levels = (level(size, (10, 14), (8,), (), (2,)), level(size, (5, 7), (16,), (24,)), level(size, (3, 4), (30,)))
    return keras_ssd.AnchorSpec(size, levels)


def tiny_ssd(**options):
    row = keras_ssd.backbones.ConvRow("extra", 8, 3, stride=2, pad=1)
    return ssd(
        tiny_backbone(),
        [Tap("fine", l2_scale=10.0), "coarse"],
        ["cat", "dog"],
        tiny_spec(),
        extras=(Extra((row,)),),
        **options,
    )
