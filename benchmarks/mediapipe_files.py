"""MediaPipe's object detector on exported files, against `detect`.

    python benchmarks/mediapipe_files.py BCCD --python PYTHON_WITH_MEDIAPIPE

`ssd_small.cells` is written in float32, float16 and int8. MediaPipe runs each file on the images of BCCD's test list,
once resized to the model's size by this package, and once as they are, so that MediaPipe resizes them. MediaPipe wants
an environment of its own: `python -m venv mp && mp/bin/pip install mediapipe`, and `--python mp/bin/python`. It cuts
corners and sides of boxes down to whole pixels, which moves a side by up to two.

Needs the extra `tflite`.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.boxes import iou_matrix
from keras_ssd.data import read
from keras_ssd.exporting.formats import format_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.images import read_image, resize_bilinear

OTHER = """
import json, sys
import mediapipe as mp
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
found = []
with vision.ObjectDetector.create_from_options(options) as detector:
    for path in sys.argv[2:]:
        rows = []
        for one in detector.detect(mp.Image.create_from_file(path)).detections:
            box, category = one.bounding_box, one.categories[0]
            corners = [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height]
            rows.append([category.category_name, category.score, *corners])
        found.append(rows)
print(json.dumps(found))
"""


def differences(ours, theirs):
    """(detections of ours, of theirs, pairs of one class that overlap, [differences of scores], [of boxes])."""
    pairs = []
    boxes = np.array([row[2:] for row in theirs], np.float32).reshape(-1, 4)
    height, width = ours.size_hw
    boxes = boxes.clip(0, [width, height, width, height]).astype(np.float32)
    overlaps = iou_matrix(ours.boxes_xyxy, boxes)
    for i, j in zip(*np.unravel_index(np.argsort(-overlaps, axis=None), overlaps.shape), strict=True):
        free = all(i != a and j != b for a, b in pairs)
        if free and overlaps[i, j] > 0.5 and ours.names[i] == theirs[j][0]:
            pairs.append((i, j))
    scores = [abs(ours.scores[i] - theirs[j][1]) for i, j in pairs]
    sides = [np.abs(ours.boxes_xyxy[i] - boxes[j]).max() for i, j in pairs]
    return len(ours), len(theirs), len(pairs), scores, sides


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--python", required=True, help="of an environment with mediapipe")
    parser.add_argument("--images", type=int, default=72)
    arguments = parser.parse_args()
    model = keras_ssd.ssd_small(weights="cells")
    detector = keras_ssd.with_decoder(model, confidence_threshold=0.3)
    images = [one.image for one in read(arguments.data, split="test", policy="drop")][: arguments.images]
    train = [one.image for one in read(arguments.data, split="train", policy="drop")]
    module = format_of("x.tflite", None).load()
    table = Table(
        "file", "images", "detect", "MediaPipe", "pairs", "scores: largest", "mean", "pixels: largest", "mean"
    )
    with tempfile.TemporaryDirectory() as folder:
        resized = []
        for number, image in enumerate(images):
            resized.append(Path(folder, f"{number}.png"))
            Image.fromarray(resize_bilinear(read_image(image), model.input_size)).save(resized[-1])
        for precision in ("float32", "float16", "int8"):
            path = Path(folder, f"{precision}.tflite")
            module.write(detector, path, ExportOptions(precision=precision, calibrate=train))
            for kind, sources in (("resized here", resized), ("as they are", images)):
                command = [arguments.python, "-c", OTHER, str(path), *map(str, sources)]
                told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                theirs = json.loads(told.splitlines()[-1])
                ours = model.detect(sources, confidence=0.3)
                rows = [differences(*pair) for pair in zip(ours, theirs, strict=True)]
                counts = np.sum([row[:3] for row in rows], axis=0)
                scores, sides = ([x for row in rows for x in row[place]] for place in (3, 4))
                numbers = [f"{x:.4f}" for x in (max(scores), np.mean(scores))]
                numbers += [f"{x:.2f}" for x in (max(sides), np.mean(sides))]
                table.add_row(precision, kind, *map(str, counts), *numbers)
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
