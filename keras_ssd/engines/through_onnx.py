"""How engines that read ONNX get a model: what they refuse, and the network they are given."""

from typing import Any


def refuses(model: Any) -> None:
    """Raises where a layer has no counterpart in ONNX."""
    from keras_ssd.exporters.onnx.network import check_network

    check_network(model)


def written(model: Any) -> bytes:
    """The network as an ONNX file in memory."""
    from keras_ssd.exporters.onnx.network import onnx_network

    return onnx_network(model)
