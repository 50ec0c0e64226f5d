"""`keras-ssd evaluate`: how good a detector is on annotated images."""

import argparse
import dataclasses
import importlib.util
import json
import sys

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    add_class_names,
    add_engine,
    add_map_limit,
    add_policy,
    add_tiles,
    check_weights,
    class_names,
    class_words,
    count,
    fraction,
)
from keras_ssd.cli.backend import quiet_first_operation
from keras_ssd.cli.parsing import Commands, notes

DESCRIPTION = """\
Measure how good a detector is, in the numbers that papers use.

DATA is a folder as VOC, COCO or YOLO data lie on disks, a data.yaml, a json or
a CSV file; the format is found out. The detector is a model, or files of
detections that any detector made."""

EPILOG = """\
examples:
  keras-ssd evaluate BCCD --weights ssd_small.cells --measure voc12 \\
      --policy drop
  keras-ssd evaluate VOC2007 --model ssd300 --weights voc07+12 --save voc07.json
  keras-ssd evaluate photos --model runs/mine/model.keras --report report
  keras-ssd evaluate coco --split val2017 --weights ssd300.coco --measure coco
  keras-ssd evaluate VOC2007 --detections comp4.zip
  keras-ssd evaluate VOC2007 --detections first.json second.json \\
      --save comp4.zip
  keras-ssd evaluate photos --detections new.json --compare old.json \\
      --report report

measures:
  voc07    mean of the precision at 11 recalls, as for VOC2007
  voc12    area under the curve of precision over recall, as from VOC2010 on
  coco     COCO's twelve numbers (pip install 'keras-ssd[coco]')
  ilsvrc   ILSVRC DET: small objects need less overlap

files of detections, told by their endings:
  .json    ours, with the images in which nothing was found; or with
           --save-format coco, COCO's results. Both are read.
  .zip     a text file per class, as VOC's server takes it; without an
           ending, a folder of these
  .csv     image,class,score,xmin,ymin,xmax,ymax
  .txt     ILSVRC's: image_index class_id score xmin ymin xmax ymax

With --save, the detections so far are kept beside that file, in one that ends
in .part. After Ctrl-C or a crash, the same command continues from there.

exit codes: 0 measured, 2 nothing was measured (one error on standard error),
130 interrupted.
"""
SPLITS = ("test", "val", "valid", "validation", "val2017")  # the first of these is evaluated by default
MEASURES = ("voc07", "voc12", "coco", "ilsvrc")
FORMATS = ("json", "coco", "voc", "ilsvrc", "csv")
ARGUMENTS = {"weights_classes": "--class-names", "format": "--save-format"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `evaluate` to the parser's commands."""
    parser = commands.add_parser(
        "evaluate",
        help="measure how good a detector is",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument("data", metavar="DATA", help="folder or file of annotated images")
    _add_detector_arguments(parser.add_argument_group("detector"))
    _add_data_arguments(parser.add_argument_group("data"))
    _add_measure_arguments(parser.add_argument_group("measure"))
    _add_output_arguments(parser.add_argument_group("output"))
    parser.set_defaults(run=run)


def _add_detector_arguments(group):
    group.add_argument("--weights", "-w", help="a name of `keras-ssd zoo list`, or a .keras, .h5, .npz or other file")
    group.add_argument("--model", "-m", help=f"a model's file; or with --weights that do not tell: {DETECTOR_LIST}")
    add_class_names(group)
    group.add_argument(
        "--detections",
        "-d",
        nargs="+",
        metavar="FILE",
        help="detections, of several workers perhaps, instead of a model",
    )
    group.add_argument(
        "--confidence", "-c", type=fraction, default=0.01, help="lowest score of a model's detections (default: 0.01)"
    )
    add_engine(group)
    add_tiles(group)
    add_map_limit(group)
    group.add_argument("--batch-size", "-b", type=count, default=8, help="images at once (default: 8)")
    group.add_argument(
        "--outside",
        choices=("error", "clip", "keep"),
        default="error",
        help="what becomes of boxes in --detections that leave their image: refuse, cut, or measure (default: error)",
    )
    group.add_argument(
        "--others",
        choices=("error", "drop"),
        default="error",
        help="what becomes of --detections of images or classes that the data do not have (default: error)",
    )


def _add_data_arguments(group):
    group.add_argument(
        "--split", "-s", help="which images: a split, or all (default: test or val, if there is one, else all)"
    )
    group.add_argument("--classes", type=class_words, metavar="LIST", help="measure these classes alone: person,dog")
    add_policy(group)


def _add_measure_arguments(group):
    group.add_argument("--measure", choices=MEASURES, default="voc12", help="see below (default: voc12)")
    group.add_argument(
        "--iou-threshold",
        "--iou",
        metavar="SHARE",
        type=fraction,
        default=0.5,
        help="smallest overlap of a true detection (default: 0.5; COCO has its own)",
    )


def _add_output_arguments(group):
    group.add_argument("--report", metavar="DIR", help="write an HTML page that shows what the detector gets wrong")
    group.add_argument(
        "--compare",
        nargs="+",
        default=(),
        metavar="FILE",
        help="detections of other detectors on the same images, which stand beside it, in the report too",
    )
    group.add_argument("--save", metavar="FILE", help="write the detections, to be measured again or submitted")
    group.add_argument("--save-format", "--format", choices=FORMATS, help="of --save (default: by its ending)")
    group.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs the command."""
    from keras_ssd.evaluation import write_detections, write_report
    from keras_ssd.evaluation.collecting import seen_in
    from keras_ssd.evaluation.formats import check_target
    from keras_ssd.evaluation.origin import origin_of

    weights, kind = _detector(args)
    _check_report(args)
    check_weights(weights)
    dataset = _read(args)
    if args.save:
        check_target(args.save, args.save_format, dataset=dataset)
    log = sys.stderr if args.json else sys.stdout
    print(dataset.report(), file=log, flush=True)
    chosen = _chosen(args, dataset)
    others = {path: _measured(args, _read_detections(args, [path], dataset), chosen) for path in args.compare}
    model, found = None, None
    if weights is None:
        found = _read_detections(args, args.detections, dataset)
    else:
        model, found = _detect(args, weights, kind, dataset, chosen)
        chosen = seen_in(found, chosen)
    origin = None if model is None else origin_of(model, weights)
    anchors = getattr(model, "anchor_spec", None)
    result = dataclasses.replace(_measured(args, found, chosen), anchors=anchors, origin=origin)
    _print(args, weights, kind, result, others)
    if args.save:
        if model is None:
            write_detections(found, args.save, args.save_format, dataset=dataset)
        print(f"detections: {args.save}", file=log)
    if args.report:
        name = weights or ", ".join(args.detections)
        page = write_report({name: result, **others}, args.report)
        print(f"report: {page}", file=log)
    return 0


def _detector(args):
    """(weights, kind of model or None), or (None, None) where detections are given.

    Raises:
        ValueError: nothing, or both.
    """
    if args.detections:
        if args.weights or args.model:
            raise ValueError("Give a model or --detections, not both.")
        return None, None
    from keras_ssd.models.opening import FACTORIES

    if args.model is None or args.model in FACTORIES:
        if args.weights is None:
            what = f"--model {args.model} says the network" if args.model else "There is no detector to evaluate"
            raise ValueError(f"{what}; give --weights NAME or FILE, --model FILE, or --detections FILE.")
        return args.weights, args.model
    if args.weights is not None:
        from keras_ssd.names import unknown_name

        raise ValueError(unknown_name("model", args.model, FACTORIES, "A file of a model needs no --weights."))
    return args.model, None


def _check_report(args):
    """Tries whether a report could be written, before any work is done."""
    from keras_ssd.cli.results import prepare_folder

    if args.report is None:
        return
    if importlib.util.find_spec("jinja2") is None:
        raise ImportError("Writing a report needs the package `jinja2`: pip install 'keras-ssd[report]'")
    prepare_folder(args.report)


def _read(args):
    from keras_ssd.cli.training_setup import splits_of
    from keras_ssd.data import read

    split = args.split
    if split is None:
        split = next((name for name in SPLITS if name in splits_of(args.data)), None)
    return read(args.data, None if split == "all" else split, policy=args.policy, progress=True)


def _chosen(args, dataset):
    """The data with the objects that are measured; files are read and written by the ids of all classes."""
    from keras_ssd.detections import class_ids_of

    if not args.classes:
        return dataset
    class_ids_of(args.classes, dataset.classes)  # refuses what is misspelt
    return dataset.with_classes(args.classes, others="drop")


def _read_detections(args, paths, dataset):
    from keras_ssd.evaluation import merge, read_detections

    options = {"outside": args.outside, "others": args.others}
    return merge([read_detections(path, dataset, **options) for path in paths])


def _detect(args, weights, kind, dataset, chosen):
    """A model and what it detects, after everything that can be wrong was tried."""
    from keras_ssd.evaluation import collect
    from keras_ssd.evaluation.collecting import class_names_of, no_detections
    from keras_ssd.opening import open_model

    quiet_first_operation()
    model = open_model(weights, model=kind, class_names=class_names(args.class_names))
    _measured(args, no_detections(chosen, class_names_of(model)), chosen)
    try:
        found = collect(
            model,
            dataset,
            confidence=args.confidence,
            batch_size=args.batch_size,
            save=args.save,
            save_format=args.save_format,
            engine=args.engine,
            precision=args.precision,
            tiles=args.tiles,
            overlap=args.overlap,
        )
    except KeyboardInterrupt:
        if args.save:
            print("\nWhat was found so far is kept; the same command goes on.", file=sys.stderr, end="")
        raise
    return model, found


def _measured(args, found, dataset):
    import numpy as np

    from keras_ssd.evaluation import evaluate

    if args.classes:  # what is left out on purpose needs no warning
        wanted = np.array([name in args.classes for name in found.class_names])
        found = found[wanted[found.class_ids]]
    return evaluate(found, dataset, args.measure, iou_threshold=args.iou_threshold)


def _print(args, weights, kind, result, others):
    from keras_ssd.cli.published import print_published

    if args.json:
        figures = result.to_dict()
        figures |= {"others": {name: other.to_dict() for name, other in others.items()}} if others else {}
        print(json.dumps(figures, indent=1, ensure_ascii=False))
        return
    for name, other in others.items():
        print(f"\n{name}\n{other}")
    if others:
        print(f"\n{weights or ', '.join(args.detections)}", end="")
    print(f"\n{result}")
    if weights is not None:
        print_published(weights, kind, result)
