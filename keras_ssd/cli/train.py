"""`keras-ssd train`: from annotated images to a detector."""

import argparse
from pathlib import Path
from typing import Any

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    add_class_names,
    add_log,
    add_map_limit,
    add_policy,
    class_words,
    count,
    name_list,
    positive,
    size,
)
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.run_record import write_run
from keras_ssd.cli.training_setup import BATCH, build_model, check_options, read_datasets, settings_of

DESCRIPTION = """\
Train a detector on your own images.

DATA is a folder as VOC, COCO or YOLO data lie on disks, a data.yaml, a json or
a CSV file; the format is found out. `keras-ssd data check DATA` looks for
faults first."""

EPILOG = """\
examples:
  keras-ssd train BCCD --out runs/cells --anchors cells \\
      --augment light-turns --policy drop
  keras-ssd train photos.json --out runs/mine --model ssd300 --weights coco \\
      --freeze 'conv1_*,conv2_*'
  keras-ssd train photos.json --out runs/mine --model ssd300 --weights coco \\
      --resume
  keras-ssd train VOC2007 --out runs/voc --model ssd300 --weights imagenet \\
      --recipe caffe --augment ssd --batch-size 32 --epochs 232

which model:
  ssd_small    1.5 million parameters, no pretrained weights needed: trains on a
               CPU in minutes
  ssd300       26 million; start from --weights coco or voc07+12, and use a GPU
  With --weights of other classes, the trained rows of classes of the same name
  are kept.

which recipe:
  small-data   AdamW, 60 steps of warm-up, cosine, running average of the
               weights; rate 2e-3
  modern       the same with longer warm-up and rate 1e-3
  caffe        the original's SGD, with the rate cut at two thirds and five
               sixths

files in the output folder:
  model.keras      the model to use: the latest epoch within 0.005 AP of the
                   best on the validation set, or the last without such a set
  last.keras       the model after the last epoch
  checkpoint.h5    what --resume goes on from, written after each epoch
  log.csv          loss, its parts, learning rate and validation mAP of each
                   epoch
  curves.png       the same as curves
  predictions.png  some images, what is marked in them, and what the model finds
  run.json         the command, the settings, the data and the versions
  tensorboard/     for TensorBoard, with --log tensorboard
  log.json         which runs of MLflow and Weights & Biases it is, with --log

Ctrl-C stops after the step in progress and leaves a usable model; --resume
goes on.

exit codes: 0 trained, 2 nothing was trained (one error on standard error), 130
interrupted.
"""
RATE = (
    "the recipe's; with --weights a tenth of it; for ssd_mobilenet_v1 half of it where all classes are new, a "
    "hundredth where none is; all of it for caffe"
)
ARGUMENTS = {"class_names": "--weights-classes"}  # of Python, and their options


def add_parser(commands: Commands) -> None:
    """Adds the command `train` to the parser's commands."""
    parser = commands.add_parser(
        "train",
        help="train a detector on your own images",
        **notes(DESCRIPTION, EPILOG),
    )
    parser.add_argument("data", metavar="DATA", help="folder or file of annotated images")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder to write to; made if it is missing")
    data = parser.add_argument_group("data")
    add_data_arguments(data)
    add_augment(data)
    _add_model_arguments(parser.add_argument_group("model"))
    add_training_arguments(parser.add_argument_group("training"))
    parser.set_defaults(run=run)


def add_data_arguments(group: argparse._ActionsContainer) -> None:
    """Adds what says which images to train on and to measure on."""
    group.add_argument(
        "--split",
        type=name_list,
        metavar="LIST",
        help="splits to train on: train,val (default: train, or all images)",
    )
    group.add_argument(
        "--validation-set",
        "--validation",
        metavar="WHAT",
        help="a split, a share of the training images such as 0.1, a path, or none (default: the split val, if there "
        "is one that is not trained on, else 15 %% of the training images, at least 10, copies kept together)",
    )
    group.add_argument("--classes", type=class_words, metavar="LIST", help="learn these classes alone: person,dog")
    add_policy(group)


def add_augment(group: argparse._ActionsContainer) -> None:
    """Adds what says how training images are changed."""
    group.add_argument(
        "--augment",
        metavar="NAME",
        default="light",
        help="light, light-turns (for images without up and down), mosaic, ssd (for many images and long "
        "training), satellite, constant, variable, or none (default: light)",
    )


def _add_model_arguments(group):
    group.add_argument(
        "--model",
        "-m",
        metavar="NAME",
        help=f"{DETECTOR_LIST} (default: that of --weights, or ssd_small)",
    )
    group.add_argument(
        "--weights",
        "-w",
        help="start from these: a name of `keras-ssd zoo list`, imagenet, a file, or none (default for ssd_small: a "
        "backbone that ships with this package; else none)",
    )
    add_class_names(group, "--weights-classes", "class names of --weights, where they do not tell")
    group.add_argument(
        "--anchors",
        metavar="WHAT",
        help="general, cells or fit (to the training images) for ssd_small; voc or coco for SSD300; or a JSON file of "
        "`keras-ssd anchors fit` (default for ssd_small from nothing: general where these match the objects, else fit)",
    )
    group.add_argument(
        "--input-size",
        type=size,
        metavar="HEIGHTxWIDTH",
        help="images are warped to this size (default: the weights'; for ssd_small from nothing by the shape of the "
        "images and the size of the objects)",
    )
    group.add_argument(
        "--width",
        type=positive,
        help="factor of the filters of ssd_small: 0.5 is quicker, 1.5 more exact (default: 1)",
    )
    group.add_argument("--freeze", type=name_list, metavar="PATTERNS", help="layers to leave as they are: 'conv1_*'")


def add_training_arguments(group: argparse._ActionsContainer, rate: str = RATE) -> None:
    """Adds what says how to train; `rate` says which learning rate is the default."""
    group.add_argument(
        "--epochs",
        "-e",
        type=count,
        help="passes through the images (default: by their number, see docs/training_defaults.md)",
    )
    group.add_argument(
        "--minutes",
        type=positive,
        help="train as many epochs as fit into this time here, instead of --epochs; the schedule fits into it",
    )
    group.add_argument(
        "--patience",
        type=count,
        metavar="EPOCHS",
        help="end after so many epochs in a row that stay 0.005 below the best AP on the validation images (default: "
        "0.4 of all, at least 10)",
    )
    add_map_limit(group)
    group.add_argument("--batch-size", "-b", type=count, help=f"images per step (default: {BATCH})")
    group.add_argument("--recipe", default="small-data", help="caffe, modern or small-data (default: small-data)")
    group.add_argument(
        "--learning-rate",
        "--rate",
        type=positive,
        help=f"highest learning rate (default: {rate})",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "mixed_bfloat16"),
        default="float32",
        help="mixed_bfloat16 is faster on newer CPUs and GPUs; the saved model is float32 (default: float32)",
    )
    group.add_argument(
        "--qat",
        action="store_true",
        help="quantisation-aware training: round as an int8 file does; for a short training of a trained model",
    )
    group.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    group.add_argument("--workers", type=count, help="threads that make batches (default: one per processor)")
    group.add_argument(
        "--calibrate",
        action="store_true",
        help="calibrate the scores on the validation images at the end: of detections with a score of 0.8, 8 of 10 are "
        "then true",
    )
    add_log(group)
    group.add_argument("--resume", action="store_true", help="go on with the training in --out")
    group.add_argument(
        "--export-float16", metavar="FILE", help="at the end also write the weights as a small .h5, kernels in float16"
    )
    group.add_argument("--stop-after", type=count, metavar="EPOCH", help="end after this epoch, to be resumed later")


def run(args: argparse.Namespace) -> int:
    """Trains."""
    import keras

    from keras_ssd.cli.training_words import table
    from keras_ssd.training import train

    check_options(args)
    data = read_datasets(args)
    print(data.training.report())
    print(f"validation: {data.validation.report()}" if data.validation is not None else "validation: none")
    keras.utils.set_random_seed(args.seed)
    model = build_model(args, data.training)
    if model.weights_report is not None:
        print(model.weights_report)
    settings = settings_of(args, len(data.training), model)

    def planned(plan):
        # Everything is checked, and the folder is there.
        write_run(Path(args.out), args, plan, data.training, data.validation, model)
        print(table(args, data, model, plan), flush=True)

    history = train(
        model,
        data.training,
        data.validation,
        out=args.out,
        resume=args.resume,
        stop_after=args.stop_after,
        workers=args.workers,
        log=args.log,
        planned=planned,
        calibrate=args.calibrate,
        **settings,
    )
    return told(history, model, args)


def told(history: Any, model: Any, args: argparse.Namespace) -> int:
    """Says what there is now; the exit code."""
    from keras_ssd.cli.training_words import ended

    for problem in history.left_out:  # what was whole when the training began
        print(problem)
    print(ended(history))
    if history.interrupted:
        return 0 if args.stop_after and len(history.rows) >= args.stop_after else 130
    if args.export_float16:
        from keras_ssd.formats import write_keras_h5
        from keras_ssd.zoo.port import arrays_of

        exported = write_keras_h5(Path(args.export_float16), arrays_of(model).layers)
        print(f"{exported}: {exported.stat().st_size / 1e6:.1f} MB, the same weights with kernels in float16")
    return 0
