"""MobileNet-SSD's caffemodels under the names and in the form that its Keras model has."""

from dataclasses import replace

from keras_ssd.formats import NamedArrays
from keras_ssd.zoo.port import PortError

SLASH = "--"  # as `from_caffe` writes it; Keras allows no slash in a name
_MARKS = ("conv0", "conv1/dw", "conv13/dw", "conv17_2")


def is_caffe_mobilenet(arrays: NamedArrays) -> bool:
    """Whether arrays are those of a caffemodel of MobileNet-SSD, or of a net like it."""
    return all(layer in arrays for layer in _MARKS)


def keras_names(arrays: NamedArrays) -> NamedArrays:
    """The arrays with Keras's names, each BatchNorm and the Scale after it as one layer.

    Raises:
        PortError: a BatchNorm without its Scale, or a Scale without its BatchNorm.
    """
    layers = {}
    for layer, weights in arrays.layers.items():
        stem, _, kind = layer.rpartition("/")
        if kind in ("bn", "scale"):
            layers.setdefault(f"{stem}/bn", {}).update(weights)
        else:
            layers[layer] = dict(weights)
    wrong = [layer for layer, weights in layers.items() if layer.endswith("/bn") and len(weights) != 4]
    if wrong:
        raise PortError(
            f"{arrays.source}: a BatchNorm and the Scale after it must have four arrays together. "
            f"Received: {', '.join(f'{layer} with {sorted(layers[layer])}' for layer in wrong)}"
        )
    return replace(arrays, layers={layer.replace("/", SLASH): weights for layer, weights in layers.items()})
