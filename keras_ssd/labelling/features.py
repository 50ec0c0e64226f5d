"""What an image looks like to a network: the means of the feature maps that its heads read."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ssd.data.progress import worked_ahead
from keras_ssd.images import ImageError, read_image, resize_bilinear
from keras_ssd.layers import AnchorBoxes
from keras_ssd.models.model import SSD


def features_of(
    model: SSD, images: Sequence[Any], *, batch_size: int = 8, progress: bool = False
) -> list[np.ndarray | None]:
    """The features of images.

    Args:
        model: `SSD`.
        images: paths or arrays, as `keras_ssd.images.read_image` takes them.
        batch_size: images at once.
        progress: whether to show a bar on a terminal.

    Returns:
        List of (D,) float32, None for an image that cannot be read. D is the number of channels of all feature maps
        that the heads read.
    """
    network, waiting = _network(model), []
    found: list[np.ndarray | None] = [None] * len(images)

    def load(place):
        return resize_bilinear(read_image(images[place]), model.input_size)

    def compute():
        places, inputs = zip(*waiting, strict=True)
        filling = [inputs[0]] * (batch_size - len(inputs))  # one size, so that nothing is compiled anew
        means = np.asarray(network.predict_on_batch(np.stack([*inputs, *filling])), np.float32)
        for place, row in zip(places, means, strict=False):
            found[place] = row
        waiting.clear()

    with worked_ahead(load, range(len(images)), "comparing images", progress) as loaded:
        for place, image in loaded:
            try:
                waiting.append((place, image.result()))
            except (ImageError, OSError):
                continue
            if len(waiting) == batch_size:
                compute()
    if waiting:
        compute()
    return found


def _network(model):
    """From images to the means of the maps that the heads read; of an imported net, of its class scores."""
    maps = [model.get_layer(name).output for name in model.sources]
    if not maps or any(len(each.shape) != 4 for each in maps):
        [layer] = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
        maps = layer.input[0]
    means = [ops.mean(ops.cast(each, "float32"), axis=(1, 2)) for each in maps]
    return keras.Model(model.inputs[0], ops.concatenate(means, axis=-1) if len(means) > 1 else means[0])
