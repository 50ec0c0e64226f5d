"""What tests of exported Caffe nets share: writing one, and running it in Keras and in OpenCV."""

import numpy as np
import pytest
from keras import ops

import keras_ssd


def images(model, seed=0):
    shape = (1, *model.input_shape[1:])
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.float32)


def run(model, x):
    return ops.convert_to_numpy(model(x))


def write(model, folder, **options):
    return keras_ssd.to_caffe(model, folder / "net.prototxt", folder / "net.caffemodel", **options)


def in_opencv(report, x, names):
    """Blobs that OpenCV computes of an RGB image."""
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 reads no Caffe nets")
    net = cv2.dnn.readNetFromCaffe(*map(str, report.files))
    image = x[0].astype(np.uint8)
    image = image if report.channel_order == "grey" else image[..., ::-1]
    swap = report.channel_order == "rgb"
    net.setInput(cv2.dnn.blobFromImage(image, report.scale, report.input_shape[:1:-1], report.mean, swapRB=swap))
    return net.forward(list(names))


def close(found, expected, tolerance):
    """Equal up to a part of the largest value."""
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
