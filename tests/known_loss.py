"""A detector for tests of what Keras offers, with images, targets and data whose loss is known."""

import keras
import numpy as np
from tiny_models import tiny_ssd

import keras_ssd

SIZE = (40, 56)
# Equal images and no augmentation: the loss of the first step is known from the loss itself.
IMAGES = np.tile(np.arange(SIZE[0] * SIZE[1] * 3, dtype=np.float32).reshape(1, *SIZE, 3) % 251, (4, 1, 1, 1))


def tiny_detector():
    """The same weights each time."""
    keras.utils.set_random_seed(3)
    return tiny_ssd(decoding={"iou_threshold": 0.3})


def one_object_each():
    """The targets of `IMAGES`."""
    encoder = keras_ssd.TargetEncoder.from_model(tiny_ssd())
    return encoder.encode_batch([[[0.1, 0.1, 0.6, 0.7]]] * 4, [[1]] * 4)


def equal_images():
    """`IMAGES` and their objects as a dataset."""
    images = IMAGES.astype(np.uint8)
    return keras_ssd.data.Dataset(
        "d",
        ("cat", "dog"),
        [
            keras_ssd.data.Annotation(f"{i}.png", image, np.array([[5.6, 4, 33.6, 28]]), np.array([1]), SIZE)
            for i, image in enumerate(images)
        ],
    )


def compiled(model, **options):
    # A rate of 0: the weights stay, so that every step has the loss that `expected` computes.
    model.compile(
        **{"optimizer": keras.optimizers.SGD(0.0), "loss": keras_ssd.SSDLoss(), "jit_compile": False, **options}
    )
    return model


def fitted(model, *data, **options):
    history = model.fit(*data, **{"batch_size": 2, "verbose": 0, **options}).history
    return {name: [float(value) for value in values] for name, values in history.items()}


def assert_same_weights(first, second):
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def expected(model, targets):
    return float(keras_ssd.SSDLoss()(targets[:2], model.predict_on_batch(IMAGES[:2])))
