"""Average precision of small objects with and without tiles.

    python benchmarks/tiles.py --weights ssd_mobilenet_v1.coco COCO_FOLDER   # annotated images
    python benchmarks/tiles.py --scenes 4                                    # drawn images of 4,000 x 4,000 pixels

The drawn scenes have the cells of `ssd_small.cells` on a fortieth of the image's side, as a microscope's overview has
them.
"""

import argparse
import time

import numpy as np

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.demonstration.smear import CLASSES, SIZE_HW, draw_smear


def drawn_scenes(count, side=4000):
    """A dataset of large images: smears beside each other."""
    height, width = SIZE_HW
    rows, columns = side // height, side // width
    annotations = []
    for number in range(count):
        image = np.full((side, side, 3), 203, np.uint8)
        boxes, kinds = [], []
        for row in range(rows):
            for column in range(columns):
                smear = draw_smear(seed=number * 1000 + row * columns + column)
                top, left = row * height, column * width
                image[top : top + height, left : left + width] = smear.image
                boxes.append(smear.truth.boxes_xyxy + np.array([left, top, left, top]))
                kinds.append(smear.truth.class_ids)
        boxes, kinds = np.concatenate(boxes), np.concatenate(kinds)
        annotations.append(Annotation(f"scene{number}", image, boxes, kinds, (side, side)))
    return Dataset("drawn scenes", CLASSES, annotations)


def measured(model, dataset, images, **options):
    """(AP, AP of small objects, seconds per image) over IoU 0.5 to 0.95."""
    begin = time.perf_counter()
    result = keras_ssd.evaluation.evaluate(model, dataset, "coco", progress=False, **options)
    return result, (time.perf_counter() - begin) / images


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="annotated images")
    parser.add_argument("--weights", default="ssd_small.cells")
    parser.add_argument("--scenes", type=int, default=2, help="drawn scenes, where no data are given")
    parser.add_argument("--images", type=int, help="of the data, the first so many")
    parser.add_argument("--tiles", type=int, nargs="+", default=[320])
    parser.add_argument("--overlap", type=float, default=0.2)
    args = parser.parse_args()
    model = keras_ssd.open_model(args.weights)
    if args.data:
        dataset = keras_ssd.data.read(args.data)
        dataset = dataset[: args.images] if args.images else dataset
    else:
        dataset = drawn_scenes(args.scenes)
    print(f"{'tiles':>8} {'AP':>7} {'AP50':>7} {'small':>7} {'medium':>7} {'large':>7} {'s/image':>8}")
    for tiles in (None, *args.tiles):
        options = {} if tiles is None else {"tiles": tiles, "overlap": args.overlap}
        result, seconds = measured(model, dataset, len(dataset), **options)
        names = ("AP", "AP50", "APs", "APm", "APl")
        values = " ".join(f"{result.numbers[name]:7.3f}" for name in names)
        print(f"{tiles or 'none':>8} {values} {seconds:8.2f}", flush=True)


if __name__ == "__main__":
    main()
