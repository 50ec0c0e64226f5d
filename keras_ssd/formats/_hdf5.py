"""HDF5 as an untrusted container: no link out of the file is followed, and sizes are checked before allocation.

One weakness remains: the HDF5 library itself (tried: 1.14.6) can crash or hang on bytes that were damaged on purpose,
mostly in texts of variable length. So few such texts are read, and published files are compared with their checksum
first.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_ssd.calling import checked_arguments
from keras_ssd.formats.named_arrays import MAX_ARRAY_BYTES, Budget, WeightFileError, as_float32

MAX_NODES = 20_000
MAX_DEPTH = 8
MAX_TEXT_BYTES = 16 << 20
# deflate, shuffle, fletcher32, szip, lzf. For others the HDF5 library would look for plug-ins to load.
KNOWN_FILTERS = (1, 2, 3, 4, 32000)


@contextmanager
def opened(source: Any, path: str | PathLike[str]) -> Iterator[Any]:
    """Opens an HDF5 file for reading. Errors of the library become a `WeightFileError` that names `path`."""
    try:
        with h5py.File(source, "r") as file:
            yield file
    except WeightFileError:
        raise
    except (
        OSError,
        RuntimeError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        ArithmeticError,
        MemoryError,
    ) as error:
        if "truncated file" in str(error):
            what = "is cut short: its header announces more bytes than there are. Download or copy it again."
        else:
            what = f"is not a readable HDF5 file, or a damaged one. The HDF5 library says: {error}"
        raise WeightFileError(f"{path} {what}") from error


@contextmanager
@checked_arguments
def written_hdf5(path: str | PathLike[str]) -> Iterator[Any]:
    """An open HDF5 file in memory that is written when the block ends. If h5py writes to a full disk itself, it may end
    the process.

    Args:
        path: of the file; give a temporary one, see `keras_ssd.replacing`.
    """
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        yield file
    Path(path).write_bytes(buffer.getbuffer())


def child(group: Any, name: str, path: str | PathLike[str]) -> Any:
    """The member of a group, or None. Raises WeightFileError for links, which could lead out of the file.

    Links are inspected with the low-level interface, because `name in group` already follows them.
    """
    key = name.encode("utf-8", "surrogateescape")
    if not group.id.links.exists(key):
        return None
    if group.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise WeightFileError(
            f"{path}: {group.name.rstrip('/')}/{name} is a soft or external link, which no weight file "
            "needs; it is not followed."
        )
    return group[name]


def datasets(group: Any, path: str | PathLike[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yields (names, dataset) for every dataset below a group; names are the path relative to it."""
    stack: list[tuple[tuple[str, ...], Any]] = [((), group)]
    seen = 0
    while stack:
        names, node = stack.pop()
        for name in node:
            seen += 1
            if seen > MAX_NODES or len(names) >= MAX_DEPTH:
                raise WeightFileError(
                    f"{path}: more than {MAX_NODES:,} objects or {MAX_DEPTH} levels; no weight file has that many."
                )
            member = child(node, name, path)
            if isinstance(member, h5py.Dataset):
                yield (*names, name), member
            elif isinstance(member, h5py.Group):
                stack.append(((*names, name), member))


def read_dataset(dataset: Any, budget: Budget) -> np.ndarray:
    """One dataset as float32, after its declared size, storage and filters were checked."""
    path, name = budget.path, dataset.name
    if dataset.shape is None:
        raise WeightFileError(f"{path}: dataset {name} is empty.")
    budget.spend(name, dataset.shape, dataset.dtype)
    if dataset.is_virtual or dataset.external:
        raise WeightFileError(f"{path}: dataset {name} keeps its values in another file, which is not opened.")
    if dataset.chunks is not None:
        plan = dataset.id.get_create_plist()
        filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
        chunk = dataset.dtype.itemsize
        for side in dataset.chunks:
            chunk *= int(side)
        if chunk > 2 * MAX_ARRAY_BYTES or not set(filters) <= set(KNOWN_FILTERS):
            raise WeightFileError(
                f"{path}: dataset {name} is stored in a way that no weight file needs (chunks of {chunk:,} "
                f"bytes, filters {filters})."
            )
    return as_float32(path, name, np.asarray(dataset[()]))


def text_attribute(group: Any, name: str, path: str | PathLike[str]) -> str | None:
    """A text attribute, or None when the group has none."""
    if name not in group.attrs:
        return None
    stored = group.attrs.get_id(name)
    if stored.get_storage_size() > MAX_TEXT_BYTES or stored.shape not in ((), (1,)):
        raise WeightFileError(f"{path}: attribute {name!r} must be one text of at most {MAX_TEXT_BYTES:,} bytes.")
    value = group.attrs[name]
    if isinstance(value, np.ndarray):
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str) or len(value) > MAX_TEXT_BYTES:
        raise WeightFileError(f"{path}: attribute {name!r} must be one text. Received: {type(value).__name__}")
    return value
