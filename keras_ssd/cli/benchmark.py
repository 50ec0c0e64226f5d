"""`keras-ssd benchmark`: how fast a detector is in each engine on this machine, and what that costs in precision."""

import argparse
import os
import sys

from keras_ssd.cli.arguments import DETECTOR_LIST, add_class_names, add_map_limit, class_names, count, name_list
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Measure how fast a detector is in each engine and precision on this machine, and
say which one `--engine auto` takes, and why.

IMAGES are images, or annotated data: then the average precision in each engine
is measured, too."""

EPILOG = """\
examples:
  keras-ssd benchmark runs/mine/model.keras photos/
  keras-ssd benchmark ssd300.voc07+12 photos/ --batch-size 8
  keras-ssd benchmark mine.onnx photos/ --engines onnxruntime,openvino
  keras-ssd benchmark mine.keras BCCD/ --calibrate photos/

columns:
  images/s    of `detect`, from images in memory: resizing, network, decoding
              and suppression
  p50, p95    milliseconds of a batch: half of all, and 95 % of all, are faster
  network     milliseconds of a batch in the network alone, median
  start       seconds until the first result
  MB          of what the engine was given
  differs     largest difference of scores from the first row
  AP          VOC 2012's, in per cent, on the annotated images

--calibrate adds the precision int8: files of the model in whole numbers, as
`keras-ssd export --int8` writes them. Measure them on other images than those
that they are calibrated on.

The engines take turns, so that other work on the machine meets all of them.
"""
ARGUMENTS = {"weights_classes": "--class-names"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `benchmark` to the parser's commands."""
    parser = commands.add_parser(
        "benchmark",
        help="measure how fast a detector is in each engine",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument("weights", metavar="MODEL", help="name from `keras-ssd zoo list`, or a weight or model file")
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="images, or one folder or file of annotated data")
    parser.add_argument("--model", "-m", metavar="NAME", help=f"where the weights do not tell: {DETECTOR_LIST}")
    add_class_names(parser)
    parser.add_argument("--engines", type=name_list, metavar="LIST", help="only these: keras,openvino")
    parser.add_argument("--batch-size", "-b", type=count, default=1, help="images at once (default: 1)")
    parser.add_argument("--rounds", type=count, default=15, help="batches that each engine computes (default: 15)")
    parser.add_argument(
        "--calibrate", nargs="+", metavar="IMAGE", help="measure int8, too, calibrated on these images or folders"
    )
    parser.add_argument("--split", metavar="NAME", help="the split of annotated data to measure on")
    add_map_limit(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    from keras_ssd.benchmarking import benchmark
    from keras_ssd.opening import open_model

    quiet_first_operation()
    model = open_model(args.weights, model=args.model, class_names=class_names(args.class_names))
    dataset, images = _images(args.images, args.split)
    measured = benchmark(
        model,
        images,
        engines=args.engines,
        batch_size=args.batch_size,
        rounds=args.rounds,
        dataset=dataset,
        calibrate=args.calibrate,
    )
    _print(measured)
    return 0 if any(not timing.reason for timing in measured.timings) else 2


def _images(given, split):
    """(dataset or None, images as `read_image` takes them)."""
    from keras_ssd import data
    from keras_ssd.images import expand_sources

    if len(given) == 1 and os.path.exists(given[0]):
        try:
            found = data.read(given[0], split, policy="drop")
            if any(len(annotation) for annotation in found):
                return found, [annotation.image for annotation in found]
        except ValueError as error:
            if split:
                raise
            if not os.path.isdir(given[0]) and os.path.splitext(given[0])[1] in (".yaml", ".json", ".csv"):
                raise
            if os.path.isdir(given[0]):
                print(f"no average precision: {str(error).splitlines()[0]}", file=sys.stderr)
    if split:
        raise ValueError("--split is for annotated data, and these images have no annotations.")
    return None, [source.image for source in expand_sources(given)]


def _print(measured):
    from keras_ssd.cli.tables import print_table

    titles = ["engine", "images/s", "p50", "p95", "network", "start", "MB", "differs"]
    with_ap = any(timing.ap is not None for timing in measured.timings)
    rows = [_row(timing, with_ap) for timing in measured.timings if not timing.reason]
    load = f", load of the machine {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"batches of {measured.batch_size}{load}")
    titles += ["AP"] if with_ap else []
    print_table(titles, rows, right=titles[1:], whole=titles)
    for timing in measured.timings:
        for said in (timing.reason, *timing.notes):
            if said:
                print(f"{timing.engine}, {timing.precision}: {said}")
    print(f"auto takes {measured.auto}")


def _row(timing, with_ap):
    cells = [
        timing.engine if timing.precision == "float32" else f"{timing.engine}, {timing.precision}",
        _short(timing.rate),
        _short(timing.p50),
        _short(timing.p95),
        _short(timing.bare),
        _short(timing.start),
        _short(None if timing.size is None else timing.size / 1e6),
        f"{timing.difference:.0e}",
    ]
    return cells + ([f"{100 * timing.ap:.2f}"] if with_ap else [])


def _short(number):
    if number is None:
        return "-"
    return f"{number:.1f}" if number < 100 else f"{number:.0f}"
