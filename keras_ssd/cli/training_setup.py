"""What `keras-ssd train` works on, from its arguments: the data, the model, and the numbers that were not given."""

import argparse
import dataclasses
import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_ssd.cli.arguments import check_weights, class_names, output_file
from keras_ssd.names import unknown_name

if TYPE_CHECKING:
    from keras_ssd.data import Dataset

BATCH = 16
SHIPPED = "small_body.distilled"  # of the catalogue; the file is part of this package
TRAINING_SPLITS = ("train", "training", "trainval")
VALIDATION_SPLITS = ("val", "valid", "validation")
MEASURING = ("test", "val")  # beginnings of names of splits that are not trained on unless they are named


@dataclasses.dataclass(frozen=True)
class Data:
    """What is trained on and what is measured.

    Args:
        training: `Dataset`.
        validation: one of the same classes, or None.
        how: where the validation set comes from, in words.
    """

    training: "Dataset"
    validation: "Dataset | None"
    how: str


def check_options(args: argparse.Namespace) -> None:
    """Refuses options that do not go together, and misspelt names, before the data are read.

    Raises:
        ValueError, OSError: as `check_names`; or options that exclude each other.
    """
    if args.export_float16:
        output_file(args.export_float16, (".h5", ".hdf5"), "--export-float16")
    if args.epochs and args.minutes:
        raise ValueError("Give --epochs or --minutes, not both: the second works out the first.")
    if args.calibrate and args.validation_set == "none":
        raise ValueError("--calibrate needs validation images, and --validation none leaves none.")
    check_names(args)


def check_names(args: argparse.Namespace) -> None:
    """Refuses misspelt names before the data are read, which may take long.

    Raises:
        ValueError, OSError: an unknown name, or a missing file.
    """
    from keras_ssd.data.augment import CHAINS
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.training import recipes
    from keras_ssd.training.logs.logs import check_logs

    for kind, name, known in (("model", args.model, FACTORIES), ("augmentation", args.augment, (*CHAINS, "none"))):
        if name is not None and name not in known:
            raise ValueError(unknown_name(kind, name, known))
    recipes.named(args.recipe)
    check_logs(args.log)
    if args.weights != "none":
        check_weights(args.weights)
    _anchor_file(args)
    wanted, splits = args.validation_set, splits_of(args.data)
    if wanted is not None and not (wanted in (*splits, "none") or _share(wanted) or os.path.exists(wanted)):
        raise ValueError(unknown_name("validation set", wanted, splits, "A share below 1, a path, or none work too."))


def read_datasets(args: argparse.Namespace) -> Data:
    """The `Data` of a training.

    Raises:
        ValueError, OSError: no such data, split or class, or faults in the data, of which one error names all.
    """
    from keras_ssd.data import DataError

    try:
        return _read_datasets(args)
    except DataError as error:
        raise _with_all_faults(args, error) from None


def _with_all_faults(args, error):
    """The error of all that is read for a training: whoever mends the training images wants to know of the others."""
    from keras_ssd.data import DataError, Problems, read

    names = splits_of(args.data)
    splits = args.split or _training_splits(args)
    wanted = args.validation_set or next((name for name in VALIDATION_SPLITS if name in names), None)
    parts = [(args.data, split) for split in splits]
    if wanted in names:
        parts.append((args.data, wanted))
    elif wanted and os.path.exists(wanted):
        parts.append((wanted, None))
    problems = []
    for path, split in parts:
        try:
            read(path, split, policy=args.policy)
        except DataError as other:
            problems += other.problems
    return DataError(Problems(dict.fromkeys(problems or error.problems)), error.advice)


def _read_datasets(args):
    from keras_ssd.data.holding_out import LEAST, SHARE, hold_out

    splits = args.split or _training_splits(args)
    first, *others = [_part(args, args.data, split) for split in splits]
    train_set = first.merge(*others) if others else first
    wanted = args.validation_set
    if wanted is None:
        wanted = next((name for name in VALIDATION_SPLITS if name in first.splits and name not in splits), "held out")
    if wanted == "none":
        return Data(train_set, None, "none: nothing will tell which epoch was the best, and no threshold is found")
    if wanted in first.splits:
        return Data(train_set, _part(args, args.data, wanted), f"the split {wanted}")
    share = SHARE if wanted == "held out" else _share(wanted)
    if share is not None:
        cut = hold_out(train_set, share, LEAST if wanted == "held out" else 1, args.seed, progress=True)
        return Data(cut.training, cut.validation, f"held out of the training images; {cut.why}")
    return Data(train_set, _part(args, wanted, None).with_classes(train_set.classes), f"the images of {wanted}")


def _training_splits(args):
    """The splits to train on where none was named; (None,) for all images.

    Raises:
        ValueError: the data have splits, and none of them is there to be trained on.
    """
    found = splits_of(args.data)
    chosen = next((name for name in TRAINING_SPLITS if name in found), None)
    if chosen is not None:
        return (chosen,)
    left = tuple(name for name in found if not name.lower().startswith(MEASURING))
    if any(found) and not left:
        raise ValueError(
            f"{args.data} has the splits {', '.join(found)}, and none that is meant for training: measured on what it "
            f"was trained on, a detector looks better than it is. Say which to train on: --split {found[0]}"
        )
    return (None,) if left == tuple(found) else left


def _part(args, path, split):
    from keras_ssd.data import read
    from keras_ssd.detections import class_ids_of

    found = read(path, split, policy=args.policy, progress=True)
    if path == args.data and args.classes:
        class_ids_of(args.classes, found.classes)  # refuses what is misspelt
    return found.with_classes(args.classes, others="drop") if args.classes else found


def splits_of(data: str | os.PathLike[str]) -> list[str]:
    """The names of the splits that the data at a path offer."""
    from keras_ssd.data.reading import FORMATS

    layouts = [module.find(Path(data)) for module in FORMATS.values()] if os.path.exists(data) else []
    return [name for layout in layouts if layout for name in layout.splits]


def _share(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1 else None


def starting_weights(args: argparse.Namespace) -> str | None:
    """The weights that a training starts from; None is from nothing.

    Without `--weights` these are the backbone of `ssd_small` that ships with this package, where it fits.
    """
    if args.weights is None and args.model in (None, "ssd_small") and args.width in (None, 1):
        return SHIPPED
    return None if args.weights == "none" else args.weights


def build_model(args: argparse.Namespace, train_set: "Dataset") -> Any:
    """The model to train, with the weights to start from.

    `ssd_small` with new heads gets an input of the images' shape and anchors that suit the objects.

    Raises:
        ValueError, OSError: an unknown model or name, or weights that do not fit.
    """
    from keras_ssd import models
    from keras_ssd.models.composing import freeze_layers
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.models.weights import is_file
    from keras_ssd.opening import is_described, open_model

    labels, kind, classes = class_names(args.weights_classes), args.model, train_set.classes
    spec, start = _anchor_file(args), starting_weights(args)
    whole = start is not None and is_file(start) and start.lower().endswith(".keras")
    if start is not None and (whole or is_described(start, kind)):
        for name in ("anchors", "input_size", "width"):
            if getattr(args, name) and not (name == "anchors" and spec):
                what = "a .keras model" if whole else "the network of these weights"
                raise ValueError(f"--{name.replace('_', '-')} is part of {what}, and cannot be given with it.")
        model = open_model(start, class_names=labels)
        if model.class_names != tuple(classes):
            model = models.with_classes(model, classes)
        if spec is not None:
            model = _reanchored(model, spec)
        freeze_layers(model, args.freeze or ())
        return model
    of = _network_of(start, kind)
    kind = kind or ("ssd_small" if of in (None, "small_body") else of)
    fresh = of in (None, "small_body")
    # Weights of the catalogue have heads for anchors of their own; those of the file come after them.
    warm = spec is not None and start and not fresh and not is_file(start) and kind in FACTORIES
    options = {
        "weights": start,
        "anchors": None if warm else spec or args.anchors,
        "input_size": args.input_size,
        "width": args.width,
        "freeze": args.freeze,
    }
    if labels is not None:
        options["weights_classes"] = labels
    if kind == "ssd_small" and fresh:
        options |= _chosen_for(train_set, args, spec)
    options = {name: value for name, value in options.items() if value is not None}
    if kind not in FACTORIES:
        raise ValueError(f"The weights {start} are of {kind}, which is no detector. Say which --model to build.")
    if args.width is not None and kind != "ssd_small":
        raise ValueError(f"--width is of ssd_small alone, and cannot be given for {kind}.")
    model = FACTORIES[kind](classes=classes, **options)
    return _reanchored(model, spec) if warm else model


def _network_of(start, kind):
    """The network that starting weights belong to: a detector, "small_body", or None without any.

    `kind` is the detector that was asked for, or None; only `ssd_small` takes weights of a backbone with other names.
    """
    from keras_ssd import zoo
    from keras_ssd.models.weights import find_entry, is_file, read_weights

    if start is None:
        return None
    if is_file(start):
        return read_weights(start).kind if kind in (None, "ssd_small") else kind
    if any(start in (entry.tag, entry.name) for entry in zoo.entries(model="small_body")):
        return "small_body"
    return kind or find_entry(start, None).model


def _chosen_for(train_set, args, spec):
    """Options of `ssd_small` with new heads, as the data want it; what the user names stays."""
    from keras_ssd.models import ssd_small
    from keras_ssd.training import defaults

    size = args.input_size
    if size is None and spec is None:
        height, width = defaults.input_size(train_set)
        size = height, width
    options = {} if size is None else {"input_size": size}
    if args.anchors in (None, "fit"):
        usual = ssd_small(classes=train_set.classes, input_size=size)
        chosen = defaults.anchors_for(train_set, usual, fit=args.anchors == "fit")
        options["anchors"] = chosen.spec
        print(f"anchors: {chosen.why}")
    return options


def _anchor_file(args):
    """What the file of --anchors holds, or None where that is a name: an `AnchorRecipe` where --input-size is another.

    Raises:
        ValueError, OSError: no such file, or none of anchors.
    """
    from keras_ssd.anchors import AnchorRecipe, read_spec

    if not (args.anchors and args.anchors.lower().endswith(".json")):
        return None
    spec = read_spec(args.anchors)
    return spec if args.input_size in (None, spec.image_size) else AnchorRecipe.of(spec)


def _reanchored(model, anchors):
    """The model with these anchors, and a word on what it kept."""
    from keras_ssd import models

    report = model.weights_report
    model = models.with_anchors(model, anchors)
    print(*filter(None, (report, model.weights_report)), sep="\n")
    model.weights_report = None  # told
    return model


def settings_of(args: argparse.Namespace, images: int, model: Any) -> dict[str, Any]:
    """What `keras_ssd.training.Settings` takes, with what was not given worked out.

    Args:
        args: the parsed arguments.
        images: how many there are to train on.
        model: the one to train, as `build_model` gives it.

    Returns:
        Dictionary of plain values.
    """
    from keras_ssd.training import defaults, recipes

    batch_size = args.batch_size or max(1, min(BATCH, images))
    epochs = args.epochs
    if epochs is None and args.minutes is None:
        epochs = defaults.epochs(max(1, images // batch_size))
    learning_rate = args.learning_rate
    if learning_rate is None:
        learning_rate = inspect.signature(recipes.named(args.recipe)).parameters["learning_rate"].default
        start = starting_weights(args)
        # The rate of `caffe` was made for trained backbones; under the backbone that ships, all heads are new.
        if start not in (None, SHIPPED) and args.recipe != "caffe":
            learning_rate = learning_rate * defaults.share_of_rate(model)
    return {
        "epochs": epochs,
        "minutes": args.minutes,
        "patience": args.patience or (epochs and defaults.patience(epochs)),
        "batch_size": batch_size,
        "recipe": args.recipe,
        "learning_rate": learning_rate,
        "augment": None if args.augment == "none" else args.augment,
        "seed": args.seed,
        "precision": args.precision,
        "qat": args.qat,
    }
