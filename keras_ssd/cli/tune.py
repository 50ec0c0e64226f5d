"""`keras-ssd tune`: searches the settings of `keras-ssd train` for a dataset."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from keras_ssd.cli.arguments import (
    DETECTOR_LIST,
    add_class_names,
    add_log,
    add_map_limit,
    count,
    name_list,
    positive,
    size,
)
from keras_ssd.cli.parsing import Commands, notes
from keras_ssd.cli.train import add_data_arguments
from keras_ssd.cli.training_setup import BATCH, build_model, check_names, read_datasets, settings_of

DESCRIPTION = """\
Search the settings of `keras-ssd train` for your images: input size, width of
the network, anchors, learning rate and augmentation.

Each trial is a short training. The first has the settings of the plain command;
Optuna proposes the others, and ends those early that are worse than most. All
are measured on the same held-out images, never on a test split."""

EPILOG = """\
examples:
  keras-ssd tune BCCD --out runs/search --policy drop --minutes 60
  keras-ssd tune BCCD --out runs/search --policy drop --minutes 120 --resume
  keras-ssd tune photos/ --out runs/rates --widths 1 --anchors fit \\
      --augments light,mosaic --rates 0.0005,0.005

files in the output folder:
  tune.html        a page that compares the trials, written after each
  model.keras      the best model so far
  study.db         the trials (SQLite): what --resume goes on from; a killed
                   search loses at most the trial in hand
  trials/          a folder for each trial, with its log and curves
  search.json      what is searched

At the end it prints a table and the `keras-ssd train` command of the best
trial. Give that command more --epochs for a longer training of the same kind.

exit codes: 0 searched, 2 nothing was searched, 130 interrupted (--resume goes
on)
"""
ARGUMENTS = {"class_names": "--weights-classes", "learning_rate": "--rates", "width": "--widths"}
# {setting: title of its column}, so short that a line fits into 80 characters
SHORT = {"input_size": "input", "width": "width", "anchors": "anchors", "augment": "augment", "learning_rate": "rate"}
LISTS = {"input_size": "input_sizes", "width": "widths", "anchors": "anchors", "augment": "augments"}
# {option that is handed on to the command of a trial: its default, which needs no word}
HANDED_ON = {
    **dict.fromkeys(("split", "validation_set", "classes", "model", "weights", "weights_classes", "freeze")),
    **dict.fromkeys(("batch_size", "max_map_bytes")),
    "policy": "error",
    "recipe": "small-data",
    "precision": "float32",
    "seed": 0,
}


def add_parser(commands: Commands) -> None:
    """Adds the command `tune` to the parser's commands."""
    parser = commands.add_parser("tune", help="search the settings for your images", **notes(DESCRIPTION, EPILOG))
    parser.add_argument("data", metavar="DATA", help="folder or file of annotated images")
    parser.add_argument("--out", "-o", required=True, metavar="DIR", help="folder to write to; made if it is missing")
    add_data_arguments(parser.add_argument_group("data"))
    _add_space_arguments(parser.add_argument_group("what is searched; one value fixes it"))
    _add_limits(parser.add_argument_group("how long"))
    _add_training_arguments(parser.add_argument_group("the same in all trials"))
    parser.set_defaults(run=run)


def _add_space_arguments(group):
    group.add_argument(
        "--input-sizes",
        type=_sizes,
        metavar="LIST",
        help="240x320,304x400 (default: that of the plain command, and 0.6 and 1.6 times its area)",
    )
    group.add_argument("--widths", type=_numbers, metavar="LIST", help="of ssd_small (default: 0.5,0.75,1,1.5)")
    group.add_argument("--anchors", type=name_list, metavar="LIST", help="of ssd_small (default: general,cells,fit)")
    group.add_argument(
        "--rates", type=_numbers, metavar="LOW,HIGH", help="learning rates (default: 0.25 to 4 times the usual one)"
    )
    group.add_argument(
        "--augments", type=name_list, metavar="LIST", help="chains (default: light,light-turns,mosaic,ssd)"
    )


def _add_limits(group):
    group.add_argument(
        "--minutes", type=positive, default=60.0, help="of all trials together, resumed ones too (default: 60)"
    )
    group.add_argument("--trials", type=count, help="at most so many (default: as many as fit)")
    group.add_argument(
        "--trial-minutes", type=positive, metavar="MINUTES", help="of one trial (default: a tenth of all, at least 1)"
    )
    group.add_argument("--epochs", "-e", type=count, help="of one trial at most (default: those of the plain command)")


def _add_training_arguments(group):
    group.add_argument(
        "--model",
        "-m",
        metavar="NAME",
        help=f"{DETECTOR_LIST}; only ssd_small with new heads has sizes, widths and anchors to search "
        "(default: that of --weights, or ssd_small)",
    )
    group.add_argument(
        "--weights", "-w", help="start from these: a name of `keras-ssd zoo list`, imagenet, a file, or none"
    )
    add_class_names(group, "--weights-classes", "class names of --weights, where they do not tell")
    group.add_argument("--freeze", type=name_list, metavar="PATTERNS", help="layers to leave as they are: 'conv1_*'")
    add_map_limit(group)
    group.add_argument("--batch-size", "-b", type=count, help=f"images per step (default: {BATCH})")
    group.add_argument("--recipe", default="small-data", help="caffe, modern or small-data (default: small-data)")
    group.add_argument(
        "--precision", choices=("float32", "mixed_bfloat16"), default="float32", help="see `keras-ssd train --help`"
    )
    group.add_argument("--seed", type=int, default=0, help="of the trials and of the search (default: 0)")
    group.add_argument("--workers", type=count, help="threads that make batches (default: one per processor)")
    add_log(group)
    group.add_argument("--resume", action="store_true", help="go on with the search in --out")


def run(args: argparse.Namespace) -> int:
    """Searches."""
    from keras_ssd.tuning import page
    from keras_ssd.tuning.search import Limits, run_search
    from keras_ssd.tuning.study import import_optuna
    from keras_ssd.tuning.trial import Work

    import_optuna()
    page.import_jinja2()
    space_names = _searched(args)
    plain = _plain(args)
    check_names(plain)
    data = read_datasets(plain)
    if data.validation is None:
        raise ValueError("A search needs validation images to compare the trials on; leave out --validation none.")
    print(data.training.report())
    print(f"validation: {data.validation.report()}\n{'':<12}{data.how}")
    usual = settings_of(plain, len(data.training), build_model(plain, data.training))
    space = _space(args, data.training, usual["learning_rate"], space_names)
    options = {name: usual[name] for name in ("batch_size", "recipe", "seed", "precision")}
    options |= {"workers": args.workers, "log": args.log, "display": sys.stderr.isatty()}
    work = Work(
        data.training,
        data.validation,
        lambda values: build_model(_of_trial(plain, values), data.training),
        options,
        lambda values, epochs: _command(args, values, epochs),
        {name: getattr(args, name) for name in ("model", "weights")},
    )
    limits = Limits(args.minutes, args.trials, args.trial_minutes, args.epochs or usual["epochs"])
    names = ", ".join(page.TITLES[name] for name in space.searched) or "nothing"
    print(f"searched: {names}; a trial takes at most {limits.each:.3g} min", flush=True)
    search = run_search(work, space, limits, args.out, resume=args.resume)
    _tell(search)
    return 130 if search.interrupted else 0


def _searched(args):
    """The settings that there are to search.

    Raises:
        ValueError: an option for a setting that the model does not have.
    """
    if args.model in (None, "ssd_small") and args.weights in (None, "none"):
        return ("input_size", "width", "anchors", "augment")
    for name in ("input_sizes", "widths", "anchors"):
        if getattr(args, name) is not None:
            what = "trained weights" if args.weights else args.model
            raise ValueError(
                f"--{name.replace('_', '-')} is for ssd_small with new heads, and cannot be given for {what}."
            )
    return ("augment",)


def _plain(args):
    """The arguments of the plain `keras-ssd train` of these data."""
    left = ("anchors", "input_size", "width", "learning_rate", "patience", "epochs", "minutes")
    return argparse.Namespace(**{**vars(args), **dict.fromkeys(left), "augment": "light", "qat": False})


def _of_trial(plain, values):
    """The arguments of the training of a trial."""
    from keras_ssd.tuning.space import size_of

    given = dict(values)
    if "input_size" in given:
        given["input_size"] = size_of(given["input_size"])
    return argparse.Namespace(**{**vars(plain), **given})


def _space(args, train_set, learning_rate, names):
    from keras_ssd.tuning.space import NAMES, make_space, size_text

    given: dict[str, Any] = {name: getattr(args, option) for name, option in LISTS.items() if getattr(args, option)}
    if "input_size" in given:
        given["input_size"] = [size_text(one) for one in given["input_size"]]
    if args.rates:
        given["learning_rate"] = args.rates
    without = [name for name in NAMES if name not in (*names, "learning_rate")]
    return make_space(train_set, learning_rate, given, without)


def _command(args, values, epochs):
    """The `keras-ssd train` that does what a trial did."""
    from keras_ssd.tuning.space import value_text

    words = ["keras-ssd", "train", args.data, "--out", str(Path(args.out) / "best")]
    for name, default in HANDED_ON.items():
        if (value := getattr(args, name)) != default:
            words += [f"--{name.replace('_', '-')}", ",".join(value) if isinstance(value, tuple) else str(value)]
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", value_text(name, value)]
    # Without an early end, as in a trial.
    return shlex.join([*words, "--epochs", str(epochs), "--patience", str(epochs)])


def _tell(search):
    """Prints the table of trials and the command of the best one."""
    from keras_ssd.tuning.space import value_text

    if not search.trials:
        print("No trial is complete; the same command with --resume goes on.")
        return
    names = [name for name in SHORT if name in search.trials[0].settings]
    order = sorted(search.trials, key=lambda trial: (trial.ended != "complete", -(trial.ap or 0.0)))
    rows = [
        [
            str(trial.number),
            "n/a" if trial.ap is None else f"{trial.ap:.3f}",
            *(value_text(name, trial.settings[name]) for name in names),
            f"{trial.epochs or 'n/a'}",
            trial.ended,
        ]
        for trial in order
    ]
    titles = ["trial", "AP50", *(SHORT[name] for name in names), "epochs", "end"]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):  # closer than a table of the other commands, so that a line fits into 80 characters
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    print(f"{search.page}: the page that compares them")
    if search.best is not None:
        print(f"{search.model}: the model of trial {search.best.number}, AP {search.best.ap:.3f}. Trained by:")
        print(search.best.command)
    if search.interrupted:
        print("Stopped; the same command with --resume goes on.")


def _numbers(text):
    """Positive numbers in a row."""
    return tuple(positive(part) for part in name_list(text))


def _sizes(text):
    """Input sizes in a row."""
    return tuple(size(part) for part in name_list(text))
