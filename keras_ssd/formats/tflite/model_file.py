"""TensorFlow Lite's own file: its flatbuffer as a graph of operators and tensors."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from keras_ssd.formats.named_arrays import MAX_ARRAYS, MAX_TOTAL_BYTES, WeightFileError
from keras_ssd.formats.tflite.flatbuffer import Flatbuffer, FlatbufferError
from keras_ssd.formats.tflite.flexbuffer import read_map
from keras_ssd.formats.tflite.tensors import Tensor, read_tensor

# BuiltinOperator of the schema, as far as detectors use it; others keep their number.
OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    21: "RELU6",
    22: "RESHAPE",
    25: "SOFTMAX",
    32: "CUSTOM",
    34: "PAD",
    39: "TRANSPOSE",
    40: "MEAN",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    97: "RESIZE_NEAREST_NEIGHBOR",
    114: "QUANTIZE",
    117: "HARD_SWISH",
}
PADDINGS = {0: "same", 1: "valid"}
ACTIVATIONS = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6", 4: "tanh", 5: "sign_bit"}
VERSION = 3


@dataclass(frozen=True, eq=False)
class Operator:
    """One operation.

    Args:
        kind: "CONV_2D", ...; the name of a custom operation; or "operation 123".
        inputs, outputs: indices in the graph's `tensors`; -1 for an omitted input.
        options: of convolutions `padding`, `strides`, `dilations` (height, width), `activation` and, if depthwise,
            `multiplier`; of custom operations their named settings.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class TFLiteGraph:
    """The first graph of a file, which is the network.

    Args:
        path: the file.
        tensors: all `Tensor`s.
        operators: all `Operator`s in the order of computing.
        inputs, outputs: places in `tensors`.
        description: what the converter wrote.
    """

    path: Path
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str = ""


def read_tflite(path: str | PathLike[str]) -> TFLiteGraph:
    """Reads a TensorFlow Lite file. Values stay in the file's bytes until they are needed.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the file is damaged or truncated, or its version of the format is unknown.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > MAX_TOTAL_BYTES:
        raise WeightFileError(f"{path} has {size:,} bytes; at most {MAX_TOTAL_BYTES:,} are read.")
    try:
        return _graph(Flatbuffer(path.read_bytes()), path)
    except FlatbufferError as error:
        raise WeightFileError(
            f"{path} is a damaged TensorFlow Lite file, perhaps cut short: {error}. Download or copy it again."
        ) from error


def _graph(buffer, path):
    if bytes(buffer.data[4:8]) != b"TFL3":
        raise WeightFileError(f"{path} is not a TensorFlow Lite file: it does not start with TFL3.")
    model = buffer.root()
    version, graphs = model.number(0, "<I"), model.tables(2)
    if version != VERSION or not graphs:
        raise WeightFileError(
            f"{path} has version {version} of TensorFlow Lite's format and {len(graphs)} graphs; expected version "
            f"{VERSION} and at least one graph."
        )
    buffers = [_bytes_of(table, buffer) for table in _few(model.tables(4), "buffers", path)]
    codes = [_code(table) for table in _few(model.tables(1), "operator codes", path)]
    tensors = tuple(read_tensor(table, buffers, path) for table in _few(graphs[0].tables(0), "tensors", path))
    operators = tuple(_operator(table, codes, path) for table in _few(graphs[0].tables(3), "operations", path))
    inputs, outputs = (tuple(int(i) for i in graphs[0].array(field, "i4")) for field in (1, 2))
    used = [*inputs, *outputs, *(i for operator in operators for i in (*operator.inputs, *operator.outputs))]
    if not all(-1 <= i < len(tensors) for i in used):
        raise WeightFileError(f"{path} names tensors that it does not hold. The file is damaged.")
    return TFLiteGraph(path, tensors, operators, inputs, outputs, model.text(3))


def _few(tables, what, path):
    if len(tables) > MAX_ARRAYS:
        raise WeightFileError(f"{path} holds {len(tables):,} {what}; at most {MAX_ARRAYS:,} are read.")
    return tables


def _bytes_of(table, buffer):
    """The bytes of a buffer: in the flatbuffer, or behind it, as ai-edge-quantizer and files above 2 GB have them."""
    offset, size = table.number(1, "<Q"), table.number(2, "<Q")
    if offset <= 1:  # 1 is what the schema calls "not used"
        return table.array(0, "u1").data
    if offset + size > len(buffer.data):
        raise FlatbufferError(f"{size:,} bytes behind the flatbuffer, from {offset:,} on, are not there")
    return buffer.data[offset : offset + size]


def _code(table):
    number = max(table.number(0, "<b"), table.number(3, "<i"))  # the first field ended at 127
    name = OPERATORS.get(number, f"operation {number}")
    return table.text(1) or name if name == "CUSTOM" else name


def _operator(table, codes, path):
    at = table.number(0, "<I")
    if at >= len(codes):
        raise WeightFileError(f"{path} has an operation of kind {at}, and names {len(codes)}. The file is damaged.")
    kind = codes[at]
    inputs, outputs = (tuple(int(i) for i in table.array(field, "i4")) for field in (1, 2))
    return Operator(kind, inputs, outputs, _options(kind, table))


def _options(kind, table):
    if kind not in OPERATORS.values() or kind == "CUSTOM":
        custom = table.array(5, "u1")
        return read_map(custom) if len(custom) else {}
    options = table.table(4)
    if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D") or options is None:
        return {}
    depthwise = kind == "DEPTHWISE_CONV_2D"
    more = 1 if depthwise else 0  # it counts its multiplier between strides and activation
    padding, activation = options.number(0, "<b"), options.number(3 + more, "<b")
    found = {
        "padding": PADDINGS.get(padding, f"kind {padding}"),
        "strides": (options.number(2, "<i"), options.number(1, "<i")),
        "activation": ACTIVATIONS.get(activation, f"kind {activation}"),
        "dilations": (options.number(5 + more, "<i", 1), options.number(4 + more, "<i", 1)),
    }
    return {**found, "multiplier": options.number(3, "<i")} if depthwise else found
