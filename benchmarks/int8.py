"""A detector in float against files of it in fewer bits: average precision, size, and what stayed in float.

    python benchmarks/int8.py BCCD                              # ssd_small.cells on BCCD's test list
    python benchmarks/int8.py DATA --weights runs/mine/model.keras --calibrate photos/

A file is calibrated on images of the training list, and measured on the test list. All run in LiteRT.
Needs the extra `tflite`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.data import read
from keras_ssd.detections import Detections
from keras_ssd.evaluation import Collector, evaluate
from keras_ssd.exporting.formats import format_of
from keras_ssd.exporting.models import decoded, rows_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.images import read_image, resize_bilinear
from keras_ssd.opening import open_model


def average_precision(rows_of_image, model, dataset):
    """Mean AP at IoU 0.5, COCO's AP, and milliseconds per image of a function from images to rows."""
    found, seconds = Collector(model.class_names), 0.0
    for annotation in dataset:
        image = read_image(annotation.image)
        resized = resize_bilinear(image, model.input_size).astype(np.float32)
        started = time.perf_counter()
        [rows] = rows_of_image(resized[None])
        seconds += time.perf_counter() - started
        rows = rows[rows[:, 0] >= 0]
        height, width = image.shape[:2]
        boxes = (rows[:, 2:].clip(0, 1) * [width, height, width, height]).astype(np.float32)
        scores, ids = rows[:, 1].clip(0, 1), rows[:, 0].astype(int)
        found.add(annotation.name, Detections(boxes, scores, ids, model.class_names, (height, width)))
    numbers = [evaluate(found.table(), dataset, measure, progress=False).map for measure in ("voc12", "coco")]
    return (*numbers, 1000 * seconds / len(dataset))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a dataset with the lists train and test")
    parser.add_argument("--weights", help="a model file; by default ssd_small.cells")
    parser.add_argument("--calibrate", help="images to calibrate on; by default those of the training list")
    parser.add_argument("--precisions", default="float32,float16,int8")
    arguments = parser.parse_args()
    model = open_model(arguments.weights) if arguments.weights else keras_ssd.ssd_small(weights="cells")
    test = read(arguments.data, split="test", classes=list(model.class_names), policy="drop")
    images = arguments.calibrate or [one.image for one in read(arguments.data, split="train", policy="drop")]
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.01)
    table = Table("what runs", "MB", "mean AP at 0.5", "COCO's AP", "loss", "ms", "stayed in float")
    reference = average_precision(lambda x: rows_of(decoded(detector), x), model, test)
    table.add_row("the model", "", f"{reference[0]:.4f}", f"{reference[1]:.4f}", "", f"{reference[2]:.1f}", "")
    module = format_of("x.tflite", None).load()
    for precision in arguments.precisions.split(","):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "detector.tflite")
            options = ExportOptions(precision=precision, calibrate=images)
            written = module.write(detector, path, options)
            runner = module.open_file(path, written.metadata)
            measured = average_precision(runner.rows, model, test)
            size = f"{path.stat().st_size / 1e6:.2f}"
        numbers = f"{measured[0]:.4f}", f"{measured[1]:.4f}", f"{reference[0] - measured[0]:.4f}"
        table.add_row(f"tflite {precision}", size, *numbers, f"{measured[2]:.1f}", "; ".join(written.notes))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
