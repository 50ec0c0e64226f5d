"""The cache of downloaded weights: where it is, what is in it, and whether it is still what it was.

Beside the weights stands `pins.json`: the size and sha256 of every file at its first use. Most weight files
of the SSD world were published without a checksum, so the first download cannot be proven right; but every
later use can be proven equal to the first.
"""

import hashlib
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from keras_ssd.calling import checked_arguments
from keras_ssd.names import unknown_name
from keras_ssd.zoo import catalog, schema
from keras_ssd.zoo.errors import IntegrityError
from keras_ssd.zoo.shelf import shelf

PINS = "pins.json"


def home() -> Path:
    """The package's own folder: `KERAS_SSD_HOME`, or the place for caches on this operating system."""
    chosen = os.environ.get("KERAS_SSD_HOME")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "keras_ssd" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "keras_ssd"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keras_ssd"


def cache_folder() -> Path:
    """The folder of weight files. One saved here by hand, under its catalogue name, is found as well."""
    return home() / "weights"


def chosen_sources(entry: catalog.WeightSet, formats: Sequence[str] | None = None) -> tuple[catalog.Source, ...]:
    """The sources that may be used, in order of preference: those in `formats`, else the readable ones."""
    if formats is None:
        return entry.readable_sources
    for name in formats:
        if name not in catalog.formats():
            raise ValueError(unknown_name("format", name, catalog.formats()))
    return tuple(source for source in entry.sources if source.format in formats)


@checked_arguments
def cached(
    weights: str | catalog.WeightSet, *, model: str | None = None, formats: Sequence[str] | None = None
) -> Path | None:
    """The path of a weight set's file on this machine, or None. Touches no network and reads no file.

    Files that are part of this package are found too.

    Args:
        weights: a name of the catalogue or a `WeightSet`.
        model: the network, where `weights` is a tag alone.
        formats: names of formats; the readable ones by default.
    """
    entry = weights if isinstance(weights, catalog.WeightSet) else catalog.find(weights, model)
    for source in chosen_sources(entry, formats):
        if is_there(source):
            return place(source)
    return None


def place(source: catalog.Source) -> Path:
    """Where the file of a `Source` is once it is there."""
    return (shelf() / "weights" if source.bundled else cache_folder()) / source.file


@checked_arguments
def network_of(path: str | PathLike[str]) -> Path:
    """Where the description of a .caffemodel's network lies, if its archive held one: beside it, a .prototxt."""
    return Path(path).with_suffix(".prototxt")


def is_there(source: catalog.Source) -> bool:
    """Whether the file of a `Source` is on this machine, with the network that belongs to it."""
    path = place(source)
    return path.is_file() and (not source.prototxt or network_of(path).is_file())


def digest(path: str | PathLike[str], algorithm: str) -> str:
    """The hexadecimal digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check_delivery(path: Path, source: catalog.Source) -> None:
    """Compares what a url delivered with the published size and checksum.

    Raises:
        IntegrityError: it differs.
    """
    size = path.stat().st_size
    if source.size is not None and size != source.size:
        raise IntegrityError(f"{size:,} bytes came; {source.size:,} were published")
    if source.checksum is None:
        return
    algorithm, wanted = schema.split_checksum(source.checksum)
    found = digest(path, algorithm.removesuffix("_prefix"))
    if not found.startswith(wanted):
        raise IntegrityError(f"the {algorithm} is {found}; {wanted} was published")


def check_form(path: Path, format_name: str) -> None:
    """Looks whether a file is of its format and whole.

    Raises:
        IntegrityError: it is a web page, another kind of file, or its end is missing.
    """
    form = catalog.formats()[format_name]
    with open(path, "rb") as file:
        start = file.read(512)
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise IntegrityError("a web page came instead of the file")
    if form.magic and not start.startswith(form.magic):
        raise IntegrityError(f"this is no {form.title} file: it begins with {start[:8]!r}")
    if form.extension == ".npz" and not zipfile.is_zipfile(path):
        raise IntegrityError("the numpy archive is cut off: its table of contents at the end is missing")
    if form.extension == ".h5":
        import h5py

        try:
            with h5py.File(path, "r"):
                pass
        except OSError as error:
            raise IntegrityError(f"the HDF5 file is damaged or cut off: {error}") from error
    if form.extension == ".tflite":
        from keras_ssd.formats import WeightFileError
        from keras_ssd.formats.tflite import read_tflite

        try:
            read_tflite(path)
        except WeightFileError as error:
            raise IntegrityError(f"the TensorFlow Lite file is damaged or cut off: {error}") from error
    if form.extension == ".prototxt":
        from keras_ssd.caffe.files import CaffeFileError, read_prototxt

        try:
            read_prototxt(path)
        except CaffeFileError as error:
            raise IntegrityError(f"this is no prototxt: {error}") from error
    if form.extension == ".caffemodel":
        from keras_ssd.caffe.files import CaffeFileError, read_caffemodel

        try:
            read_caffemodel(path)  # maps the file: every length in it is followed, no number is touched
        except CaffeFileError as error:
            raise IntegrityError(f"this is no whole caffemodel: {error}") from error


def read_pins(folder: Path) -> dict[str, dict[str, Any]]:
    """The pins of a cache folder: file name -> {"sha256", "size", "url"}."""
    path = folder / PINS
    if not path.exists():
        return {}
    try:
        pins = json.loads(path.read_text(encoding="utf-8"))
        if not all(isinstance(pin["sha256"], str) for pin in pins.values()):
            raise TypeError
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IntegrityError(
            f"{path} is damaged, so cached weights cannot be compared with their first use. "
            "Delete it to pin the files anew as they are now."
        ) from error
    return pins


def check_pin(path: Path, name: str, folder: Path) -> bool:
    """Compares a file with its pin.

    Args:
        path: the file, wherever it is.
        name: its name in the cache.
        folder: the cache folder.

    Returns:
        True when it equals its pin, False when it has none.

    Raises:
        IntegrityError: it differs; the message says how to go on.
    """
    pin = read_pins(folder).get(name)
    if pin is None:
        return False
    found = digest(path, "sha256")
    if found != pin["sha256"]:
        raise IntegrityError(
            f"{name} is not the file of its first use: its sha256 is {found}, pinned was {pin['sha256']}. "
            f"It was damaged or replaced. To go back, delete {folder / name} and download it again; "
            f"to trust the new file, remove {name!r} from {folder / PINS}."
        )
    return True


def pin(path: Path, name: str, folder: Path, url: str) -> None:
    """Writes down the size and sha256 of a file at its first use. Several processes may do so at once."""
    from filelock import FileLock

    entry = {"sha256": digest(path, "sha256"), "size": path.stat().st_size, "url": url}
    with FileLock(folder / f"{PINS}.lock"):
        pins = read_pins(folder) | {name: entry}
        write_atomically(folder / PINS, json.dumps(pins, indent=1, sort_keys=True) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that a reader sees the old one or the new one, never half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
