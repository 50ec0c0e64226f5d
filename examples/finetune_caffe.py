"""Takes a detector that was trained in Caffe, gives it other classes, and trains it on images of your own.

    python examples/finetune_caffe.py deploy.prototxt plates.caffemodel boxes.csv --classes plate,sticker \\
        --trained-on plate --mean 123.68,116.28,103.53 --scale 0.0171,0.0175,0.0174 --channel-order rgb --out my.keras

boxes.csv has the header `image,xmin,ymin,xmax,ymax,class` and a line for each object, boxes in pixels; paths are
taken from its folder. Filters of classes that the net knows are kept; those of new classes start fresh. Layers that
--freeze names keep the weights from Caffe.
"""

import argparse
import csv
import sys
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np

import keras_ssd
from keras_ssd.images import read_image, resize_bilinear
from keras_ssd.models.composing import freeze_layers


def names(text):
    return text.split(",")


def numbers(text):
    return [float(part) for part in text.split(",")]


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prototxt")
    parser.add_argument("caffemodel")
    parser.add_argument("boxes", help="the table of objects")
    parser.add_argument("--classes", type=names, required=True, help="the classes of the new model: a,b,c")
    parser.add_argument("--trained-on", type=names, help="the classes of the Caffe net, in the order of their labels")
    parser.add_argument("--mean", type=numbers, help="what the Caffe net subtracts, in the order of its channels")
    parser.add_argument("--scale", type=numbers, help="what it multiplies with after that")
    parser.add_argument("--channel-order", choices=("bgr", "rgb"), default="bgr")
    parser.add_argument("--freeze", type=names, default=[], help="layers that are not trained: 'conv1_*,conv2_*'")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="learning rate (default: 1e-4)")
    parser.add_argument("--out", default="finetuned.keras", help="where to save it (default: finetuned.keras)")
    return parser.parse_args(argv)


def read_objects(table):
    """{image path: [(xmin, ymin, xmax, ymax, class name)]}."""
    objects = defaultdict(list)
    with open(table, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            box = [float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            objects[Path(table).parent / row["image"]].append((*box, row["class"]))
    return objects


def training_data(model, objects):
    """Images (B, H, W, 3) and targets (B, N, 5) for `fit`."""
    encoder = keras_ssd.TargetEncoder.from_model(model)
    images, targets = [], []
    for path, found in objects.items():
        image = read_image(path)
        height, width = image.shape[:2]
        boxes = np.array([row[:4] for row in found], np.float32) / [width, height, width, height]
        class_ids = [model.class_names.index(row[4]) for row in found]
        images.append(resize_bilinear(image, model.input_size))
        targets.append(encoder.encode(boxes, class_ids))
    return np.stack(images).astype(np.float32), np.stack(targets)


def main(argv=None):
    args = arguments(argv)
    caffe = keras_ssd.from_caffe(
        args.prototxt,
        args.caffemodel,
        classes=args.trained_on,
        mean=args.mean,
        scale=args.scale,
        channel_order=args.channel_order,
    )
    print(caffe.weights_report.summary)
    model = keras_ssd.with_classes(caffe, args.classes)
    print(model.weights_report)
    freeze_layers(model, args.freeze)

    images, targets = training_data(model, read_objects(args.boxes))
    model.compile(optimizer=keras.optimizers.SGD(args.learning_rate, momentum=0.9), loss=keras_ssd.SSDLoss())
    model.fit(images, targets, epochs=args.epochs, batch_size=args.batch_size, verbose=2)
    model.save(args.out)
    print(f"Saved {args.out}: {', '.join(model.class_names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
