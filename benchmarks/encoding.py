"""How many images per second `TargetEncoder` encodes for SSD300 and SSD512.

    OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 python benchmarks/encoding.py

Objects are of all sizes from 3 % to 80 % of the image's side, 14.5 per image. `host` is `TargetEncoder.encode_batch`
and `all anchors` the same without looking at geometry first; `graph` is `encode_in_graph`, compiled, on the backend in
use, which is for the GPU and for small batches. The host works on one thread and is timed by its processor, so that
other programs on the machine do not count; best of the rounds. ssd_keras's encoder needs 30 ms per image for SSD300 and
70 to 108 ms for SSD512.
"""

import argparse
import time

import keras
import numpy as np
from keras import ops
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.anchors import named_spec

SSD_KERAS_MS = {"ssd300_voc": 30, "ssd512_voc": 70}
OBJECTS = (14, 15)


def scenes(images, seed=0):
    """Boxes and class ids of each image."""
    rng = np.random.default_rng(seed)
    boxes, class_ids = [], []
    for index in range(images):
        count = OBJECTS[index % len(OBJECTS)]
        sizes = np.exp(rng.uniform(np.log(0.03), np.log(0.8), (count, 2)))
        centres = rng.uniform(sizes / 2, 1 - sizes / 2)
        boxes.append(np.concatenate([centres - sizes / 2, centres + sizes / 2], 1).astype(np.float32))
        class_ids.append(rng.integers(0, 20, count))
    return boxes, class_ids


def padded(boxes, class_ids):
    """The same as tensors (B, M, 4) and (B, M)."""
    all_boxes = np.zeros((len(boxes), max(OBJECTS), 4), np.float32)
    all_ids = np.full((len(boxes), max(OBJECTS)), -1, np.int32)
    for index, (each, ids) in enumerate(zip(boxes, class_ids, strict=True)):
        all_boxes[index, : len(each)], all_ids[index, : len(ids)] = each, ids
    return ops.convert_to_tensor(all_boxes), ops.convert_to_tensor(all_ids)


def compiled(function):
    """The function as a Keras model runs it."""
    boxes, class_ids = keras.Input((max(OBJECTS), 4)), keras.Input((max(OBJECTS),), dtype="int32")
    model = keras.Model([boxes, class_ids], keras.layers.Lambda(lambda objects: function(*objects))([boxes, class_ids]))
    return lambda *objects: model.predict_on_batch(list(objects))


def seconds(call, rounds, clock):
    """The quickest of some calls, after one that does not count."""
    call()
    times = []
    for _ in range(rounds):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def rates(name, images, rounds):
    """Images per second: by geometry, with all anchors, in graph."""
    encoder = keras_ssd.TargetEncoder(named_spec(name), 20)
    plain = keras_ssd.TargetEncoder(named_spec(name), 20)
    plain._overlaps.windows = None
    objects = scenes(images)
    tensors = padded(*objects)
    in_graph = compiled(encoder.encode_in_graph)
    times = (
        seconds(lambda: encoder.encode_batch(*objects), rounds, time.thread_time),
        seconds(lambda: plain.encode_batch(*objects), rounds, time.thread_time),
        seconds(lambda: in_graph(*tensors), rounds, time.perf_counter),  # its threads are not Python's
    )
    return [images / each for each in times]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32, help="images a batch")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    table = Table(title=f"Targets, 14.5 objects per image, images per second; graph on {keras.backend.backend()}")
    for title in ("anchors", "host", "ms per image", "times ssd_keras", "all anchors", "graph"):
        table.add_column(title, justify="right")
    for name, theirs in SSD_KERAS_MS.items():
        host, everything, graph = rates(name, args.images, args.rounds)
        row = (host, 1000 / host, host * theirs / 1000, everything, graph)
        table.add_row(name, *(f"{value:.{places}f}" for value, places in zip(row, (0, 2, 0, 0, 0), strict=True)))
    Console().print(table)


if __name__ == "__main__":
    main()
