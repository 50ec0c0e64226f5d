"""ILSVRC DET: one text file, `image_index class_id score xmin ymin xmax ymax` per line.

The index of an image is its place in the dataset, from 1. Class ids are 1..200 in the order of the challenge; for data
of other classes, the place in the dataset's classes, from 1. Source: the ILSVRC2015 development kit's readme.
"""

import os
from collections.abc import Sequence
from typing import Any

from keras_ssd.data.dataset import Dataset
from keras_ssd.data.ids import Ids
from keras_ssd.evaluation.formats.rounding import parts
from keras_ssd.evaluation.formats.rows import Rows, Strictness, number, opened
from keras_ssd.evaluation.formats.text import exclusive, texts
from keras_ssd.evaluation.tables import DetectionTable
from keras_ssd.names import fold
from keras_ssd.replacing import replacing
from keras_ssd.zoo import label_ids, labels

NAME = "ilsvrc"
_COLUMNS = ("image_index", "class_id", "score", "xmin", "ymin", "xmax", "ymax")


def write(table: DetectionTable, path: str | os.PathLike[str], dataset: Dataset) -> None:
    """Writes a table."""
    images = {annotation.name: place for place, annotation in enumerate(dataset, 1)}
    images = [images[name] for name in table.images]
    ids = dict(zip(dataset.classes, class_numbers(dataset.classes), strict=True))
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for part in parts(table):
            for image, class_id, row in zip(part.image, part.class_ids, texts(part), strict=True):
                file.write(f"{images[image]} {ids[table.class_names[class_id]]} {row}\n")


def read(path: str | os.PathLike[str], dataset: Dataset, strictness: Strictness) -> DetectionTable:
    """Reads a file; it does not distinguish images without detections from images not seen."""
    rows = Rows(path, dataset, strictness)
    images = Ids({index: index - 1 for index in range(1, len(dataset) + 1)})
    classes = Ids({key: place for place, key in enumerate(class_numbers(dataset.classes))})
    with opened(path) as file:
        for count, line in enumerate(file, 1):
            words = line.split()
            if not words:
                continue
            if len(words) != len(_COLUMNS):
                raise ValueError(f"{rows.where(count)}: expected {' '.join(_COLUMNS)}. Received: {line[:80].rstrip()}")
            image = rows.place(count, "image_index", words[0], images)
            class_id = rows.place(count, "class_id", words[1], classes)
            if image is not None and class_id is not None:
                where = rows.where(count)
                score, *box = (number(word, where, name) for word, name in zip(words[2:], _COLUMNS[2:], strict=True))
                rows.add(count, image, class_id, score, exclusive(*box))
    return rows.table()


def class_numbers(names: Sequence[str]) -> list[int]:
    """The challenge's number of each class, by name or WordNet id; numbers from 1 if it does not have one of them."""
    known = {fold(name): place for place, name in enumerate(labels("ilsvrc"), 1)}
    known |= {key: place for place, key in enumerate(label_ids("ilsvrc"), 1)}
    numbers: list[Any] = [known.get(fold(name)) for name in names]
    return numbers if all(numbers) and len(set(numbers)) == len(numbers) else list(range(1, len(names) + 1))
