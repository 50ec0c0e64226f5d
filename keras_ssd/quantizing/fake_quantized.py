"""The copy of a network that computes with rounded kernels and feature maps."""

import keras

from keras_ssd.quantizing.layers import ROUNDING, FakeQuantize
from keras_ssd.quantizing.places import rounded_places

ENDING = "_fake_quantize"  # of the names of the layers that round


def fake_quantized(model: keras.Model) -> keras.Model:
    """A copy of a functional model that rounds as its int8 file will, with fresh weights.

    Its layers have the names of the model's, and weights of the same names and shapes. The layers that round feature
    maps are between them, with names that end in `ENDING`.
    """
    places = rounded_places(model)
    taken: set[str] = set()

    def clone(layer):
        return ROUNDING.get(type(layer), type(layer)).from_config(layer.get_config())

    def call(layer, *args, **kwargs):
        outputs = layer(*args, **kwargs)
        if layer.name not in places:
            return outputs
        number, name = 1, f"{layer.name}{ENDING}"
        while name in taken:  # the layer is called again
            number += 1
            name = f"{layer.name}_{number}{ENDING}"
        taken.add(name)
        return FakeQuantize(name=name)(outputs)

    return keras.models.clone_model(model, clone_function=clone, call_function=call)
