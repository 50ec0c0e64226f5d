"""Files that are no images: each kind is told by what is in it, whatever its name, with what to do."""

import gzip
import io
import tarfile
import zipfile

import pytest
from PIL import Image

from keras_ssd.images import ImageError, read_image


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.text" if name == "mimetype" else "text")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("a.jpg")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


def boxed(brand):
    return b"\x00\x00\x00\x20ftyp" + brand + b"\x00\x00\x02\x00isomiso2avc1mp41" + bytes(64)


KINDS = {
    "mp4": (boxed(b"isom"), r"a video \(MP4\).*ffmpeg -i f.jpg"),
    "m4v": (boxed(b"mp42"), r"a video \(MP4\)"),
    "mov": (boxed(b"qt  "), r"a video \(QuickTime\)"),
    "old-mov": (b"\x00\x00\x10\x00moov" + bytes(64), r"a video \(QuickTime\)"),
    "avi": (b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(64), r"a video \(AVI\)"),
    "mkv": (b"\x1a\x45\xdf\xa3" + bytes(8) + b"matroska" + bytes(64), r"a video \(Matroska or WebM\)"),
    "webm": (b"\x1a\x45\xdf\xa3" + bytes(8) + b"webm" + bytes(64), r"a video \(Matroska or WebM\)"),
    "mpg": (b"\x00\x00\x01\xb3\x14\x00\xf0\xc4" + bytes(64), r"a video \(MPEG\)"),
    "ts": ((b"G" + bytes(187)) * 4, "a video"),
    "zip": (zipped("a.jpg", "b.jpg"), r"an archive \(zip\).*Unpack it"),
    "docx": (zipped("[Content_Types].xml", "word/document.xml"), "an office document.*Export"),
    "odt": (zipped("mimetype", "content.xml"), r"an office document \(OpenDocument\)"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an office document"),
    "tar": (tarred(), r"an archive \(tar\).*Unpack it"),
    "tgz": (gzip.compress(tarred()), r"a packed file \(gzip\)"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(64), r"an archive \(7z\)"),
    "rar": (b"Rar!\x1a\x07\x00" + bytes(64), r"an archive \(rar\)"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\n", r"a PDF document.*pdftoppm"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\nshowpage\n", "a PostScript document"),
    "heic": (boxed(b"heic"), r"a HEIC image.*pillow-heif"),
    "cr3": (boxed(b"crx "), "a camera's raw file"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', r"a drawing \(SVG\)"),
    "html": (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page.*server sent"),
    "xml": (b"<annotation></annotation>", "an XML file"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n", "git lfs pull"),
    "txt": ("grün und blau\n".encode(), "a text file"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(64), r"numpy\.load"),
    "noise": (bytes(range(128, 256)) * 4, "no image of a kind that Pillow knows"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rejects_by_kind(tmp_path, kind):
    content, said = KINDS[kind]
    for source in (tmp_path / "f.jpg", tmp_path / "f"):
        source.write_bytes(content)
        with pytest.raises(ImageError, match=said.replace("f.jpg", source.name)):
            read_image(source)
    with pytest.raises(ImageError):
        read_image(content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"])
def test_values_images_are_none_of_these(tmp_path, form):
    Image.new("RGB", (9, 5), (9, 9, 9)).save(tmp_path / "a.mp4", form)
    assert read_image(tmp_path / "a.mp4").shape == (5, 9, 3)
