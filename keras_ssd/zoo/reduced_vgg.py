"""Converts Keras's VGG16 to the fully convolutional network that SSD starts from, with reduced fc6 and fc7."""

from keras_ssd.formats import NamedArrays

_BLOCKS = ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
_NAMES = {f"block{b}_conv{i}": f"conv{b}_{i}" for b, count in _BLOCKS for i in range(1, count + 1)}
_DENSE = ("fc1", "fc2")


def is_keras_vgg16(arrays: NamedArrays) -> bool:
    """Whether arrays are those of `keras.applications.VGG16` with its top."""
    return {*_NAMES, *_DENSE} <= set(arrays.layers)


def reduce_vgg16(arrays: NamedArrays) -> NamedArrays:
    """The arrays of the fc_reduced VGG16 (conv1_1 ... conv5_3, fc6, fc7) from those of `keras.applications.VGG16`.

    fc6 is equivalent to a 7x7 convolution with 4096 outputs. Every third row and column and every fourth output remain,
    which gives a 3x3 kernel with dilation that reads the same places. fc7 keeps every fourth input and output. Keras's
    VGG16 was trained on BGR.

    Source: the decimation that the SSD paper (section 3, "Base network") takes from DeepLab-LargeFOV.
    """
    layers = {target: arrays[source] for source, target in _NAMES.items()}
    fc6 = arrays["fc1"]["kernel"].reshape(7, 7, 512, 4096)  # Flatten of (7, 7, 512), channels last
    fc7 = arrays["fc2"]["kernel"].reshape(1, 1, 4096, 4096)
    layers["fc6"] = {"kernel": fc6[::3, ::3, :, ::4], "bias": arrays["fc1"]["bias"][::4]}
    layers["fc7"] = {"kernel": fc7[:, :, ::4, ::4], "bias": arrays["fc2"]["bias"][::4]}
    return NamedArrays(layers, format=arrays.format, path=arrays.path, first_layer_channels="bgr")
