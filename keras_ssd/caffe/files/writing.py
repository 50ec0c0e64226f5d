"""Writes a `CaffeNet` as prototxt and caffemodel, as Caffe and OpenCV read them."""

import math
import os
import struct
from collections.abc import Mapping

import numpy as np

from keras_ssd.caffe.files.net import CaffeNet
from keras_ssd.caffe.files.schema import fields_by_name
from keras_ssd.caffe.files.text import Word
from keras_ssd.caffe.files.wire import FIXED32, FIXED64, LENGTH, VARINT
from keras_ssd.replacing import replacing

MAX_MESSAGE_BYTES = (1 << 31) - 1  # what the protobuf library in Caffe and OpenCV reads


def format_prototxt(net: CaffeNet) -> str:
    """The text description of a net, without its arrays; Caffe and `parse_prototxt` read it as the same net.

    Raises:
        ValueError: a setting cannot be written.

    Example:
        >>> print(format_prototxt(net))
        name: "MobileNet-SSD"
        layer {
        ...
    """
    lines = [f"name: {_quoted(net.name)}"] if net.name else []
    for layer in net.layers:
        lines += ["layer {", *_text_lines(_layer_fields(layer), "LayerParameter", "  "), "}"]
    return "\n".join(lines) + "\n"


def write_prototxt(net: CaffeNet, path: str | os.PathLike[str]) -> None:
    """Writes the text description of a net, replacing an existing file when it is complete.

    Raises:
        ValueError: a setting cannot be written.
    """
    text = format_prototxt(net)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_caffemodel(net: CaffeNet, path: str | os.PathLike[str]) -> None:
    """Writes a net with its arrays, replacing an existing file when it is complete.

    Settings that caffe.proto does not have are left out; Caffe takes them from the prototxt.

    Raises:
        ValueError: such a file cannot hold an array or a layer, or it would be larger than 2 GB, the most that Caffe
            and OpenCV read.

    Example:
        >>> write_caffemodel(net, "plates.caffemodel")
    """
    pieces = [_record("NetParameter", "name", net.name)] if net.name else []
    for layer in net.layers:
        pieces += _layer_pieces(layer)
    total = sum(map(_size, pieces))
    if total > MAX_MESSAGE_BYTES:
        raise ValueError(f"A caffemodel may have {MAX_MESSAGE_BYTES:,} bytes. Received: a net of {total:,} bytes.")
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        for piece in pieces:
            stream.write(piece if isinstance(piece, bytes) else np.ascontiguousarray(piece, "<f4").data)


def _layer_fields(layer):
    fields = {"name": layer.name, "type": layer.type, "bottom": layer.bottoms, "top": layer.tops}
    return {key: value for key, value in {**fields, **layer.params}.items() if value not in ((), [])}


# --- text


def _text_lines(fields, message, indent):
    known = fields_by_name(message)
    for name, values in fields.items():
        field = known.get(name)
        for value in values if isinstance(values, (list, tuple)) else (values,):
            if isinstance(value, Mapping):
                yield f"{indent}{name} {{"
                yield from _text_lines(value, field.message if field is not None else None, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_text_value(value, field)}"


def _text_value(value, field):
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, bytes) or (isinstance(value, str) and not _is_word(value, field)):
        return _quoted(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _float_text(float(value))
    name = field.name if field is not None else "a setting"
    raise ValueError(f"{name} must be a number, a text, a bool or a mapping. Received: {value!r}")


def _is_word(value, field):
    return field.type == "enum" if field is not None else isinstance(value, Word)


def _float_text(value):
    """The shortest text that is read as the same float32, if the value is one."""
    single = np.float32(value)
    text = str(single) if math.isfinite(value) and float(single) == value else repr(value)
    return text.removesuffix(".0") if "e" not in text else text


def _quoted(text):
    data = text if isinstance(text, bytes) else text.encode("utf-8")
    escaped = {34: '\\"', 92: "\\\\", 10: "\\n", 13: "\\r", 9: "\\t"}
    return '"' + "".join(escaped.get(c) or (chr(c) if 32 <= c < 127 else f"\\{c:03o}") for c in data) + '"'


# --- binary: pieces are bytes or arrays


def _layer_pieces(layer):
    known = fields_by_name("LayerParameter")
    pieces = [_record("LayerParameter", name, value) for name, value in _layer_fields(layer).items()]
    for blob in layer.blobs:
        inside = _blob_pieces(np.asarray(blob), layer.name)
        pieces += [_head(known["blobs"].number, inside), *inside]
    return [_head(fields_by_name("NetParameter")["layer"].number, pieces), *pieces]


def _blob_pieces(blob, layer):
    if blob.dtype != np.float32 or not blob.size:
        raise ValueError(
            f"Layer {layer!r}: arrays must be float32 and not empty. Received: dtype={blob.dtype}, shape={blob.shape}"
        )
    # No shape for an array without axes, as Caffe does; OpenCV refuses an empty shape.
    shape = [_record("BlobProto", "shape", {"dim": list(blob.shape)})] if blob.ndim else []
    return [*shape, _tag(fields_by_name("BlobProto")["data"].number, LENGTH) + _varint(blob.nbytes), blob]


def _size(piece):
    return len(piece) if isinstance(piece, bytes) else piece.nbytes


def _head(number, inside):
    """Tag and length before pieces."""
    return _tag(number, LENGTH) + _varint(sum(map(_size, inside)))


def _tag(number, kind):
    return _varint(number << 3 | kind)


def _varint(value):
    value &= 0xFFFFFFFFFFFFFFFF  # negative numbers take ten bytes
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(message, name, values):
    """The bytes of one field with all its values; empty if binary files do not have the field."""
    field = fields_by_name(message).get(name)
    if field is None or field.number is None:
        return b""
    values = values if isinstance(values, (list, tuple)) else [values]
    if field.packed:
        return _framed(field.number, b"".join(_encoded(field, value)[1] for value in values))
    return b"".join(_one(field, value) for value in values)


def _one(field, value):
    if field.type == "message":
        return _framed(field.number, b"".join(_record(field.message, key, part) for key, part in value.items()))
    if field.type in ("string", "bytes"):
        return _framed(field.number, value.encode("utf-8") if isinstance(value, str) else value)
    kind, data = _encoded(field, value)
    return _tag(field.number, kind) + data


def _framed(number, data):
    return _tag(number, LENGTH) + _varint(len(data)) + data


def _encoded(field, value):
    """(wire type, bytes) of one number."""
    if field.type in ("float", "double"):
        return (FIXED32, struct.pack("<f", value)) if field.type == "float" else (FIXED64, struct.pack("<d", value))
    if field.type == "enum":
        if value not in field.enum:
            raise ValueError(f"{field.name} must be one of {', '.join(field.enum)}. Received: {value!r}")
        return VARINT, _varint(field.enum[value])
    return VARINT, _varint(int(value))
