"""What `keras-ssd train` works on, from its arguments: the data, the model, and the numbers that were not given."""

import inspect
import math
import os
from pathlib import Path

from keras_ssd.cli.arguments import class_names
from keras_ssd.cli.train import BATCH, EPOCHS, STEPS

VALIDATION_SPLITS = ("val", "valid", "validation")


def read_datasets(args):
    """The training set and the validation set, or None for it, of the same classes.

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
    splits = args.split or (("train",) if "train" in names else (None,))
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
    from keras_ssd.data import read
    from keras_ssd.detections import class_ids_of

    def part(path, split):
        found = read(path, split, policy=args.policy, progress=True)
        if path == args.data and args.classes:
            class_ids_of(args.classes, found.classes)  # refuses what is misspelt
        return found.with_classes(args.classes, others="drop") if args.classes else found

    splits = args.split or (("train",) if "train" in splits_of(args.data) else (None,))
    first, *others = [part(args.data, split) for split in splits]
    train_set = first.merge(*others) if others else first
    wanted = args.validation_set
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
            f"--validation-set must be a split, a share below 1, a path, or none{splits}. Received: {wanted}"
        )
    return train_set, part(wanted, None).with_classes(train_set.classes)


def splits_of(data):
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


def build_model(args, classes):
    """The model to train, with the weights to start from.

    Raises:
        ValueError, OSError: an unknown model or name, or weights that do not fit.
    """
    from keras_ssd import models
    from keras_ssd.models.composing import freeze_layers
    from keras_ssd.models.opening import FACTORIES
    from keras_ssd.models.weights import find_entry, is_file, read_weights
    from keras_ssd.names import unknown_name
    from keras_ssd.opening import is_described, open_model

    labels, kind = class_names(args.weights_classes), args.model
    if kind is not None and kind not in FACTORIES:
        raise ValueError(unknown_name("model", kind, FACTORIES))
    spec = _anchor_file(args)
    whole = args.weights and is_file(args.weights) and args.weights.lower().endswith(".keras")
    if whole or (args.weights and is_described(args.weights, kind)):
        for name in ("anchors", "input_size"):
            if getattr(args, name) and not (name == "anchors" and spec):
                what = "a .keras model" if whole else "the network of these weights"
                raise ValueError(f"--{name.replace('_', '-')} is part of {what}, and cannot be given with it.")
        model = open_model(args.weights, class_names=labels)
        if model.class_names != tuple(classes):
            model = models.with_classes(model, classes)
        if spec is not None:
            model = _reanchored(model, spec)
        freeze_layers(model, args.freeze or ())
        return model
    if kind is None and args.weights:
        file = is_file(args.weights)
        kind = read_weights(args.weights).kind if file else find_entry(args.weights, None).model
    # Weights of the catalogue have heads for anchors of their own; those of the file come after them.
    warm = spec is not None and args.weights and not is_file(args.weights) and kind in FACTORIES
    options = {
        "weights": args.weights,
        "weights_classes": labels,
        "anchors": None if warm else spec or args.anchors,
        "input_size": args.input_size,
        "freeze": args.freeze,
    }
    options = {name: value for name, value in options.items() if value is not None}
    if kind is not None and kind not in FACTORIES:
        raise ValueError(f"The weights {args.weights} are of {kind}, which is no detector. Say which --model to build.")
    model = FACTORIES[kind or "ssd_small"](classes=classes, **options)
    return _reanchored(model, spec) if warm else model


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


def settings_of(args, pictures):
    """What `keras_ssd.training.Settings` takes, with what was not given worked out.

    Args:
        args: the parsed arguments.
        pictures: how many there are to train on.

    Returns:
        Dictionary of plain values.
    """
    from keras_ssd.training import recipes

    batch_size = args.batch_size or max(1, min(BATCH, pictures))
    steps = max(1, pictures // batch_size)
    epochs = args.epochs or min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1])
    rate = args.rate
    if rate is None:
        rate = inspect.signature(recipes.named(args.recipe)).parameters["rate"].default
        if args.weights and args.recipe != "caffe":  # whose rate was made for pretrained weights
            rate = rate / 10
    return {
        "epochs": epochs,
        "batch_size": batch_size,
        "recipe": args.recipe,
        "rate": rate,
        "augment": None if args.augment == "none" else args.augment,
        "seed": args.seed,
        "precision": args.precision,
    }
