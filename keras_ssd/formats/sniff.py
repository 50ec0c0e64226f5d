"""Finds the format of a file by its bytes, not by its name."""

import codecs
import zipfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path

import h5py

from keras_ssd.calling import checked_arguments
from keras_ssd.formats._hdf5 import child, opened
from keras_ssd.formats.chainercv_npz import read_chainercv_npz
from keras_ssd.formats.keras3_h5 import read_keras3_h5, read_keras_archive
from keras_ssd.formats.keras_h5 import read_keras_h5
from keras_ssd.formats.named_arrays import NamedArrays, WeightFileError
from keras_ssd.names import files_nearby
from keras_ssd.text_files import as_utf8


def _read_caffemodel(path):
    from keras_ssd.caffe.files import read_caffemodel_arrays  # large, and most programs do not need it

    return read_caffemodel_arrays(path)


def _read_tflite(path):
    from keras_ssd.formats.tflite import read_tflite_arrays

    return read_tflite_arrays(path)


def _read_pth(path):
    from keras_ssd.formats.pth_arrays import read_pth

    return read_pth(path)


READERS: dict[str, Callable[[str | PathLike[str]], NamedArrays]] = {
    "keras_h5": read_keras_h5,
    "keras3_h5": read_keras3_h5,
    "keras_archive": read_keras_archive,
    "chainercv_npz": read_chainercv_npz,
    "caffemodel": _read_caffemodel,
    "tflite": _read_tflite,
    "pth": _read_pth,
}

# Files that are not weights, and what the user can do.
REFUSED = {
    "empty": "is empty. Download or copy it again.",
    "html": "is a web page, not a weight file: the server sent a page instead of the file. Open the address in a "
    "browser and save the file itself.",
    "git_lfs": "is a Git LFS pointer, not the file itself. Fetch it with `git lfs pull`.",
    "pickle": "is a Python pickle, which could run any code; it is not opened. Save the weights as .h5 or .npz.",
    "zip": "is a zip archive, but neither a .keras model nor an .npz of arrays.",
    "archive": "is a compressed archive. Unpack it and name the weight file inside.",
    "prototxt": "is a Caffe prototxt, which describes a net without its weights. Give the .caffemodel; a net of "
    "your own takes both, in `keras_ssd.from_caffe(prototxt, caffemodel)`.",
    "text": "is a text file, not a weight file.",
    "unknown": "is in no known format.",
}
KNOWN = (
    "Weight files that can be read: Keras .h5 and .weights.h5, .keras, .caffemodel, .tflite of SSD MobileNet V1, .npz "
    "of chainercv, and PyTorch's .pth."
)

# The number that begins PyTorch's files before 1.6, as a pickle has it.
PTH_MAGIC = bytes.fromhex("6cfc9c46f9206aa85019")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@checked_arguments
def sniff(path: str | PathLike[str]) -> str:
    """The format of a file.

    Returns:
        "keras_h5", "keras3_h5", "keras_archive", "chainercv_npz", "caffemodel", "tflite", "pth", or a key of `REFUSED`.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the path is a folder, or an HDF5 file or zip archive that cannot be opened.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightFileError(f"{path} is a folder; expected a weight file. {KNOWN}")
    if not path.exists():
        raise FileNotFoundError(f"There is no weight file at {path}.{files_nearby(path)}")
    with open(path, "rb") as stream:
        head = stream.read(1024)
    if head.startswith(HDF5_MAGIC) or h5py.is_hdf5(path):
        return _sniff_hdf5(path)
    if head.startswith(b"PK"):
        return _sniff_zip(path)
    if head[4:8] == b"TFL3":
        return "tflite"
    head = as_utf8(head)
    found = _sniff_other(head)
    from keras_ssd.caffe.files import looks_like_caffemodel, looks_like_prototxt

    if found == "text" and looks_like_prototxt(head):
        return "prototxt"
    return "caffemodel" if found == "unknown" and looks_like_caffemodel(path) else found


@checked_arguments
def read(path: str | PathLike[str]) -> NamedArrays:
    """Reads a weight file of any known format.

    Raises:
        FileNotFoundError: there is no such file.
        WeightFileError: the file is damaged, hostile or in no known format.

    Example:
        >>> arrays = read("VGG_VOC0712_SSD_300x300_iter_120000.h5")
        >>> arrays["conv1_1"]["kernel"].shape
        (3, 3, 3, 64)
    """
    found = sniff(path)
    if found not in READERS:
        raise WeightFileError(f"{path} {REFUSED[found]} {KNOWN}")
    return READERS[found](path)


def _sniff_hdf5(path):
    with opened(path, path) as file:
        # Both layouts may have a layer called "layers". Only that of Keras 3 has `vars` and no list of layers.
        plain = "layer_names" in file.attrs or child(file, "model_weights", path) is not None
        layers = None if plain else child(file, "layers", path)
        return "keras3_h5" if isinstance(layers, h5py.Group) else "keras_h5"


def _sniff_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise WeightFileError(f"{path} is a damaged zip archive, perhaps cut short: {error}. {KNOWN}") from error
    if "model.weights.h5" in names:
        return "keras_archive"
    if any(name.endswith("data.pkl") for name in names):
        return "pth"
    if names and all(name.endswith(".npy") for name in names):
        return "chainercv_npz"
    return "zip"


def _sniff_other(head):
    if not head:
        return "empty"
    start = head.lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "html"
    if start.startswith(b"version https://git-lfs"):
        return "git_lfs"
    if PTH_MAGIC in head[:40]:
        return "pth"
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return "pickle"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"(\xb5/\xfd")):
        return "archive"
    return "text" if _is_text(head) else "unknown"


def _is_text(head):
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)
