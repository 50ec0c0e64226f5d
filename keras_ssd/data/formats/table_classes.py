"""The classes of a CSV file whose labels are numbers, or ids of Open Images."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from keras_ssd.data.formats import layout as lay
from keras_ssd.data.formats.table_rows import is_table, rows_of
from keras_ssd.data.problems import Problem
from keras_ssd.data.records import EntryError, finite


def name_numbers(table: Any, classes: Sequence[str] | None, first_label: int | None, problems: list[Problem]) -> None:
    """Turns the class numbers of all records into names."""
    first = 1 if first_label is None else first_label
    for record in table.records.values():
        names = [_class_of(label, first, classes) for label in record.labels]
        for row in reversed(range(len(names))):
            if isinstance(names[row], EntryError):
                what = Problem("label", record.source, str(names[row]), record.lines[row], record.name, "left out")
                problems.append(what)
                record.remove(row)
                del names[row]
        record.labels[:] = names


def _class_of(label, first, classes):
    """The name of a class number, or the `EntryError` that explains why it has none."""
    try:
        number = finite(label, "the class number")
    except EntryError as error:
        return error
    if number != int(number) or number < first:
        background = ": 0 is the background. Pass csv=CsvLayout(first_label=0) if it is a class" if number == 0 else ""
        return EntryError(f"class number {label} must be a whole number from {first} on{background}")
    if classes is None:
        return str(int(number))
    place = int(number) - first
    if place >= len(classes):
        return EntryError(f"class number {label} is beyond the {len(classes)} classes, which count from {first}")
    return classes[place]


def name_machine_ids(table: Any, folders: Iterable[str | os.PathLike[str]]) -> None:
    """Replaces Open Images' ids of classes, such as /m/01yrx, by the names of a class-descriptions file beside them."""
    labels = {label for record in table.records.values() for label in record.labels}
    if not labels or not all(label.startswith(("/m/", "/g/", "/t/")) for label in labels):
        return
    names = {}
    for file in (file for folder in dict.fromkeys(folders) for file in lay.files_ending(folder, ".csv")):
        if file != table.path and "class" in file.name.lower() and not is_table(file):
            try:
                names |= {cells[0].strip(): cells[1].strip() for _, cells in rows_of(file) if len(cells) == 2}
            except (OSError, ValueError):
                continue
    for record in table.records.values():
        record.labels[:] = [names.get(label) or label for label in record.labels]
