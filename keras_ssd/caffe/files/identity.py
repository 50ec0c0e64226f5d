"""Recognises a file by its bytes: prototxt and caffemodel mixed up, or neither."""

import re
from pathlib import Path

from keras_ssd.caffe.files.net import CaffeFileError
from keras_ssd.text_files import as_utf8

HEAD = 4096
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
FIELD = re.compile(rb"^\s*(?:#[^\n]*\n\s*)*\w+\s*[:{<]")
NET_FIELD = re.compile(
    rb"(?:\xef\xbb\xbf)?(?:\s|#[^\n]*\n)*(?:(?:name|input|force_backward)\s*:|(?:layers?|input_shape|state)\s*:?\s*[{<])"
)
NEITHER = (
    (
        re.compile(rb"\s*<(?:!doctype|html|head|\?xml)", re.I),
        "is a web page. Open its address and save the file itself.",
    ),
    (re.compile(rb"version https://git-lfs"), "is a Git LFS pointer. Fetch the file itself with `git lfs pull`."),
    (re.compile(rb"\x1f\x8b|PK\x03\x04|BZh|7z\xbc\xaf"), "is an archive. Unpack it and name the file inside."),
    (re.compile(rb"\x89HDF\r\n"), "is an HDF5 file; Caffe's own .h5 snapshots are not read. Save a .caffemodel."),
)


def check_is_text(path: Path) -> None:
    """Refuses a file that is not text, and says what it is: a caffemodel, a web page, empty, or other bytes."""
    head = _head(path, "prototxt")
    if CONTROL.search(head):
        raise CaffeFileError(
            f"{path} is a binary file; expected a prototxt, which is text. If it is the caffemodel, give the two "
            "files the other way round."
        )


def check_is_binary(path: Path, what: str = "caffemodel") -> None:
    """Refuses a file that is text, and says what it is: a prototxt, a web page, empty, or other text.

    Args:
        path: an existing file.
        what: the expected kind of file, for the message.
    """
    head = _head(path, what)
    if FIELD.match(head) and not CONTROL.search(head):
        raise CaffeFileError(
            f"{path} is a prototxt, which describes a net without its weights; expected a {what}. If both files "
            "are at hand, give them the other way round."
        )


def looks_like_prototxt(head: bytes) -> bool:
    """Whether the first bytes of a text file are those of a net's prototxt."""
    return NET_FIELD.match(head) is not None


def _head(path, expected):
    if path.is_dir():
        raise CaffeFileError(f"{path} is a folder; expected a {expected}.")
    with open(path, "rb") as stream:
        head = as_utf8(stream.read(HEAD))
    if not head:
        raise CaffeFileError(f"{path} is empty; expected a {expected}. Download or copy it again.")
    for pattern, what in NEITHER:
        if pattern.match(head):
            raise CaffeFileError(f"{path} {what}")
    return head
