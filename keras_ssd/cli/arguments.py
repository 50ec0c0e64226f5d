"""What the arguments of a command mean: numbers in their range, lists of names, and class names from a file."""

import argparse
import contextlib
import os

from keras_ssd.names import DETECTORS
from keras_ssd.text_files import read_text

DETECTOR_LIST = f"{', '.join(DETECTORS[:-1])} or {DETECTORS[-1]}"
FORMATS = ("pictures", "json", "csv")


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def name_list(text):
    """One name or several."""
    if not _split(text):
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return _split(text)


def format_list(text):
    """Any of `FORMATS`, each once."""
    names = name_list(text)
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected any of {', '.join(FORMATS)}; received {', '.join(unknown)}")
    return tuple(dict.fromkeys(names))


def fraction(text):
    """A number in 0..1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in 0..1; received {text}")


def count(text):
    """A whole number from 1 on."""
    with contextlib.suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 on; received {text}")


def size(text):
    """(height, width) from 300x300."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and int(part) for part in parts):
        return int(parts[0]), int(parts[1])
    raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 300x300; received {text}")


def class_names(given):
    """Class names from --class-names: a label set, a list, or a file; None for None.

    Raises:
        ValueError: an unknown label set, or a file without names.
    """
    if given is None:
        return None
    if os.path.isfile(given):
        return _label_file(given)
    if _split(given) and "," in given:
        return _split(given)
    from keras_ssd.names import unknown_name
    from keras_ssd.zoo import label_sets, labels

    if given in label_sets():
        return labels(given)
    if "." in given or os.sep in given:
        raise ValueError(f"There is no label file {given}. Expected a text file with one class name a line.")
    advice = f"A text file or a list of names works too; a list of one is written {given},"
    raise ValueError(unknown_name("label set", given, label_sets(), advice))


def _label_file(path):
    try:
        lines = read_text(path).splitlines()
    except ValueError as error:
        raise ValueError(f"The label file {path} cannot be read: {error}. Expected one class name a line.") from None
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise ValueError(f"The label file {path} is empty. Expected one class name a line.")
    return names
