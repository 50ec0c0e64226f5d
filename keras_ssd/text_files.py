"""Text files of other programs: UTF-8, with or without a byte order mark, and UTF-16 or UTF-32 with one.

Spreadsheets and editors on Windows write such a mark at the start; it is not part of the text.
"""

import codecs
import contextlib
import os
from collections.abc import Iterator
from typing import TextIO

MAX_TEXT = 64 << 20
_MARKS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextError(ValueError):
    """A file that is not text, or too long; the message does not name the file.

    Attributes:
        line: of the error, 0 if unknown.
    """

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line: int = line


def encoding_of(start: bytes) -> str:
    """The name of the encoding of a text, by the first bytes of its file."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def decoded(data: bytes) -> str:
    """The text in a file's bytes, without byte order mark.

    Raises:
        TextError: it is not text.
    """
    encoding = encoding_of(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _no_text(error, data[: error.start]) from None
    if "\0" in text:
        raise TextError("it is not text: it has zero bytes", text[: text.index("\0")].count("\n") + 1)
    return text


def beginning(head: bytes) -> str:
    """The text of a file's first bytes, whose last character may be cut; bytes that are not text are dropped."""
    return head.decode(encoding_of(head), errors="ignore")


def as_utf8(head: bytes) -> bytes:
    """A file's first bytes as UTF-8 without byte order mark, if they have one; else unchanged."""
    return head if encoding_of(head) == "utf-8" else beginning(head).encode()


def read_text(path: str | os.PathLike[str], max_bytes: int = MAX_TEXT) -> str:
    """The text of a file, without byte order mark; a file larger than `max_bytes` is refused.

    Raises:
        TextError: it is not text, or too large.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise TextError(f"it is larger than {max_bytes >> 20:,} MiB")
    return decoded(data)


@contextlib.contextmanager
def open_text(path: str | os.PathLike[str], max_bytes: int) -> Iterator[TextIO]:
    """A text file opened for reading line by line, without byte order mark, with its own line ends.

    Raises:
        TextError: it is not text, or too large.
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise TextError(f"it is larger than {max_bytes >> 30} GiB")
        encoding = encoding_of(file.read(4))
    try:
        with open(path, encoding=encoding, newline="") as file:
            yield file
    except UnicodeDecodeError as error:
        raise _no_text(error, _until_wrong(path, encoding)) from None


def _until_wrong(path, encoding):
    """The bytes of a file before the first that are not text; line by line, since it may be large."""
    good = bytearray()
    with open(path, "rb") as file:
        for line in file if encoding == "utf-8" else ():
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return bytes(good + line[: error.start])
            good += b"\n"
    return b""


def _no_text(error, before):
    name = error.encoding.upper().replace("UTF8", "UTF-8").removesuffix("-SIG").removesuffix("-LE").removesuffix("-BE")
    byte = error.object[error.start : error.start + 1].hex()
    line = before.count(b"\n") + 1 if name == "UTF-8" else 0
    advice = ". Save it as UTF-8" if name == "UTF-8" else ""
    return TextError(f"it is not {name} text ({error.reason}: byte 0x{byte}){advice}", line)
