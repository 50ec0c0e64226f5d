"""`keras-ssd convert`: Caffe nets and foreign weights into models of this package, and models into ONNX or Caffe."""

import argparse
import json
import sys
from pathlib import Path

from keras_ssd.cli.arguments import add_class_names, add_map_limit, class_names, name_list, opened, output_file, size
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.tables import print_table
from keras_ssd.names import files_nearby
from keras_ssd.text_files import read_text

DESCRIPTION = """\
Convert a detector: a Caffe net, or any model that this package reads, into
a .keras model, an ONNX model, or a Caffe net."""

EPILOG = """\
examples:
  keras-ssd convert deploy.prototxt plates.caffemodel -o plates.keras \\
      --class-names plate,
  keras-ssd convert deploy.prototxt plates.caffemodel -o plates.onnx \\
      --input bgr --check-with car.jpg
  keras-ssd convert deploy.prototxt weights.caffemodel -o net.keras \\
      --mean 127.5 --scale 0.007843
  keras-ssd convert mine.keras -o mine.prototxt
      writes mine.caffemodel beside it
  keras-ssd convert ssd300_vgg16_coco-b556d3b4.pth -o coco.keras

A Caffe net saw (image - mean) * scale. The numbers are taken from
transform_param, of the prototxt or of the train net that a .caffemodel holds;
where neither has them, give them as the net's authors do. They become part of
the model, as does the change from BGR to RGB.

A net whose priors are computed outside it has no PriorBox layers: give the
priors with --anchors, and with --heads the blobs of offsets and scores where
their sizes do not tell.

The table shows what became of every layer. An ONNX model gives `boxes` (N, 4),
corners in fractions of the image, and `scores` (N, classes), before
suppression; at the end the largest difference is shown that onnxruntime finds
on random noise and on --check-with.

exit codes: 0 converted, 2 nothing was written.
"""
OUTPUTS = (".keras", ".onnx", ".prototxt")
ARGUMENTS = {"weights_classes": "--class-names", "classes": "--class-names"}  # of Python, and their options
OF_ANCHORS = ("anchor_format", "variances", "scores")


def add_parser(commands: Commands) -> None:
    """Adds the command `convert` to the parser's commands."""
    parser = commands.add_parser(
        "convert",
        help="foreign weights and nets to Keras, models to ONNX or Caffe",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="FILE",
        help="a .prototxt and its .caffemodel, or one .keras, .h5, .npz, .caffemodel, .pth or .tflite of a known "
        "network",
    )
    parser.add_argument("--out", "-o", required=True, metavar="FILE", help="a .keras, .onnx or .prototxt file")
    add_class_names(parser, meaning="class names without background")
    parser.add_argument("--mean", type=numbers, help="subtracted from pixels in 0..255: one number, or B,G,R")
    parser.add_argument("--scale", type=numbers, help="multiplied after that: one number, or B,G,R")
    parser.add_argument("--channel-order", choices=("bgr", "rgb"), help="what the Caffe net was trained on; bgr")
    parser.add_argument("--input-size", type=size, metavar="HEIGHTxWIDTH", help="other than the prototxt says")
    parser.add_argument(
        "--no-truncate-sizes",
        "--keep-fractions",
        dest="truncate_sizes",
        action="store_false",
        help="do not cut prior sizes to whole pixels: as OpenCV does, and Caffe does not",
    )
    parser.add_argument(
        "--outputs", type=name_list, metavar="BLOB,...", help="write a plain model of these blobs, no detector"
    )
    parser.add_argument(
        "--heads",
        type=head_pairs,
        metavar="OFFSETS:SCORES,...",
        help="blobs of a net whose priors are computed outside it, a pair a level or one joined pair",
    )
    parser.add_argument(
        "--anchors", metavar="FILE", help="its priors: .npy or .json, (N, 4) fractions of the image, or an anchor file"
    )
    parser.add_argument("--anchor-format", choices=("cxcywh", "xyxy"), help="of an array of priors; cxcywh")
    parser.add_argument("--variances", type=numbers, help="of an array of priors: 0.1,0.1,0.2,0.2")
    parser.add_argument(
        "--scores",
        choices=("softmax", "sigmoid", "probabilities"),
        help="how its scores are made, where no layer of the net shows it; softmax",
    )
    add_map_limit(parser)
    parser.add_argument("--fold", action="store_true", help="fold batch normalisation into the convolutions")
    parser.add_argument(
        "--input",
        choices=("rgb", "bgr", "blob", "rgb_blob"),
        default="rgb",
        help="what an ONNX model takes: RGB or BGR in 0..255, or the blob of the Caffe net, mean and scale applied, "
        "in BGR (blob) or RGB (rgb_blob)",
    )
    parser.add_argument(
        "--check-with", "--image", "--picture", metavar="FILE", help="compare the ONNX model on this image too"
    )
    parser.add_argument("--quiet", "-q", action="store_true", help="no table")
    parser.set_defaults(run=run)


def numbers(text: str) -> float | tuple[float, ...]:
    """One number or several, separated by commas."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers separated by commas; received {text}") from None
    return tuple(values) if len(values) > 1 else values[0]


def head_pairs(text: str) -> list[tuple[str, ...]]:
    """(offsets, scores) pairs of blob names from boxes:scores,..."""
    pairs = [tuple(part.strip().split(":")) for part in text.split(",") if part.strip()]
    if not pairs or not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"expected OFFSETS:SCORES, such as boxes:scores; received {text}")
    return pairs


def run(args: argparse.Namespace) -> int:
    """Converts."""
    out = _checked_output(args)
    model = _opened(args)
    report = getattr(model, "weights_report", None)
    if not args.quiet and report is not None:
        _show(report)
    {".keras": _to_keras, ".onnx": _to_onnx, ".prototxt": _to_caffe}[out.suffix.lower()](model, out, args)
    return 0


def _checked_output(args):
    out = output_file(args.out, OUTPUTS)
    written = {out, out.with_suffix(".caffemodel")} if out.suffix.lower() == ".prototxt" else {out}
    for source in args.sources:
        if any(path.exists() and Path(source).exists() and path.samefile(source) for path in written):
            raise ValueError(f"--out would overwrite {source}, which is to be converted. Name another file.")
    if args.outputs and out.suffix.lower() != ".keras":
        raise ValueError(f"--outputs makes a plain model, which a .keras file holds. Received: --out {args.out}")
    if args.check_with and out.suffix.lower() != ".onnx":
        raise ValueError("--check-with compares an ONNX model; --out names none.")
    return out


def _opened(args):
    prototxts = [source for source in args.sources if source.lower().endswith((".prototxt", ".pbtxt", ".prototxt.txt"))]
    rest = [source for source in args.sources if source not in prototxts]
    if len(prototxts) > 1 or len(rest) > 1:
        raise ValueError(
            f"Expected a .prototxt and a .caffemodel, or one model or weight file. Received: {', '.join(args.sources)}"
        )
    if prototxts:
        from keras_ssd.caffe.importer import from_caffe

        if not rest:
            raise ValueError(
                f"{prototxts[0]} describes the net; its weights are in a .caffemodel, without which the result detects "
                f"nothing. Name it too: keras-ssd convert {prototxts[0]} WEIGHTS.caffemodel -o {args.out}"
            )
        return from_caffe(
            prototxts[0],
            rest[0],
            classes=class_names(args.class_names),
            mean=args.mean,
            scale=args.scale,
            channel_order=args.channel_order,
            input_size=args.input_size,
            truncate_sizes=args.truncate_sizes,
            fold=args.fold,
            outputs=args.outputs,
            heads=args.heads,
            anchors=None if args.anchors is None else _priors(args.anchors),
            **{name: getattr(args, name) for name in OF_ANCHORS if getattr(args, name) is not None},
        )
    for name in ("mean", "scale", "channel_order", "input_size", "outputs", "heads", "anchors", *OF_ANCHORS):
        if getattr(args, name):
            raise ValueError(f"--{name.replace('_', '-')} is for a .prototxt, and none is given.")
    if not args.truncate_sizes:
        raise ValueError("--no-truncate-sizes is for a .prototxt, and none is given.")
    from keras_ssd.opening import is_described

    if rest[0].lower().endswith(".caffemodel") and not is_described(rest[0]):
        _refuse_unknown(rest[0])
    model = opened(rest[0], class_names=class_names(args.class_names))
    if not args.fold:
        return model
    from keras_ssd.models.folding import fold_batch_normalization

    return fold_batch_normalization(model)


def _priors(path):
    """Priors of a file: an array, or what `keras-ssd anchors fit` writes."""
    import numpy as np

    if not Path(path).is_file():
        raise FileNotFoundError(f"No file of priors at '{path}'.{files_nearby(path)}")
    if path.lower().endswith(".npy"):
        return np.load(path, allow_pickle=False)
    if not path.lower().endswith(".json"):
        raise ValueError(f"--anchors must be a .npy or .json file. Received: {path}")
    data = json.loads(read_text(path))
    if isinstance(data, dict):
        from keras_ssd.anchors import read_spec

        return read_spec(path)
    return np.asarray(data, np.float64)


def _refuse_unknown(path):
    """Raises where the layer names of a .caffemodel tell no network, so that its prototxt is needed."""
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.models.weights import read_weights

    if read_weights(path).kind not in FACTORIES:
        raise ValueError(
            f"The layers in {path} are those of no network that this package builds by name, and a .caffemodel does "
            f"not say enough to build another. Name its prototxt too: keras-ssd convert DEPLOY.prototxt {path} -o ..."
        )


def _show(report):
    rows = getattr(report, "rows", None)
    if rows is None or not sys.stdout.isatty():
        print(report, end="\n\n")
        return
    from keras_ssd.caffe.importer.report import shape_text

    cells = [
        (row.layer, row.kind, shape_text(row.shape), f"{row.parameters:,}" if row.parameters else "", row.note)
        for row in rows
    ]
    print_table(("Layer", "Kind", "Shape", "Parameters", "What became of it"), cells, right=("Parameters",))
    print(report.summary)


def _to_keras(model, out, args):
    from keras_ssd.replacing import replacing

    with replacing(out) as temporary:
        model.save(temporary)
    if args.outputs:
        next_step = f"A plain model of {', '.join(args.outputs)}: keras.saving.load_model opens it."
    else:
        next_step = f"Try it: keras-ssd detect IMAGE --weights {out}"
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB. {next_step}")


def _to_onnx(model, out, args):
    from keras_ssd.exporters.onnx import to_onnx

    print(to_onnx(model, out, input=args.input, check_with=[args.check_with] if args.check_with else []))


def _to_caffe(model, out, args):
    from keras_ssd.caffe.exporter import to_caffe

    print(to_caffe(model, out, out.with_suffix(".caffemodel")))
