"""Writes PyTorch's files by hand, instruction by instruction, to test readers without PyTorch, and on lies."""

import struct
import zipfile

import numpy as np

KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "u1": "ByteStorage"}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
LITTLE = b"\x80\x02}(X\x0d\x00\x00\x00little_endian\x88u."


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value):
    if 0 <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def sizes(values):
    return b"(" + b"".join(number(int(value)) for value in values) + b"t"


def named(module, name):
    return f"c{module}\n{name}\n".encode()


def storage(key, kind, count, view=None):
    """The persistent id of a storage; legacy files have a sixth part."""
    parts = text("storage") + named("torch", kind) + text(key) + text("cpu") + number(count)
    return b"(" + parts + (view or b"") + b"tQ"


def tensor(key, kind, count, shape, strides=None, offset=0, view=None, function="_rebuild_tensor_v2"):
    strides = contiguous(shape) if strides is None else strides
    arguments = storage(key, kind, count, view) + number(offset) + sizes(shape) + sizes(strides)
    hooks = named("collections", "OrderedDict") + b")R"
    more = b"\x89" + hooks if function == "_rebuild_tensor_v2" else b""
    return named("torch._utils", function) + b"(" + arguments + more + b"tR"


def contiguous(shape):
    strides = [1]
    for side in reversed(shape[1:]):
        strides.insert(0, strides[0] * max(side, 1))
    return strides[: len(shape)]


def dictionary(pairs):
    """A dictionary of {text: instructions}."""
    return b"}(" + b"".join(text(name) + value for name, value in pairs.items()) + b"u"


def whole(value):
    return b"\x80\x02" + value + b"."


def state(arrays, view=None, **options):
    """Instructions of a state dict, each array in a storage of its own, with the storages' contents."""
    pairs, contents = {}, {}
    for index, (name, array) in enumerate(arrays.items()):
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        kind, key = KINDS[array.dtype.str[1:]], str(index)
        pairs[name] = tensor(key, kind, array.size, array.shape, view=view, **options)
        contents[key] = array.tobytes()
    return dictionary(pairs), contents


def write_zip(path, value, contents, folder="archive", compression=zipfile.ZIP_STORED, **members):
    """A file of today's layout; `value` are the instructions of its pickle without beginning and end."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", whole(value))
        archive.writestr(f"{folder}/byteorder", "little")
        for key, data in contents.items():
            archive.writestr(f"{folder}/data/{key}", data)
        for name, data in members.items():
            archive.writestr(f"{folder}/{name}", data)


def write_legacy(path, value, contents, itemsizes, keys=None):
    """A file of the layout before PyTorch 1.6."""
    keys = list(contents) if keys is None else keys
    listed = whole(b"](" + b"".join(text(key) for key in keys) + b"e")
    data = b"".join(struct.pack("<q", len(contents[key]) // itemsizes[key]) + contents[key] for key in keys)
    path.write_bytes(MAGIC + PROTOCOL + LITTLE + whole(value) + listed + data)


def write_pth(path, arrays, *, legacy=False):
    """A state dict of arrays."""
    value, contents = state(arrays, view=b"N" if legacy else None)
    if legacy:
        itemsizes = dict(zip(contents, (np.dtype(a.dtype).itemsize for a in arrays.values()), strict=True))
        write_legacy(path, value, contents, itemsizes)
    else:
        write_zip(path, value, contents)
    return path
