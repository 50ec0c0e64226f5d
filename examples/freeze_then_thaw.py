"""Fine-tunes trained weights for other classes in two steps: first the new heads alone, then everything, gently.

    python examples/freeze_then_thaw.py photos --weights ssd300.voc07+12 --out mine.keras

Fresh heads make large errors at first, and their gradients would spoil filters that took days to learn. So all layers
but the heads are frozen at first. Heads of classes that the weights know start with their trained filters.
"""

import argparse
import fnmatch
import math
import sys

import keras_ssd

# Heads as the models of this package name them.
HEADS = ("*_mbox_loc", "*_mbox_conf", "classes?", "boxes?")


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the annotated images: VOC, COCO, YOLO or CSV")
    parser.add_argument("--weights", required=True, help="a name from `keras-ssd zoo list`, or a file")
    parser.add_argument("--frozen-epochs", type=int, default=5, help="epochs for the heads alone (default: 5)")
    parser.add_argument("--epochs", type=int, default=20, help="epochs for all layers after that (default: 20)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, help="highest learning rate of the heads (default: 1e-3)"
    )
    parser.add_argument("--augment", default="light", help="a chain of keras_ssd.data.augment (default: light)")
    parser.add_argument("--out", default="finetuned.keras", help="where to save it (default: finetuned.keras)")
    return parser.parse_args(argv)


def train_only(model, patterns):
    """Freezes every layer whose name fits none of the patterns. A frozen BatchNormalization keeps its statistics."""
    for layer in model.layers:
        layer.trainable = any(fnmatch.fnmatch(layer.name, pattern) for pattern in patterns)
    weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    print(f"{weights:,} of {model.count_params():,} values are trained")


def fit(model, batches, epochs, rate):
    """`trainable` counts at `compile`, so each step compiles anew."""
    loss = keras_ssd.SSDLoss()
    # average=None: the weights at the end, not their running average.
    optimizer = keras_ssd.recipes.modern(len(batches) * epochs, rate, average=None)
    model.compile(optimizer=optimizer, loss=loss, metrics=[keras_ssd.SSDLossMetric(loss)])
    model.fit(batches, epochs=epochs, verbose=2)


def main(argv=None):
    args = arguments(argv)
    data = keras_ssd.data.read(args.data, policy="drop")
    print(data)
    model = keras_ssd.with_classes(keras_ssd.open_model(args.weights), data.classes)
    print(model.weights_report)
    size = min(args.batch_size, len(data))
    batches = keras_ssd.data.batches(data, model, augment=args.augment, batch_size=size)

    train_only(model, HEADS)
    fit(model, batches, args.frozen_epochs, args.learning_rate)
    train_only(model, ["*"])
    fit(model, batches, args.epochs, args.learning_rate / 10)

    model.save(args.out)
    print(f"Saved {args.out}: {', '.join(model.class_names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
