"""The cache of downloaded weights: its folder, its files, and checks that they have not changed.

The file `pins.json` beside the weights holds the size and sha256 of every file at its first use. Most SSD weights
were published without a checksum, so the first download cannot be verified, but every later use can be compared with
the first.
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
    """The folder of weight files. Files that are saved here by hand under their catalogue name are found too."""
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
    """The path of the file of a weight set on this machine, or None. Uses no network and reads no file.

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
    """The path that the file of a `Source` has on this machine, whether it exists or not."""
    return (shelf() / "weights" if source.bundled else cache_folder()) / source.file


@checked_arguments
def network_of(path: str | PathLike[str]) -> Path:
    """The path of the .prototxt beside a .caffemodel, which exists if its archive held one."""
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
    """Compares a delivered file with the published size and checksum.

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
    """Checks that a file has its format and is complete.

    Raises:
        IntegrityError: it is a web page, another kind of file, or truncated.
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
            raise IntegrityError(f"this is not a prototxt: {error}") from error
    if form.extension == ".caffemodel":
        from keras_ssd.caffe.files import CaffeFileError, read_caffemodel

        try:
            read_caffemodel(path)  # maps the file: every length in it is followed, no number is touched
        except CaffeFileError as error:
            raise IntegrityError(f"this is not a complete caffemodel: {error}") from error


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
            "Delete it to pin the files again."
        ) from error
    return pins


def check_pin(path: Path, name: str, folder: Path) -> bool:
    """Compares a file with the pin of this name in the cache folder; False if there is no pin.

    Raises:
        IntegrityError: it differs; the message tells what to do.
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
    """Records the size and sha256 of a file at its first use. Several processes may do so at once."""
    from filelock import FileLock

    entry = {"sha256": digest(path, "sha256"), "size": path.stat().st_size, "url": url}
    with FileLock(folder / f"{PINS}.lock"):
        pins = read_pins(folder) | {name: entry}
        write_atomically(folder / PINS, json.dumps(pins, indent=1, sort_keys=True) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file so that readers see either the old or the new one, never a part of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
