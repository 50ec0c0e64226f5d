"""What SSDLoss costs beside a training step of SSD300: milliseconds and share, on the backend in use.

    KERAS_BACKEND=jax python benchmarks/loss.py --batch 8

"loss" is its forward and backward pass alone, from a tensor of predictions; "step" is `train_on_batch` of SSD300 with
fresh weights. Medians over the rounds. On a CPU a step of 8 images takes 10 to 20 s: `--step-rounds 1` is enough.
"""

import argparse
import statistics

import keras
import numpy as np
from decoding import NAMES, milliseconds, predictions
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.box_coder import Targets

ROWS = (
    ("softmax, smooth L1, mining per image", {}),
    ("mining per batch", {"mining": "batch"}),
    ("CIoU", {"localization": "ciou"}),
    ("sigmoid focal, no mining", {"confidence": "sigmoid", "focal_gamma": 2.0, "mining": None}),
)


def targets(spec, batch, positives, seed=0):
    """(B, N, 5) with this many positives per image."""
    rng = np.random.default_rng(seed)
    shape = (batch, spec.num_anchors)
    class_ids, offsets = np.zeros(shape, np.float32), np.zeros((*shape, 4), np.float32)
    for image in range(batch):
        chosen = rng.choice(spec.num_anchors, positives, replace=False)
        class_ids[image, chosen] = rng.integers(1, len(NAMES) + 1, positives)
        offsets[image, chosen] = rng.normal(size=(positives, 4))
    return Targets(class_ids, offsets).join()


def gradient_call(loss, y_true, y_pred):
    """A call without arguments that computes loss and gradient as the backend's trainer does."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def gradient(y_true, y_pred):
            with tf.GradientTape() as tape:
                tape.watch(y_pred)
                value = loss(y_true, y_pred)
            return tape.gradient(value, y_pred)

        y_true, y_pred = tf.constant(y_true), tf.constant(y_pred)
        return lambda: gradient(y_true, y_pred).numpy()
    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.jit(jax.grad(lambda x, y: loss(y, x)))
        y_true, y_pred = jax.device_put(y_true), jax.device_put(y_pred)
        return lambda: jax.block_until_ready(gradient(y_pred, y_true))
    y_true, y_pred = (keras.ops.convert_to_tensor(tensor) for tensor in (y_true, y_pred))

    def call():
        point = y_pred.detach().clone().requires_grad_()
        loss(y_true, point).backward()
        return point.grad.cpu()

    return call


def median(call, rounds):
    call()
    return statistics.median(milliseconds(call) for _ in range(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--positives", type=int, default=40, help="positive anchors an image")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--step-rounds", type=int, default=3)
    args = parser.parse_args()
    model = keras_ssd.ssd300(classes=NAMES)
    y_true = targets(model.anchor_spec, args.batch, args.positives)
    y_pred = predictions(model.anchor_spec, args.batch)
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    images = np.random.default_rng(1).uniform(0, 255, (args.batch, 300, 300, 3)).astype(np.float32)
    step = median(lambda: model.train_on_batch(images, y_true), args.step_rounds)
    table = Table(title=f"SSD300, batch {args.batch}, {keras.backend.backend()}: a step takes {step:.0f} ms")
    for title in ("loss", "forward and backward, ms", "share of a step"):
        table.add_column(title, justify="left" if title == "loss" else "right")
    for title, options in ROWS:
        cost = median(gradient_call(keras_ssd.SSDLoss(**options), y_true, y_pred), args.rounds)
        table.add_row(title, f"{cost:.1f}", f"{cost / step:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
