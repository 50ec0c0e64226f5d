"""A file of TensorFlow Lite, taken apart, changed and put together again by the schema's own Python classes."""

import errno
import importlib.util
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssd.exporting.tflite.converting import INSTALL

IDENTIFIER = b"TFL3"
QUANTIZE, DEQUANTIZE = 114, 6  # BuiltinOperator
FLOAT32, INT32, UINT8 = 0, 2, 3  # TensorType


def schema() -> Any:
    """The schema's classes.

    Raises:
        ImportError: a package is missing.
    """
    for package in ("flatbuffers", "ai_edge_litert"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f"Writing TensorFlow Lite needs the package `{package.replace('_', '-')}`: {INSTALL}")
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


class FlatModel:
    """A file taken apart.

    Args:
        data: the file.
    """

    def __init__(self, data: bytes):
        self.schema: Any = schema()
        self.model: Any = self.schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
        self.graph: Any = self.model.subgraphs[0]
        for buffer in self.model.buffers:
            if buffer.offset > 1:  # some writers keep the bytes behind the flatbuffer, where little else finds them
                buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0

    def packed(self) -> bytes:
        """The file."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), file_identifier=IDENTIFIER)
        return bytes(builder.Output())

    def tensor(self, name: str, shape: Sequence[int], kind: int = FLOAT32, values: np.ndarray | None = None) -> int:
        """The place of a new tensor; with values it is a constant."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, 0
        tensor.hasRank = True
        if values is not None:
            tensor.buffer = self.buffer(np.ascontiguousarray(values).tobytes())
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def buffer(self, data: bytes) -> int:
        """The place of a new buffer."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def operator(
        self, code: int, inputs: Sequence[int], outputs: Sequence[int], at: int | None = None, **changes: Any
    ) -> None:
        """Adds an operation.

        Args:
            code: `BuiltinOperator`.
            inputs, outputs: places of tensors.
            at: its place in the order of computing; None for the end.
            **changes: further fields of the schema's `OperatorT`, and `custom` for the name of a custom operation.
        """
        made = self.schema.OperatorT()
        made.opcodeIndex = self._code(code, changes.pop("custom", None))
        made.inputs, made.outputs = list(inputs), list(outputs)
        for name, value in changes.items():
            setattr(made, name, value)
        self.graph.operators.insert(len(self.graph.operators) if at is None else at, made)

    def _code(self, code, custom):
        for index, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == code and (known.customCode or b"").decode() == (custom or ""):
                return index
        made = self.schema.OperatorCodeT()
        made.builtinCode, made.deprecatedBuiltinCode, made.version = code, min(code, 127), 1
        made.customCode = custom.encode() if custom else None
        self.model.operatorCodes.append(made)
        return len(self.model.operatorCodes) - 1

    def output(self, name: str) -> int:
        """The tensor that the first signature calls so.

        Raises:
            OSError: there is no signature: TensorFlow's converter could not write its temporary files, and went on.
        """
        if not self.model.signatureDefs:
            raise OSError(errno.ENOSPC, "TensorFlow's converter could not write its files", tempfile.gettempdir())
        found = {one.name.decode(): one.tensorIndex for one in self.model.signatureDefs[0].outputs}
        return found[name]

    def set_outputs(self, places: Mapping[str, int]) -> None:
        """Makes these tensors {name: place} the outputs."""
        self.graph.outputs = list(places.values())
        signature = self.model.signatureDefs[0]
        signature.outputs = []
        for name, place in places.items():
            told = self.schema.TensorMapT()
            told.name, told.tensorIndex = name.encode(), place
            signature.outputs.append(told)

    def rename(self, place: int, name: str) -> None:
        """Gives a tensor another name: what `Interpreter.get_input_details` and its like show."""
        self.graph.tensors[place].name = name.encode()

    def set_metadata(self, name: str, data: bytes) -> None:
        """Adds an entry to the file's list of metadata."""
        entry = self.schema.MetadataT()
        entry.name, entry.buffer = name.encode(), self.buffer(data)
        self.model.metadata = [*(self.model.metadata or ()), entry]


def take_bytes(flat: FlatModel) -> None:
    """Makes the input uint8: images as they come from a camera, level 0 to 255."""
    [place] = flat.graph.inputs
    before = flat.graph.tensors[place]
    if before.type == UINT8:
        return
    made = flat.tensor("images_uint8", before.shape, UINT8)
    scheme = flat.schema.QuantizationParametersT()
    scheme.scale, scheme.zeroPoint = [1.0], [0]
    flat.graph.tensors[made].quantization = scheme
    flat.operator(DEQUANTIZE if before.type == FLOAT32 else QUANTIZE, (made,), (place,), at=0)
    flat.graph.inputs = [made]
    for told in flat.model.signatureDefs[0].inputs:
        told.tensorIndex = made
