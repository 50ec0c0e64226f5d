"""`keras-ssd demo`: a first try that needs no image, no file and no network."""

import argparse

from keras_ssd.cli.arguments import fraction
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Draw a blood smear, find its cells with the detector that is part of this
package, and compare."""

EPILOG = """\
examples:
  keras-ssd demo                        a table of what was found, and how much
                                        of it is right
  keras-ssd demo --out smear.png        and the image with boxes
  keras-ssd demo --seed 7 --count 25    another smear, a crowded one

The same detector takes photographs of smears:
  keras-ssd detect smear.jpg --weights ssd_small.cells
"""


def add_parser(commands: Commands) -> None:
    """Adds the command `demo` to the parser's commands."""
    parser = commands.add_parser(
        "demo",
        help="find cells in a blood smear that is drawn on the spot",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument("--out", "-o", metavar="IMAGE", help="write the image with boxes, for example smear.png")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which smear (default: 0)")
    parser.add_argument("--count", type=int, default=12, metavar="N", help="red cells in it, 0..40 (default: 12)")
    parser.add_argument("--confidence", "-c", type=fraction, default=0.5, help="lowest score, 0..1 (default: 0.5)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from keras_ssd.demonstration import demo

    quiet_first_operation()
    demo(args.out, seed=args.seed, count=args.count, confidence=args.confidence)
    return 0
