"""Reads caffemodels, the binary NetParameter, from a memory map.

Arrays stored as contiguous float32 are views of the file, so even a large file takes little more memory than the arrays
in use. A protobuf library would copy every number at least once and has a limit on the size of a file.
"""

import contextlib
import mmap
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from keras_ssd.caffe.files.blobs import array_of_blob
from keras_ssd.caffe.files.identity import check_is_binary
from keras_ssd.caffe.files.net import CaffeFileError, CaffeNet
from keras_ssd.caffe.files.schema import fields_by_number
from keras_ssd.caffe.files.upgrade import net_from_fields
from keras_ssd.caffe.files.wire import FIXED32, FIXED64, LENGTH, VARINT, CaffeLimitError, Wire
from keras_ssd.names import files_nearby

# All but the arrays: the settings of a large net take 0.1 MB, and 50 times as much once parsed.
MAX_SETTINGS_BYTES = 2 << 20
FIXED = {"float": (FIXED32, "<f4"), "double": (FIXED64, "<f8")}
VALUES = {"data": "float", "double_data": "double"}
UNUSED = ("diff", "double_diff")  # a solver's gradients


def read_caffemodel(path: str | os.PathLike[str]) -> CaffeNet:
    """Reads the layers of a caffemodel, with their arrays and settings.

    The file stays mapped while any of its arrays is in use; copy the arrays that must outlive it.

    Args:
        path: a `.caffemodel` of any version.

    Returns:
        A `CaffeNet`. Its arrays are float32 and read-only, with the shapes in the file.

    Raises:
        FileNotFoundError: there is no such file.
        CaffeFileError: the file is damaged, hostile or not a caffemodel; the message names the byte.

    Example:
        >>> net = read_caffemodel("VGG_VOC0712_SSD_300x300_iter_120000.caffemodel")
        >>> {layer.name: [blob.shape for blob in layer.blobs] for layer in net.layers if layer.blobs}["conv1_1"]
        [(64, 3, 3, 3), (64,)]
    """
    path = _existing(path, "caffemodel")
    reader = _Reader(_mapped(path), path)
    return replace(net_from_fields(reader.net(), path), unknown=tuple(reader.unknown))


def read_mean(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a mean image.

    Args:
        path: a `.binaryproto` of Caffe's compute_image_mean.

    Returns:
        float32, (channels, height, width), with the channel order of the images: usually BGR.

    Raises:
        FileNotFoundError: there is no such file.
        CaffeFileError: the file is damaged or does not hold one image.
    """
    path = _existing(path, "mean file")
    reader = _Reader(_mapped(path), path)
    mean = reader.blob(0, reader.size, lambda: str(path))
    if mean.ndim == 4 and len(mean) == 1:
        mean = mean[0]
    if mean.ndim != 3:
        raise CaffeFileError(
            f"{path} must hold one image (channels, height, width). Received: an array of shape {mean.shape}."
        )
    return mean.copy()


def looks_like_caffemodel(path: str | os.PathLike[str]) -> bool:
    """Whether a non-empty file starts like a caffemodel; the format has no magic bytes.

    It must have known fields of the right kind up to the first layer, and that layer must start with its name, type or
    blobs. A truncated file still looks like a caffemodel.
    """
    path = Path(path)
    wire = Wire(_mapped(path), path)
    known = fields_by_number("NetParameter")
    size = len(wire.data)
    with contextlib.suppress(CaffeFileError):
        position = 0
        for _ in range(64):
            tag, after = wire.varint(position, size)
            field, kind = known.get(tag >> 3), tag & 7
            if field is None or kind != (LENGTH if field.type in ("string", "message") else VARINT):
                return False
            if field.name in ("layer", "layers"):
                _, start = wire.varint(after, size)
                return _looks_like_layer(wire, start, field.message)
            value, position = wire.varint(after, size)
            if kind == LENGTH:
                position += value
    return False


def _looks_like_layer(wire, start, message):
    """Whether the bytes start with the fields of a layer, the first a text of plausible length."""
    tag, after = wire.varint(start, len(wire.data))
    field = fields_by_number(message).get(tag >> 3)
    length, _ = wire.varint(after, len(wire.data))
    return field is not None and field.name in ("name", "bottom", "top", "type") and tag & 7 == LENGTH and length < 1024


def _existing(path, what):
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no {what} at {path}.{files_nearby(path)}")
    check_is_binary(path, what)
    return path


def _mapped(path):
    with open(path, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


class _Reader:
    """Turns the records of a file into the fields of a NetParameter."""

    def __init__(self, data, path):
        self.wire = Wire(data, path)
        self.data = data
        self.size = len(data)
        self.path = path
        self.left = MAX_SETTINGS_BYTES
        self.unknown = {}  # (layer, "message field number") of unknown fields, in the file's order
        self.met = []  # the second parts of these in the current layer

    def net(self):
        """{field name: value} of the file, also for each layer."""
        fields = {}
        for number, kind, value in self.wire.records_of(0, self.size):
            field = fields_by_number("NetParameter").get(number)
            if field is None:
                self.unknown["", f"field {number} of the net"] = None
                continue
            if field.name in ("layer", "layers"):
                if kind == LENGTH:
                    fields.setdefault(field.name, []).append(self.layer(value, field.message))
            else:
                self.spend(value)
                self.add(fields, field, kind, value)
        return fields

    def layer(self, span, message):
        """The fields of one layer: blobs as arrays, the rest as settings."""
        fields = {}
        known = fields_by_number(message)
        for number, kind, value in self.wire.records_of(span.start, span.end):
            field = known.get(number)
            if field is None:
                self.met.append(f"field {number} of {message}")
                continue
            if field.name == "blobs":
                if kind == LENGTH:
                    where = partial(self.where, fields, value.start)
                    fields.setdefault("blobs", []).append(self.blob(value.start, value.end, where))
                continue
            self.spend(value)
            try:
                self.add(fields, field, kind, value)
            except CaffeLimitError:
                raise
            except CaffeFileError:
                # A fork may use this number for its own message; a value that does not fit is ignored.
                if not field.name.endswith("_param"):
                    raise
                self.met.append(f"field {number} of {message}, which is no {field.name}")
        name = fields.get("name", "")
        self.unknown.update(dict.fromkeys((name, what) for what in self.met))
        self.met.clear()
        return fields

    def where(self, fields, offset):
        return f"{self.path}, byte {offset:,}, layer {fields.get('name', '')[:60]!r}"

    def blob(self, start, end, where):
        """The array of the BlobProto in these bytes."""
        fields, pieces = {}, {name: [] for name in VALUES}
        for number, kind, value in self.wire.records_of(start, end):
            field = fields_by_number("BlobProto").get(number)
            if field is None:
                self.met.append(f"field {number} of BlobProto")
            if field is None or field.name in UNUSED:
                continue
            if field.name in VALUES:
                pieces[field.name].extend(self.numbers(field.type, kind, value))
            elif field.name == "raw_data":
                if kind == LENGTH:
                    fields["raw_data"] = memoryview(self.data)[value.start : value.end]
            else:
                self.spend(value)
                self.add(fields, field, kind, value)
        for name, parts in pieces.items():
            if parts:
                fields[name] = np.ascontiguousarray(parts[0]) if len(parts) == 1 else np.concatenate(parts)
        array = array_of_blob(fields, where)
        array.flags.writeable = False
        return array

    def numbers(self, type_name, kind, value):
        """Views of the floating point values of one record: packed, or a run of single values."""
        fixed, dtype = FIXED[type_name]
        dtype = np.dtype(dtype)
        if kind == fixed:
            return [np.ndarray(value.count, dtype, self.data, value.start, (value.step,))]
        if kind != LENGTH:
            return []
        if value.size % dtype.itemsize:
            raise self.wire.error(value.start, f"packed values of {dtype.itemsize} bytes", f"{value.size:,} bytes")
        if not value.size:
            return []
        return [np.frombuffer(self.data, dtype, value.size // dtype.itemsize, value.start)]

    def message(self, name, span):
        """The fields of a message. No message of the table contains itself, so the depth is bounded."""
        fields = {}
        known = fields_by_number(name)
        for number, kind, value in self.wire.records_of(span.start, span.end):
            if number in known:
                self.add(fields, known[number], kind, value)
            else:
                self.met.append(f"field {number} of {name}")
        return fields

    def add(self, fields, field, kind, value):
        """Adds a record's value to the fields; a value of another type than the field's is ignored."""
        if field.type == "message":
            values = [self.message(field.message, value)] if kind == LENGTH else []
            if values and field.name in fields and not field.repeated and not field.last_counts:
                values = [{**fields[field.name], **values[0]}]  # as protobuf merges them
        else:
            values = self.scalars(field, kind, value)
        if not values and not (kind == LENGTH and value.size == 0):
            self.met.append(f"a value of {field.name} that is no {field.message or field.type}")
        if field.repeated:
            fields.setdefault(field.name, []).extend(values)
        elif values:
            fields[field.name] = values[-1]

    def spend(self, value):
        """Refuses a file whose settings alone are larger than those of any net."""
        if isinstance(value, int):
            return  # the number of records is bounded
        self.left -= value.size
        if self.left < 0:
            raise self.wire.limit(value.start, f"at most {MAX_SETTINGS_BYTES:,} bytes of names and settings in a file")

    def scalars(self, field, kind, value):
        """The values of one record of a scalar field; empty if it has another type."""
        if field.type in ("string", "bytes"):
            if kind != LENGTH:
                return []
            content = bytes(self.data[value.start : value.end])
            return [content if field.type == "bytes" else content.decode("utf-8", errors="replace")]
        if field.type in FIXED:
            return [number for view in self.numbers(field.type, kind, value) for number in view.tolist()]
        if kind == LENGTH:
            return [part for raw in self.packed(value) for part in _integers(field, raw)]
        return _integers(field, value) if kind == VARINT else []

    def packed(self, span):
        """The integers of a packed field."""
        position = span.start
        while position < span.end:
            value, position = self.wire.varint(position, span.end)
            yield value


def _integers(field, raw):
    """[value] of a varint with the field's type; [] for an enum's number without a name."""
    if field.type == "bool":
        return [raw != 0]
    if field.type == "enum":
        name = field.enum_name(raw)
        if name is None and field.name == "type":
            return [f"V1LayerType {raw}"]  # a fork's layer type, for the message that it is not known
        return [] if name is None else [name]
    if field.type == "uint32":
        return [raw & 0xFFFFFFFF]
    bits = 32 if field.type == "int32" else 64
    raw &= (1 << bits) - 1
    return [raw - (1 << bits) if raw >> (bits - 1) else raw]
