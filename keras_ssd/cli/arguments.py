"""What the arguments of a command mean: numbers in their range, lists of names, and class names from a file."""

import argparse
import contextlib
import os

from keras_ssd.names import DETECTORS, files_nearby, unknown_name

DETECTOR_LIST = f"{', '.join(DETECTORS[:-1])} or {DETECTORS[-1]}"
FORMATS = ("images", "json", "csv")


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def name_list(text):
    """One name or several."""
    if not _split(text):
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return _split(text)


def format_list(text):
    """Any of `FORMATS`, each once."""
    names = ["images" if name == "pictures" else name for name in name_list(text)]  # its former name
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise argparse.ArgumentTypeError(unknown_name("format", unknown[0], FORMATS))
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


def add_map_limit(parser):
    """Adds the option that `main` holds every model to while the command runs."""
    parser.add_argument(
        "--max-map-bytes", type=count, metavar="BYTES", help="the largest feature map of an image that is built; 2 GiB"
    )


def size(text):
    """(height, width) from 300x300."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and int(part) for part in parts):
        return int(parts[0]), int(parts[1])
    raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 300x300; received {text}")


def check_weights(weights):
    """Refuses a misspelt name and a missing file, before anything slow is done; None passes.

    Raises:
        ValueError, FileNotFoundError: the text has the nearest name.
    """
    from keras_ssd import zoo
    from keras_ssd.models.weights import is_file

    if weights is None:
        return
    if is_file(weights):
        if not os.path.exists(weights):
            raise FileNotFoundError(f"There is no weight file at {weights}.{files_nearby(weights)}")
    elif not any(weights in (entry.name, entry.tag) for entry in zoo.entries()):
        zoo.find(weights)  # raises


def class_words(text):
    """Names of classes: a list, a label file, or all of VOC, COCO or ILSVRC."""
    if os.path.isfile(text) or text in ("voc", "coco", "ilsvrc"):
        from keras_ssd.zoo.label_fitting import class_list

        try:
            return class_list("classes", text)
        except (ValueError, OSError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return name_list(text)


def class_names(given):
    """Class names from --class-names: a label set, a list, or a file; None for None.

    A background and fillers that a file has are still among them.

    Raises:
        ValueError: an unknown label set, or a file without names.
    """
    if given is None:
        return None
    if not os.path.isfile(given) and _split(given) and "," in given:
        return _split(given)
    from keras_ssd.zoo.label_fitting import listed_names

    return listed_names("class_names", given)
