"""The rows of a CSV file: cells between commas, semicolons or tabs."""

import csv
import io

from keras_ssd.data.formats.table_columns import columns_of
from keras_ssd.text_files import TextError, beginning, read_text

MAX_BYTES = 1 << 30


def is_table(path):
    """Whether the first line says what the columns mean; what cannot be read is told when it is read."""
    try:
        with open(path, "rb") as file:
            text = beginning(file.read(1 << 16))
        rows = list(_parsed(text.partition("\n")[0]))
        columns_of(rows[0][1] if rows else (), path)
    except csv.Error:
        return True
    except (OSError, ValueError):
        return False
    return True


def rows_of(path):
    """(line, cells) of each line that is not empty."""
    text = read_text(path, MAX_BYTES)
    line = 0
    rows = []
    try:
        for line, cells in _parsed(text):
            rows.append((line, cells))
    except csv.Error as error:
        raise TextError(str(error), line + 1) from None
    return rows


def _parsed(text):
    """(line, cells) of a text; between semicolons, a comma is the point of a number."""
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, [_point(cell) for cell in cells] if separator == ";" else cells


def _point(cell):
    """ "0,5" as "0.5"; all else as it is."""
    whole, comma, decimals = cell.strip().partition(",")
    return f"{whole}.{decimals}" if comma and decimals.isdecimal() and whole.lstrip("+-").isdecimal() else cell
