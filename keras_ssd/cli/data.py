"""`keras-ssd data`: check, look at and convert images with boxes."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from keras_ssd.cli.arguments import add_class_names, add_policy, class_names, class_words, count, name_list, output_file
from keras_ssd.cli.backend import start_backend
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.results import IMAGE_ENDINGS

HELP = "check, look at and convert images with boxes"
DESCRIPTION = """\
Images with boxes: VOC xml, COCO json, YOLO text files and CSV are read alike.
DATA is a folder of these, or its data.yaml, json or CSV file."""
EXAMPLES = """\
examples:
  keras-ssd data check BCCD
      every fault, with file and line
  keras-ssd data show BCCD --out sheet.png
      statistics, and a sheet of images
  keras-ssd data show BCCD --anchors ssd300_voc
      objects that no anchor can match, too
  keras-ssd data show BCCD --augment ssd --out a.png
      what a model would be trained on
  keras-ssd data convert BCCD --to yolo --out cells
      every split, images and all
"""
CHECK_NOTES = """\
It looks for broken files, unknown labels, boxes without area, outside their
image or with swapped corners, missing and broken images, wrong sizes, ids and
names that occur twice, images in more than one split, and for copies and
look-alikes.

exit codes: 0 no faults (there may be notes), 1 faults, 2 nothing could be
checked.
"""
# As in `keras_ssd.data.reading`, whose import takes too long for a help text; tests compare them.
WRITTEN = ("voc", "coco", "yolo", "csv", "cvat", "labelstudio")
FORMATS = (*WRITTEN, "labelme", "createml", "via")
ARGUMENTS = {"classes": "--class-names"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds `data` and its subcommands to the command line.

    Args:
        commands: what `add_subparsers` returned.
    """
    parser = commands.add_parser("data", help=HELP, **notes(DESCRIPTION, EXAMPLES))
    actions = parser.add_commands("action", "ACTION")
    _add_check(actions)
    _add_show(actions)
    _add_convert(actions)


def add_data_arguments(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> None:
    parser.add_argument("data", metavar="DATA", help="a folder, or its data.yaml, json or CSV file")
    parser.add_argument(
        "--format", choices=FORMATS, metavar="NAME", help=f"where a folder holds several formats: {', '.join(FORMATS)}"
    )
    add_class_names(parser, meaning="class names in the order of their ids")
    parser.add_argument(
        "--images", "--pictures", metavar="DIR", help="where the images are, if not beside their annotations"
    )
    parser.add_argument("--csv-columns", type=name_list, metavar="LIST", help="of a CSV file without header")
    parser.add_argument("--first-label", type=int, metavar="N", help="number of a CSV file's first class (default: 1)")
    parser.add_argument("--quiet", "-q", action="store_true", help="no progress bar")
    parser.set_defaults(run=run, needs_backend=False)


def _add_check(actions):
    parser = actions.add_parser("check", help="report everything that is wrong", **notes(HELP, CHECK_NOTES))
    add_data_arguments(parser, _check)
    parser.add_argument("--no-decode", action="store_true", help="do not open the images: faster, finds less")
    parser.add_argument("--shown", type=count, default=20, metavar="N", help="problems listed per kind (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON, with every problem")


def _add_show(actions):
    parser = actions.add_parser("show", help="statistics and a sheet of images", **notes(HELP, EXAMPLES))
    add_data_arguments(parser, _show)
    add_policy(parser, "drop")
    parser.add_argument("--split", help="train, for example (default: everything)")
    parser.add_argument("--out", "-o", metavar="FILE", help="draw a sheet of images with their boxes")
    parser.add_argument("--count", "-n", type=count, default=16, help="images on the sheet (default: 16)")
    parser.add_argument("--cell", type=count, default=320, help="longest side of an image on it (default: 320)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images and of --augment (default: 0)")
    parser.add_argument("--augment", metavar="NAME", help="draw images as a chain changes them: ssd, light, ...")
    parser.add_argument(
        "--anchors", metavar="NAME", help="count objects that no anchor of a named spec matches, such as ssd300_voc"
    )


def _add_convert(actions):
    parser = actions.add_parser("convert", help="write in another format", **notes(HELP, EXAMPLES))
    add_data_arguments(parser, _convert)
    add_policy(parser, "error")
    parser.add_argument("--to", required=True, choices=WRITTEN, help="format to write")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--split", help="this split alone (default: each)")
    parser.add_argument("--classes", type=class_words, metavar="LIST", help="keep these classes alone: person,dog")
    parser.add_argument(
        "--place", choices=("copy", "link", "none"), default="copy", help="what to do with images (default: copy)"
    )


def reading_options(args: argparse.Namespace) -> dict[str, Any]:
    from keras_ssd.data import CsvLayout

    given = args.csv_columns is not None or args.first_label is not None
    return {
        "format": args.format,
        "classes": class_names(args.class_names),
        "images": args.images,
        "csv": CsvLayout(args.csv_columns, args.first_label) if given else None,
        "progress": not args.quiet,
    }


def _check(args):
    from keras_ssd.data import check

    checked = check(args.data, decode=not args.no_decode, **reading_options(args))
    if args.json:
        splits = {name: {"images": len(data), "objects": data.num_objects} for name, data in checked.splits.items()}
        print(json.dumps({"splits": splits, "problems": checked.problems.to_list()}, indent=1))
    else:
        print(checked.text(args.shown))
    return 0 if checked.ok else 1


def _show(args):
    from keras_ssd import anchors, data

    if args.augment and not args.out:
        raise ValueError("--augment changes what is drawn, and nothing is. Add --out FILE.")
    spec = anchors.named_spec(args.anchors) if args.anchors else None
    out = args.out and output_file(args.out, IMAGE_ENDINGS)
    found = data.read(args.data, args.split, policy=args.policy, **reading_options(args))
    print(found.report(shown=5))
    print()
    print(data.statistics(found, spec))
    if out:
        chosen = found.sample(min(args.count, len(found)), args.seed)
        sheet = data.contact_sheet(_samples(chosen, args), found.classes, cell=args.cell)
        from keras_ssd.images import write_image

        write_image(sheet, out)
        print(f"\n{out}: {len(chosen)} images")
    return 0


def _samples(chosen, args):
    """The images as they are, or as a chain makes them."""
    if not args.augment:
        return list(chosen)
    from keras_ssd.data import Sample

    start_backend()  # blocks may be layers of Keras
    from keras_ssd.data.augment import named_chain, sample_rng

    chain = named_chain(args.augment)
    samples = [Sample.of(annotation) for annotation in chosen]

    def others(rng):
        return samples[rng.integers(len(samples))]

    return [chain(sample, sample_rng(args.seed, 0, place), others) for place, sample in enumerate(samples)]


def _convert(args):
    from keras_ssd import data
    from keras_ssd.detections import class_ids_of

    options = reading_options(args)
    if os.path.abspath(args.out) == os.path.abspath(args.data):
        raise ValueError("--out is the data itself. Name a new folder.")
    if args.split:
        splits = {args.split: data.read(args.data, args.split, policy=args.policy, **options)}
    else:
        splits = data.read_splits(args.data, policy=args.policy, **options)
    if args.classes:
        class_ids_of(args.classes, next(iter(splits.values())).classes)  # refuses what is misspelt
        splits = {name: part.with_classes(args.classes, others="drop") for name, part in splits.items()}
    policy = "error" if args.policy == "error" else "drop"
    written = data.write(splits, args.out, args.to, images=args.place, policy=policy, progress=not args.quiet)
    left_out = [problem for part in splits.values() for problem in part.problems if problem.done]
    for problem in dict.fromkeys(left_out):
        print(problem, file=sys.stderr)
    print(written)
    return 0
