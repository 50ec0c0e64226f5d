"""The rows of a CSV file: cells between commas, semicolons or tabs; or lines of keras-yolo3."""

import csv
import io
import os
import re
from pathlib import Path

from keras_ssd.data.formats.table_columns import columns_of
from keras_ssd.text_files import TextError, beginning, read_text

MAX_BYTES = 1 << 30
_YOLO3_BOX = r"\s-?[\d.]+(?:,-?[\d.]+){3},\d+"
_YOLO3 = re.compile(rf"(\S.*?\.\w+)((?:{_YOLO3_BOX})*)\s*$")  # "shots/a.jpg 10,10,40,30,0 50,20,60,30,1"


def is_yolo3(path: str | os.PathLike[str]) -> bool:
    """Whether a text file has keras-yolo3's lines: an image, then its boxes and class numbers."""
    if Path(path).suffix.lower() != ".txt":
        return False
    try:
        with open(path, "rb") as file:
            lines = [line for line in beginning(file.read(1 << 16)).splitlines() if line.strip()]
    except OSError:
        return False
    hits = [_YOLO3.match(line) for line in (lines if len(lines) == 1 else lines[:-1])]  # the last may be cut
    return all(hits) and any(hit and hit[2] for hit in hits)


def is_table(path: str | os.PathLike[str], one_class: bool = False) -> bool:
    """Whether the first line names the columns; an unreadable file is reported later."""
    if Path(path).suffix.lower() == ".txt":
        return is_yolo3(path)
    try:
        with open(path, "rb") as file:
            text = beginning(file.read(1 << 16))
        rows = list(_parsed(text.partition("\n")[0]))
        columns_of(rows[0][1] if rows else (), path, one_class=one_class)
    except csv.Error:
        return True
    except (OSError, ValueError):
        return False
    return True


def rows_of(path: str | os.PathLike[str]) -> list[tuple[int, list[str]]]:
    """(line, cells) of each line that is not empty."""
    text = read_text(path, MAX_BYTES)
    if Path(path).suffix.lower() == ".txt":
        return [
            row for line, text in enumerate(text.splitlines(), 1) if text.strip() for row in _yolo3_rows(line, text)
        ]
    line = 0
    rows = []
    try:
        for line, cells in _parsed(text):
            rows.append((line, cells))
    except csv.Error as error:
        raise TextError(str(error), line + 1) from None
    return rows


def _yolo3_rows(line, text):
    """The rows of one of keras-yolo3's lines, in the columns `YOLO3`."""
    hit = _YOLO3.match(text)
    if hit is None:
        return [(line, [text.strip()])]
    return [(line, [hit[1], *box.split(",")]) for box in hit[2].split()] or [(line, [hit[1], *[""] * 5])]


def _parsed(text):
    """(line, cells) of a text; between semicolons, a comma is the point of a number."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, [_point(cell) for cell in cells] if separator == ";" else cells


def _point(cell):
    """ "0,5" as "0.5"; other text unchanged."""
    whole, comma, decimals = cell.strip().partition(",")
    return f"{whole}.{decimals}" if comma and decimals.isdecimal() and whole.lstrip("+-").isdecimal() else cell
