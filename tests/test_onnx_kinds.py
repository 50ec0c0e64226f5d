"""Every kind of layer in an ONNX file: onnxruntime gives what Keras gives.

One backend is enough: the file is the same on all, as tests/test_onnx.py shows.
"""

import pytest
from onnx_nets import KINDS

from keras_ssd.exporters.onnx import to_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("kind", KINDS)
def test_reference_kind(kind, tmp_path):
    model = KINDS[kind]()
    # What sees the image itself may see it in BGR; all others stand behind a convolution.
    for name in ("rgb", "bgr", "blob") if kind.startswith("image") else ("rgb",):
        checked = to_onnx(model, tmp_path / "kind.onnx", input=name)
        assert max(checked.boxes, checked.scores) < 1e-5, checked
