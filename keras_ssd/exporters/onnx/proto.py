"""A written graph as a model of the `onnx` package; the only part that needs it."""

from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssd._version import __version__
from keras_ssd.exporters.onnx.onnx_graph import Graph

# The oldest that has all operators used here, so that old runtimes read the files, too.
OPSET = 13
INTEGERS = ("num_detections", "detection_classes")  # outputs of TensorRT's plugin


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
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    metadata: Mapping[str, str],
) -> Any:
    """An `onnx.ModelProto`.

    Args:
        graph: the `Graph`.
        name: of the model.
        inputs, outputs: {name: shape}, float32 but for those in `INTEGERS`; the name of a size stands for any number.
        metadata: {key: text}, for the readers of the file.
    """
    onnx = import_onnx()
    helper = onnx.helper

    def declared(tensors):
        kinds = {key: onnx.TensorProto.INT32 if key in INTEGERS else onnx.TensorProto.FLOAT for key in tensors}
        return [helper.make_tensor_value_info(key, kinds[key], shape) for key, shape in tensors.items()]

    nodes = [
        helper.make_node(
            node.operator, node.inputs, [node.name, *node.more], node.name, domain=node.domain, **node.attributes
        )
        for node in graph.nodes
    ]
    constants = [onnx.numpy_helper.from_array(array, key) for key, array in graph.constants.items()]
    proto = helper.make_graph(nodes, name, declared(inputs), declared(outputs), constants)
    opset = helper.make_opsetid("", OPSET)
    others = [helper.make_opsetid(domain, 1) for domain in sorted({node.domain for node in graph.nodes} - {""})]
    model = helper.make_model(
        proto,
        opset_imports=[opset, *others],
        ir_version=helper.find_min_ir_version_for([opset]),
        producer_name="keras_ssd",
        producer_version=__version__,
    )
    helper.set_model_props(model, metadata)
    return model
