"""Bytes of caffemodels made by hand, record by record: an encoder of its own, so that the writer is tested, too."""

import struct

import numpy as np


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def key(number, kind):
    return varint(number * 8 + kind)


def framed(number, data):
    """A record with a length: a text, a message, packed values."""
    data = data.encode() if isinstance(data, str) else bytes(data)
    return key(number, 2) + varint(len(data)) + data


def integer(number, value):
    return key(number, 0) + varint(value)


def single(number, value):
    return key(number, 5) + struct.pack("<f", value)


def double(number, value):
    return key(number, 1) + struct.pack("<d", value)


def shape(*sides, packed=True):
    """The shape of a BlobProto."""
    dims = framed(1, b"".join(map(varint, sides))) if packed else b"".join(integer(1, side) for side in sides)
    return framed(7, dims)


def legacy(num, channels, height, width):
    """The shape of a BlobProto before 2015."""
    return integer(1, num) + integer(2, channels) + integer(3, height) + integer(4, width)


def packed(values, number=5, dtype="<f4"):
    return framed(number, np.asarray(values, dtype).tobytes())


def unpacked(values):
    return b"".join(single(5, value) for value in np.ravel(values))


def blob(array):
    """A BlobProto as Caffe writes it."""
    return shape(*np.shape(array)) + packed(array)


def layer(name, kind, *blobs, rest=b"", bottoms=(), tops=()):
    """A record `layer` of a NetParameter; `blobs` are bytes of a BlobProto, or arrays."""
    parts = [framed(1, name), framed(2, kind), *(framed(3, b) for b in bottoms), *(framed(4, t) for t in tops)]
    parts += [framed(7, content if isinstance(content, bytes) else blob(content)) for content in blobs]
    return framed(100, b"".join(parts) + rest)


def v1_layer(name, kind, *blobs, rest=b"", bottoms=(), tops=()):
    """A record `layers` of a NetParameter; `kind` is the number of its type."""
    parts = [*(framed(2, b) for b in bottoms), *(framed(3, t) for t in tops), framed(4, name), integer(5, kind)]
    parts += [framed(6, content if isinstance(content, bytes) else blob(content)) for content in blobs]
    return framed(2, b"".join(parts) + rest)


def caffemodel(path, *records, name="net"):
    """Writes a file of these records; returns its path."""
    path.write_bytes(framed(1, name) + b"".join(records))
    return path
