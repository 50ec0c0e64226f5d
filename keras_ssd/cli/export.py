"""`keras-ssd export`: a trained detector as a file that other programs run, compared with the model."""

import argparse
import os
import sys

from keras_ssd.cli.arguments import DETECTOR_LIST, add_class_names, add_map_limit, class_names, count, opened
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.names import unknown_name

DESCRIPTION = """\
Write a detector as one file that another program runs: images in, detections
out. The file describes itself, and it is run in its own runtime beside the
model before it gets its name."""

EPILOG = """\
examples:
  keras-ssd export runs/mine/model.keras --format onnx --out mine.onnx
  keras-ssd export runs/mine/model.keras -o mine.onnx --check photos/
  keras-ssd export ssd300.voc07+12 -o ssd300.xml --precision float16
  keras-ssd export mine.keras -o mine.onnx --int8 --calibrate photos/
  keras-ssd export mine.keras -o mine.onnx --batch 1 --channels bgr
  keras-ssd export mine.keras -o mine.onnx --no-suppression
  keras-ssd export mine.keras -o mine.onnx --suppression tensorrt
  keras-ssd export mine.keras -o saved_model/

formats, told by the ending of --out:
{formats}

The file takes images in 0..255 of the size that its metadata say. It gives
`detections` (B, K, 6): class id, score, xmin, ymin, xmax, ymax as fractions of
the image, unused rows with class -1. With --no-suppression it gives the boxes
and scores of all anchors.

After writing, file and model detect on the images of --check, or on drawn ones.
The largest difference, the matched detections and the size of the file are
printed. On annotated data, the average precision of both is printed, too.

exit codes: 0 written, and the file answers as the model does; 1 it does not,
and is kept under the name that is printed; 2 nothing was written.
"""
ARGUMENTS = {"path": "--out", "weights_classes": "--class-names", "classes": "--class-names"}
PRECISIONS = ("float32", "float16", "int8")
DATA_FILES = (".yaml", ".yml", ".json", ".csv")


def add_parser(commands: Commands) -> None:
    """Adds the command `export` to the parser's commands."""
    parser = commands.add_parser(
        "export",
        help="write a detector for another program: ONNX, OpenVINO, TFLite, ...",
        **notes(DESCRIPTION, EPILOG.format(formats=_format_list())),
    )
    parser.add_argument(
        "weights", metavar="MODEL", help="a .keras file, a name of `keras-ssd zoo list`, or another weight file"
    )
    parser.add_argument("--out", "-o", required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--format", "-f", metavar="NAME", help="the format, where the ending does not tell")
    parser.add_argument("--model", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    _add_form(parser.add_argument_group("what the file takes and gives"))
    _add_check(parser.add_argument_group("check"))
    add_map_limit(parser)
    parser.set_defaults(run=run)


def _format_list():
    from keras_ssd.exporting.formats import FORMATS

    return "\n".join(f"  {row.ending or 'a folder':10}{row.name:12}{row.what}" for row in FORMATS.values())


def _add_form(group):
    ends = group.add_mutually_exclusive_group()
    ends.add_argument(
        "--no-suppression",
        dest="suppression",
        action="store_const",
        const=False,
        default=True,
        help="--suppression none",
    )
    ends.add_argument(
        "--suppression",
        type=suppression,
        default=True,
        metavar="KIND",
        help="`standard` for detections, `none` for the boxes and scores of all anchors, `tensorrt` for TensorRT's "
        "operation EfficientNMS_TRT in an ONNX file (default: standard)",
    )
    group.add_argument("--batch", type=batch, metavar="COUNT", help="images at once, or `any` (default: any)")
    group.add_argument(
        "--channels",
        choices=("rgb", "bgr", "blob", "rgb_blob"),
        default="rgb",
        help="RGB or BGR in 0..255, or with the model's mean and scale applied by the caller, in BGR (blob) or RGB "
        "(rgb_blob) (default: rgb)",
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        metavar="NAME",
        help="of the file: float32, float16 or int8 (default: float32)",
    )
    for name in PRECISIONS[1:]:
        group.add_argument(f"--{name}", action="store_true", help=f"--precision {name}")
    group.add_argument("--calibrate", nargs="+", metavar="IMAGE", help="images or folders that int8 is calibrated on")
    group.add_argument("--licence", metavar="TEXT", help="of the weights, for the metadata")


def _add_check(group):
    group.add_argument(
        "--check",
        nargs="+",
        metavar="DATA",
        help="images, folders, or one set of annotated data (default: drawn images, or those of --calibrate)",
    )
    group.add_argument("--split", metavar="NAME", help="the split of annotated data to check on")


def suppression(text: str) -> bool | str:
    """What the argument `suppression` of `keras_ssd.export` takes."""
    kinds = {"standard": True, "none": False, "tensorrt": "tensorrt"}
    if text not in kinds:
        raise argparse.ArgumentTypeError(unknown_name("kind of suppression", text, kinds))
    return kinds[text]


def batch(text: str) -> int | None:
    """A number of images; None for any."""
    return None if text == "any" else count(text)


def run(args: argparse.Namespace) -> int:
    """Writes the file and prints how it compares."""
    from keras_ssd.exporting import ParityError, export
    from keras_ssd.exporting.formats import format_of

    format_of(args.out, args.format)  # before anything slow is done
    precision = _precision(args)
    _refuse_overwriting(args)
    check = _checked_on(args)
    quiet_first_operation()
    model = opened(args.weights, model=args.model, class_names=class_names(args.class_names))
    try:
        done = export(
            model,
            args.out,
            args.format,
            suppression=args.suppression,
            batch=args.batch,
            channels=args.channels,
            precision=precision,
            calibrate=args.calibrate,
            check=check,
            licence=args.licence,
        )
    except ParityError as error:
        print(f"keras-ssd export: {error}", file=sys.stderr)
        return 1
    print(done)
    return 0


def _precision(args):
    flags = [name for name in PRECISIONS[1:] if getattr(args, name)]
    if len(flags) > 1 or (flags and args.precision not in ("float32", *flags)):
        raise ValueError(f"A file has one precision. Received: {', '.join(flags)}, --precision {args.precision}")
    return flags[0] if flags else args.precision


def _refuse_overwriting(args):
    if os.path.exists(args.out) and os.path.exists(args.weights) and os.path.samefile(args.out, args.weights):
        raise ValueError(f"--out would overwrite {args.weights}, which is to be exported. Name another file.")


def _checked_on(args):
    """What `export` takes for --check: a `Dataset` where the data are annotated."""
    if not args.check:
        if args.split:
            raise ValueError("--split is for annotated data, and --check names none.")
        return None
    if len(args.check) > 1:
        return args.check
    [path] = args.check
    is_file = path.lower().endswith(DATA_FILES)
    if not is_file and not os.path.isdir(path):
        return path
    from keras_ssd.data import DataError, read

    try:
        return read(path, args.split, policy="drop", progress=True)
    except ValueError as error:
        if is_file or args.split or isinstance(error, DataError):
            raise
        return path  # images without annotations
