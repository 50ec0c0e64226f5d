"""A data set of drawn squares and a model small enough to learn it in seconds."""

import dataclasses

import keras
import numpy as np

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.training import train

CLASSES = ("bright", "dark")
SIZE_HW = (16, 24)
SETTINGS = {"epochs": 4, "batch_size": 4, "learning_rate": 0.02, "display": False}


def squares(count=8, seed=0, name="squares", **marks):
    """Images of noise with one bright or dark square each."""
    rng = np.random.default_rng(seed)
    annotations = []
    for index in range(count):
        image = rng.integers(100, 150, (32, 48, 3), dtype=np.uint8)
        x, y = rng.integers(0, 32), rng.integers(0, 16)
        image[y : y + 14, x : x + 14] = 250 if index % 2 == 0 else 5
        box = [[x, y, x + 14, y + 14]]
        annotations.append(Annotation(f"{name}{index}", image, box, [index % 2], image.shape[:2], **marks))
    return Dataset(name, CLASSES, annotations)


def repeated(data, times):
    """The same images several times: an epoch of many steps, since what ends an epoch costs more than a step."""
    copies = [dataclasses.replace(one, name=f"{one.name} {turn}") for turn in range(times) for one in data]
    return dataclasses.replace(data, annotations=copies)


def toy(seed=0, dropout=0.2):
    """An SSD of 48 anchors, with moving statistics and a random generator in it."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((*SIZE_HW, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocessing")(inputs)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="low")(x)
    x = keras.layers.BatchNormalization(name="low_bn")(x)
    x = keras.layers.ReLU(name="low_relu")(x)
    x = keras.layers.Dropout(dropout, seed=seed, name="dropout")(x)
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="high")(x)
    level = keras_ssd.AnchorLevel.prior_box(SIZE_HW, (4, 6), (7,))
    spec = keras_ssd.AnchorSpec(SIZE_HW, (level,))
    return keras_ssd.ssd(keras.Model(inputs, x), ["high"], CLASSES, spec, name="toy")


def run(out, *, model=None, data=None, validation=None, **options):
    """A short training of the toy, unless told otherwise."""
    model = toy() if model is None else model
    data = squares() if data is None else data
    return train(model, data, validation, out=out, **{**SETTINGS, **options})


def furnished(folder):
    """A folder with VOC data of two splits, `data`, and a small model, `toy.keras`; gives the folder."""
    keras_ssd.data.write({"train": squares(8), "val": squares(4, 1, "other")}, folder / "data", "voc")
    toy().save(folder / "toy.keras")
    return folder
