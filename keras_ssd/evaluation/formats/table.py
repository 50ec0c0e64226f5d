"""CSV: image,class,score,xmin,ymin,xmax,ymax in continuous pixels; other columns are allowed.

The files of `keras-ssd detect --format csv`, with a column `source`, are read, too.
"""

import csv
import os

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.formats.rounding import parts, shortest
from keras_ssd.evaluation.formats.rows import Rows, Strictness, number, opened
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import unknown_name
from keras_ssd.replacing import replacing

NAME = "csv"
COLUMNS = ("image", "class", "score", "xmin", "ymin", "xmax", "ymax")


def write(table: DetectionTable, path: str | os.PathLike[str], dataset: Dataset | None = None) -> None:
    """Writes a table with a header."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for part in parts(table):
            numbers = np.hstack([shortest(part.scores)[:, None], shortest(part.boxes_xyxy)]).tolist()
            for image, class_id, row in zip(part.image, part.class_ids, numbers, strict=True):
                writer.writerow([table.images[image], table.class_names[class_id], *row])


def read(path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness) -> DetectionTable:
    """Reads a CSV file; it does not distinguish images without detections from images not seen."""
    rows = Rows(path, dataset, strictness)
    places = {name: place for place, name in enumerate(dataset.classes)}
    with opened(path) as file:
        reader = csv.reader(file)
        try:
            columns = _columns(path, next(reader, []))
            for line in reader:
                if line:
                    _add(rows, reader.line_num, line, columns, places)
        except csv.Error as error:
            raise ValueError(f"{rows.where(reader.line_num)}: {error}") from None
    return rows.table()


def _columns(path, header):
    """The place of each of `COLUMNS`."""
    header = [name.strip().lower() for name in header]
    for other in ("source", "picture"):  # of `keras-ssd detect`, and of former versions
        if "image" not in header and other in header:
            header[header.index(other)] = "image"
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"{path} needs a first line with the columns {', '.join(COLUMNS)}. Missing: {', '.join(missing)}"
        )
    return [header.index(name) for name in COLUMNS]


def _add(rows, count, line, columns, places):
    if len(line) <= max(columns):
        raise ValueError(f"{rows.where(count)}: the line has {len(line)} columns, fewer than the header.")
    called, label, *numbers = (line[column] for column in columns)
    image = rows.image(count, called)
    class_id = places.get(label)
    if class_id is None:
        class_id = rows.unknown(count, unknown_name("class", label, places))
    if image is not None and class_id is not None:
        where = rows.where(count)
        score, *box = (number(text, where, name) for text, name in zip(numbers, COLUMNS[2:], strict=True))
        rows.add(count, image, class_id, score, box)
