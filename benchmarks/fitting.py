"""Where a training step of `ssd_small` spends its time, and how far it is from what the processor can do.

    KERAS_BACKEND=tensorflow python benchmarks/fitting.py --batch 16 --size 240x320
    KERAS_BACKEND=torch python benchmarks/fitting.py --precision mixed_bfloat16

Each row is the median of several runs after two that compile. "forward" is `predict_on_batch`; "step, free loss" trains
with the mean of the predictions as loss, so it is forward, backward and optimizer; "step" trains with `SSDLoss`; "fit"
is a step of its median epoch, with batches made from JPEG files. "bound" is the time that the multiplications of the
convolutions alone would take at the rate of this processor's float32 matrix product. With PyTorch installed, the last
rows are the same network written for it alone, channels last, with the free loss.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_ssd
from keras_ssd.data import Annotation, Dataset
from keras_ssd.data.batches import batches
from keras_ssd.training.recipes import small_data

CLASSES = ("a", "b", "c")
RUNS = 7


def median(function):
    for _ in range(2):
        function()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def multiplications(model):
    """Multiply-adds of the convolutions for one image, forward."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            _, height, width, _ = layer.output.shape
            total += height * width * int(np.prod(layer.kernel.shape))
    return total


def product_rate(side=2048):
    """Multiply-adds per second of a float32 matrix product."""
    a = np.random.default_rng(0).normal(size=(side, side)).astype("float32")
    return side**3 / median(lambda: a @ a)


def dataset(folder, count, size_hw):
    """JPEG files of 640 x 480 with noise and 12 boxes each."""
    rng = np.random.default_rng(0)
    annotations = []
    for number in range(count):
        path = Path(folder) / f"{number}.jpg"
        coarse = rng.integers(0, 255, (30, 40, 3), np.uint8)
        keras.utils.array_to_img(np.kron(coarse, np.ones((16, 16, 1), np.uint8))).save(path, quality=90)
        corner = rng.uniform(0, 380, (12, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(30, 90, (12, 2))], 1)
        annotations.append(Annotation(str(number), path, boxes, rng.integers(0, 3, 12), (480, 640)))
    return Dataset("noise", CLASSES, annotations)


def keras_rows(args, size):
    keras.config.set_dtype_policy(args.precision)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (args.batch, *size, 3)).astype("float32")
    model = keras_ssd.ssd_small(classes=CLASSES, input_size=size)
    yield "forward", median(lambda: model.predict_on_batch(images))
    free = keras_ssd.ssd_small(classes=CLASSES, input_size=size)
    free.compile(small_data(1000), loss=lambda wanted, given: keras.ops.mean(given))
    nothing = np.zeros((args.batch, 1), "float32")
    yield "step, free loss", median(lambda: free.train_on_batch(images, nothing))
    model.compile(small_data(1000), loss=keras_ssd.SSDLoss())
    with tempfile.TemporaryDirectory() as folder:
        data = dataset(folder, 8 * args.batch, size)
        source = batches(data, model, "light", args.batch, images_in_memory=True)
        images, targets = source.maker.batch(0, source.places(0, 0))[:2]
        yield "step", median(lambda: model.train_on_batch(images, targets))
        yield "batch", median(lambda: source.maker.batch(0, source.places(0, 0)))
        times = [time.perf_counter()]
        clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(time.perf_counter()))
        model.fit(source, epochs=5, verbose=0, callbacks=[clock])
        yield "fit", statistics.median(np.diff(times[1:])) / len(source)
        source.close()


def torch_rows(args, size):
    """The same layers in plain PyTorch."""
    try:
        import torch
    except ImportError:
        return
    from torch import nn

    from keras_ssd.backbones.small import ROWS

    def block(inputs, outputs, stride, relu=True):
        layers = [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)]
        return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rows, self.heads, before = nn.ModuleList(), nn.ModuleList(), 3
            boxes = iter((4, 5, 6))
            for _, filters, stride, residual in ROWS:
                self.rows.append(block(before, filters, stride))
                if residual:
                    self.rows.append(nn.Sequential(block(filters, filters, 1), block(filters, filters, 1, False)))
                    self.heads.append(nn.Conv2d(filters, next(boxes) * (len(CLASSES) + 5), 3, padding=1))
                before = filters
            self.residual = [residual for row in ROWS for residual in ((False, True) if row[3] else (False,))]

        def forward(self, x):
            found, heads = 0.0, iter(self.heads)
            for row, residual in zip(self.rows, self.residual, strict=True):
                x = torch.relu(x + row(x)) if residual else row(x)
                if residual:
                    found = found + next(heads)(x).float().mean()
            return found

    images = torch.rand(args.batch, 3, *size).to(memory_format=torch.channels_last)
    for precision in (torch.float32, torch.bfloat16):
        net = Net().to(memory_format=torch.channels_last).train()
        optimizer = torch.optim.AdamW(net.parameters(), 1e-3)

        def step(net=net, optimizer=optimizer, precision=precision):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=precision is torch.bfloat16):
                loss = net(images)
            loss.backward()
            optimizer.step()

        yield f"plain PyTorch, {str(precision).removeprefix('torch.')}", median(step)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", default="240x320")
    parser.add_argument("--precision", default="float32", choices=("float32", "mixed_bfloat16"))
    args = parser.parse_args()
    size = tuple(map(int, args.size.split("x")))
    model = keras_ssd.ssd_small(classes=CLASSES, input_size=size)
    work, rate = multiplications(model), product_rate()
    print(f"{work / 1e6:.0f} million multiply-adds per image; matrix product: {rate / 1e9:.0f} billion per second")
    table = Table("what", "ms per batch", "images/s", "times the bound")
    rows = [("bound of forward", args.batch * work / rate), ("bound of a step", 3 * args.batch * work / rate)]
    for name, seconds in [*rows, *keras_rows(args, size), *torch_rows(args, size)]:
        bound = rows[0 if name in ("forward", "bound of forward") else 1][1]
        shown = "" if name == "batch" else f"{seconds / bound:.2f}"
        table.add_row(name, f"{1e3 * seconds:.0f}", f"{args.batch / seconds:.0f}", shown)
    Console().print(f"{keras.config.backend()}, {args.precision}, batch {args.batch}, {args.size}", table)


if __name__ == "__main__":
    main()
