"""`keras-ssd prune`: a smaller and faster detector, from a trained one."""

import argparse
import contextlib
from pathlib import Path

from keras_ssd.cli.arguments import add_class_names, class_names, count, name_list, opened
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.run_record import write_run
from keras_ssd.cli.train import add_augment, add_data_arguments, add_training_arguments, told
from keras_ssd.cli.training_setup import check_options, read_datasets, settings_of

DESCRIPTION = """\
Remove the channels of a trained detector that matter least, train the smaller
one on your images, and show what that costs and brings.

DATA is annotated images as for `keras-ssd train`, best those that the model was
trained on. They tell which channels matter (Taylor importance: by how much the
loss changes without them)."""

EPILOG = """\
examples:
  keras-ssd prune runs/mine/model.keras DATA --flops 0.5 --out runs/half
  keras-ssd prune ssd_small.cells BCCD --split train,val --policy drop \\
      --augment light-turns --epochs 60 --out runs/half
  keras-ssd prune runs/mine/model.keras DATA --out runs/half --resume

files in the output folder: those of `keras-ssd train`, and
  pruned.keras     the smaller model before it was trained

The table at the end compares both models: FLOPs (two for a multiplication with
an addition, of convolutions and dense layers), parameters, average precision on
the validation images, size of the file, milliseconds per image in each engine.

exit codes: as of `keras-ssd train`.
"""
PRUNED = "pruned.keras"
RATE_SHARE = 0.5  # of the recipe's learning rate: the network has to learn again what it lost
RATE = "half of the recipe's; all of it for caffe"
ARGUMENTS = {"class_names": "--weights-classes"}  # of Python, and their options
NOT_GIVEN = ("model", "anchors", "input_size", "width", "freeze")  # what the model itself says


def share(text: str) -> float:
    """A number above 0 and up to 1."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected the share that is left, above 0 and up to 1; received {text}")


def add_parser(commands: Commands) -> None:
    """Adds the command `prune` to the parser's commands."""
    parser = commands.add_parser("prune", help="make a trained detector smaller", **notes(DESCRIPTION, EPILOG))
    parser.add_argument("weights", metavar="MODEL", help="name from `keras-ssd zoo list`, or a weight or model file")
    parser.add_argument("data", metavar="DATA", help="folder or file of annotated images")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder to write to; made if it is missing")
    add_class_names(parser, "--weights-classes", "class names of MODEL, where it does not tell")
    group = parser.add_argument_group("pruning")
    group.add_argument("--flops", type=share, default=0.5, help="share of the FLOPs that is left (default: 0.5)")
    group.add_argument(
        "--multiple-of", type=count, default=8, metavar="N", help="layers keep a multiple of N channels (default: 8)"
    )
    group.add_argument(
        "--min-channels", type=count, default=8, metavar="N", help="layers keep at least N channels (default: 8)"
    )
    group.add_argument("--engines", type=name_list, metavar="LIST", help="time only these: keras,openvino")
    data = parser.add_argument_group("data")
    add_data_arguments(data)
    add_augment(data)
    add_training_arguments(parser.add_argument_group("training"), RATE)
    parser.set_defaults(run=run, **dict.fromkeys(NOT_GIVEN))


def run(args: argparse.Namespace) -> int:
    """Prunes, trains and compares."""
    import keras

    from keras_ssd import models
    from keras_ssd.cli.training_words import table
    from keras_ssd.pruning import prune
    from keras_ssd.training import train

    check_options(args)
    whole = opened(args.weights, class_names=class_names(args.weights_classes))
    data = _of_classes(read_datasets(args), whole, args)
    print(data.training.report())
    print(f"validation: {data.validation.report()}" if data.validation is not None else "validation: none")
    keras.utils.set_random_seed(args.seed)
    before = Path(args.out, PRUNED)
    if args.resume and before.is_file():
        smaller = models.load(before)
    else:
        widths = {"multiple_of": args.multiple_of, "min_channels": args.min_channels}
        smaller = prune(whole, args.flops, dataset=data.training, **widths)
        print(smaller.weights_report)
    smaller.weights_report = None  # told

    def planned(plan):
        smaller.save(before)
        write_run(Path(args.out), args, plan, data.training, data.validation, smaller)
        print(table(args, data, smaller, plan), flush=True)

    history = train(
        smaller,
        data.training,
        data.validation,
        out=args.out,
        resume=args.resume,
        stop_after=args.stop_after,
        workers=args.workers,
        log=args.log,
        planned=planned,
        calibrate=args.calibrate,
        **_settings(args, data, smaller),
    )
    code = told(history, smaller, args)
    if not history.interrupted:
        _compare(whole, smaller, data, history, args)
    return code


def _of_classes(data, model, args):
    """The data with the model's classes in its order.

    Raises:
        ValueError: they have others.
    """
    import dataclasses

    from keras_ssd.names import listed

    given, wanted = data.training.classes, model.class_names
    if set(given) != set(wanted):
        raise ValueError(
            f"{args.data} has the classes {listed(given, 8)}, the model {listed(wanted, 8)}. Pruning needs images of "
            "the model's classes. --classes leaves classes of the data out; `keras-ssd train DATA --weights MODEL` "
            "makes a model for other classes, which can be pruned then."
        )
    validation = data.validation and data.validation.with_classes(wanted)
    return dataclasses.replace(data, training=data.training.with_classes(wanted), validation=validation)


def _settings(args, data, model):
    settings = settings_of(args, len(data.training), model)
    if args.learning_rate is None and args.recipe != "caffe":
        own = settings_of(argparse.Namespace(**{**vars(args), "weights": None}), len(data.training), model)
        settings["learning_rate"] = RATE_SHARE * own["learning_rate"]
    return settings


def _compare(whole, smaller, data, history, args):
    """Prints both models side by side."""
    from keras_ssd.benchmarking import side_by_side
    from keras_ssd.cli.tables import print_table
    from keras_ssd.evaluation import evaluate
    from keras_ssd.pruning import flops_of_model

    pair = (whole, smaller)
    rows = [
        ["FLOPs, G", *(f"{flops_of_model(one) / 1e9:.3f}" for one in pair), ""],
        ["parameters", *(f"{one.count_params():,}" for one in pair), ""],
    ]
    if data.validation is not None and history.best_model is not None:
        ap = evaluate(whole, data.validation, "voc12", progress=False, engine="keras").map
        rows.append(["AP on the validation images", f"{ap:.3f}", f"{history.best_model.ap:.3f}", ""])
    rows.append(["MB of the .keras file", *(f"{size / 1e6:.2f}" for size in _sizes(whole, history.out)), ""])
    images = [annotation.image for annotation in data.training]
    missing = []
    for one in side_by_side(pair, images, engines=args.engines):
        name = one.engine if one.precision == "float32" else f"{one.engine}, {one.precision}"
        if one.reason:
            missing.append(f"{name}: {one.reason}")
            continue
        slow, fast = one.milliseconds
        rows.append([f"ms per image, {name}", f"{slow:.1f}", f"{fast:.1f}", f"{slow / fast:.2f} times as fast"])
    titles = ["", "before", "pruned", " "]
    print_table(titles, rows, right=titles[1:3], whole=titles)
    print(*missing, sep="\n", end="\n" if missing else "")


def _sizes(whole, out):
    """Bytes of both models as .keras files."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole.keras")
        whole.save(path)
        return path.stat().st_size, Path(out, "model.keras").stat().st_size
