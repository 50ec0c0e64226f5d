"""VOC: a text file per class, `comp4_det_test_person.txt`, with `image score xmin ymin xmax ymax` per line.

The files are in a folder, or in a zip as the evaluation server takes it. Source: the VOC2012 development kit's
documentation.
"""

import contextlib
import io
import os
import re
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.formats.rounding import parts
from keras_ssd.evaluation.formats.rows import MAX_BYTES, Rows, Strictness, number, opened
from keras_ssd.evaluation.formats.text import exclusive, texts
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import unknown_name
from keras_ssd.replacing import replacing
from keras_ssd.text_files import decoded

NAME = "voc"
PREFIX = "comp4_det_test_"
SERVER_FOLDER = "results/VOC2012/Main"
_FILE = re.compile(r"(?:\w+_)?comp\d_det_[a-zA-Z0-9]+_(.+)\.txt", re.DOTALL)
_COLUMNS = ("score", "xmin", "ymin", "xmax", "ymax")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip; equal detections make equal files


def class_of(name: str) -> str | None:
    """The class in a file name, or None."""
    hit = _FILE.fullmatch(PurePosixPath(name).name)
    return hit[1] if hit else None


def write(table: DetectionTable, path: str | os.PathLike[str], dataset: Dataset | None = None) -> None:
    """Writes a file for every class, into a new folder or a zip."""
    path = Path(path)
    files = _texts(table)
    if path.suffix.lower() == ".zip":
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in files:
                info = zipfile.ZipInfo(f"{SERVER_FOLDER}/{name}", _DATE)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, text)
        return
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.mkdir()
        for name, text in files:
            (part / name).write_text(text, encoding="utf-8", newline="\n")
        if path.is_dir():
            path.rmdir()  # an empty folder, which not every system replaces
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check(class_names: Iterable[str], images: Iterable[str]) -> None:
    """Refuses names that the format cannot store.

    Raises:
        ValueError: a class that cannot be in a file name, or an image with a space in its name.
    """
    for name in class_names:
        if re.search(r'[\x00-\x1f<>:"/\\|?*]', name) or name.endswith((" ", ".")):
            raise ValueError(f"VOC has a file for each class, and {name!r} cannot be part of a file name.")
    for name in images:
        if re.search(r"\s", name):
            raise ValueError(
                f"VOC separates columns by spaces, and image {name!r} has one in its name. Write json or csv."
            )


def _texts(table):
    check(table.class_names, table.images)
    for class_id, name in enumerate(table.class_names):
        rows = table[table.class_ids == class_id]
        lines = [
            f"{table.images[place]} {row}\n"
            for part in parts(rows)
            for place, row in zip(part.image, texts(part), strict=True)
        ]
        yield f"{PREFIX}{name}.txt", "".join(lines)


def read(path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness) -> DetectionTable:
    """Reads a folder, a zip or the file of one class; the table's classes are those that have a file."""
    files = _files(Path(path))
    if not files:
        raise ValueError(f"{path} has no file of detections, such as {PREFIX}{dataset.classes[0]}.txt")
    rows, labels = Rows(path, dataset, strictness), [label for label, *_ in files]
    names = [name for name in dataset.classes if name in labels]
    for label, where, lines in files:
        if labels.count(label) > 1:
            raise ValueError(f"{path} has two files for class {label!r}.")
        rows.start_file(where)
        if label in names:
            _add_lines(rows, lines, names.index(label))
        else:
            rows.unknown(1, unknown_name("class", label, dataset.classes))
    return rows.table(names)


def _add_lines(rows, lines, class_id):
    with lines() as file:
        for count, line in enumerate(file, 1):
            words = line.split()
            if not words:
                continue
            if len(words) != 6:
                what = f"expected image {' '.join(_COLUMNS)}. Received: {line[:80].rstrip()}"
                raise ValueError(f"{rows.where(count)}: {what}")
            image = rows.image(count, words[0])
            if image is not None:
                where = rows.where(count)
                score, *box = (number(word, where, name) for word, name in zip(words[1:], _COLUMNS, strict=True))
                rows.add(count, image, class_id, score, exclusive(*box))


def _files(path):
    """(class, path, function that opens it) of each file, by name."""
    if path.suffix.lower() == ".zip":
        return _in_zip(path)
    paths = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    return [(label, str(file), lambda file=file: opened(file)) for file in paths if (label := class_of(file.name))]


def _in_zip(path):
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((info for info in archive.infolist() if class_of(info.filename)), key=lambda i: i.filename)
            if sum(info.file_size for info in members) > MAX_BYTES:
                raise ValueError(f"{path} unpacks to more than {MAX_BYTES >> 30} GiB.")
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is not a complete zip file: {error}.") from None
    return [
        (class_of(info.filename), f"{path}/{info.filename}", lambda info=info: _member(path, info)) for info in members
    ]


@contextlib.contextmanager
def _member(path, info):
    """A text file in a zip."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            data = file.read(info.file_size + 1)
        text = io.StringIO(decoded(data))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ValueError(f"{path}/{info.filename} cannot be read: {error}.") from None
    yield text
