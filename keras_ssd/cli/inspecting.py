"""`keras-ssd zoo inspect`: what a weight file holds, without building a network."""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from typing import Any

from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.tables import print_table

HELP = "show what is inside a weight file or a prototxt"
NOTES = """\
Reads .caffemodel (no prototxt is needed), .prototxt, .h5, .npz, .keras, .tflite
and PyTorch's .pth files, and builds nothing.

examples:
  keras-ssd zoo inspect VGG_VOC0712_SSD_300x300_iter_120000.caffemodel
  keras-ssd zoo inspect ssd7_traffic.h5 --json | jq '.rows[].layer'
"""


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Args:
        facts: {title: text}, what can be said of the whole.
        rows: a dictionary for every layer with `layer`, `kind`, `arrays` ({name: shape}) and `parameters`.
    """

    facts: dict[str, str]
    rows: list[dict[str, Any]]


def add_parser(actions: Commands) -> None:
    """Adds `inspect` to the actions of `zoo`."""
    parser = actions.add_parser("inspect", help=HELP, **notes(None, NOTES))
    parser.add_argument("file", help="a weight file or a prototxt")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run, needs_backend=False)


def run(args: argparse.Namespace) -> int:
    """Prints the contents of a file."""
    from keras_ssd.formats import sniff

    kind = sniff(args.file)
    if kind == "caffemodel":
        from keras_ssd.caffe.files import read_caffemodel

        contents = _of_net(read_caffemodel(args.file), "Caffe weights (.caffemodel)", args.file)
    elif kind == "prototxt":
        from keras_ssd.caffe.files import read_prototxt

        contents = _of_net(read_prototxt(args.file), "a Caffe net without weights (.prototxt)")
    elif kind == "tflite":
        from keras_ssd.formats.tflite import read_tflite

        contents = _of_graph(read_tflite(args.file))
    elif kind == "pth":
        contents = _of_state_dict(args.file)
    else:
        contents = _of_arrays(args.file)
    if args.json:
        print(json.dumps({**contents.facts, "rows": contents.rows}, indent=1))
    else:
        _print(contents)
    return 0


def _of_net(net, title, weights=None):
    rows = [
        {
            "layer": layer.name,
            "kind": layer.type,
            "arrays": {str(i): list(blob.shape) for i, blob in enumerate(layer.blobs)},
            "parameters": sum(blob.size for blob in layer.blobs),
        }
        for layer in net.layers
    ]
    facts = {"file": title, "net": net.name or "unnamed", **_counts(rows)}
    if weights is not None:
        facts |= _network(weights)
    for layer in net.layers:
        if "transform_param" in layer.params:
            s = layer.settings("transform_param")
            mean = ", ".join(f"{value:g}" for value in s["mean_value"]) or "0"
            facts["trained on"] = f"(image - ({mean})) * {s['scale']:g}, says layer '{layer.name}'"
        if layer.type in ("DetectionOutput", "MultiBoxLoss"):
            name = "detection_output_param" if layer.type == "DetectionOutput" else "multibox_loss_param"
            facts["classes"] = f"{layer.settings(name)['num_classes']} with the background, says layer '{layer.name}'"
    return Contents(facts, rows)


def _of_graph(graph):
    """Contents of a TensorFlow Lite graph: its operations, as stored."""
    rows = []
    for operator in graph.operators:
        held = [graph.tensors[i] for i in operator.inputs if i >= 0 and graph.tensors[i].stored]
        rows.append(
            {
                "layer": graph.tensors[operator.outputs[0]].name if operator.outputs else "",
                "kind": operator.kind,
                "arrays": {f"{tensor.dtype} {i}": list(tensor.shape) for i, tensor in enumerate(held)},
                "parameters": sum(math.prod(tensor.shape) for tensor in held),
            }
        )

    def shown(places):
        return ", ".join(f"{graph.tensors[i].dtype} {graph.tensors[i].shape}" for i in places if i >= 0)

    facts = {"file": "a TensorFlow Lite network (.tflite)", "written by": graph.description or "not stated"}
    facts |= {"input": shown(graph.inputs), "output": shown(graph.outputs), **_counts(rows), **_network(graph.path)}
    custom = [operator for operator in graph.operators if operator.options and "padding" not in operator.options]
    for operator in custom[-1:]:
        said = ", ".join(f"{name} {value:g}" for name, value in operator.options.items() if name[0] != "_")
        facts["ends in"] = f"{operator.kind}: {said}"
    return Contents(facts, rows)


def _of_state_dict(path):
    """PyTorch's own names and shapes; any network's."""
    from keras_ssd.formats.pth import read_state_dict

    tensors = read_state_dict(path)
    rows = {}
    for name, tensor in tensors.tensors.items():
        layer, _, weight = name.rpartition(".")
        row = rows.setdefault(layer, {"layer": layer, "kind": "", "arrays": {}, "parameters": 0})
        row["arrays"][weight] = list(tensor.shape)
        row["parameters"] += math.prod(tensor.shape)
    facts = {"file": "PyTorch state dict (.pth)", **_counts(list(rows.values())), **_network(path)}
    if tensors.class_names:
        facts["class names"] = ", ".join(tensors.class_names)
    return Contents(facts, list(rows.values()))


def _of_arrays(path):
    from keras_ssd import formats

    arrays = formats.read(path)
    rows = [
        {
            "layer": name,
            "kind": "",
            "arrays": {weight: list(array.shape) for weight, array in weights.items()},
            "parameters": sum(array.size for array in weights.values()),
        }
        for name, weights in arrays.layers.items()
    ]
    facts = {"file": arrays.format, **_counts(rows), **_network(arrays)}
    if arrays.class_names:
        facts["class names"] = ", ".join(arrays.class_names)
    return Contents(facts, rows)


def _counts(rows):
    held = [row for row in rows if row["arrays"]]
    count = sum(math.prod(shape) for row in held for shape in row["arrays"].values())
    return {"weights": f"{count:,} values in {len(held)} of {len(rows)} layers"}


def _network(source):
    """Which network the layer names belong to, and how many classes its heads have."""
    from keras_ssd import formats
    from keras_ssd.zoo.read import count_classes, identify

    try:
        arrays = source if isinstance(source, formats.NamedArrays) else formats.read(source)
    except ValueError as error:
        return {"network": f"cannot be told: {error}"}
    kind, classes = identify(arrays), count_classes(arrays)
    facts = {"network": kind or "none that this package knows by its layer names"}
    if kind and classes:
        facts["classes of the heads"] = f"{classes} without background"
    if kind:
        facts["first layer takes"] = arrays.first_layer_channels.upper()
    if arrays.origin:
        facts["named as in"] = arrays.origin
    return facts


def _print(contents):
    for title, text in contents.facts.items():
        print(f"{title + ':':<22}{text}")
    print()
    rows = [
        (
            row["layer"],
            row["kind"],
            ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in row["arrays"].items()),
            f"{row['parameters']:,}" if row["parameters"] else "",
        )
        for row in contents.rows
    ]
    if not sys.stdout.isatty():
        for row in rows:
            print("\t".join(row))
        return
    print_table(("Layer", "Kind", "Arrays", "Parameters"), rows, right=("Parameters",))
