"""Finds objects in images: a table on the screen and, with --out, the images with boxes drawn on them.

python examples/detect.py street.jpg --weights ssd300.voc07+12
python examples/detect.py photos/ 'more/**/*.png' --weights mine.keras --out found
python examples/detect.py road.jpg --weights ssd7_traffic.h5 --class-names car,truck,pedestrian,bicyclist,light
"""

import argparse
import sys
from pathlib import Path

import keras_ssd


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", help="images, folders, patterns or URLs")
    parser.add_argument(
        "--weights", required=True, help="a name from `keras-ssd zoo list`, or a .keras, .h5 or .npz file"
    )
    parser.add_argument(
        "--class-names", "--labels", help="class names of a file that does not tell them: car,truck,..."
    )
    parser.add_argument("--confidence", type=float, default=0.5, help="lowest score to report (default: 0.5)")
    parser.add_argument("--out", type=Path, help="folder for the drawn images")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    model = keras_ssd.open_model(args.weights, class_names=args.class_names and args.class_names.split(","))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)

    # An image that cannot be read would end the loop. With a function as `on_error` it is left out instead.
    failed = []
    found_in_all = model.detect(args.sources, confidence=args.confidence, on_error=failed.append)

    # The images come one by one, so this works for a folder of any size.
    for number, found in enumerate(found_in_all):
        print(found)
        for name, score, (xmin, ymin, xmax, ymax), _ in found:
            print(f"    {name}: {score:.0%} sure, {xmax - xmin:.0f} x {ymax - ymin:.0f} pixels")
        if args.out:
            # Numbered, because images of different folders may have the same name.
            found.draw().save(args.out / f"{number:04d}_{Path(found.source).stem}.png")

    for error in failed:
        print(error, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
