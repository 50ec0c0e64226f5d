"""Every kind of layer in an ONNX file: onnxruntime gives what Keras gives.

One backend is enough: the file is the same on all, as tests/test_onnx.py shows.
"""

import numpy as np
import pytest
from onnx_nets import KINDS

from keras_ssd.exporters.onnx import to_onnx
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.exporting import OnnxForm, onnx_of
from keras_ssd.file_metadata import TABLES

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def batch_of(form, detector, images):
    """(boxes, scores) of several images from the file that has an axis for them."""
    session = onnxruntime.InferenceSession(onnx_of(detector, form, {}).SerializeToString())
    return session.run(["boxes", "scores"], {"images": images.transpose(0, 3, 1, 2)})


@pytest.mark.parametrize("kind", KINDS)
def test_reference_kind(kind, tmp_path):
    model = KINDS[kind]()
    # What sees the image itself may see it in BGR; all others stand behind a convolution.
    for name in ("rgb", "bgr", "blob") if kind.startswith("image") else ("rgb",):
        checked = to_onnx(model, tmp_path / "kind.onnx", input=name)
        assert max(checked.boxes, checked.scores) < 1e-5, checked
    detector = Detector.of(model)
    images = np.random.default_rng(0).integers(0, 256, (3, *model.input_size, 3)).astype(np.float32)
    expected = detector.results(images)
    for batch in (None, 3):
        for ours, theirs in zip(batch_of(OnnxForm("rgb", TABLES, batch), detector, images), expected, strict=True):
            assert ours.shape == theirs.shape
            assert np.all(np.abs(ours - theirs) <= 1e-5 * np.maximum(1.0, np.abs(theirs))), batch
