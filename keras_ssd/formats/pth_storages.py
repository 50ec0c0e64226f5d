"""The two layouts of PyTorch's files: pickles that describe tensors, and storages that hold their numbers.

Since PyTorch 1.6 a zip archive holds one pickle, `data.pkl`, and one member for each storage. Before, pickles and
storages followed each other in one stream. Pickles refer to storages by key; `keras_ssd.formats.pickles` reads them and
calls nothing.

Source: pytorch/pytorch, torch/serialization.py, torch/_utils.py.
"""

import contextlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_ssd.formats.named_arrays import MAX_ARRAY_BYTES, WeightFileError
from keras_ssd.formats.pickles import Opaque, PickleError, filled, load

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
MAX_SIDES = 16
# Kind of a storage -> numpy's type of its bytes. bfloat16 is the upper half of a float32.
STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "u2",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "u1",
}


@dataclass(frozen=True)
class Storage:
    """A row of numbers in a file: `kind` as in `STORAGES`, and how many."""

    kind: str
    key: str
    count: int

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * np.dtype(STORAGES[self.kind]).itemsize


@dataclass(frozen=True)
class Tensor:
    """A view of a storage: its offset, its shape, and the strides of its axes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.shape, *self.strides)
        if not all(type(number) is int and 0 <= number <= 1 << 40 for number in numbers):
            raise PickleError("it has a tensor with an invalid shape or strides")
        if len(self.shape) != len(self.strides) or len(self.shape) > MAX_SIDES:
            raise PickleError("it has a tensor with as many strides as it has no sides")
        last = self.offset + sum((side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True))
        if 0 not in self.shape and last >= self.storage.count:
            raise PickleError("it has a tensor that reaches beyond its storage")

    def of(self, numbers: np.ndarray) -> np.ndarray:
        """The array of this view, given the storage's numbers."""
        if 0 in self.shape:
            return np.zeros(self.shape, numbers.dtype)
        strides = tuple(stride * numbers.itemsize for stride in self.strides)
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides, writeable=False)
        return np.array(view)


def _tensor(arguments):
    """What `torch._utils._rebuild_tensor` and its second version get: storage, offset, shape, strides, and more."""
    if len(arguments) < 4 or not isinstance(arguments[0], Storage):
        raise PickleError("it has a tensor without a storage")
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise PickleError("it has a tensor without a shape")
    return Tensor(storage, offset, shape, strides)


def _parameter(arguments):
    if not arguments or not isinstance(arguments[0], Tensor):
        raise PickleError("it has a parameter without a tensor")
    return arguments[0]


def _ordered_dict(arguments):
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or not isinstance(pairs, (list, tuple)) or not all(_is_pair(pair) for pair in pairs):
        raise PickleError("it has an ordered dictionary that is none")
    return filled({}, [part for pair in pairs for part in pair])


def _is_pair(value):
    return isinstance(value, (list, tuple)) and len(value) == 2


def _size(arguments):
    return tuple(arguments[0]) if arguments and isinstance(arguments[0], (list, tuple)) else ()


def _opaque(arguments):
    return Opaque()


@dataclass(frozen=True)
class _StorageKind:
    name: str


# Every name that a file may contain, and its replacement: only functions and objects of this module.
NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    # beside the weights in checkpoints of torchvision's training program
    ("argparse", "Namespace"): _opaque,
    ("collections", "Counter"): _opaque,
    **{(module, kind): _StorageKind(kind) for kind in STORAGES for module in ("torch", "torch.cuda")},
}


class _Storages:
    """The common part of the two layouts. `value` is the value of the pickle, `numbers` the content of a storage."""

    order: Literal["<", ">"]
    value: Any

    def __init__(self, path: Path):
        self.path = path
        self.kinds: dict[str, Storage] = {}
        self._last: Any = (None, None)

    def held_open(self) -> AbstractContextManager[None]:
        """A context in which reading many storages is faster."""
        return contextlib.nullcontext()

    def storage(self, identity: Any) -> Storage:
        """The `Storage` of a persistent id ('storage', kind, key, device, count, ...)."""
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise PickleError("its pickle is damaged: it refers to data that is not a storage")
        _, kind, key, _, count = identity[:5]
        if len(identity) == 6 and identity[5] is not None:
            raise PickleError("its tensors share storages in the manner of early versions of PyTorch")
        if not isinstance(kind, _StorageKind) or not isinstance(key, str):
            raise PickleError("it has tensors of a kind that is not read (quantised, complex, ...)")
        if type(count) is not int or not 0 <= count <= MAX_ARRAY_BYTES:
            raise PickleError("it has a storage whose size is negative or larger than that of any detector")
        found = self.kinds.setdefault(key, Storage(kind.name, key, count))
        if found != Storage(kind.name, key, count):
            raise PickleError(f"its storage {key[:40]!r} is described in two ways")
        return found

    def numbers(self, storage: Storage) -> np.ndarray:
        """The numbers of a storage; bfloat16 becomes float32."""
        if self._last[0] != storage:
            data = self._data(storage)
            if len(data) != storage.size:
                raise WeightFileError(f"{self.path}: storage {storage.key[:40]!r} is cut short; the file is damaged.")
            numbers = np.frombuffer(data, np.dtype(STORAGES[storage.kind]).newbyteorder(self.order))
            if storage.kind == "BFloat16Storage":
                numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
            self._last = storage, numbers
        return self._last[1]

    def _data(self, storage: Storage) -> bytes:
        """The bytes of a storage."""
        raise NotImplementedError


class ZipStorages(_Storages):
    """The layout since PyTorch 1.6: a zip archive of uncompressed members."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._archive = None
        with self._opened() as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if len(pickles) != 1:
                raise PickleError(f"it has {len(pickles)} members data.pkl instead of one")
            self.folder: str = pickles[0].removesuffix("data.pkl")
            if any(name.startswith(f"{self.folder}code/") for name in archive.namelist()):
                raise PickleError("it is a TorchScript program, which holds code")
            self.order: Literal["<", ">"] = self._byte_order(archive)
            self.value: Any = load(io.BytesIO(self._read(archive, "data.pkl", None)), NAMES, self.storage)

    def _byte_order(self, archive) -> Literal["<", ">"]:
        if f"{self.folder}byteorder" not in archive.namelist():
            return "<"
        order = self._read(archive, "byteorder", None)
        if order not in (b"little", b"big"):
            raise PickleError("its byte order is neither little nor big")
        return "<" if order == b"little" else ">"

    @contextlib.contextmanager
    def held_open(self) -> Iterator[None]:
        with self._opened() as self._archive:
            try:
                yield
            finally:
                self._archive = None

    def _data(self, storage):
        with contextlib.nullcontext(self._archive) if self._archive else self._opened() as archive:
            return self._read(archive, f"data/{storage.key}", storage.size)

    def _read(self, archive, name, size):
        """A member; its size is judged before anything is unpacked."""
        info = archive.getinfo(f"{self.folder}{name}")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > self.path.stat().st_size:
            raise WeightFileError(
                f"{self.path}: member {name[:60]!r} is compressed, and PyTorch compresses nothing. "
                "The file is not a PyTorch file, or made to fill the memory."
            )
        if size is not None and info.file_size != size:
            raise WeightFileError(
                f"{self.path}: member {name[:60]!r} has {info.file_size:,} bytes where {size:,} are needed. "
                "The file is damaged."
            )
        with archive.open(info) as stream:
            return stream.read(info.file_size)

    def _opened(self):
        return _Archive(self.path)


class _Archive(zipfile.ZipFile):
    """A zip archive whose faults are faults of the weight file."""

    def __init__(self, path):
        self._path = path
        try:
            super().__init__(path)
        except _ZIP_FAULTS as error:
            raise self._fault(error) from error

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if isinstance(error, _ZIP_FAULTS) and not isinstance(error, (WeightFileError, PickleError)):
            raise self._fault(error) from error

    def _fault(self, error):
        return WeightFileError(f"{self._path} is a damaged PyTorch file, perhaps cut short: {str(error)[:200]}.")


_ZIP_FAULTS = (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, LookupError, RuntimeError, EOFError)


class LegacyStorages(_Storages):
    """The layout before PyTorch 1.6: pickles and storages one after the other in a single stream."""

    def __init__(self, path: Path):
        super().__init__(path)
        with open(path, "rb") as stream:
            if load(stream, {}) != LEGACY_MAGIC or load(stream, {}) != LEGACY_PROTOCOL:
                raise PickleError("it is not a PyTorch file, or of a version before 0.1.10")
            system = load(stream, {})
            little = not isinstance(system, dict) or system.get("little_endian", True)
            self.order: Literal["<", ">"] = "<" if little else ">"
            self.value: Any = load(stream, NAMES, self.storage)
            self._places = self._found(load(stream, {}), stream)

    def _found(self, keys, stream):
        """{key: position of its first number}, every length compared with what the pickle said."""
        if not isinstance(keys, list) or len(set(map(str, keys))) != len(keys) or set(keys) != set(self.kinds):
            raise PickleError("the storages after its pickle are not those that it needs")
        end = self.path.stat().st_size
        places = {}
        for key in keys:
            count = int.from_bytes(stream.read(8), "little" if self.order == "<" else "big")
            places[key] = stream.tell()
            if count != self.kinds[key].count or places[key] + self.kinds[key].size > end:
                raise PickleError(f"its storage {key[:40]!r} is cut short")
            stream.seek(self.kinds[key].size, io.SEEK_CUR)
        return places

    def _data(self, storage):
        with open(self.path, "rb") as stream:
            stream.seek(self._places[storage.key])
            return stream.read(storage.size)
