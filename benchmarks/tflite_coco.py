"""The port of TensorFlow Lite's COCO SSD MobileNet V1 against LiteRT, which computes the same file in eight bits.

    python benchmarks/tflite_coco.py detect.tflite coco_sample

Three tables. (a) Weights: the model's arrays against (q - zero) * scale of what LiteRT holds; equal means to the last
bit. (b) Feature maps: how far the float network's maps are from LiteRT's on the same images, in decibels of signal to
error, and which layer has the fewest. Errors add up along the network: each map follows from all before it. (c)
COCO's AP. LiteRT's own suppression keeps 10 boxes per image, one class each, and reads anchors of eight bits; so the
heads that it computes are also decoded by this package, with the settings of the port, at 10 and at 100 detections
per image.

Needs `pip install ai-edge-litert`, and the extra `coco`.
"""

import argparse
import time

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.box_coder import Predictions
from keras_ssd.data import read
from keras_ssd.decoding import DecodeOptions, decode_arrays
from keras_ssd.detections import Detections
from keras_ssd.evaluation import Collector, evaluate
from keras_ssd.formats.tflite import read_tflite
from keras_ssd.formats.tflite.ssd_mobilenet import BODY, EXTRAS, YX_TO_XY, layer_name
from keras_ssd.images import read_image, resize_bilinear

COLUMNS = [0, *keras_ssd.zoo.label_ids("coco")]  # background, and the 80 of 90 numbers that are classes


class LiteRT:
    """LiteRT's interpreter with every tensor kept, and numbers as the real ones that they stand for."""

    def __init__(self, path):
        with open(path, "rb") as file:
            content = file.read()
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # a delegate would keep its tensors to itself
        self._runner = Interpreter(
            model_content=content, experimental_preserve_all_tensors=True, experimental_op_resolver_type=kernels
        )
        self._runner.allocate_tensors()
        self.details = {detail["index"]: detail for detail in self._runner.get_tensor_details()}

    def run(self, image):
        """Computes all tensors of one image (H, W, 3) uint8."""
        self._runner.set_tensor(self._runner.get_input_details()[0]["index"], image[None])
        self._runner.invoke()

    def real(self, index):
        """A tensor in real numbers, computed in double precision."""
        values, scheme = self._runner.get_tensor(index), self.details[index]["quantization_parameters"]
        if not len(scheme["scales"]):
            return values.astype(np.float64)
        return (values.astype(np.float64) - scheme["zero_points"][0]) * np.float64(scheme["scales"][0])

    def detections(self):
        """Boxes (10, 4) as xyxy fractions, 0-based identifiers and scores of the file's own last operation."""
        boxes, ids, scores, count = (self._runner.get_tensor(d["index"])[0] for d in self._runner.get_output_details())
        kept = slice(int(count))
        return boxes[kept][:, [1, 0, 3, 2]], ids[kept].astype(int), scores[kept]


def convolutions(graph):
    """{layer: operator} of the file."""
    found = {}
    for operator in graph.operators:
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            found[layer_name(graph.tensors[operator.inputs[1]].name)] = operator
    return found


def as_ours(layer, array, axis):
    """LiteRT's channels along an axis in this package's order: 81 of 91 classes, offsets as x, y, w, h."""
    width, order = (4, YX_TO_XY) if layer.endswith("_loc") else (91, COLUMNS) if layer.endswith("_conf") else (1, [0])
    array = np.moveaxis(array, axis, -1)
    array = array.reshape(*array.shape[:-1], -1, width)[..., order]
    return np.moveaxis(array.reshape(*array.shape[:-2], -1), -1, axis)


def compare_weights(model, litert, found):
    """(layers, values, values that differ in any bit) over kernels and biases."""
    count = differing = 0
    for layer, operator in found.items():
        kernel, bias = (litert.real(index) for index in operator.inputs[1:3])
        out_axis = 3 if layer.endswith("_depthwise") else 0
        kernel = as_ours(layer, kernel, out_axis).transpose(1, 2, 3, 0)
        for ours, theirs in zip(model.get_layer(layer).weights, (kernel, as_ours(layer, bias, 0)), strict=True):
            ours = keras.ops.convert_to_numpy(ours)
            count += ours.size
            differing += int((ours != theirs.astype(np.float32)).sum())
    return len(found), count, differing


class Errors:
    """Signal and error of each layer, summed over images."""

    def __init__(self, model, found):
        self.layers = [*BODY, *EXTRAS, *(layer for layer in found if "_mbox_" in layer)]
        self._maps = keras.Model(model.inputs[0], [model.get_layer(layer).output for layer in self.layers])
        self._sums = {layer: np.zeros(2) for layer in self.layers}

    def add(self, image, litert, found):
        maps = self._maps.predict_on_batch(image[None].astype(np.float32))
        for layer, ours in zip(self.layers, maps, strict=True):
            theirs = as_ours(layer, litert.real(found[layer].outputs[0]), 3)
            self._sums[layer] += (theirs**2).sum(), ((theirs - ours) ** 2).sum()

    def decibels(self):
        """{layer: 10 log10 of signal over error}."""
        return {layer: 10 * np.log10(signal / error) for layer, (signal, error) in self._sums.items()}


def heads_of(litert, graph, model):
    """(1, N, 81 + 12) what LiteRT's heads say, with the port's anchors."""
    last = graph.operators[-1]
    offsets, scores, _ = last.inputs
    [logits] = [operator.inputs[0] for operator in graph.operators if operator.outputs == (scores,)]
    spec = model.anchor_spec
    anchors = spec.anchors_cxcywh()
    return Predictions(
        litert.real(logits)[..., COLUMNS],
        litert.real(offsets)[..., YX_TO_XY],
        anchors[None],
        np.broadcast_to(np.float32(spec.variances), (1, *anchors.shape)),
    ).join()


def detections(rows, names, size_hw):
    """`Detections` of (K, 6) decoded rows."""
    rows = rows[rows[:, 0] >= 0]
    height, width = size_hw
    boxes = rows[:, 2:].clip(0, 1) * np.float32([width, height, width, height])
    return Detections(boxes, rows[:, 1], rows[:, 0].astype(int), names, size_hw)


def own_detections(litert, names, size_hw):
    """`Detections` of LiteRT's last operation."""
    boxes, ids, scores = litert.detections()
    place = {number - 1: i for i, number in enumerate(keras_ssd.zoo.label_ids("coco"))}
    rows = [(place[i], score, *box) for i, score, box in zip(ids, scores, boxes, strict=True) if i in place]
    return detections(np.float32(rows).reshape(-1, 6), names, size_hw)


def measure(model, path, dataset):
    """(weights compared, decibels, {name: Collector}) over the images."""
    graph, litert = read_tflite(path), LiteRT(path)
    found, names = convolutions(graph), model.class_names
    found = {layer: operator for layer, operator in found.items() if layer}
    errors = Errors(model, found)
    columns = ("LiteRT, its own 10", "LiteRT's heads, 10", "this port, 10", "LiteRT's heads, 100", "this port, 100")
    collectors = {name: Collector(names) for name in columns}
    options = {keep: DecodeOptions(**{**model.decoding, "keep_top_k": keep}) for keep in (10, 100)}
    for annotation in dataset:
        original = read_image(annotation.image)
        image, size_hw = resize_bilinear(original, model.input_size), original.shape[:2]
        litert.run(image)
        errors.add(image, litert, found)
        collectors[columns[0]].add(annotation.name, own_detections(litert, names, size_hw))
        ours = model.predict_on_batch(image[None].astype(np.float32))
        for who, predictions in (("LiteRT's heads", heads_of(litert, graph, model)), ("this port", ours)):
            for keep, option in options.items():
                rows = decode_arrays(predictions, option)[0]
                collectors[f"{who}, {keep}"].add(annotation.name, detections(rows, names, size_hw))
    return compare_weights(model, litert, found), errors.decibels(), collectors


def print_all(weights, decibels, results):
    console = Console(width=100)
    layers, count, differing = weights
    console.print(f"(a) weights: {layers} layers, {count:,} values, {differing:,} differ from (q - zero) * scale")
    table = Table("layer", "dB", "layer", "dB", "layer", "dB", title="(b) signal to error against LiteRT")
    cells = [cell for layer, value in decibels.items() for cell in (layer, f"{value:.1f}")]
    for start in range(0, len(cells), 6):
        table.add_row(*cells[start : start + 6])
    console.print(table)
    least = min(decibels, key=decibels.get)
    console.print(f"least: {decibels[least]:.1f} dB at {least}")
    table = Table("detections per image", "AP", "AP50", "AP75", "AR10", title="(c) COCO")
    for name, result in results.items():
        table.add_row(name, *(f"{result.numbers[key]:.4f}" for key in ("AP", "AP50", "AP75", "AR10")))
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="detect.tflite")
    parser.add_argument("data", help="COCO images with an instances json")
    parser.add_argument("--images", type=int, help="only so many")
    args = parser.parse_args()
    started = time.perf_counter()
    dataset = read(args.data, policy="drop")
    if args.images:
        dataset = dataset[: args.images]
    model = keras_ssd.ssd_mobilenet_v1(weights=args.file)
    weights, decibels, collectors = measure(model, args.file, dataset)
    results = {name: evaluate(collector.table(), dataset, "coco") for name, collector in collectors.items()}
    print_all(weights, decibels, results)
    print(f"{len(dataset)} images, {time.perf_counter() - started:.0f} s, Keras {keras.__version__}")


if __name__ == "__main__":
    main()
