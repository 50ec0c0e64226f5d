"""`keras-ssd label`: boxes of a detector for an annotation tool, and the images to label next."""

import argparse
import os

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    add_class_names,
    add_map_limit,
    class_names,
    class_words,
    count,
    fraction,
)
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Write what a detector finds in images as pre-annotations, which people correct
in their annotation tool instead of drawing every box.

With --pick only the images are written that are most worth labelling next:
those that the detector is least certain of and that differ most from each
other, and from --labelled."""

EPILOG = """\
examples:
  keras-ssd label photos --weights runs/mine/model.keras --format cvat \\
      --out to_correct
  keras-ssd label photos --weights coco --classes person,dog --pick 50 \\
      --format labelstudio --out next_50
  keras-ssd label photos --weights runs/mine/model.keras --pick 50 \\
      --labelled BCCD --format yolo --out next_50

files in the output folder, besides images/ (VOC: JPEGImages/):
  coco         annotations/instances.json, with a score of each box
  yolo         labels/ and data.yaml
  voc          Annotations/ and classes.txt
  cvat         annotations.xml (CVAT for images 1.1), and labels.json for the
               constructor of labels
  labelstudio  tasks.json with predictions, label_config.xml and classes.txt
  --pick       also picked.json: the images in their order, with what each is
               worth

`keras-ssd train` and `keras-ssd data` read all of these, and what CVAT and
Label Studio export after the correction.

An existing folder is never written to. An image that cannot be read is named
on standard error, the others are done, and the exit code is 1. It is 0 when
all went well and 2 when nothing was written.
"""
# As in `keras_ssd.labelling.labelling`, whose import takes too long for a help text; tests compare them.
FORMATS = ("coco", "yolo", "voc", "cvat", "labelstudio")
ARGUMENTS = {"weights_classes": "--class-names", "images": "--place"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `label` to the parser's commands."""
    parser = commands.add_parser(
        "label", help="pre-annotate images for an annotation tool, pick the next ones", **notes(DESCRIPTION, EPILOG)
    )
    parser.add_argument("sources", nargs="+", metavar="IMAGES", help="image files, folders, or patterns in quotes")
    parser.add_argument(
        "--weights",
        "-w",
        required=True,
        help="name from `keras-ssd zoo list`, or a .keras, .h5, .npz, .caffemodel, .tflite or .pth file",
    )
    parser.add_argument("--format", "-f", required=True, choices=FORMATS, metavar="NAME", help=", ".join(FORMATS))
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="a new folder")
    _add_choice(parser)
    parser.add_argument("--model", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    parser.add_argument("--classes", type=class_words, metavar="LIST", help="write these classes alone: person,dog")
    parser.add_argument(
        "--confidence",
        "-c",
        type=fraction,
        help="lowest score that is written, 0..1 (default: the model's own, or 0.5)",
    )
    parser.add_argument(
        "--iou-threshold",
        "--iou",
        metavar="SHARE",
        type=fraction,
        help="overlap above which two boxes are one object (default: 0.45)",
    )
    parser.add_argument(
        "--place", choices=("copy", "link", "none"), default="copy", help="what to do with images (default: copy)"
    )
    parser.add_argument("--recursive", "-r", action="store_true", help="take the images in folders below, too")
    parser.add_argument("--batch-size", "-b", type=count, default=8, help="images at once (default: 8)")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    add_map_limit(parser)
    parser.add_argument("--max-pixels", type=count, help="refuse larger images (default: 89478485)")
    parser.set_defaults(run=run)


def _add_choice(parser):
    parser.add_argument("--pick", "-n", type=count, metavar="N", help="only the N images most worth labelling next")
    parser.add_argument(
        "--labelled",
        metavar="DATA",
        help="annotated images, in any format that `train` reads: these and copies of them are left out, and images "
        "unlike them are picked first",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    import sys

    from keras_ssd.cli.backend import quiet_first_operation
    from keras_ssd.data import read
    from keras_ssd.images import ImageError
    from keras_ssd.labelling import label
    from keras_ssd.labelling.labelling import check_folder
    from keras_ssd.opening import open_model

    check_folder(args.out)
    failed = []

    def told(error: Exception) -> None:
        failed.append(error)
        print(f"keras-ssd label: {error}", file=sys.stderr)

    labelled = read(args.labelled, policy="drop", progress=not args.quiet) if args.labelled else None
    quiet_first_operation()
    model = open_model(args.weights, model=args.model, class_names=class_names(args.class_names))
    options = {"max_pixels": args.max_pixels} if args.max_pixels else {}
    done = label(
        model,
        _sources(args, told, ImageError),
        out=args.out,
        format=args.format,
        pick=args.pick,
        labelled=labelled,
        confidence=args.confidence,
        classes=args.classes,
        iou_threshold=args.iou_threshold,
        images=args.place,
        batch_size=args.batch_size,
        on_error=told,
        model_version=os.path.basename(args.weights),
        progress=not args.quiet,
        **options,
    )
    print(done)
    return int(bool(failed))


def _sources(args, told, kind):
    """Every image that is named; an item that names none is told."""
    from keras_ssd.images import split_sources

    found = []
    for part in split_sources(args.sources, args.recursive):
        try:
            found += part()
        except kind as error:
            told(error)
    return found
