"""Fits lists of class names to the columns of a model: a background line, gaps, the three lengths of COCO's lists.

The 80 classes of COCO are listed as 80 names, as 90 with fillers for unused numbers, and as 91 with a background before
them. Heads have 80 or 90 columns. Lists and heads that mean the same fit automatically.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Any

from keras_ssd.names import check_class_names, files_nearby, fold, unknown_name
from keras_ssd.wording import python_or_shell
from keras_ssd.zoo.classes import label_sets, labels, slots
from keras_ssd.zoo.label_files import FILLER, read_label_file

_BACKGROUND = {"background", "bg", "noneoftheabove", "unlabeled", "unlabelled"}
_FILLERS = {"", "n/a", "na", "unused", "reserved", "none", "null"}


def is_filler(name: str) -> bool:
    """Whether a name means that there is no class: `???`, `N/A`, `unused 12`."""
    return not name.strip(" ?*-.") or fold(name) in _FILLERS or name.startswith("unused ")


def is_background(name: str) -> bool:
    """Whether a name means the background: `background`, `__background__`, `none_of_the_above`."""
    return fold(name) in _BACKGROUND


def listed_names(argument: str, given: Any) -> tuple[str, ...]:
    """A user's names as a tuple, with background and fillers: from a list, the name of a label set, or a label file.

    `argument` is the name in messages.

    Raises:
        TypeError: none of these.
        ValueError: an unknown label set, or a file without class names.
    """
    if isinstance(given, os.PathLike) or (isinstance(given, str) and os.path.isfile(given)):
        return read_label_file(given)
    if isinstance(given, str):
        if given in label_sets():
            return labels(given)
        if "." in given or os.sep in given:
            raise ValueError(
                f"There is no label file {given}.{files_nearby(given)} Expected a text file with one class name "
                "per line."
            )
        advice = python_or_shell(
            "A list of names or the path of a text file works too.",
            f"A text file or a list of names works too; a list of one is written {given},",
        )
        raise ValueError(unknown_name("label set", given, label_sets(), advice))
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        return check_class_names(argument, given)  # says what is expected
    given = tuple(given)
    return given if all(isinstance(name, str) for name in given) and given else check_class_names(argument, given)


def class_list(argument: str, given: Any) -> tuple[str, ...]:
    """The classes for a new model, without the background and fillers of label files.

    Raises:
        TypeError, ValueError: as `listed_names` and `check_class_names`.
    """
    names = listed_names(argument, given)
    if len(names) > 1 and (is_background(names[0]) or names[0] == FILLER):
        names = names[1:]
    kept = tuple(name for name in names if name != FILLER)
    return check_class_names(argument, kept)


def fitted_columns(argument: str, given: Any, count: int | None) -> tuple[str | None, ...] | None:
    """A name for each of a model's `count` classes, None for a column without a class; or None if they do not fit.

    `count` is None if it is unknown.

    Raises:
        TypeError, ValueError: as `listed_names` and `check_class_names`.
    """
    names = listed_names(argument, given)
    columns = tuple(None if is_filler(name) else name for name in names)
    behind = columns[1:] if columns[0] is None or is_background(columns[0]) else columns
    named = tuple(filter(None, behind))
    if len(names) == count and not (columns[0] and is_background(columns[0])):
        found = columns if len(set(names)) < len(names) else names
    elif len(behind) == count:
        found = behind
    elif count is None or len(named) == count:
        found = named
    elif count == len(slots("coco")) and [fold(name) for name in named] == [fold(name) for name in labels("coco")]:
        named_slots = iter(named)
        found = tuple(None if is_filler(slot) else next(named_slots) for slot in slots("coco"))
    else:
        return None
    check_class_names(argument, tuple(filter(None, found)))
    return found


def fitted_names(argument: str, given: Any, count: int | None) -> tuple[str, ...] | None:
    """As `fitted_columns`, with "unused 12" for columns without a class."""
    found = fitted_columns(argument, given, count)
    return None if found is None else filled(found)


def filled(columns: Iterable[str | None]) -> tuple[str, ...]:
    """The names of columns, with "unused 12" for those of no class."""
    return tuple(name or f"unused {place}" for place, name in enumerate(columns, 1))
