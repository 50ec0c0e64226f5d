"""What decoding costs beside SSD300's forward pass: milliseconds per image and share, on the backend in use.

    KERAS_BACKEND=jax python benchmarks/decoding.py

Weights are fresh; the predictions that are decoded are drawn so that 2.6 % of the class scores pass the threshold, as
they do for real images. Medians over the rounds; forward pass and decoding alternate, so noise meets both.
"""

import argparse
import statistics
import time

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.box_coder import Predictions

SHARE = 0.026
NAMES = [f"class_{i}" for i in range(20)]


def predictions(spec, batch, share=SHARE, seed=0):
    """(B, N, 33) raw predictions of which `share` of the class scores exceed 0.01."""
    rng = np.random.default_rng(seed)
    count = spec.num_anchors
    logits = rng.normal(0, 2, (batch, count, 21)).astype(np.float32)
    low, high = -10.0, 40.0
    for _ in range(40):  # the background's lead that lets the wanted share pass
        middle = (low + high) / 2
        tried = logits + np.eye(21, dtype=np.float32)[0] * np.float32(middle)
        scores = np.exp(tried - tried.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        low, high = (middle, high) if (scores[..., 1:] > 0.01).mean() > share else (low, middle)
    offsets = rng.normal(0, 1, (batch, count, 4)).astype(np.float32)
    anchors = np.broadcast_to(spec.anchors_cxcywh(), (batch, count, 4))
    variances = np.broadcast_to(np.float32(spec.variances), (batch, count, 4))
    return Predictions(tried, offsets, anchors, variances).join()


def milliseconds(call):
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000


def measure(batch, rounds):
    """Median milliseconds per image: forward pass, decoding, and the end-to-end model."""
    model = keras_ssd.ssd300(classes=NAMES)
    raw = keras.Input(model.output.shape[1:])
    decoder = keras.Model(raw, keras_ssd.DecodeDetections()(raw))
    whole = keras_ssd.with_decoder(model)
    images = np.random.default_rng(1).uniform(0, 255, (batch, 300, 300, 3)).astype(np.float32)
    found = predictions(model.anchor_spec, batch)
    calls = (
        lambda: model.predict_on_batch(images),
        lambda: decoder.predict_on_batch(found),
        lambda: whole.predict_on_batch(images),
    )
    for call in calls:
        call()
    times = [[milliseconds(call) for call in calls] for _ in range(rounds)]
    return [statistics.median(column) / batch for column in zip(*times, strict=True)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    table = Table(title=f"SSD300, 20 classes, {keras.backend.backend()}, {SHARE:.1%} of scores above 0.01")
    for title in (
        "batch",
        "forward, ms per image",
        "decoding, ms per image",
        "share",
        "ssd_keras's 514 ms / ours",
    ):
        table.add_column(title, justify="right")
    for batch in args.batches:
        forward, decoding, _ = measure(batch, args.rounds)
        table.add_row(
            str(batch),
            f"{forward:.0f}",
            f"{decoding:.1f}",
            f"{decoding / forward:.1%}",
            f"{514 / decoding:.0f} times",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
