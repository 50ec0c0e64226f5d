"""What fitting and reporting anchors cost, and what fitted ones gain.

    python benchmarks/anchors.py                             seconds for reports and fits of drawn boxes
    python benchmarks/anchors.py bccd DATA                   mean best IoU and matched share: before, k-means, after
    python benchmarks/anchors.py train DATA --out runs/fit   AP of the same short training with each of them

DATA is a folder of annotated images with the splits train and val, such as BCCD. Anchors are fitted to the split
train and held against both. Trainings start from the same seed and differ in the anchors alone; `--resume` goes on with
those that are finished or begun. One seed is no proof: chance alone moves AP by two hundredths.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd import anchors
from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.backbones.small import small_body
from keras_ssd.models.ssd_small import TAPS

REPORTED, FITTED = 100_000, 5_000
SPECS = ("ssd_small", "ssd300_voc", "ssd512_voc")


def drawn_boxes(count, seed=0):
    """Boxes (count, 4) of all sizes from 2 % to 80 % of the image's sides, and of ratios around 1."""
    rng = np.random.default_rng(seed)
    size, ratio = np.exp(rng.uniform(np.log(0.02), np.log(0.6), (count, 1))), np.exp(rng.normal(0, 0.4, (count, 1)))
    sides = np.minimum(np.concatenate([size * np.sqrt(ratio), size / np.sqrt(ratio)], axis=1), 0.8)
    centres = rng.uniform(sides / 2, 1 - sides / 2)
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(np.float32)


def timed(call):
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def table(title, rows):
    """Prints dictionaries as a table."""
    shown = Table(title=title)
    for column, value in rows[0].items():
        shown.add_column(column, justify="left" if isinstance(value, str) else "right")
    for row in rows:
        shown.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(shown)


def show_times():
    rows = []
    for name in SPECS:
        spec = anchors.named_spec(name)
        boxes = drawn_boxes(REPORTED)
        found, report_seconds = timed(lambda spec=spec, boxes=boxes: anchors.report(spec, boxes))
        fitted, fit_seconds = timed(lambda spec=spec, boxes=boxes: anchors.fit(boxes[:FITTED], spec))
        after = anchors.report(fitted, boxes)
        rows.append(
            {
                "anchors": name,
                "number": spec.num_anchors,
                f"report of {REPORTED:,}, s": report_seconds,
                f"fit to {FITTED:,}, s": fit_seconds,
                "mean best IoU": found.mean_best_iou,
                "fitted": after.mean_best_iou,
                "recall": found.recall,
                "recall, fitted": after.recall,
            }
        )
    table(f"Boxes of all sizes; recall at IoU 0.5 and IoU of all {REPORTED:,}", rows)


def small(classes, spec=None):
    return keras_ssd.ssd_small(classes=classes, anchors=spec)


def composed(classes, spec=None):
    """The backbone of ssd_small with what `ssd` does by itself: evenly spread anchors."""
    body = small_body((240, 320))
    return keras_ssd.ssd(body, TAPS, classes, spec, extras=(), style=ConvStyle("he_normal"), name="composed")


def mobilenet(classes, spec=None):
    """Half of MobileNetV2 with SSDlite's heads and evenly spread anchors, from nothing."""
    options = {"input_size": (240, 320), "width": 0.5, "head": "separable", "anchors": spec}
    return keras_ssd.ssd("mobilenet_v2", classes=classes, **options)


MODELS = {"ssd_small": small, "composed": composed, "mobilenet_v2": mobilenet}


def candidates(train, model):
    """{name: AnchorSpec} of what is compared."""
    default = MODELS[model](train.classes).anchor_spec
    by_hand = {"by hand": anchors.named_spec("ssd_small_cells")} if model == "ssd_small" else {}
    return {
        "default": default,
        **by_hand,
        "k-means": anchors.fit(train, default, method="kmeans"),
        "fitted": anchors.fit(train, default),
        "fitted, goal matched": anchors.fit(train, default, goal="matched"),
        "fitted, classes balanced": anchors.fit(train, default, balance_classes=True),
        "fitted, any size anywhere": anchors.fit(train, default, reach=(0, 1000)),
    }


def read(path):
    return [keras_ssd.data.read(path, split=split, policy="drop") for split in ("train", "val")]


def show_fits(args):
    train, val = read(args.data)
    rows = []
    for name, spec in candidates(train, args.model).items():
        for split, data in (("train", train), ("val", val)):
            found = anchors.report(spec, data)
            rows.append(
                {
                    "anchors": name,
                    "number": spec.num_anchors,
                    "held against": split,
                    "mean best IoU": found.mean_best_iou,
                    "matched": f"{found.recall:.2%}",
                    "anchors each": float(found.matched.mean()),
                    "only bipartite": int(found.saved.sum()),
                }
            )
    table(f"Anchors of {args.model}, fitted to the {train.num_objects} objects of the split train", rows)


def show_training(args):
    train, val = read(args.data)
    specs = candidates(train, args.model)
    chosen = {name: spec for name, spec in specs.items() if not args.only or name in args.only}
    rows = []
    for name, spec in chosen.items():
        keras.utils.set_random_seed(args.seed)
        model = MODELS[args.model](train.classes, spec)
        folder = "".join(letter if letter.isalnum() else "_" for letter in f"{args.model} {name}")
        out = Path(args.out) / folder
        history = keras_ssd.train(
            model,
            train,
            val,
            out=out,
            epochs=args.epochs,
            batch_size=args.batch_size,
            augment=args.augment,
            precision="mixed_bfloat16",
            seed=args.seed,
            resume=(out / "checkpoint.h5").exists() and args.resume,
        )
        last = history.rows[-1]
        by_class = {key.removeprefix("val_AP "): value for key, value in last.items() if key.startswith("val_AP ")}
        best = history.best
        rows.append({"anchors": name, "AP": last["val_mAP"], **by_class, "best": best["val_mAP"], "at": best["epoch"]})
        print(rows[-1], flush=True)
    what = f"{args.epochs} epochs of {len(train)} images, batch {args.batch_size}, seed {args.seed}"
    table(f"{args.model}: AP at IoU 0.5 on {len(val)} images after {what}", rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    fits, training = commands.add_parser("bccd"), commands.add_parser("train")
    for each in (fits, training):
        each.add_argument("data")
        each.add_argument("--model", choices=MODELS, default="ssd_small")
    training.add_argument("--out", required=True)
    training.add_argument("--epochs", type=int, default=15)
    training.add_argument("--batch-size", type=int, default=8)
    training.add_argument("--augment", default="light-turns")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--only", action="append", help="one of the rows of `bccd`; may be given several times")
    training.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if args.command == "bccd":
        show_fits(args)
    elif args.command == "train":
        show_training(args)
    else:
        show_times()


if __name__ == "__main__":
    main()
