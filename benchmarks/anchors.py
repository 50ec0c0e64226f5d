"""What fitting and reporting anchors cost, and what fitted ones gain.

    python benchmarks/anchors.py                             seconds for reports and fits of drawn boxes
    python benchmarks/anchors.py bccd DATA                   mean best IoU and matched share: before, k-means, after
    python benchmarks/anchors.py train DATA --out runs/fit   AP of the same short training with each of them

DATA is a folder of annotated pictures with the splits train and val, such as BCCD. Anchors are fitted to the split
train and held against both. Trainings start from the same seed and differ in the anchors alone; `--resume` goes on with
those that are done or begun. One seed is no proof: differences of a hundredth of AP come from chance.
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

REPORTED, FITTED = 100_000, 5_000
SPECS = ("ssd_small", "ssd300_voc", "ssd512_voc")


def drawn_boxes(count, seed=0):
    """Boxes (count, 4) of all sizes from 2 % to 80 % of the picture's sides, and of ratios around 1."""
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


def candidates(train):
    """{name: AnchorSpec} of what is compared, for ssd_small."""
    general = anchors.named_spec("ssd_small")
    return {
        "general (default)": general,
        "cells (by hand)": anchors.named_spec("ssd_small_cells"),
        "k-means": anchors.fit(train, general, method="kmeans"),
        "fitted": anchors.fit(train, general),
        "fitted, goal matched": anchors.fit(train, general, goal="matched"),
        "fitted, classes balanced": anchors.fit(train, general, balance_classes=True),
        "fitted, no reach": anchors.fit(train, general, reach=1000),
    }


def read(path):
    return [keras_ssd.data.read(path, split=split, policy="drop") for split in ("train", "val")]


def show_fits(path):
    train, val = read(path)
    rows = []
    for name, spec in candidates(train).items():
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
    table(f"Anchors of ssd_small for {path}, fitted to {train.num_objects} objects", rows)


def show_training(args):
    train, val = read(args.data)
    chosen = {name: spec for name, spec in candidates(train).items() if not args.only or name in args.only}
    rows = []
    for name, spec in chosen.items():
        keras.utils.set_random_seed(args.seed)
        model = keras_ssd.ssd_small(classes=train.classes, anchors=spec)
        out = Path(args.out) / "".join(letter if letter.isalnum() else "_" for letter in name)
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
        by_class = {key.removeprefix("val_ap "): value for key, value in last.items() if key.startswith("val_ap ")}
        best = history.best
        rows.append({"anchors": name, "AP": last["val_ap"], **by_class, "best": best["val_ap"], "at": best["epoch"]})
        print(rows[-1], flush=True)
    title = f"AP at IoU 0.5 on {len(val)} pictures after {args.epochs} epochs of {len(train)}, seed {args.seed}"
    table(title, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("bccd").add_argument("data")
    training = commands.add_parser("train")
    training.add_argument("data")
    training.add_argument("--out", required=True)
    training.add_argument("--epochs", type=int, default=15)
    training.add_argument("--batch-size", type=int, default=8)
    training.add_argument("--augment", default="light-turns")
    training.add_argument("--seed", type=int, default=0)
    training.add_argument("--only", action="append", help="one of the rows of `bccd`; may be given several times")
    training.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    if args.command == "bccd":
        show_fits(args.data)
    elif args.command == "train":
        show_training(args)
    else:
        show_times()


if __name__ == "__main__":
    main()
