"""Trials of what `keras-ssd train` decides by itself: anchors, input size, augmentation, schedule, averaging.

    python benchmarks/training_defaults.py BCCD PLAN --rows rows.jsonl

PLAN has one trial per line, options as words: `set=platelets:128 anchors=fit augment=light steps=600 seed=0`. A line
that ROWS has already is left out, so a run that was stopped goes on with the next trial. Each row has the trial's
options, the best and the last AP at IoU 0.5 on images that are not trained on, the epoch of the best, the images seen
and the seconds of all processors. Trials use BCCD's lists train and val alone; `test` is kept for the end.
"""

import argparse
import json
import math
import os
import shutil
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

import keras_ssd
from keras_ssd import anchors
from keras_ssd.data import read
from keras_ssd.evaluation import evaluate
from keras_ssd.training import recipes

DEFAULTS = {
    "set": "platelets:128",
    "held": 60,
    "model": "ssd_small",
    "weights": None,
    "size": "192x256",
    "anchors": "general",
    "reach": None,
    "augment": "light",
    "batch": 16,
    "steps": 400,
    "rate": 2e-3,
    "decay": 0.05,
    "average": 0.998,
    "momentum": None,
    "precision": "float32",
    "measures": 8,
    "suppression": False,
    "seed": 0,
}
CLASSES = {"platelets": ("Platelets",), "wbc": ("WBC",), "rbc": ("RBC",), "bccd": None}


def trial(line):
    """The options of a plan's line, all of them, as text or numbers."""
    given = dict(word.split("=", 1) for word in line.split())
    unknown = given.keys() - DEFAULTS.keys()
    if unknown:
        raise SystemExit(f"unknown options: {', '.join(sorted(unknown))}")
    options = dict(DEFAULTS)
    for name, text in given.items():
        try:
            options[name] = json.loads(text)
        except ValueError:
            options[name] = text
    return options


def sets(data, options):
    """(training set, held-out set) of a trial; the seed chooses the images of both."""
    kind, _, count = options["set"].partition(":")
    if kind == "coco":
        name, _, count = count.partition(":")
        whole = read(data, policy="drop").with_classes(name.split("+"), others="drop")
        whole = whole[[place for place, a in enumerate(whole) if len(a)]]
    else:
        first, second = (read(data, split, policy="drop") for split in ("train", "val"))
        whole = first.merge(second)
        if CLASSES[kind]:
            whole = whole.with_classes(CLASSES[kind], others="drop")
            whole = whole[[place for place, a in enumerate(whole) if len(a)]]
    order = np.random.default_rng(options["seed"]).permutation(len(whole))
    held = options["held"]
    if isinstance(held, str):  # a file of image names, which come first
        names = set(Path(held).read_text().split())
        order = np.array(sorted(order, key=lambda place: Path(str(whole[int(place)].image)).name not in names))
        held = sum(Path(str(annotation.image)).name in names for annotation in whole)
    chosen = order[held:][: int(count) if count else None]
    return whole[sorted(chosen.tolist())], whole[sorted(order[:held].tolist())]


def model_of(options, train_set):
    size = tuple(map(int, options["size"].split("x")))
    classes = train_set.classes
    build = {"ssd_small": keras_ssd.ssd_small, "ssd_mobilenet_v1": keras_ssd.ssd_mobilenet_v1}[options["model"]]
    more = {"weights": options["weights"]} if options["weights"] else {}
    kind, _, number = str(options["anchors"]).partition(":")
    if kind in ("fit", "balanced", "matched"):
        per_cell = [int(n) for n in number.split(",")] if number else None
        net = build(classes=classes, input_size=size)
        chosen = anchors.fit(
            train_set,
            net,
            per_cell,
            balance_classes=kind == "balanced",
            goal="matched" if kind == "matched" else "mean_iou",
            **({"reach": tuple(map(float, options["reach"].split(",")))} if options["reach"] else {}),
        )
        more["anchors"] = chosen
    elif options["model"] == "ssd_small":
        more["anchors"] = kind
    model = build(classes=classes, input_size=size, **more)
    if options["momentum"]:
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = options["momentum"]
    return model


class Measure(keras.callbacks.Callback):
    """The AP of the averaged model after some of the epochs, those at the end among them."""

    def __init__(self, kept, held, epochs, measures, images, row):
        super().__init__()
        self.kept, self.held, self.epochs, self.images, self.row = kept, held, epochs, images, row
        self.at = {round((n + 1) * epochs / measures) for n in range(measures)}
        row["curve"] = []

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in self.at:
            result = evaluate(self.kept, self.held, "voc12", progress=False)
            self.row["curve"].append((epoch + 1, round(result.map, 4), round(logs["loss"], 3)))
            print(self.row["curve"][-1], flush=True)


def run(data, options):
    keras.utils.set_random_seed(options["seed"])
    train_set, held = sets(data, options)
    model = model_of(options, train_set)
    batch = min(options["batch"], len(train_set))
    epochs = math.ceil(options["steps"] / (len(train_set) // batch))
    row = {"options": options, "images": len(train_set), "epochs": epochs}
    if options["weights"]:
        row["before"] = evaluate(model, held, "voc12", progress=False).map

    def optimizer(steps):
        return recipes.modern(
            steps,
            options["rate"],
            warm_up=min(60, max(steps // 4, 1)),
            weight_decay=options["decay"],
            average=options["average"],
        )

    folder = tempfile.mkdtemp()
    began, cpu = time.perf_counter(), time.process_time()
    keras_ssd.train(
        model,
        train_set,
        out=folder,
        epochs=epochs,
        batch_size=batch,
        recipe=optimizer,
        augment=None if options["augment"] == "none" else options["augment"],
        seed=options["seed"],
        precision=options["precision"],
        display=False,
        callbacks=[Measure(model, held, epochs, options["measures"], len(train_set), row)],
    )
    shutil.rmtree(folder)
    if options["suppression"]:
        row["suppression"] = {
            iou: evaluate(keras_ssd.with_decoder(model, iou_threshold=iou), held, "voc12", progress=False).map
            for iou in (0.4, 0.45, 0.5, 0.55, 0.6)
        }
    best = max(row["curve"], key=lambda point: point[1])
    row |= {
        "best": best[1],
        "best epoch": best[0],
        "last": row["curve"][-1][1],
        "seen": epochs * (len(train_set) // batch) * batch,
        "cpu": round(time.process_time() - cpu),
        "wall": round(time.perf_counter() - began),
        "backend": keras.config.backend(),
    }
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="BCCD, or for sets of coco its sample")
    parser.add_argument("plan", help="a file with one trial per line")
    parser.add_argument("--rows", required=True, help="file that the rows are appended to")
    args = parser.parse_args()
    rows = Path(args.rows)
    while True:  # lines may be added while it runs
        done = (
            [DEFAULTS | json.loads(line)["options"] for line in rows.read_text().splitlines()] if rows.exists() else []
        )
        lines = [line.split("#")[0].strip() for line in Path(args.plan).read_text().splitlines()]
        waiting = [options for options in map(trial, filter(None, lines)) if options not in done]
        if not waiting:
            return
        given = {name: value for name, value in waiting[0].items() if value != DEFAULTS[name]}
        print("trial", given, flush=True)
        row = run(args.data, waiting[0])
        with open(rows, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        print({name: row[name] for name in ("best", "best epoch", "last", "cpu", "wall")}, flush=True)


if __name__ == "__main__":
    main()
