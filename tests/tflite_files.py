"""TensorFlow Lite files made from nothing, with the flatbuffers library: whole ones, odd ones, hostile ones."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

flatbuffers = pytest.importorskip("flatbuffers")

from flatbuffers import flexbuffers  # noqa: E402

TYPE_CODES = {"float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int8": 9, "int16": 7}
CONCATENATION, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE, LOGISTIC, RESHAPE, SOFTMAX, CUSTOM = 2, 3, 4, 6, 14, 22, 25, 32
OPTION_KINDS = {CONV_2D: 1, DEPTHWISE_CONV_2D: 2, CONCATENATION: 10}  # BuiltinOptions of the schema
POST_PROCESS = "TFLite_Detection_PostProcess"
SETTINGS = {"y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0, "max_detections": 10, "num_classes": 3}
SETTINGS |= {"nms_iou_threshold": 0.6, "nms_score_threshold": 1e-8, "max_classes_per_detection": 1}


@dataclass(frozen=True, eq=False)
class FakeTensor:
    """A tensor; `values` None for one that is computed."""

    name: str
    shape: tuple
    dtype: str
    values: np.ndarray | None = None
    scales: tuple = ()
    zeros: tuple = ()
    axis: int = 0
    details: int = 0
    sparse: bool = False


@dataclass(frozen=True, eq=False)
class FakeOperator:
    """An operation; `options` are fields of its table: {slot: (kind of number, value)}, or bytes of a custom one."""

    code: int
    inputs: tuple
    outputs: tuple
    options: dict | bytes = field(default_factory=dict)
    custom: str = ""


@dataclass(frozen=True, eq=False)
class FakeFile:
    """All of a file."""

    tensors: tuple
    operators: tuple
    inputs: tuple
    outputs: tuple
    version: int = 3

    def with_operator(self, at, **changes):
        operators = list(self.operators)
        operators[at] = replace(operators[at], **changes)
        return replace(self, operators=tuple(operators))

    def with_tensor(self, at, **changes):
        tensors = list(self.tensors)
        tensors[at] = replace(tensors[at], **changes)
        return replace(self, tensors=tuple(tensors))

    def tensor(self, text):
        """The place of the first tensor with this text in its name."""
        return next(i for i, tensor in enumerate(self.tensors) if text in tensor.name)

    def operator(self, text):
        """The place of the first operation that reads or makes a tensor with this text in its name."""
        used = [[self.tensors[i].name for i in (*op.inputs, *op.outputs) if i >= 0] for op in self.operators]
        return next(i for i, names in enumerate(used) if any(text in name for name in names))

    def bytes(self):
        """The file."""
        b = flatbuffers.Builder(1 << 16)
        stored = [None, *(tensor for tensor in self.tensors if tensor.values is not None)]
        places = {id(tensor): place for place, tensor in enumerate(stored)}
        buffers = [_table(b, {0: _array(b, _raw(tensor))} if tensor else {}) for tensor in stored]
        codes = sorted({(op.code, op.custom) for op in self.operators})
        tensors = [_tensor(b, tensor, places.get(id(tensor), 0)) for tensor in self.tensors]
        operators = [_operator(b, op, codes.index((op.code, op.custom))) for op in self.operators]
        graph = {0: _tables(b, tensors), 3: _tables(b, operators)}
        graph |= {1: _array(b, np.int32(self.inputs)), 2: _array(b, np.int32(self.outputs))}
        fields = {2: _tables(b, [_table(b, graph)]), 4: _tables(b, buffers), 3: b.CreateString("made by a test")}
        fields[1] = _tables(b, [_code(b, *code) for code in codes])
        b.Finish(_table(b, fields, {0: ("Uint32", self.version)}), file_identifier=b"TFL3")
        return bytes(b.Output())

    def write(self, path):
        path.write_bytes(self.bytes())
        return path


def _raw(tensor):
    values = tensor.values if tensor.dtype == "string" else np.asarray(tensor.values, tensor.dtype)
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)


def _array(b, values):
    return b.CreateNumpyVector(np.atleast_1d(values))


def _tables(b, places):
    b.StartVector(4, len(places), 4)
    for place in reversed(places):
        b.PrependUOffsetTRelative(place)
    return b.EndVector()


def _table(b, offsets, numbers=None):
    """A table of {slot: offset} and {slot: (kind, number)}."""
    numbers = numbers or {}
    b.StartObject(max((*offsets, *numbers), default=-1) + 1)
    for slot, place in offsets.items():
        b.PrependUOffsetTRelativeSlot(slot, place, 0)
    for slot, (kind, value) in numbers.items():
        getattr(b, f"Prepend{kind}Slot")(slot, value, 0)
    return b.EndObject()


def _code(b, code, custom):
    offsets = {1: b.CreateString(custom)} if custom else {}
    return _table(b, offsets, {0: ("Int8", min(code, 127)), 3: ("Int32", code)})


def _tensor(b, tensor, buffer):
    offsets = {0: _array(b, np.int32(tensor.shape)), 3: b.CreateString(tensor.name)}
    if tensor.scales or tensor.details:
        fields = {2: _array(b, np.float32(tensor.scales)), 3: _array(b, np.int64(tensor.zeros))}
        if tensor.details:
            fields[5] = _table(b, {})
        offsets[4] = _table(b, fields, {4: ("Uint8", tensor.details), 6: ("Int32", tensor.axis)})
    if tensor.sparse:
        offsets[6] = _table(b, {})
    return _table(b, offsets, {1: ("Int8", TYPE_CODES.get(tensor.dtype, 5)), 2: ("Uint32", buffer)})


def _operator(b, op, code):
    offsets = {1: _array(b, np.int32(op.inputs)), 2: _array(b, np.int32(op.outputs))}
    numbers = {0: ("Uint32", code)}
    if isinstance(op.options, bytes):
        offsets[5] = _array(b, np.frombuffer(op.options, np.uint8))
    elif op.options:
        offsets[4] = _table(b, {}, op.options)
        numbers[3] = ("Uint8", OPTION_KINDS[op.code])
    return _table(b, offsets, numbers)


def conv_options(stride, activation, depthwise=False, padding=0, dilation=1):
    """Fields of Conv2DOptions or DepthwiseConv2DOptions."""
    more = 1 if depthwise else 0
    fields = {0: ("Int8", padding), 1: ("Int32", stride), 2: ("Int32", stride), 3 + more: ("Int8", activation)}
    fields |= {4 + more: ("Int32", dilation), 5 + more: ("Int32", dilation)}
    return {**fields, 3: ("Int32", 1)} if depthwise else fields


def post_process(settings=None):
    """The options of the last operation."""
    return bytes(flexbuffers.Dumps(SETTINGS if settings is None else settings))
