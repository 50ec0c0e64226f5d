"""Measures a detector on annotated images, and finds the lowest score to accept.

    python examples/evaluate.py BCCD --weights ssd_small.cells --split test --policy drop
    python examples/evaluate.py photos --weights runs/mine/model.keras --measure coco --save photos.json

Average precision judges all detections, however low their scores. To use a detector you need a lowest score: the last
table shows, for each class, the one that finds most objects with few false detections.
"""

import argparse
import sys

import numpy as np

import keras_ssd
from keras_ssd.evaluation import MEASURES, evaluate


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the annotated images: a folder, or a json, yaml or CSV file")
    parser.add_argument("--weights", required=True, help="a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--split", help="such as test (default: all images)")
    parser.add_argument("--policy", default="error", help="what becomes of faults in the data: error, drop or clip")
    parser.add_argument("--measure", choices=MEASURES, default="voc12")
    parser.add_argument("--save", help="file for the detections; with it an interrupted run goes on where it stopped")
    return parser.parse_args(argv)


def best_cut(curve):
    """(score, precision, recall) where the harmonic mean of the last two is highest; None without detections."""
    if not len(curve.scores):
        return None
    balance = 2 * curve.precision * curve.recall / np.maximum(curve.precision + curve.recall, 1e-9)
    place = int(balance.argmax())
    return curve.scores[place], curve.precision[place], curve.recall[place]


def main(argv=None):
    args = arguments(argv)
    data = keras_ssd.data.read(args.data, args.split, policy=args.policy)
    model = keras_ssd.open_model(args.weights)
    result = evaluate(model, data, args.measure, save=args.save)
    print(result)

    print("\nWhere to cut:")
    for name, curve in result.curves.items():
        cut = best_cut(curve)
        if cut is not None:
            score, precision, recall = cut
            print(f"  {name}: from {score:.2f} on {precision:.0%} are right, and {recall:.0%} of all are found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
