"""What the arguments of a command mean: numbers in their range, lists of names, and class names from a file."""

import argparse
import contextlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.names import DETECTORS, files_nearby, unknown_name

if TYPE_CHECKING:
    from keras_ssd.models import SSD

DETECTOR_LIST = f"{', '.join(DETECTORS[:-1])} or {DETECTORS[-1]}"
FORMATS = ("images", "json", "csv")
VIDEO_FORMATS = ("video", "jsonl", "gif", "mot")


def _split(text):
    return tuple(part.strip() for part in text.split(",") if part.strip())


def name_list(text: str) -> tuple[str, ...]:
    """One name or several."""
    if not _split(text):
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return _split(text)


def format_list(text: str) -> tuple[str, ...]:
    """Any of `FORMATS` and `VIDEO_FORMATS`, each once."""
    names = ["images" if name == "pictures" else name for name in name_list(text)]  # its former name
    known = (*FORMATS, *VIDEO_FORMATS)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(unknown_name("format", unknown[0], known))
    return tuple(dict.fromkeys(names))


def fraction(text: str) -> float:
    """A number in 0..1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in 0..1; received {text}")


def positive(text: str) -> float:
    """A number above 0."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a positive number; received {text}")


def count(text: str) -> int:
    """A whole number from 1 on."""
    with contextlib.suppress(ValueError):
        if int(text) >= 1:
            return int(text)
    raise argparse.ArgumentTypeError(f"expected a whole number from 1 on; received {text}")


def add_map_limit(parser: argparse._ActionsContainer) -> None:
    """Adds the option that `main` holds every model to while the command runs."""
    parser.add_argument(
        "--max-map-bytes", type=count, metavar="BYTES", help="the largest feature map of an image that is built; 2 GiB"
    )


def add_engine(parser: argparse._ActionsContainer) -> None:
    """Adds the options that say what computes the network."""
    from keras_ssd.engines import AUTO, ENGINES, FLOAT32, PRECISIONS

    parser.add_argument(
        "--engine",
        choices=(AUTO, *ENGINES),
        default=AUTO,
        help="what computes the network (default: auto, the fastest one that is installed and supports the model)",
    )
    parser.add_argument(
        "--precision",
        choices=(*PRECISIONS, AUTO),
        default=FLOAT32,
        help="bfloat16, for OpenVINO on processors with units for it, changes scores by some hundredths; auto takes "
        "it where it is fast (default: float32)",
    )


def moment(text: str) -> float:
    """Seconds, as a number or as minutes:seconds or hours:minutes:seconds."""
    with contextlib.suppress(ValueError):
        parts = [float(part) for part in text.split(":")]
        if len(parts) <= 3 and all(0 <= part < float("inf") for part in parts):
            return sum(part * 60**place for place, part in enumerate(reversed(parts)))
    raise argparse.ArgumentTypeError(f"expected seconds, or minutes:seconds; received {text}")


def coordinates(text: str) -> tuple[tuple[float, float], ...]:
    """Points x1,y1,x2,y2 and so on, in pixels."""
    with contextlib.suppress(ValueError):
        values = [float(part) for part in text.split(",")]
        if len(values) >= 4 and len(values) % 2 == 0 and all(abs(value) < float("inf") for value in values):
            return tuple(zip(values[::2], values[1::2], strict=True))
    raise argparse.ArgumentTypeError(f"expected x1,y1,x2,y2 in pixels; received {text}")


def share_of_tile(text: str) -> float:
    """A number in 0..0.9."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 0.9:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number in 0..0.9; received {text}")


def add_tiles(parser: argparse._ActionsContainer) -> None:
    """Adds the options for small objects on large images."""
    parser.add_argument(
        "--tiles",
        type=count,
        metavar="PIXELS",
        help="also look at large images in overlapping tiles of this side, which finds small objects and takes longer",
    )
    parser.add_argument(
        "--overlap",
        type=share_of_tile,
        default=0.2,
        metavar="SHARE",
        help="how much of a tile its neighbour has too, 0..0.9 (default: 0.2)",
    )


def add_class_names(
    parser: argparse._ActionsContainer,
    option: str = "--class-names",
    meaning: str = "class names, where the weights do not tell",
) -> None:
    """Adds the option that `class_names` reads, with its other names."""
    others = [name for name in ("--class-names", "--labels") if name != option]
    how = "voc, coco, a list a,b,c (of one class: a,), or a text file with a name per line"
    parser.add_argument(option, *others, metavar="NAMES", help=f"{meaning}: {how}")


def add_policy(parser: argparse._ActionsContainer, default: str = "error") -> None:
    """Adds what becomes of faults in the data."""
    parser.add_argument(
        "--policy",
        choices=("error", "drop", "clip"),
        default=default,
        help=f"what becomes of faults in the data: refuse, leave out, or clip boxes to the image (default: {default})",
    )


def add_log(parser: argparse._ActionsContainer) -> None:
    """Adds the option for the services that get the numbers of a training."""
    parser.add_argument(
        "--log",
        type=name_list,
        metavar="LIST",
        help="send numbers, settings and files to mlflow, wandb or tensorboard, or to several (default: none)",
    )


def output_file(given: str, endings: Collection[str], option: str = "--out") -> Path:
    """The path of a file to write, checked before any work is done.

    Raises:
        ValueError: another ending, or no such folder.
    """
    path = Path(given)
    if path.suffix.lower() not in endings:
        raise ValueError(f"{option} must end in {', '.join(sorted(endings))}. Received: {path}")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} to write {path.name} into.")
    return path


def size(text: str) -> tuple[int, int]:
    """(height, width) from 300x300."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(part.isdecimal() and int(part) for part in parts):
        return int(parts[0]), int(parts[1])
    raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH, such as 300x300; received {text}")


def check_weights(weights: str | None) -> None:
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


def opened(weights: str, **options: Any) -> "SSD":
    """The model of a file or a name, see `keras_ssd.open_model`; what is neither is told as a missing file.

    Raises:
        FileNotFoundError: the text has the nearest file.
    """
    from keras_ssd.opening import open_model

    try:
        return open_model(weights, **options)
    except ValueError as error:
        if os.path.exists(weights) or not str(error).startswith("Unknown weights"):
            raise
        raise FileNotFoundError(f"No such file: '{weights}'.{files_nearby(weights)} {error}") from None


def class_words(text: str) -> tuple[str, ...]:
    """Names of classes: a list, a label file, or all of VOC, COCO or ILSVRC."""
    if os.path.isfile(text) or text in ("voc", "coco", "ilsvrc"):
        from keras_ssd.zoo.label_fitting import class_list

        try:
            return class_list("classes", text)
        except (ValueError, OSError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
    return name_list(text)


def class_names(given: str | None) -> tuple[str, ...] | None:
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

    return tuple(map(str, listed_names("class_names", given)))
