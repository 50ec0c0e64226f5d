"""Measures a detector that is not of this package: here a few lines of numpy that look for violet cells.

    python examples/evaluate_any_detector.py
    python examples/evaluate_any_detector.py --images 50 --save cells.csv

It needs a name, boxes, scores and classes for each image. The smears are drawn: nothing is downloaded.
"""

import argparse
import sys

import numpy as np

from keras_ssd import Detections
from keras_ssd.data import Annotation, Dataset
from keras_ssd.demonstration import draw_smear
from keras_ssd.evaluation import Collector, evaluate, write_detections


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20, help="how many smears to draw (default: 20)")
    parser.add_argument("--save", help="file for the detections, such as cells.json, cells.csv or comp4.zip")
    return parser.parse_args(argv)


def smears(count):
    """A dataset of drawn blood smears; the objects are the white cells."""
    annotations, names = [], None
    for seed in range(count):
        smear = draw_smear(seed, white_cells=seed % 2, platelets=0)
        truth, names = smear.truth, smear.truth.class_names
        size_hw = smear.image.shape[:2]
        annotations.append(Annotation(f"smear {seed}", smear.image, truth.boxes_xyxy, truth.class_ids, size_hw))
    return Dataset("smears", names, annotations).with_classes(["WBC"], others="drop")


def find_white_cells(image):
    """The detector: one box around all that is violet, the surer the more there is of it."""
    red, _, blue = np.moveaxis(image.astype(int), -1, 0)
    rows, columns = np.nonzero(blue - red > 20)
    if len(rows) < 50:
        return np.zeros((0, 4)), []
    # Single pixels far away are noise: the outermost two hundredths do not count.
    xmin, xmax = np.quantile(columns, (0.01, 0.99))
    ymin, ymax = np.quantile(rows, (0.01, 0.99))
    return [[xmin, ymin, xmax + 1, ymax + 1]], [min(1.0, len(rows) / 20_000)]


def main(argv=None):
    args = arguments(argv)
    data = smears(args.images)
    collector = Collector(data.classes)
    for annotation in data:
        boxes, scores = find_white_cells(annotation.image)
        found = Detections(boxes, scores, np.zeros(len(scores), int), data.classes, annotation.size_hw)
        collector.add(annotation.name, found)
    table = collector.table()
    print(evaluate(table, data, "voc12"))
    if args.save:
        print(f"Saved {write_detections(table, args.save)}: `keras-ssd evaluate DATA --detections` takes it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
