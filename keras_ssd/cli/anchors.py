"""`keras-ssd anchors`: whether anchors suit the data, and anchors that do."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from keras_ssd.cli.arguments import DETECTOR_LIST, add_policy, count, fraction, output_file, positive, size
from keras_ssd.cli.backend import start_backend
from keras_ssd.cli.data import add_data_arguments, reading_options
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.results import IMAGE_ENDINGS

if TYPE_CHECKING:
    from keras_ssd.anchors import AnchorSpec

HELP = "see whether anchors suit the data, and fit them"
DESCRIPTION = """\
Anchors are the boxes that a detector starts from. An object that none of them
overlaps well is hardly learnt: `report` finds such objects, `fit` makes anchors
for them. DATA is a folder, or its data.yaml, json or CSV file, as for
`keras-ssd data`."""
EXAMPLES = """\
examples:
  keras-ssd anchors report BCCD --out report.png
      those of ssd_small, the default of `train`
  keras-ssd anchors report BCCD --anchors ssd300_coco      a named spec
  keras-ssd anchors report BCCD --anchors mine.keras       a model's
  keras-ssd anchors report BCCD --model mobilenet_v2       any backbone of ssd()
  keras-ssd anchors report BCCD --model ssd300 --input-size 300x400
  keras-ssd anchors fit BCCD --split train --out cells.json
  keras-ssd train BCCD --anchors cells.json --out runs/cells
  keras-ssd train BCCD --weights mine.keras --anchors cells.json --out runs/warm
  keras-ssd anchors show photo.jpg --anchors cells.json --out anchors.png
  keras-ssd anchors show BCCD/JPEGImages/a.jpg --data BCCD --out matches.png
"""
DEFAULT = "ssd_small"


def add_parser(commands: Commands) -> None:
    """Adds `anchors` and its subcommands to the command line.

    Args:
        commands: what `add_subparsers` returned.
    """
    parser = commands.add_parser("anchors", help=HELP, **notes(DESCRIPTION, EXAMPLES))
    actions = parser.add_commands("action", "ACTION")
    _add_report(actions)
    _add_fit(actions)
    _add_show(actions)


def _add_report(actions):
    parser = actions.add_parser("report", help="what anchors match, and why not the rest", **notes(HELP, EXAMPLES))
    _add_reading(parser, _report)
    _add_anchors(parser, "held against the data")
    _add_iou_threshold(parser)
    parser.add_argument("--out", "-o", metavar="FILE", help="draw the report as an image")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_fit(actions):
    parser = actions.add_parser("fit", help="make anchors for the data", **notes(HELP, EXAMPLES))
    _add_reading(parser, _fit)
    _add_anchors(parser, "whose grids are kept, and whose boxes are to be beaten")
    parser.add_argument(
        "--boxes-per-cell",
        type=_counts,
        metavar="LIST",
        help="boxes of a cell: 6, or 3,5,5 for each level (default: as many as there are)",
    )
    parser.add_argument(
        "--method",
        choices=("search", "kmeans"),
        default="search",
        help="search looks at grids and places, kmeans at sizes alone (default: search)",
    )
    parser.add_argument(
        "--goal",
        choices=("mean_iou", "matched"),
        default="mean_iou",
        help="make the mean best IoU large, or the share of objects that are matched (default: mean_iou)",
    )
    _add_iou_threshold(parser)
    parser.add_argument("--balance-classes", action="store_true", help="let each class count the same")
    parser.add_argument(
        "--reach",
        type=_reach,
        default=(2.0, 5.0),
        metavar="LEAST,MOST",
        help="sides of a level's boxes in steps of its cells (default: 2,5)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--out", "-o", metavar="FILE", help="JSON file to write, for `keras-ssd train --anchors FILE`")


def _add_show(actions):
    parser = actions.add_parser("show", help="draw anchors over an image", **notes(HELP, EXAMPLES))
    parser.add_argument("image", metavar="IMAGE", help="an image file or URL")
    _add_anchors(parser, "to draw")
    parser.add_argument("--data", metavar="DATA", help="annotations of the image: draw the anchors that match")
    _add_iou_threshold(parser)
    parser.add_argument(
        "--at", type=_place, default=(0.5, 0.5), metavar="Y,X", help="draw the cell there (default: 0.5,0.5)"
    )
    parser.add_argument("--out", "-o", required=True, metavar="FILE", help="image to write")
    parser.set_defaults(run=_show, needs_backend=False)


def _add_reading(parser, act):
    add_data_arguments(parser, act)
    add_policy(parser, "drop")
    parser.add_argument("--split", help="train, for example (default: everything)")


def _add_iou_threshold(parser):
    parser.add_argument(
        "--iou-threshold",
        "--iou",
        metavar="SHARE",
        type=_share,
        default=0.5,
        help="from which an anchor matches (default: 0.5)",
    )


def _add_anchors(parser, what):
    group = parser.add_argument_group(f"anchors {what}", f"(default: those of {DEFAULT})")
    group.add_argument(
        "--anchors", metavar="WHAT", help="a named spec such as ssd300_voc, a JSON file of `anchors fit`, or a .keras"
    )
    group.add_argument(
        "--model",
        metavar="NAME",
        help=f"those that a detector is made with: {DETECTOR_LIST}, or a backbone such as mobilenet_v2",
    )
    group.add_argument("--input-size", type=size, metavar="HEIGHTxWIDTH", help="of that model (default: its own)")


def _share(text):
    value = positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0 and up to 1; received {text}")
    return value


def _reach(text):
    try:
        least, most = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected two numbers of steps, LEAST,MOST; received {text}") from None
    return least, most


def _counts(text):
    counts = tuple(count(part) for part in text.split(","))
    return counts[0] if len(counts) == 1 else counts


def _place(text):
    place = tuple(fraction(part) for part in text.split(","))
    if len(place) != 2:
        raise argparse.ArgumentTypeError(f"expected two fractions of the image, Y,X; received {text}")
    return place


def spec_of(args: argparse.Namespace) -> "AnchorSpec":
    """The `AnchorSpec` that --anchors, --model and --input-size name.

    Raises:
        ValueError, OSError: an unknown name, or a file without anchors.
    """
    from keras_ssd.anchors import named_spec, read_spec

    if args.model:
        return _factory_spec(args)
    if args.input_size:
        raise ValueError("--input-size is for the model that --model names: its grids follow from the network.")
    given = args.anchors or DEFAULT
    if given.lower().endswith(".json"):
        return read_spec(given)
    if given.lower().endswith(".keras"):
        start_backend()
        from keras_ssd.models import load

        return load(given).anchor_spec
    return named_spec(given)


def _factory_spec(args):
    if args.anchors:
        raise ValueError("Give either --anchors or --model.")
    start_backend()
    from keras_ssd.backbones import backbone_names
    from keras_ssd.models import ssd
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.names import unknown_name

    options = {} if args.input_size is None else {"input_size": args.input_size}
    if args.model in FACTORIES:
        return FACTORIES[args.model](classes=["object"], **options).anchor_spec
    if args.model not in backbone_names():
        raise ValueError(unknown_name("model", args.model, (*FACTORIES, *backbone_names())))
    return ssd(args.model, classes=["object"], **options).anchor_spec


def _read(args):
    from keras_ssd import data

    return data.read(args.data, args.split, policy=args.policy, **reading_options(args))


def _report(args):
    from keras_ssd.anchors import report

    out = args.out and output_file(args.out, IMAGE_ENDINGS)
    found = report(spec_of(args), _read(args), args.iou_threshold)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    if out:
        _save(found.draw(), out)
        if not args.json:
            print(f"\n{out}: the report as an image")
    return 0


def _fit(args):
    from keras_ssd.anchors import fit, write_spec

    out = args.out and output_file(args.out, (".json",))
    spec = fit(
        _read(args),
        spec_of(args),
        args.boxes_per_cell,
        method=args.method,
        goal=args.goal,
        iou_threshold=args.iou_threshold,
        balance_classes=args.balance_classes,
        reach=args.reach,
        seed=args.seed,
    )
    print(spec)
    if out:
        write_spec(spec, out)
        print(f"\n{out}: {spec.num_anchors:,} anchors. Use them: keras-ssd train DATA --anchors {out} --out DIR")
    return 0


def _show(args):
    from keras_ssd.anchors import draw_anchors
    from keras_ssd.images import read_image

    out = args.out and output_file(args.out, IMAGE_ENDINGS)
    spec = spec_of(args)
    image = read_image(args.image)
    boxes = None if args.data is None else _boxes_of(args)
    _save(draw_anchors(spec, image, boxes, at=args.at, iou_threshold=args.iou_threshold), out)
    print(f"{out}: {spec.num_anchors:,} anchors on {len(spec.levels)} levels")
    return 0


def _boxes_of(args):
    """The boxes of the image's annotation, as fractions."""
    from keras_ssd import data
    from keras_ssd.data import Sample

    wanted = Path(args.image).resolve()
    for annotation in data.read(args.data, policy="drop"):
        if isinstance(annotation.image, str) and Path(annotation.image).resolve() == wanted:
            return Sample.of(annotation).boxes_xyxy
    raise ValueError(f"{args.data} has no annotation of {args.image}.")


def _save(image, out):
    from keras_ssd.replacing import replacing

    with replacing(out) as temporary:
        image.save(temporary)
