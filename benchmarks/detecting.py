"""How close `detect` over a folder comes to the bare network, and whether its memory grows with the images.

    python benchmarks/detecting.py speed --model ssd7 --images 160
    python benchmarks/detecting.py memory

`speed`: 500x375 JPEGs are read, resized, run in batches of 8, decoded and turned into `Detections`; the bare network
gets ready batches. The two alternate, and each ratio is of neighbours, so noise meets both. `memory`: the largest
resident memory of a process that detects in 200 and in 2,000 images.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

CLASSES = ["car", "truck", "pedestrian", "bicyclist", "light"]
BATCH = 8
SHARE = 0.026


def write_images(folder, count):
    """`count` JPEGs of 500x375 with the detail of photographs: noise at several scales."""
    rng = np.random.default_rng(0)
    for index in range(count):
        image = np.zeros((375, 500, 3), np.float32)
        for cells, weight in ((4, 60), (16, 40), (64, 20), (256, 8)):
            coarse = rng.normal(0, weight, (cells * 3 // 4, cells, 3)).astype(np.float32) + 128
            coarse = Image.fromarray(coarse.clip(0, 255).astype(np.uint8))
            image += np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.float32) - 128
        Image.fromarray((image + 128).clip(0, 255).astype(np.uint8)).save(folder / f"{index:05}.jpg", quality=90)


def open_model(name):
    """A model of fresh weights that sees background as often as a trained one: 2.6 % of its scores exceed 0.01."""
    import keras

    import keras_ssd

    keras.utils.set_random_seed(0)
    model = {"ssd7": keras_ssd.ssd7, "ssd300": keras_ssd.ssd300}[name](classes=CLASSES)
    image = np.random.default_rng(0).uniform(0, 255, (1, *model.input_size, 3)).astype(np.float32)
    logits = keras_ssd.Predictions.split(model.predict_on_batch(image)).logits
    leads = np.sort((logits[..., 1:] - logits[..., :1]).ravel())
    lead = np.log(0.01 / 0.99) - leads[int(len(leads) * (1 - SHARE))]
    for layer in model.layers:
        if layer.name.startswith("classes") or layer.name.endswith("_mbox_conf"):
            bias = np.array(keras.ops.convert_to_numpy(layer.bias))
            bias[:: len(CLASSES) + 1] -= lead
            layer.bias.assign(bias)
    return model


def speed(args):
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), args.images)
        model = open_model(args.model)
        batch = np.random.default_rng(0).integers(0, 256, (BATCH, *model.input_size, 3)).astype(np.uint8)

        def bare():
            for _ in range(args.images // BATCH):
                model.predict_on_batch(batch)

        def whole():
            for _ in model.detect(folder, batch_size=BATCH):
                pass

        rates = {"bare": [], "whole": []}
        bare(), whole()
        for _ in range(args.rounds):
            for name, call in (("bare", bare), ("whole", whole)):
                start = time.perf_counter()
                call()
                rates[name].append(args.images / (time.perf_counter() - start))
    ratios = [whole / bare for bare, whole in zip(rates["bare"], rates["whole"], strict=True)]
    import keras

    table = Table(title=f"{args.model}, {keras.backend.backend()}, batch {BATCH}, {args.images} JPEGs of 500x375")
    for title in ("bare network, images/s", "detect, images/s", "ratio, median", "lowest to highest"):
        table.add_column(title, justify="right")
    table.add_row(
        f"{statistics.median(rates['bare']):.1f}",
        f"{statistics.median(rates['whole']):.1f}",
        f"{statistics.median(ratios):.1%}",
        f"{min(ratios):.1%} to {max(ratios):.1%}",
    )
    Console().print(table)


def memory(args):
    table = Table(title=f"largest resident memory of detect, {args.model}, batch {BATCH}")
    table.add_column("images", justify="right")
    table.add_column("MiB", justify="right")
    for count in args.counts:
        command = [sys.executable, __file__, "run", "--model", args.model, "--images", str(count)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        table.add_row(str(count), found.strip().splitlines()[-1])
    Console().print(table)


def run(args):
    """Detects in `args.images` images and prints the process's largest resident memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), min(args.images, 200))
        paths = sorted(Path(folder).iterdir())
        sources = (paths[i % len(paths)] for i in range(args.images))
        for _ in open_model(args.model).detect(sources, batch_size=BATCH):
            pass
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "memory", "run"))
    parser.add_argument("--model", choices=("ssd7", "ssd300"), default="ssd7")
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--counts", type=int, nargs="+", default=[200, 2000])
    args = parser.parse_args()
    {"speed": speed, "memory": memory, "run": run}[args.what](args)


if __name__ == "__main__":
    main()
