"""Detectors before and after pruning: FLOPs, parameters, size, average precision, milliseconds in each engine.

    python benchmarks/pruning.py BCCD ssd_small.cells runs/half/model.keras     # on BCCD's test list

The first one is the one that the others are compared with. The engines' turns alternate between the detectors, an image
each, so that other work on the machine meets all of them. AP is that of VOC 2012 at IoU 0.5, in Keras.
"""

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keras_ssd import open_model
from keras_ssd.benchmarking import side_by_side
from keras_ssd.data import read
from keras_ssd.evaluation import evaluate
from keras_ssd.pruning import flops_of_model


def megabytes(model):
    """Of the model as a .keras file, without what a training leaves in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.stat().st_size / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="a dataset of the models' classes")
    parser.add_argument("models", nargs="+", help="names or files; first the one before pruning")
    parser.add_argument("--split", default="test")
    parser.add_argument("--engines", default="keras,onnxruntime,openvino,litert")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    models = [open_model(name) for name in arguments.models]
    split = read(arguments.data, split=arguments.split, policy="drop").with_classes(models[0].class_names)
    images = [annotation.image for annotation in split][:8]
    results = [evaluate(model, split, "voc12", progress=False, engine="keras") for model in models]
    table = Table("", *arguments.models)
    table.add_row("GFLOPs", *(f"{flops_of_model(model) / 1e9:.3f}" for model in models))
    table.add_row("parameters", *(f"{model.count_params():,}" for model in models))
    table.add_row("MB", *(f"{megabytes(model):.2f}" for model in models))
    table.add_row("mean AP at 0.5", *(f"{result.map:.4f}" for result in results))
    for row in side_by_side(models, images, engines=arguments.engines.split(","), rounds=arguments.rounds):
        times = [f"{value:.1f}" for value in row.milliseconds] or [row.reason] * len(models)
        table.add_row(f"ms, {row.engine}, {row.precision}", *times)
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
