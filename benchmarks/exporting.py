"""Whether exported files answer as their models do: models x formats x suppression x images at once, in one table.

    python benchmarks/exporting.py
    python benchmarks/exporting.py --models ssd_small.cells ssd7 --formats onnx openvino --check photos/
    python benchmarks/exporting.py --weights ssd_mobilenet_v1=detect.tflite ssd7=ssd7_traffic.h5

Each file is written by `keras_ssd.export`, run in its own runtime, and compared with the model on four drawn images
or the first 16 of `--check`. The limits are 1e-4 for scores and 1e-3 for boxes, as fractions of the image; rows of
equal scores may swap. Models without a file in `--weights` have fresh weights, seeded, with heads that are scaled so
that scores differ as trained ones do; the weights of ssd_small.cells are part of the package. A SavedModel needs the
backend tensorflow. The exit code is 1 if any file differs.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.exporting import ParityError
from keras_ssd.exporting.formats import FORMATS
from keras_ssd.exporting.images import drawn_images
from keras_ssd.layer_calls import calls_of

VOC = list(keras_ssd.zoo.labels("voc"))
FRESH = {
    "ssd300": lambda: keras_ssd.ssd300(classes=VOC),
    "ssd512": lambda: keras_ssd.ssd512(classes=VOC),
    "ssd7": lambda: keras_ssd.ssd7(classes=["car", "truck", "person", "bike", "light"]),
    "ssd_small.cells": lambda: keras_ssd.open_model("ssd_small.cells"),
    "ssd_mobilenet_v1": lambda: keras_ssd.ssd_mobilenet_v1(classes=VOC),
    "ssdlite320": lambda: keras_ssd.ssdlite320(classes=VOC),
    "mobilenet_ssd": lambda: keras_ssd.mobilenet_ssd(classes=VOC),
    "mobilenet_v2": lambda: keras_ssd.ssd("mobilenet_v2", classes=VOC, input_size=(320, 320), head="separable"),
    "efficientnet_v2_b0": lambda: keras_ssd.ssd("efficientnet_v2_b0", classes=VOC, input_size=(320, 320)),
}
TRAINED = ("ssd_small.cells",)
BATCHES = (1, 3)
CLASS_NAMES = {"ssd7_traffic.h5": ["car", "truck", "person", "bike", "light"]}
COLUMNS = ("model", "format", "suppression", "batch", "matched", "scores", "boxes", "MB", "seconds", "verdict")


def model_of(name, weights):
    keras.utils.set_random_seed(0)
    if name not in weights:
        return FRESH[name]() if name in TRAINED else spread(FRESH[name]())
    path = Path(weights[name])
    if path.is_dir():
        [net], [values] = list(path.glob("*.prototxt")), list(path.glob("*.caffemodel"))
        return keras_ssd.from_caffe(net, values)
    return keras_ssd.open_model(path, class_names=CLASS_NAMES.get(path.name))


def spread(model):
    """The model with heads whose outputs are as far apart as those of trained nets; fresh ones are all nearly equal."""
    [joining] = [call for call in calls_of(model) if isinstance(call.layer, keras_ssd.AnchorBoxes)]
    heads = {call.layer for call in calls_of(model) if any(y is x for y in call.outputs for x in joining.inputs)}
    image = drawn_images(model.input_size)[:2].astype("float32")
    outputs = keras.Model(model.inputs[0], list(joining.inputs))(image)
    largest = max(float(np.abs(keras.ops.convert_to_numpy(output)).max()) for output in outputs)
    for head in heads:
        kernel = [weight for weight in head.weights if weight.name.endswith("kernel")][-1]
        kernel.assign(kernel * (6.0 / largest))
    return model


def row_of(name, model, format, suppression, batch, folder, check):
    row = {"model": name, "format": format, "suppression": "yes" if suppression else "no", "batch": str(batch)}
    started = time.perf_counter()
    try:
        done = keras_ssd.export(
            model, folder / f"file{FORMATS[format].ending}", format, suppression=suppression, batch=batch, check=check
        )
        verdict = "same" if done.parity else "not run"
    except ParityError as error:
        done, verdict = error.exported, "differs"
    except (ValueError, ImportError) as error:
        return {**row, "verdict": f"refused: {str(error).splitlines()[0][:60]}"}
    row |= {"MB": f"{done.size / 1e6:.1f}", "seconds": f"{time.perf_counter() - started:.1f}", "verdict": verdict}
    if done.parity is not None:
        parity = done.parity
        row["matched"] = f"{parity.matched}/{max(parity.expected, parity.found)}"
        row |= {"scores": f"{parity.scores:.1e}", "boxes": f"{parity.boxes:.1e}"}
    return row


def show(rows):
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*(row.get(column, "") for column in COLUMNS))
    Console(width=140).print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(FRESH), metavar="NAME", help=", ".join(FRESH))
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=FILE", help="a file, or a Caffe net's folder")
    parser.add_argument("--formats", nargs="+", default=["onnx", "openvino"], choices=list(FORMATS))
    parser.add_argument("--check", nargs="+", metavar="IMAGE")
    parser.add_argument("--out", metavar="FILE", help="the rows as JSON")
    args = parser.parse_args()
    weights = dict(pair.split("=", 1) for pair in args.weights)
    rows = []
    for name in dict.fromkeys([*args.models, *weights]):
        model = model_of(name, weights)
        for format in args.formats:
            for suppression in (True, False):
                for batch in BATCHES:
                    with tempfile.TemporaryDirectory() as folder:
                        row = row_of(name, model, format, suppression, batch, Path(folder), args.check)
                    rows.append(row)
                    print(" ".join(row.get(column, "-") for column in COLUMNS), file=sys.stderr, flush=True)
        if args.out:
            Path(args.out).write_text(json.dumps(rows, indent=1), encoding="utf-8")
        del model
        keras.utils.clear_session()
    show(rows)
    return int(any(row["verdict"] == "differs" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
