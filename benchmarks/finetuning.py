"""What trained weights are worth: SSD MobileNet V1 on blood cells, from COCO's weights and from nothing.

    python benchmarks/finetuning.py detect.tflite BCCD --epochs 6 --out runs

Both learn the same images of BCCD's train list for the same number of steps, with the same recipe, augmentation,
learning rate and seed. They are measured on the test list, which neither sees: the area under the curve at IoU 0.5.
The net from nothing has the same width, and batch normalisation, without which a net of this depth does not start to
learn; the ported one has it folded in.
"""

import argparse
import time
from pathlib import Path

import keras
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.data import read
from keras_ssd.evaluation import evaluate

RATE = 1e-3


def models(path, classes, input_size):
    """{name: how to make the model}."""
    ported = {"weights": path, "classes": classes, "input_size": input_size}
    fresh = {"classes": classes, "input_size": input_size, "width": 0.75}
    return {"from COCO's weights": ported, "from nothing": fresh}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="detect.tflite")
    parser.add_argument("data", help="BCCD")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--input-size", type=int, nargs=2, default=(240, 320), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--out", default="runs", help="folder for the two trainings")
    args = parser.parse_args()
    train_set, test = (read(args.data, split, policy="drop") for split in ("train", "test"))
    table = Table("SSD MobileNet V1, width 0.75", *train_set.classes, "mean AP", "minutes")
    for name, options in models(args.file, train_set.classes, tuple(args.input_size)).items():
        keras.utils.set_random_seed(0)
        model, started = keras_ssd.ssd_mobilenet_v1(**options), time.perf_counter()
        out = Path(args.out) / name.replace("'", "").replace(" ", "_")
        settings = {"epochs": args.epochs, "batch_size": args.batch_size, "learning_rate": RATE}
        keras_ssd.train(model, train_set, out=out, display=False, **settings)
        minutes = (time.perf_counter() - started) / 60
        result = evaluate(model, test, "voc12", progress=False)
        values = [*(result.per_class[label] for label in train_set.classes), result.map]
        table.add_row(name, *(f"{value:.3f}" for value in values), f"{minutes:.1f}")
        print(name, [round(value, 4) for value in values], flush=True)
    Console(width=100).print(table)
    steps = args.epochs * (len(train_set) // args.batch_size)
    print(f"{steps} steps of {args.batch_size} images of {args.input_size}, tested on {len(test)} images")


if __name__ == "__main__":
    main()
