"""A written graph as a model of the `onnx` package; the only part that needs it."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssd._version import __version__
from keras_ssd.exporters.onnx.onnx_graph import Graph

# The oldest that has all operators used here, so that old runtimes read the files, too.
OPSET = 13


def import_onnx() -> Any:
    """The `onnx` package.

    Raises:
        ImportError: it is not installed; the message says how to get it.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError("Writing ONNX needs the package `onnx`: pip install 'keras-ssd[onnx]'") from error
    return onnx


def model_proto(
    graph: Graph,
    name: str,
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    metadata: Mapping[str, str],
) -> Any:
    """An `onnx.ModelProto`.

    Args:
        graph: the `Graph`.
        name: of the model.
        inputs, outputs: {name: shape}, all float32.
        metadata: {key: text}, for the readers of the file.
    """
    onnx = import_onnx()
    helper = onnx.helper

    def declared(tensors):
        return [helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, shape) for key, shape in tensors.items()]

    nodes = [
        helper.make_node(node.operator, node.inputs, [node.name], node.name, **node.attributes) for node in graph.nodes
    ]
    constants = [onnx.numpy_helper.from_array(array, key) for key, array in graph.constants.items()]
    proto = helper.make_graph(nodes, name, declared(inputs), declared(outputs), constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(
        proto,
        opset_imports=[opset],
        ir_version=helper.find_min_ir_version_for([opset]),
        producer_name="keras_ssd",
        producer_version=__version__,
    )
    helper.set_model_props(model, metadata)
    return model
