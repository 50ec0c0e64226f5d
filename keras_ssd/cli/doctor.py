"""`keras-ssd doctor`: why a detector finds nothing, and what to try next."""

import argparse
import os

from keras_ssd.cli.arguments import DETECTOR_LIST, add_class_names, add_map_limit, class_names
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Find out why a detector finds nothing, or nothing right.

It feeds and decodes the model in other ways and compares the answers: backend,
heads, colour order, mean and scale, anchors, class names, sizes of images, and
scores below the threshold. The verdict names the first thing to mend."""

EPILOG = """\
examples:
  keras-ssd doctor mine.keras
  keras-ssd doctor mine.keras photos/
  keras-ssd doctor ssd7_traffic.h5 road.jpg \\
      --class-names car,truck,pedestrian,bicyclist,light

which images:
  none        the network alone is examined
  plain ones  also what it is fed with, and how sure it is
  annotated   (one folder or file as VOC, COCO, YOLO or CSV data lie on disks)
              also its anchors and the order of its class names, by average
              precision. A few dozen images are enough.

exit codes: 0 no fault was found, 1 a fault was found, 2 nothing could be
examined.
"""
ARGUMENTS = {"weights_classes": "--class-names"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `doctor` to the parser's commands."""
    parser = commands.add_parser(
        "doctor",
        help="find out why a model finds nothing",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument("weights", metavar="MODEL", help="name from `keras-ssd zoo list`, or a weight or model file")
    parser.add_argument("images", nargs="*", metavar="IMAGES", help="images, or annotated data")
    parser.add_argument("--model", "-m", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    add_map_limit(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Examines."""
    from keras_ssd.doctor import examine
    from keras_ssd.opening import open_model

    model = open_model(args.weights, model=args.model, class_names=class_names(args.class_names))
    diagnosis = examine(model, _images(args.images))
    print(diagnosis)
    return int(bool(diagnosis.faults))


def _images(given):
    """A dataset where one path is annotated data, else the sources as they are."""
    if len(given) != 1 or not os.path.exists(given[0]):
        return given
    from keras_ssd import data

    try:
        found = data.read(given[0], policy="drop")
    except ValueError as error:
        reason = str(error).splitlines()[0]
        if os.path.isdir(given[0]):
            print(f"examining plain images, since no annotations could be read: {reason}")
        return given
    print(found)
    return found
