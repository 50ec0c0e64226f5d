"""OpenCV as a second reader: what is written here, and what others wrote, it reads as we do."""

from dataclasses import replace

import numpy as np
import pytest

from keras_ssd.caffe.files import parse_prototxt, read_caffemodel, read_prototxt, write_caffemodel

NET = """
name: "check" input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
"""


def test_reference_opencv_reads_what_is_written(tmp_path):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 reads no Caffe files")
    rng = np.random.default_rng(3)
    shapes = {"conv": [(4, 3, 3, 3), (4,)], "fc": [(5, 144), (5,)]}
    blobs = {name: [rng.normal(size=s).astype(np.float32) for s in found] for name, found in shapes.items()}
    net = parse_prototxt(NET)
    net = replace(net, layers=tuple(replace(found, blobs=blobs.get(found.name, ())) for found in net.layers))
    (tmp_path / "a.prototxt").write_text(NET)
    write_caffemodel(net, tmp_path / "a.caffemodel")
    read = cv2.dnn.readNetFromCaffe(str(tmp_path / "a.prototxt"), str(tmp_path / "a.caffemodel"))
    for name, expected in blobs.items():
        for index, array in enumerate(expected):
            np.testing.assert_array_equal(np.asarray(read.getParam(name, index)).ravel(), array.ravel())
    read.setInput(np.ones((1, 3, 8, 8), np.float32))
    hidden = np.maximum(blobs["conv"][0].sum((1, 2, 3)) + blobs["conv"][1], 0)
    expected = blobs["fc"][0] @ np.repeat(hidden, 36) + blobs["fc"][1]
    np.testing.assert_allclose(read.forward().ravel(), expected, rtol=1e-4, atol=1e-4)


def test_reference_opencv_reads_the_plate_detector_alike(shared):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("OpenCV 5 reads no Caffe files")
    prototxt = shared("weights", "plate_ssd512", "mininet_ssd_v1.prototxt")
    weights = shared("weights", "plate_ssd512", "mininet_ssd_v1.caffemodel")
    read = cv2.dnn.readNetFromCaffe(str(prototxt), str(weights))
    net = read_caffemodel(weights)
    compared = 0
    for found in net.layers:
        for index, array in enumerate(found.blobs):
            other = np.asarray(read.getParam(found.name, index))
            np.testing.assert_array_equal(other.ravel(), array.ravel())
            compared += 1
    assert compared == 94
    assert [repr(one) for one in read_prototxt(prototxt).layers] == [
        repr(replace(found, blobs=())) for found in net.layers
    ]
