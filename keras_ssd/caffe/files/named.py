"""A caffemodel's arrays with the names and layouts of Keras's layers."""

import os

import numpy as np

from keras_ssd.caffe.files.binary import read_caffemodel
from keras_ssd.caffe.files.net import CaffeFileError, CaffeLayer
from keras_ssd.formats.named_arrays import NamedArrays, as_float32

CONVOLUTIONS = ("Convolution", "Deconvolution")
VECTORS: dict[str, tuple[str, ...]] = {"Normalize": ("gamma",), "Scale": ("gamma", "beta"), "PReLU": ("alpha",)}


def read_caffemodel_arrays(path: str | os.PathLike[str]) -> NamedArrays:
    """Reads a caffemodel for porting by name.

    The first convolution takes BGR, as all nets do that were trained with Caffe's own data layers. Layers without
    arrays are left out; arrays of unknown layer types are called `blob_0`, `blob_1`.

    Raises:
        FileNotFoundError: there is no such file.
        CaffeFileError: the file is damaged, hostile, not a caffemodel, or without arrays.
        WeightFileError: an array has values that are not finite.
    """
    net = read_caffemodel(path)
    layers = {}
    for layer in net.layers:
        if not layer.blobs:
            continue
        if layer.name in layers:
            raise CaffeFileError(
                f"{net.path}: two layers named {layer.name!r} hold arrays; a name must identify one layer."
            )
        layers[layer.name] = {
            weight: as_float32(path, f"{layer.name}/{weight}", array).copy()  # no view that keeps the file open
            for weight, array in keras_arrays(layer).items()
        }
    if not layers:
        raise CaffeFileError(
            f"{net.path} describes a net of {len(net.layers)} layers but has no arrays. Give the file that training "
            "wrote."
        )
    colours = any(array.shape[2:3] == (3,) for weights in layers.values() for array in _kernels(weights))
    return NamedArrays(layers, format="caffemodel", path=net.path, first_layer_channels="bgr" if colours else "rgb")


def keras_arrays(layer: CaffeLayer) -> dict[str, np.ndarray]:
    """{weight: array} of one layer, channels last; views if no arithmetic is needed."""
    blobs = list(layer.blobs)
    depthwise = "depthwise" in layer.type.lower()
    if (layer.type in CONVOLUTIONS or depthwise) and len(blobs) <= 2 and blobs[0].ndim > 2:
        kernel = np.moveaxis(blobs[0], (0, 1), (-1, -2))  # (kh, kw, in / group, out)
        if depthwise or _is_depthwise(layer):
            kernel = kernel.swapaxes(-1, -2)  # (kh, kw, in, 1)
        return _with_bias(kernel, blobs)
    if layer.type == "InnerProduct" and len(blobs) <= 2 and blobs[0].ndim >= 2:
        matrix = blobs[0].reshape(blobs[0].shape[-2:])  # legacy files have (1, 1, out, in)
        transposed = layer.settings("inner_product_param")["transpose"]
        return _with_bias(matrix if transposed else matrix.T, blobs)
    if layer.type == "BatchNorm" and len(blobs) == 3 and blobs[2].size == 1:
        factor = blobs[2].reshape(-1)[0]
        factor = np.float32(0) if factor == 0 else np.float32(1) / factor
        return {"moving_mean": blobs[0].reshape(-1) * factor, "moving_variance": blobs[1].reshape(-1) * factor}
    names = VECTORS.get(layer.type, ())
    if 0 < len(blobs) <= len(names):
        return {name: blob.reshape(-1) for name, blob in zip(names, blobs, strict=False)}
    return {f"blob_{i}": blob for i, blob in enumerate(blobs)}


def _is_depthwise(layer):
    """Whether every output channel of a convolution reads its own input channel."""
    outputs, inputs = layer.blobs[0].shape[:2]
    group = layer.settings("convolution_param")["group"]
    return layer.type == "Convolution" and inputs == 1 and outputs > 1 and group == outputs


def _with_bias(kernel, blobs):
    return {"kernel": kernel} | ({"bias": blobs[1].reshape(-1)} if len(blobs) > 1 else {})


def _kernels(weights):
    return [array for weight, array in weights.items() if weight == "kernel" and array.ndim == 4]
