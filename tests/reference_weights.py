"""The weights that the reference forward passes were made with: anyone can make them again from the layer names."""

import zlib

import numpy as np


def assign_reference_weights(model):
    """Fills every layer of an SSD300 or SSD512 with the recipe's weights, turned from Caffe's BGR to our RGB."""
    for layer in model.layers:
        if not layer.weights:
            continue
        rng = np.random.default_rng(zlib.crc32(layer.name.encode()))
        if layer.name == "conv4_3_norm":
            layer.gamma.assign((20 + rng.standard_normal(512) * 0.5).astype(np.float32))
            continue
        kernel_h, kernel_w, fan, filters = layer.kernel.shape
        count = fan * kernel_h * kernel_w
        factor = np.sqrt(2 / count)
        if layer.name.endswith(("_mbox_loc", "_mbox_conf")):
            factor = np.sqrt(1 / count) * 0.5
        if layer.name == "conv1_1":
            factor /= 128
        kernel = rng.standard_normal((filters, fan, kernel_h, kernel_w)).astype(np.float32)
        kernel = (kernel * np.float32(factor)).transpose(2, 3, 1, 0)
        bias = rng.standard_normal(filters).astype(np.float32) * np.float32(0.05)
        layer.kernel.assign(kernel[:, :, ::-1] if layer.name == "conv1_1" else kernel)
        layer.bias.assign(bias)


def reference_image(size):
    """The image of the reference passes as RGB (1, size, size, 3), 0..255."""
    image = np.random.default_rng(7).uniform(0, 255, (1, 3, size, size)).astype(np.float32)
    return image.transpose(0, 2, 3, 1)[..., ::-1].copy()
