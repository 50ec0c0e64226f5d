"""Makes a model of chosen classes out of a model that was trained on others.

    python examples/subsample.py --model ssd300 --weights coco --classes person,dog,helmet --out mine.keras

Classes that the weights know keep their trained filters: `person` and `dog` are detected as well as before, and at
once. Classes that they do not know start with fresh filters and have to be trained: `helmet`.
"""

import argparse
import sys

import keras_ssd

MODELS = {"ssd300": keras_ssd.ssd300, "ssd512": keras_ssd.ssd512, "ssd7": keras_ssd.ssd7}


def names(text):
    return text.split(",")


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", choices=MODELS, default="ssd300", help="the network of the weights (default: ssd300)"
    )
    parser.add_argument("--weights", required=True, help="a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--trained-on", type=names, help="the classes of a file that does not tell them: a,b,c")
    parser.add_argument("--classes", type=names, required=True, help="the classes of the new model: a,b,c")
    parser.add_argument("--out", default="subsampled.keras", help="where to save it (default: subsampled.keras)")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    model = MODELS[args.model](weights=args.weights, classes=args.classes, weights_classes=args.trained_on)

    report = model.weights_report
    print(f"{report.parameters:,} values from {report.source}")
    chosen = report.classes  # None where the classes of the weights are kept as they are
    if chosen is None:
        print("The classes are those of the weights; nothing was chosen.")
    else:
        for name, trained_as in chosen.kept:
            print(f"  kept:        {name}" + (f" (trained as {trained_as})" if trained_as != name else ""))
        for name in chosen.initialised:
            print(f"  initialised: {name}")

    model.save(args.out)
    print(f"Saved {args.out}: {', '.join(model.class_names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
