"""Biases that a quantizer had to cut off, made whole again."""

from typing import Any

import numpy as np

from keras_ssd.exporting.tflite.flat import FlatModel

CONVOLUTIONS = (3, 4, 9)  # BuiltinOperator: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED
INT32 = 2  # TensorType
MOST = 2**30  # leaves room for what a convolution adds to a bias


def mend_saturated_biases(flat: FlatModel, source: FlatModel) -> None:
    """Gives channels a coarser scale where their bias does not fit into 32 bits.

    A bias counts in steps of the input's scale times the kernel's. The kernel of an anchor that was never trained is
    nearly zero, so its scale is tiny, and its bias, which says "no object", would be cut off: the anchor would report
    every class.

    Args:
        flat: the file in whole numbers; it is changed.
        source: the file in float that it was made from.
    """
    exact = {one.name: one for one in source.graph.tensors}
    codes = [code.builtinCode for code in flat.model.operatorCodes]
    for operator in flat.graph.operators:
        if codes[operator.opcodeIndex] not in CONVOLUTIONS or len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        given, kernel, bias = (flat.graph.tensors[place] for place in operator.inputs[:3])
        if bias.type == INT32 and bias.name in exact:
            _mend(flat, given, kernel, bias, _values(source, exact[bias.name], np.float32))


def _mend(flat: FlatModel, given: Any, kernel: Any, bias: Any, wanted: np.ndarray) -> None:
    scales = np.asarray(kernel.quantization.scale, np.float64)
    step = float(given.quantization.scale[0])
    coarser = np.maximum(scales, np.abs(wanted).astype(np.float64) / (step * MOST))
    if len(scales) != len(wanted) or (coarser == scales).all():
        return
    sides = [1] * len(kernel.shape)
    sides[kernel.quantization.quantizedDimension] = -1
    values = _values(flat, kernel, np.int8).reshape(kernel.shape) * (scales / coarser).reshape(sides)
    _store(flat, kernel, np.round(values).astype(np.int8), coarser)
    _store(flat, bias, np.round(wanted / (step * coarser)).astype(np.int32), step * coarser)


def _values(flat, tensor, dtype):
    return np.frombuffer(np.asarray(flat.model.buffers[tensor.buffer].data, np.uint8).tobytes(), dtype)


def _store(flat, tensor, values, scales):
    tensor.buffer = flat.buffer(np.ascontiguousarray(values).tobytes())
    tensor.quantization.scale = scales.astype(np.float32).tolist()
