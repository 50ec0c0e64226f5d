"""An ONNX model whose network computes in float16."""

import warnings
from collections.abc import Collection
from typing import Any

import keras

from keras_ssd.exporters.onnx.inputs import PREPROCESSING
from keras_ssd.layers import L2Normalization, LocalResponseNormalization, MeanVarianceNormalization, Power
from keras_ssd.layers.reverse_channels import ReverseChannels

# Sums of squares over many channels pass 65504, the largest number of float16, and its smallest are far above the
# epsilons inside the roots.
PRECISE_LAYERS: tuple[Any, ...] = (
    L2Normalization,
    LocalResponseNormalization,
    MeanVarianceNormalization,
    Power,
    ReverseChannels,
    keras.layers.Normalization,
)


def needs_precision(layer: Any) -> bool:
    """Whether a layer is computed in float32 in a model of float16; the preprocessing of images is, too."""
    return isinstance(layer, PRECISE_LAYERS) or layer.name == PREPROCESSING


def in_half_precision(proto: Any, precise: Collection[str]) -> Any:
    """The model with float16 weights and computation; its input and outputs stay float32.

    onnxruntime's own converter does it, which knows which operators have a float16 form.

    Args:
        proto: an `onnx.ModelProto`.
        precise: names of nodes that stay float32: whatever decodes and suppresses, and `PRECISE_LAYERS`.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    try:
        from onnxruntime.transformers import float16
    except ImportError as error:
        raise ImportError("ONNX in float16 needs the package `onnxruntime`: pip install 'keras-ssd[onnx]'") from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the float32 number")  # weights near zero are rounded
        made = float16.convert_float_to_float16(proto, keep_io_types=True, node_block_list=list(precise))
    _sort(made.graph)
    return made


def _sort(graph):
    """Puts nodes behind those that they read, which the converter forgets for the casts that it adds."""
    waiting = list(graph.node)
    known = {tensor.name for tensor in (*graph.input, *graph.initializer)} | {""}
    ordered = []
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise RuntimeError("The nodes of the graph read each other in a circle.")
        for node in ready:
            known.update(node.output)
        ordered += ready
        read = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in read]
    del graph.node[:]
    graph.node.extend(ordered)
