"""Trains a small detector for phones, MobileNetV2 with SSDlite's heads, with anchors that are made for the data.

    python examples/fitted_anchors.py BCCD --out runs/lite

BCCD stands for a folder of annotated images (VOC, COCO, YOLO or CSV) with the splits train and val; without a val,
every tenth image is kept for validation. Before training, the example shows which objects the evenly spread anchors
of a new network miss: nearly all of BCCD's platelets, which are small. It then fits anchors and shows what that
gains. Two images of the reports are written beside the model.
"""

import argparse
import sys
from pathlib import Path

import keras_ssd
from keras_ssd import anchors


def network(classes, args, spec=None):
    """MobileNetV2 with separable heads; without a spec its anchors are spread evenly."""
    return keras_ssd.ssd(
        "mobilenet_v2",
        classes=classes,
        anchors=spec,
        input_size=tuple(args.input_size),
        width=args.width,
        weights=args.weights,
        head="separable",
    )


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the annotated images")
    parser.add_argument("--input-size", type=int, nargs=2, default=(240, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--width", type=float, default=0.5, help="of MobileNetV2 (default: 0.5)")
    parser.add_argument("--weights", help="of the backbone: imagenet (downloaded by Keras), or none")
    parser.add_argument("--boxes-per-cell", type=int, default=6, help="of each feature map (default: 6)")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", default="runs/lite", help="folder to write to (default: runs/lite)")
    return parser.parse_args(argv)


def training_and_validation(path):
    """Two datasets, without faulty objects."""
    splits = keras_ssd.data.read_splits(path, policy="drop")
    if {"train", "val"} <= set(splits):
        return splits["train"], splits["val"]
    whole = splits["train"] if "train" in splits else keras_ssd.data.read(path, policy="drop")
    return whole.split(1 - max(0.1, 1 / len(whole)), seed=0)


def main(argv=None):
    args = arguments(argv)
    train, val = training_and_validation(args.data)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)

    spread = network(train.classes, args)
    before = anchors.report(spread, train)
    print(before)
    before.draw().save(out / "anchors_before.png")

    # Each class counts the same: else the many red cells get all boxes, and the few platelets none.
    spec = anchors.fit(train, levels=spread.levels, boxes_per_cell=args.boxes_per_cell, balance_classes=True)
    print(f"\n{spec}")
    anchors.report(spec, train).draw().save(out / "anchors_fitted.png")

    model = network(train.classes, args, spec)
    print(f"\n{model.count_params():,} values, {model.anchor_spec.num_anchors:,} anchors")
    history = keras_ssd.train(model, train, val, out=out, epochs=args.epochs, batch_size=args.batch_size)
    best = history.best
    print(f"best epoch {best['epoch']}: mean AP {best['val_mAP']:.3f} on {len(val)} validation images")
    print(f"Saved {out / 'model.keras'}; the anchors travel inside")
    return 0


if __name__ == "__main__":
    sys.exit(main())
