"""`keras-ssd train`: from annotated pictures to a detector."""

import argparse
import json
import os
import platform
import shlex
from pathlib import Path

from keras_ssd.cli.arguments import class_names, count, name_list

DESCRIPTION = """\
Train a detector on your own pictures.

DATA is a folder as VOC, COCO or YOLO data lie on disks, a data.yaml, a json or a
CSV file; the format is found out. `keras-ssd data check DATA` looks for faults first."""

EPILOG = """\
examples:
  keras-ssd train BCCD --out runs/cells --anchors cells --augment light-turns --policy drop
  keras-ssd train photos.json --out runs/mine --model ssd300 --weights coco --freeze 'conv1_*,conv2_*'
  keras-ssd train photos.json --out runs/mine --model ssd300 --weights coco --resume
  keras-ssd train VOC2007 --out runs/voc --model ssd300 --weights imagenet --recipe caffe \\
      --augment ssd --batch-size 32 --epochs 232

which model:
  ssd_small    1.5 million parameters, no pretrained weights needed: trains on a CPU in minutes
  ssd300       26 million; start from --weights coco or voc07+12, and use a GPU
  With --weights of other classes, the trained rows of classes of the same name are kept.

which recipe:
  small-data   AdamW, 60 steps of warm-up, cosine, running average of the weights; rate 2e-3
  modern       the same with longer warm-up and rate 1e-3; --rate 1e-4 is good for fine-tuning
  caffe        the original's SGD, with the rate cut at two thirds and five sixths

files in the output folder:
  model.keras      the model to use: the best on the validation set, or the last without one
  last.keras       the model after the last epoch
  checkpoint.h5    what --resume goes on from, written after each epoch
  log.csv          loss, its parts, learning rate and validation AP of each epoch
  curves.png       the same as curves
  predictions.png  some pictures, what is marked in them, and what the model finds
  run.json         the command, the settings, the data and the versions

Ctrl-C stops after the step in progress and leaves a usable model; --resume goes on.

exit codes: 0 trained, 2 nothing was trained (one error on standard error), 130 interrupted.
"""
VALIDATION_SPLITS = ("val", "valid", "validation")
RUN = "run.json"


def add_parser(commands):
    """Adds the command `train` to the parser's commands."""
    parser = commands.add_parser(
        "train",
        help="train a detector on your own pictures",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", metavar="DATA", help="folder or file of annotated pictures")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder to write to; made if it is missing")
    _add_data_arguments(parser.add_argument_group("data"))
    _add_model_arguments(parser.add_argument_group("model"))
    _add_training_arguments(parser.add_argument_group("training"))
    parser.set_defaults(run=run)


def _add_data_arguments(group):
    group.add_argument(
        "--split",
        type=name_list,
        metavar="LIST",
        help="splits to train on: train,val (default: train, or all pictures)",
    )
    group.add_argument(
        "--validation",
        metavar="WHAT",
        help="a split, a share of the training pictures such as 0.1, a path, or none (default: the split val, if "
        "there is one that is not trained on)",
    )
    group.add_argument("--classes", type=name_list, metavar="LIST", help="learn these classes alone: person,dog")
    group.add_argument(
        "--policy",
        choices=("error", "drop", "clip"),
        default="error",
        help="what becomes of faults in the data: refuse, leave out, or clip boxes to the picture (default: error)",
    )
    group.add_argument(
        "--augment", metavar="NAME", help="ssd, light, light-turns, mosaic, ... or none (default: light)"
    )


def _add_model_arguments(group):
    group.add_argument(
        "--model", "-m", help="ssd_small, ssd300, ssd512 or ssd7 (default: that of --weights, or ssd_small)"
    )
    group.add_argument("--weights", "-w", help="start from these: a name of `keras-ssd zoo list`, imagenet, or a file")
    group.add_argument("--labels", help="class names of --weights where they do not tell: voc, coco, a,b,c or a file")
    group.add_argument("--anchors", metavar="NAME", help="general or cells for ssd_small; voc or coco for SSD300")
    group.add_argument("--input-size", type=_size, metavar="HEIGHTxWIDTH", help="pictures are warped to this size")
    group.add_argument("--freeze", type=name_list, metavar="PATTERNS", help="layers to leave as they are: 'conv1_*'")


def _add_training_arguments(group):
    group.add_argument("--epochs", "-e", type=count, default=60, help="passes through the pictures (default: 60)")
    group.add_argument("--batch-size", "-b", type=count, default=16, help="pictures a step (default: 16)")
    group.add_argument("--recipe", default="small-data", help="caffe, modern or small-data (default: small-data)")
    group.add_argument("--rate", type=_positive, help="highest learning rate (default: the recipe's)")
    group.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default="float32",
        help="mixed_bfloat16 is faster on newer CPUs and GPUs; the saved model is float32 (default: float32)",
    )
    group.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    group.add_argument("--workers", type=count, help="threads that make batches (default: one a processor)")
    group.add_argument("--resume", action="store_true", help="go on with the training in --out")
    group.add_argument("--stop-after", type=count, metavar="EPOCH", help="end after this epoch, to be resumed later")


def _positive(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number; received {text}")
    return value


def _size(text):
    from keras_ssd.cli.convert import size

    return size(text)


def run(args):
    """Trains.

    Args:
        args: the parsed arguments.

    Returns:
        The exit code.

    Raises:
        ValueError, OSError: nothing could be done; the text is for the user.
    """
    import keras

    from keras_ssd.training import train

    train_set, validation_set = _datasets(args)
    print(train_set)
    print(f"validation: {validation_set}" if validation_set is not None else "validation: none")
    keras.utils.set_random_seed(args.seed)
    model = _model(args, train_set.classes)
    if model.weights_report is not None:
        print(model.weights_report)
    out = Path(args.out)
    # When training begins everything is checked, and the folder is there.
    record = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: _record(out, args, train_set, validation_set, model)
    )
    history = train(
        model,
        train_set,
        validation_set,
        out=out,
        epochs=args.epochs,
        batch_size=args.batch_size,
        recipe=args.recipe,
        rate=args.rate,
        augment=None if args.augment == "none" else args.augment or "light",
        seed=args.seed,
        precision=args.precision,
        resume=args.resume,
        stop_after=args.stop_after,
        workers=args.workers,
        callbacks=[record],
    )
    return _told(history, args)


def _told(history, args):
    best = history.best
    if best is not None:
        print(f"best on the validation set: AP {best['val_ap']:.3f} after epoch {int(best['epoch'])}")
    model = history.out / "model.keras"
    if model.exists():
        print(f"{model}: {model.stat().st_size / 1e6:.1f} MB. Try it: keras-ssd detect PICTURE --weights {model}")
    if not history.interrupted:
        return 0
    print(f"{len(history.rows)} of {args.epochs} epochs are done; the same command with --resume goes on.")
    return 0 if args.stop_after and len(history.rows) >= args.stop_after else 130


def _datasets(args):
    """The training set and the validation set, or None for it, of the same classes."""
    from keras_ssd.data import read

    def part(path, split):
        found = read(path, split, policy=args.policy, progress=True)
        return found.with_classes(args.classes, others="drop") if args.classes else found

    splits = args.split or (("train",) if "train" in _splits(args) else (None,))
    first, *others = [part(args.data, split) for split in splits]
    train_set = first.merge(*others) if others else first
    wanted = args.validation
    if wanted is None:
        wanted = next((name for name in VALIDATION_SPLITS if name in first.splits and name not in splits), "none")
    if wanted == "none":
        return train_set, None
    if wanted in first.splits:
        return train_set, part(args.data, wanted)
    share = _share(wanted)
    if share is not None:
        validation_set, train_set = train_set.split(share, seed=args.seed)
        return train_set, validation_set
    if not os.path.exists(wanted):
        splits = f"; the splits are {', '.join(first.splits)}" if first.splits else ""
        raise ValueError(
            f"--validation must be a split, a share below 1, a path, or none{splits}. Received: {args.validation}"
        )
    return train_set, part(wanted, None).with_classes(train_set.classes)


def _splits(args):
    """The names of the splits that the data offer."""
    from keras_ssd.data.reading import FORMATS

    layouts = [module.find(Path(args.data)) for module in FORMATS.values()] if os.path.exists(args.data) else []
    return [name for layout in layouts if layout for name in layout.splits]


def _share(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1 else None


def _model(args, classes):
    """The model to train."""
    from keras_ssd import models
    from keras_ssd.models.composing import freeze_layers
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.models.weights import find_entry, is_file, read_weights
    from keras_ssd.names import unknown_name

    labels, kind = class_names(args.labels), args.model
    if kind is not None and kind not in FACTORIES:
        raise ValueError(unknown_name("model", kind, FACTORIES))
    if args.weights and is_file(args.weights) and args.weights.lower().endswith(".keras"):
        for name in ("anchors", "input_size"):
            if getattr(args, name):
                raise ValueError(f"--{name.replace('_', '-')} is part of a .keras model, and cannot be given with one.")
        model = models.open_model(args.weights, class_names=labels)
        if model.class_names != tuple(classes):
            model = models.with_classes(model, classes)
        freeze_layers(model, args.freeze or ())
        return model
    if kind is None and args.weights:
        file = is_file(args.weights)
        kind = read_weights(args.weights).kind if file else find_entry(args.weights, None).model
    options = {
        "weights": args.weights,
        "weights_classes": labels,
        "anchors": args.anchors,
        "input_size": args.input_size,
        "freeze": args.freeze,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if kind is not None and kind not in FACTORIES:
        raise ValueError(f"The weights {args.weights} are of {kind}, which is no detector. Say which --model to build.")
    return FACTORIES[kind or "ssd_small"](classes=classes, **options)


def _record(out, args, train_set, validation_set, model):
    """Writes what was asked for into the folder; a resumed training adds its command."""
    import keras
    import numpy as np

    from keras_ssd import __version__
    from keras_ssd.training.checkpoint import replacing

    path = out / RUN
    before = json.loads(path.read_text(encoding="utf-8"))["commands"] if args.resume and path.exists() else []
    facts = {
        "commands": [*before, _command(args)],
        "settings": {name: value for name, value in vars(args).items() if name not in ("run", "command", "traceback")},
        "model": {"name": model.name, "parameters": model.count_params(), "input_size": model.input_size},
        "classes": train_set.classes,
        "train": {"name": train_set.name, "pictures": len(train_set), "objects": train_set.counts()},
        "validation": validation_set
        and {"name": validation_set.name, "pictures": len(validation_set), "objects": validation_set.counts()},
        "versions": {
            "keras_ssd": __version__,
            "keras": keras.__version__,
            "backend": keras.config.backend(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _command(args):
    """The command line that means the same."""
    words = ["keras-ssd", "train", args.data]
    for name, value in vars(args).items():
        if name in ("run", "command", "traceback", "data", "needs_backend") or value in (None, False):
            continue
        words.append(f"--{name.replace('_', '-')}")
        if name == "input_size":
            words.append("x".join(map(str, value)))
        elif value is not True:
            words.append(",".join(value) if isinstance(value, tuple) else str(value))
    return shlex.join(words)
