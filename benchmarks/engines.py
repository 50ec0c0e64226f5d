"""How close `detect` comes to the bare engines, and whether decoding JPEGs or memory limits it.

    python benchmarks/engines.py
    python benchmarks/engines.py batches --models ssd300 --batches 1 8 --rounds 20
    python benchmarks/engines.py folder --images 200
    python benchmarks/engines.py memory --images 400

`batches`: `detect` of images in memory (500x375: resizing, network, decoding, suppression) beside the network alone in
the same engine on ready batches. Both take turns, A B A B; a ratio is of neighbours, so noise meets both; the time is
the smallest, the ratio the median. `folder`: images per second of a folder of 500x375 JPEGs, of the bare engine, and of
reading and resizing alone. `memory`: the resident memory of a process while it detects in a folder again and again.
On a busy machine, `taskset -c 0 python benchmarks/engines.py batches --clock processor` counts the processor's time on
one core instead: engines wait in busy loops for cores that others use.
ssd300 has fresh weights that see background as often as trained ones; those of ssd_small.cells are in the package.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from detecting import open_model, write_images
from rich.console import Console
from rich.table import Table

ENGINES = ("onnxruntime", "openvino")
FOLDER_BATCH = 8
SIZE_HW = (375, 500)


def model_of(name):
    import keras_ssd

    return keras_ssd.ssd_small(weights="cells") if name == "ssd_small.cells" else open_model(name)


def network_of(model, engine):
    from keras_ssd.engines.choosing import choose
    from keras_ssd.engines.compiling import kept_for

    return kept_for(model, choose(model, engine)).network().outputs


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def seconds(call, clock):
    start = clock()
    call()
    return clock() - start


def in_turns(calls, rounds, clock=time.perf_counter):
    """Seconds of each call, a list each; the first round is not counted."""
    spent = [[] for _ in calls]
    gc.collect()
    for place in range(rounds + 1):
        for times, call in zip(spent, calls, strict=True):
            taken = seconds(call, clock)
            if place:
                times.append(taken)
    return spent


def batches(args):
    rng = np.random.default_rng(0)
    images = list(rng.integers(0, 256, (max(args.batches), *SIZE_HW, 3), np.uint8))
    table = Table(
        "model",
        "engine",
        "batch",
        "bare, ms",
        "detect, ms",
        "ratio",
        "of the smallest",
        title=f"{args.clock} time, {machine()}",
    )
    for name in args.models:
        model = model_of(name)
        for engine in args.engines:
            network = network_of(model, engine)
            for batch in args.batches:
                ready = rng.integers(0, 256, (batch, *model.input_size, 3), np.uint8)
                whole = lambda batch=batch: list(model.detect(images[:batch], batch_size=batch, engine=engine))  # noqa: B023,E731
                bare, full = in_turns([lambda: network(ready), whole], args.rounds, CLOCKS[args.clock])  # noqa: B023
                ratio = statistics.median(b / a for a, b in zip(bare, full, strict=True))
                table.add_row(
                    name,
                    engine,
                    str(batch),
                    f"{1000 * min(bare):.1f}",
                    f"{1000 * min(full):.1f}",
                    f"{ratio:.3f}",
                    f"{min(full) / min(bare):.3f}",
                )
    Console(width=120).print(table)


def folder(args):
    table = Table("model", "engine", "bare", "detect", "share", "reading alone", title=f"images/s, {machine()}")
    with tempfile.TemporaryDirectory() as place:
        write_images(Path(place), args.images)
        paths = sorted(Path(place).iterdir())
        for name in args.models:
            model = model_of(name)
            for engine in args.engines:
                network = network_of(model, engine)
                ready = np.zeros((FOLDER_BATCH, *model.input_size, 3), np.uint8)

                def bare(network=network, ready=ready):
                    for _ in range(0, args.images, FOLDER_BATCH):
                        network(ready)

                def whole(model=model, engine=engine):
                    for _ in model.detect(place, batch_size=FOLDER_BATCH, engine=engine):
                        pass

                spent = in_turns([bare, whole, lambda model=model: read(paths, model.input_size)], args.folder_rounds)
                rates = [args.images / min(times) for times in spent]
                share = f"{rates[1] / rates[0]:.0%}"
                table.add_row(name, engine, *(f"{rate:.1f}" for rate in rates[:2]), share, f"{rates[2]:.1f}")
    Console(width=120).print(table)


def read(paths, size_hw):
    """Reads and resizes, in as many threads as `detect`."""
    from keras_ssd.images import read_image, resize_bilinear

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda path: resize_bilinear(read_image(path), size_hw), paths):
            pass


def memory(args):
    quarters = [args.images * part // 4 for part in (1, 2, 3, 4)]
    titles = [f"after {count} images" for count in quarters]
    table = Table("model", "engine", *titles, title=f"resident memory, MiB, batches of {FOLDER_BATCH}")
    for name in args.models:
        for engine in args.engines:
            command = [sys.executable, __file__, "run", "--models", name, "--engines", engine]
            done = subprocess.run(
                [*command, "--images", str(args.images)], check=True, capture_output=True, text=True
            ).stdout.split()
            table.add_row(name, engine, *done[-4:])
    Console(width=120).print(table)


def run(args):
    """Detects in `args.images` images and prints the resident memory in MiB after each quarter of them."""
    with tempfile.TemporaryDirectory() as place:
        write_images(Path(place), 40)
        paths = sorted(Path(place).iterdir())
        sources = (paths[i % len(paths)] for i in range(args.images))
        found = model_of(args.models[0]).detect(sources, batch_size=FOLDER_BATCH, engine=args.engines[0])
        for count, _ in enumerate(found, start=1):
            if count % (args.images // 4) == 0:
                print(resident())


def resident():
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def machine():
    return f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = {"batches": batches, "folder": folder, "memory": memory, "run": run}
    parser.add_argument("what", nargs="*", choices=[*kinds, []], metavar="WHAT", help="batches, folder, memory (all)")
    parser.add_argument("--models", nargs="+", default=["ssd300", "ssd_small.cells"], metavar="NAME")
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="of the batches (default: wall)")
    parser.add_argument("--images", type=int, default=160)
    parser.add_argument("--folder-rounds", type=int, default=3)
    args = parser.parse_args()
    for what in args.what or ("batches", "folder", "memory"):
        kinds[what](args)


if __name__ == "__main__":
    main()
