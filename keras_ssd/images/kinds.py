"""Recognises files that are not images by their first bytes, and gives advice."""

import os
import re

HEAD = 4096  # bytes that are looked at

_VIDEO = (
    "`model.track` and `keras-ssd detect` take videos whose names end as usual, such as .mp4. Or take images out of "
    "it, as `ffmpeg -i {name} frames/%06d.png` does."
)
_ARCHIVE = "Unpack it, and give the folder."
_DOCUMENT = "Export its pages or images as PNG or JPEG first."
_SOUND = "There is nothing to see in it."

# (place, first bytes there, what it is, what to do)
_MAGIC = (
    (0, b"%PDF-", "a PDF document", "Export its pages as PNG or JPEG first, as `pdftoppm -png {name} page` does."),
    (0, b"%!PS", "a PostScript document", _DOCUMENT),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript document", _DOCUMENT),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", _DOCUMENT),
    (0, b"{\\rtf", "an office document (RTF)", _DOCUMENT),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)", _VIDEO),
    (8, b"AVI ", "a video (AVI)", _VIDEO),
    (0, b"FLV\x01", "a video (Flash)", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video (WMV)", _VIDEO),
    (0, b"\x00\x00\x01\xba", "a video (MPEG)", _VIDEO),
    (0, b"\x00\x00\x01\xb3", "a video (MPEG)", _VIDEO),
    (0, b"OggS", "a video or sound (Ogg)", _VIDEO),
    (4, b"moov", "a video (QuickTime)", _VIDEO),
    (4, b"mdat", "a video (QuickTime)", _VIDEO),
    (0, b"ID3", "a sound file (MP3)", _SOUND),
    (8, b"WAVE", "a sound file (WAV)", _SOUND),
    (0, b"fLaC", "a sound file (FLAC)", _SOUND),
    (0, b"\x1f\x8b", "a packed file (gzip)", _ARCHIVE),
    (0, b"BZh", "a packed file (bzip2)", _ARCHIVE),
    (0, b"\xfd7zXZ\x00", "a packed file (xz)", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", "a packed file (zstd)", _ARCHIVE),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive (7z)", _ARCHIVE),
    (0, b"Rar!\x1a\x07", "an archive (rar)", _ARCHIVE),
    (257, b"ustar", "an archive (tar)", _ARCHIVE),
    (0, b"\x93NUMPY", "an array (npy)", "Give the array itself: `numpy.load({name!r})`."),
    (0, b"\x89HDF\r\n", "an HDF5 file", "If it holds weights, it is the model's argument; if arrays, give these."),
    (0, b"SQLite format 3", "a database (SQLite)", "Give the images themselves."),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file", "Develop it to JPEG or TIFF first."),
)
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_HEIC_ADVICE = (
    "Convert it to JPEG; or install the package `pillow-heif` and call `pillow_heif.register_heif_opener()` first."
)


def what_it_is(head: bytes, name: str = "") -> str | None:
    """What a file is, and what to do, as two sentences; None if unknown.

    Args:
        head: its first `HEAD` bytes.
        name: of the file, for commands in the advice.
    """
    name = os.path.basename(name) or "FILE"
    found = _by_magic(head) or _boxed(head) or _zipped(head) or _text(head)
    if found is None:
        return None
    kind, advice = found
    return f"it is {kind}, no image. {advice.format(name=name)}"


def _by_magic(head):
    for place, magic, kind, advice in _MAGIC:
        if head[place : place + len(magic)] == magic:
            return kind, advice
    if head[:1] == b"G" and head[188:189] == b"G" and head[376:377] == b"G":
        return "a video (MPEG transport stream)", _VIDEO
    return None


def _boxed(head):
    """Files of ISO's base media format, which state their brand: videos, and images of newer cameras."""
    if head[4:8] != b"ftyp":
        return None
    brand = head[8:12]
    if brand in _HEIF:
        return "a HEIC image, which Pillow does not read by itself", _HEIC_ADVICE
    if brand == b"crx ":
        return "a camera's raw file", "Develop it to JPEG or TIFF first."
    if brand in (b"avif", b"avis"):
        return "an AVIF image that this Pillow cannot read", "Convert it to PNG or JPEG."
    return ("a video (QuickTime)" if brand == b"qt  " else "a video (MP4)"), _VIDEO


def _zipped(head):
    if head[:4] not in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return None
    for mark, kind in (
        (b"[Content_Types].xml", "an office document"),
        (b"mimetypeapplication/vnd.oasis", "an office document (OpenDocument)"),
        (b"mimetypeapplication/epub", "a book (EPUB)"),
    ):
        if mark in head:
            return kind, _DOCUMENT
    return "an archive (zip)", _ARCHIVE


def _text(head):
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "a text file", "Give the image that belongs to it."
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else a letter that was cut
            return None
        text = head[: error.start].decode("utf-8-sig")
    if re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
        return None
    low = text.lstrip().lower()
    if low.startswith("version https://git-lfs"):
        return "a pointer of Git LFS, which stands for the image", "Fetch the image with `git lfs pull`."
    if "<svg" in low and low.startswith("<"):
        return "a drawing (SVG)", "Render it first, as `rsvg-convert -o image.png {name}` does."
    if low.startswith(("<!doctype html", "<html")):
        return "a web page", "It may be what a server sent instead of the image."
    if low.startswith("<"):
        return "an XML file", "Give the image that belongs to it."
    return f"a text file (it begins with {text[:16]!r})", "Give the image that belongs to it."
