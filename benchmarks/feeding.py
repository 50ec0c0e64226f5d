"""How many images per second `data.batches` gives to `fit`, and where the time goes, on the backend in use.

    KERAS_BACKEND=jax python benchmarks/feeding.py --workers 2
    KERAS_BACKEND=tensorflow python benchmarks/feeding.py --train

JPEG files of 500 x 375 pixels, drawn with the spectrum of photographs, or those of `--images FOLDER`, with 3 objects
each, go through a chain to 300 x 300 and become targets for the 8,732 anchors of SSD300. The parts are measured on one
thread. "hand-over" is what `fit` takes for batches that are ready, with a network of four weights. The rates are those
of the best of three epochs, after one that does not count. `--train` trains an SSD on MobileNet v1 instead, once on
fresh batches and once on one and the same batch: the difference is what feeding costs.
"""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.anchors import named_recipe
from keras_ssd.backbones import ConvRow
from keras_ssd.data import Annotation, Dataset, Sample
from keras_ssd.data.augment import sample_rng
from keras_ssd.data.batches import batches

SIZE_HW = (300, 300)
CLASSES = tuple(f"class {number}" for number in range(20))
OBJECTS = 3
ROUNDS = 3


def photograph(rng, size_hw=(375, 500)):
    """A random image whose amplitudes fall as 1 / frequency, as those of photographs do."""
    rows, columns = (np.fft.fftfreq(side) for side in size_hw)
    frequency = np.hypot(rows[:, None], columns)
    frequency[0, 0] = np.inf
    waves = rng.normal(size=(4, *size_hw)) + 1j * rng.normal(size=(4, *size_hw))
    grey, *colours = np.fft.ifft2(waves / frequency).real
    planes = np.stack([grey + 0.2 * colour for colour in colours], axis=-1)
    return np.clip(120 + 55 * planes / planes.std(), 0, 255).astype(np.uint8)


def draw_files(folder, count=32):
    rng = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(photograph(rng)).save(Path(folder) / f"{number}.jpg", quality=90)


def dataset(folder, count):
    """`count` annotations of the images in a folder, over and over, with random objects."""
    rng = np.random.default_rng(1)
    files = sorted(Path(folder).glob("*.jpg"))
    kilobytes = sum(file.stat().st_size for file in files) / len(files) / 1000
    annotations = []
    for number, file in zip(range(count), itertools.cycle(files), strict=False):
        with Image.open(file) as image:
            width, height = image.size
        corners = rng.uniform(0, 0.6, (OBJECTS, 2))
        boxes = np.hstack([corners, corners + rng.uniform(0.05, 0.4, (OBJECTS, 2))]) * (width, height, width, height)
        ids = rng.integers(0, len(CLASSES), OBJECTS)
        annotations.append(Annotation(str(number), str(file), boxes, ids, (height, width)))
    return Dataset(f"{count} images of {width} x {height} pixels, {kilobytes:.0f} kB", CLASSES, annotations)


def milliseconds(call, places):
    """The mean time of a call with each of these places."""
    places = list(places)
    start = time.perf_counter()
    for place in places:
        call(place)
    return 1e3 * (time.perf_counter() - start) / len(places)


def parts(source, count=200):
    """Milliseconds per image of each part of the way, on the thread that calls."""
    maker, size = source.maker, source.batch_size
    samples = [Sample.of(maker.dataset[place]) for place in range(16)]
    made = [maker.sample(0, place) for place in range(count)]
    groups = range(0, count - size + 1, size)
    columns = ("boxes_xyxy", "class_ids", "difficult")

    def encode(first):
        maker.encoder.encode_batch(*([getattr(s, name) for s in made[first : first + size]] for name in columns))

    return {
        "read and decode": milliseconds(lambda place: Sample.of(maker.dataset[place]), range(count)),
        "augment": milliseconds(lambda place: maker.chain(samples[place % 16], sample_rng(0, 0, place)), range(count)),
        "encode": milliseconds(encode, groups) / size,
        "stack": milliseconds(lambda n: np.stack([s.image for s in made[n : n + size]]), groups) / size,
    }


class Ready(keras.utils.PyDataset):
    """One and the same batch, as often as an epoch asks."""

    def __init__(self, batch, count):
        super().__init__()
        self.batch, self.count = batch, count

    def __len__(self):
        return self.count

    def __getitem__(self, _):
        return self.batch


class EpochTimes(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def on_train_begin(self, logs=None):
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def seconds_of_fit(network, source):
    """Seconds of the best epoch but for the first, which compiles."""
    times = EpochTimes()
    network.fit(source, epochs=1 + ROUNDS, verbose=0, shuffle=False, callbacks=[times])
    return min(times.seconds[1:])


def seconds_alone(source):
    """Seconds of the best epoch of batches that nobody uses."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in source:
            pass
        times.append(time.perf_counter() - start)
    return min(times)


def next_to_nothing():
    """A network that looks at one pixel, and a loss that looks at one number of the targets."""
    inputs = keras.Input((*SIZE_HW, 3))
    x = keras.layers.Cropping2D(((0, SIZE_HW[0] - 1), (0, SIZE_HW[1] - 1)))(inputs)
    network = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))
    network.compile("sgd", loss=lambda y_true, y_pred: keras.ops.mean(keras.ops.abs(y_pred - y_true[:, 0, :1])))
    return network


def mobilenet():
    """MobileNet-SSD's six maps on Keras's MobileNet."""
    inputs = keras.Input((*SIZE_HW, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="preprocessing")(inputs)
    backbone = keras.applications.MobileNet(input_tensor=x, include_top=False, weights=None)
    extras = [
        keras_ssd.Extra((ConvRow(f"extra{i}_1", filters // 2, 1), ConvRow(f"extra{i}_2", filters, 3, stride=2, pad=1)))
        for i, filters in enumerate((512, 256, 256, 128))
    ]
    taps = ("conv_pw_11_relu", "conv_pw_13_relu")
    model = keras_ssd.ssd(backbone, taps, CLASSES, named_recipe("mobilenet_ssd"), extras=extras)
    model.compile("sgd", loss=keras_ssd.SSDLoss())
    return model


def feeding(args, data):
    source = batches(data, keras_ssd.ssd300(classes=CLASSES), args.chain, args.batch, workers=args.workers)
    times = parts(source)
    network, batch = next_to_nothing(), source[0]
    times["hand-over"] = 1e3 * seconds_of_fit(network, Ready(batch, len(source))) / len(source) / args.batch
    images = len(source) * args.batch
    alone, whole = images / seconds_alone(source), images / seconds_of_fit(network, source)
    source.close()
    table = Table(title=f"{data.name}, chain {args.chain}, batch {args.batch}, {args.workers} workers")
    table.add_column(keras.backend.backend())
    table.add_column("", justify="right")
    for name, value in times.items():
        table.add_row(f"{name}, ms per image", f"{value:.2f}")
    table.add_section()
    table.add_row("batches alone, images per second", f"{alone:.0f}")
    table.add_row("through fit, images per second", f"{whole:.0f}")
    return table


def training(args, data):
    model = mobilenet()
    source = batches(data[: args.steps * args.batch], model, args.chain, args.batch, workers=args.workers)
    fresh = seconds_of_fit(model, source) / len(source)
    same = seconds_of_fit(model, Ready(source[0], len(source))) / len(source)
    source.close()
    table = Table(title=f"SSD on MobileNet v1, batch {args.batch}, {keras.backend.backend()}, seconds a step")
    for name in ("on fresh batches", "on one batch", "feeding costs"):
        table.add_column(name, justify="right")
    table.add_row(f"{fresh:.3f}", f"{same:.3f}", f"{fresh / same - 1:.1%}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of .jpg files; none draws some")
    parser.add_argument("--count", type=int, default=1024, help="images an epoch")
    parser.add_argument("--chain", default="ssd")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads that make batches")
    parser.add_argument("--train", action="store_true", help="what feeding costs a training")
    parser.add_argument("--steps", type=int, default=10, help="an epoch of --train")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if not args.images:
            draw_files(folder)
        data = dataset(args.images or folder, args.count)
        Console().print((training if args.train else feeding)(args, data))


if __name__ == "__main__":
    main()
