"""Trains with a loss of your own, made of the parts of SSD's: here small objects count more.

    python examples/custom_loss.py photos --gain 2 --epochs 30 --out small.keras

An error of a few pixels hardly matters for a large object, and can miss a small one. In SSD's loss both cost the same
if they are the same share of the anchor, and large objects have more anchors. With `--gain 0` this is SSD's own loss.
"""

import argparse
import sys

import keras
from keras import ops

import keras_ssd
from keras_ssd.box_coder import Predictions, Targets
from keras_ssd.losses import Coder, ConfidenceLoss, HardNegatives, localization_loss


@keras.saving.register_keras_serializable("examples")
class SmallObjectsLoss(keras.losses.Loss):
    """Softmax with hard negatives, and smooth L1 that counts up to 1 + `gain` times as much for small anchors."""

    def __init__(self, gain=1.0, name="small_objects_loss", **options):
        super().__init__(name=name, **options)
        self.gain = gain

    def call(self, y_true, y_pred):
        predictions, targets = Predictions.split(y_pred), Targets.split(y_true)
        class_ids = ops.cast(targets.class_ids, "int32")  # (B, N): 0 is background, -1 neither that nor an object
        positives, background = class_ids > 0, ops.equal(class_ids, 0)

        classes = ConfidenceLoss()(predictions.logits, ops.maximum(class_ids, 0))  # (B, N)
        negatives = HardNegatives().choose(classes, background, positives)
        classes = ops.where(ops.logical_or(positives, negatives), classes, 0.0)

        boxes = localization_loss("smooth_l1", predictions, targets.offsets, positives, Coder())  # (B, N)
        sides = predictions.anchors_cxcywh[..., 2:]  # shares of the image's
        boxes *= 1 + self.gain * (1 - ops.sqrt(ops.minimum(sides[..., 0] * sides[..., 1], 1.0)))

        # SSD divides by the anchors of objects, and Keras by the images.
        images = ops.cast(ops.shape(y_pred)[0], classes.dtype)
        objects = ops.maximum(ops.sum(ops.cast(positives, classes.dtype)), 1.0)
        return ops.sum(classes + boxes, axis=1) * (images / objects)

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="the annotated images: VOC, COCO, YOLO or CSV")
    parser.add_argument("--gain", type=float, default=1.0, help="how much more small objects count (default: 1)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--out", default="small.keras", help="where to save it (default: small.keras)")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    data = keras_ssd.data.read(args.data, policy="drop")
    model = keras_ssd.ssd_small(classes=data.classes)
    size = min(args.batch_size, len(data))
    batches = keras_ssd.data.batches(data, model, augment="light", batch_size=size)
    optimizer = keras_ssd.recipes.small_data(len(batches) * args.epochs, average=None)
    # The metric shows what SSD's own loss would say, and how many of the objects have an anchor.
    metric = keras_ssd.SSDLossMetric(keras_ssd.SSDLoss())
    model.compile(optimizer=optimizer, loss=SmallObjectsLoss(args.gain), metrics=[metric])
    model.fit(batches, epochs=args.epochs, verbose=2)
    model.save(args.out)
    print(f"Saved {args.out}: {', '.join(model.class_names)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
