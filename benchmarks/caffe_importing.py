"""How long a Caffe net of 100 MB takes from its two files to a Keras model, the graph included.

    python benchmarks/caffe_importing.py --rounds 5

The net is SSD300 with 20 classes and fresh weights, written by `to_caffe`.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import keras
from rich.console import Console
from rich.table import Table

import keras_ssd


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often (default: 5)")
    args = parser.parse_args()
    table = Table(title=f"from_caffe, {keras.backend.backend()}, median of {args.rounds}")
    for title in ("net", "MB", "values", "seconds", "with fold=True"):
        table.add_column(title, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("net.prototxt", "net.caffemodel")]
        keras_ssd.to_caffe(keras_ssd.ssd300(classes=[f"class {i}" for i in range(20)]), *files)
        seconds = {fold: [] for fold in (False, True)}
        for _ in range(args.rounds):
            for fold, taken in seconds.items():
                start = time.perf_counter()
                model = keras_ssd.from_caffe(*files, fold=fold)
                taken.append(time.perf_counter() - start)
        cells = [f"{statistics.median(taken):.2f}" for taken in seconds.values()]
        table.add_row("SSD300", f"{files[1].stat().st_size / 1e6:.0f}", f"{model.count_params():,}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
