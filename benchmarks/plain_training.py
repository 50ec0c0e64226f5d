"""The plain command on each backend: images per second, AP, and the expected against the real duration.

    python benchmarks/plain_training.py DATA --backends tensorflow jax torch -- --policy drop --epochs 6

Runs `keras-ssd train DATA` in a process of its own per backend; what follows `--` goes to the command. Images per
second are the training images of the median epoch after the first, which compiles, by its whole time, the measurement
on the validation images included. The real duration counts
from the table that the command prints before the first step, as the expected one does.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table


def run(data, backend, more, out):
    """The numbers of one training."""
    command = [sys.executable, "-m", "keras_ssd", "train", data, "--out", str(out), *more]
    environment = {**os.environ, "KERAS_BACKEND": backend}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said, planned = [], None
        for line in process.stdout:
            said.append(line)
            if line.startswith("expected end"):
                planned = time.perf_counter()
    if process.returncode:
        raise SystemExit("".join(said))
    real = time.perf_counter() - planned
    facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    with open(out / "log.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    images = facts["train"]["images"] // facts["settings"]["batch_size"] * facts["settings"]["batch_size"]
    measured = [float(row["val_mAP"]) for row in rows if row.get("val_mAP")]
    return {
        "images per second": images / statistics.median(float(row["seconds"]) for row in rows[1:] or rows),
        "AP at IoU 0.5": max(measured, default=float("nan")),
        "expected": facts["expected_seconds"],
        "real": real,
    }


def main():
    words = sys.argv[1:]
    place = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--backends", nargs="+", default=["tensorflow", "jax", "torch"])
    args = parser.parse_args(words[:place])
    table = Table("backend", "images/s", "AP at IoU 0.5", "expected s", "real s", "real / expected")
    for backend in args.backends:
        with tempfile.TemporaryDirectory() as folder:
            row = run(args.data, backend, words[place + 1 :], Path(folder) / "run")
        print(backend, row, flush=True)
        table.add_row(
            backend,
            f"{row['images per second']:.1f}",
            f"{row['AP at IoU 0.5']:.3f}",
            f"{row['expected']:.0f}",
            f"{row['real']:.0f}",
            f"{row['real'] / row['expected']:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
