"""Trains a detector on images of your own; a few hundred are enough to begin with, and a CPU will do.

    python examples/train_your_own.py photos --out runs/mine

`photos` is a folder of annotated images (VOC, COCO, YOLO or CSV: the format is found out), or the annotation file
itself. Without a split of its own called `val`, every tenth image is kept for validation. Start from trained weights
where you can: `--model ssd300 --weights coco` needs a GPU and learns more from fewer images.
"""

import argparse
import sys
from pathlib import Path

import keras_ssd

MODELS = {"ssd_small": keras_ssd.ssd_small, "ssd300": keras_ssd.ssd300, "ssd512": keras_ssd.ssd512}


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the annotated images")
    parser.add_argument("--model", choices=MODELS, default="ssd_small", help="the network (default: ssd_small)")
    parser.add_argument("--weights", help="where to start: a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--augment", default="light", help="light, light-turns (no up and down), ssd, ...")
    parser.add_argument("--out", default="runs/mine", help="folder to write to (default: runs/mine)")
    parser.add_argument("--resume", action="store_true", help="go on with the training in --out")
    return parser.parse_args(argv)


def training_and_validation(path):
    """Two datasets. Faulty objects are left out, and `print(dataset)` tells which."""
    splits = keras_ssd.data.read_splits(path, policy="drop")
    if {"train", "val"} <= set(splits):
        return splits["train"], splits["val"]
    whole = splits["train"] if "train" in splits else keras_ssd.data.read(path, policy="drop")
    return whole.split(1 - max(0.1, 1 / len(whole)), seed=0)


def main(argv=None):
    args = arguments(argv)
    train, val = training_and_validation(args.data)
    print(train)
    model = MODELS[args.model](weights=args.weights, classes=train.classes)
    history = keras_ssd.train(
        model,
        train,
        val,
        out=args.out,
        epochs=args.epochs,
        batch_size=args.batch_size,
        augment=args.augment,
        resume=args.resume,
    )
    best = history.best
    print(f"best epoch {best['epoch']}: mean AP {best['val_mAP']:.3f} on {len(val)} images that it never trained on")

    # The model has the weights of that epoch, which are also in the folder.
    for found in model.detect([annotation.image for annotation in val[:3]]):
        print(found)
    print(f"Saved {Path(args.out) / 'model.keras'}: keras_ssd.load(...) or `keras-ssd detect --weights ...` takes it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
