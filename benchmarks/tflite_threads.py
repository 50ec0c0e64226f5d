"""What it costs that TensorFlow Lite files lose no class on threads: `ssd_small.cells` with and without unused columns.

    python benchmarks/tflite_threads.py BCCD

LiteRT runs both files on an image of BCCD. Milliseconds are of the processor, on all threads together, the median of
many runs in turn; `classes` are the detections of each class. Needs the extra `tflite`.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.data import read
from keras_ssd.exporting.formats import format_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.tflite import suppression
from keras_ssd.images import read_image, resize_bilinear

FILES = {"without": 1, "with": suppression.MOST_THREADS}


def written(model, folder):
    """{name: path} of both files."""
    module = format_of("x.tflite", None).load()
    paths = {}
    for name, suppression.MOST_THREADS in FILES.items():
        paths[name] = Path(folder, f"{name}.tflite")
        module.write(model, paths[name], ExportOptions())
    return paths


def opened(path, threads):
    """(interpreter, its function): the second needs the first alive."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=threads)
    return interpreter, interpreter.get_signature_runner()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--runs", type=int, default=100)
    arguments = parser.parse_args()
    model = keras_ssd.ssd_small(weights="cells")
    image = read_image(read(arguments.data, split="test", policy="drop")[0].image)
    images = resize_bilinear(image, model.input_size)[None].astype(np.float32)
    table = Table("threads", "unused columns", "bytes", "ms", "classes")
    with tempfile.TemporaryDirectory() as folder:
        paths = written(model, folder)
        for threads in (1, 2, 4):
            runs = {name: opened(path, threads) for name, path in paths.items()}
            seconds = {name: [] for name in runs}
            for _ in range(arguments.runs):
                for name, (_, run) in runs.items():
                    started = time.process_time()
                    run(images=images)
                    seconds[name].append(time.process_time() - started)
            for name, (_, run) in runs.items():
                found = run(images=images)
                ids = found["detection_classes"][0][: int(found["num_detections"][0])].astype(int)
                counts = np.bincount(ids, minlength=model.num_classes).tolist()
                size = f"{paths[name].stat().st_size:,}"
                table.add_row(str(threads), name, size, f"{1000 * np.median(seconds[name]):.2f}", str(counts))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
