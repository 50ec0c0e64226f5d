"""What each augmentation block and chain costs: milliseconds per image on one thread, with and without OpenCV.

    python benchmarks/augmenting.py --size 375 500 --boxes 3

A smooth random image of this size (VOC's by default) with this many objects. Blocks always happen here, whatever
their probability in a chain; a chain ends at 300 x 300. "draw" is the part that decides and touches no pixel.
Medians over the draws; for chains means too, since their draws differ much.
"""

import argparse
import functools
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from keras_ssd.data import Sample
from keras_ssd.data import augment as a
from keras_ssd.images import resizing

SIZE_HW = (300, 300)


def blocks():
    """(name, block) of all that is measured apart."""
    named = {
        "Brightness": a.Brightness(),
        "Contrast": a.Contrast(),
        "Brightness, Contrast": a.Chain([a.Brightness(), a.Contrast()]),
        "Saturation": a.Saturation(),
        "Hue": a.Hue(),
        "Saturation, Hue": a.Chain([a.Saturation(), a.Hue()]),
        "distortion() of SSD": a.distortion(),
        "Gamma": a.Gamma(),
        "HistogramEqualization": a.HistogramEqualization(),
        "ChannelOrder": a.ChannelOrder(),
        "Grayscale": a.Grayscale(),
        "JpegNoise": a.JpegNoise(),
        "Flip": a.Flip(),
        "QuarterTurns": a.QuarterTurns((1, 3)),
        "Translate": a.Translate(),
        "Zoom": a.Zoom(),
        "Expand": a.Expand(),
        "BatchSampler": a.BatchSampler(),
        "RandomPatch": a.RandomPatch(),
        "MaxCropToAspect": a.MaxCropToAspect(1.0),
        "PadToAspect": a.PadToAspect(1.0),
        **{f"Resize, {name}": a.Resize(SIZE_HW, (name,)) for name in a.INTERPOLATIONS},
        "Mosaic": a.Mosaic(SIZE_HW),
        "MixUp": a.MixUp(),
    }
    return list(named.items())


def smooth_sample(size_hw, boxes, rng):
    """An image without sharp noise, as photographs are, and boxes of middling size."""
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    image = np.asarray(coarse.resize(size_hw[::-1], Image.Resampling.BICUBIC))
    corners = rng.uniform(0, 0.7, (boxes, 2))
    sides = rng.uniform(0.1, 0.3, (boxes, 2))
    return Sample(image, np.concatenate([corners, corners + sides], axis=1), np.arange(boxes))


def milliseconds(call, draws):
    """One time for each of the draws, after three that do not count."""
    times = []
    for index in range(-3, draws):
        rng = a.sample_rng(0, 0, abs(index))
        start = time.perf_counter()
        call(rng)
        times.append(1e3 * (time.perf_counter() - start))
    return times[3:]


def measure(block, sample, draws, opencv):
    original = resizing._opencv
    resizing._opencv = original if opencv else lambda: None
    try:
        return milliseconds(lambda rng: block(sample, rng, lambda _: sample), draws)
    finally:
        resizing._opencv = original


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", nargs=2, type=int, default=(375, 500), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--draws", type=int, default=60, help="of a block; a chain gets ten times as many")
    arguments = parser.parse_args()
    cv2 = resizing._opencv()
    if cv2 is not None:
        cv2.setNumThreads(1)
    sample = smooth_sample(tuple(arguments.size), arguments.boxes, np.random.default_rng(0))
    labels = a.Labels.of(sample)

    table = Table(title=f"{arguments.size[1]} x {arguments.size[0]} pixels, {arguments.boxes} objects, ms per image")
    columns = ("block or chain", "draw", "with OpenCV", "mean", "without", "mean")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    chains = [(f'named_chain("{name}")', a.named_chain(name, SIZE_HW)) for name in a.CHAINS]
    for rows, draws in ((blocks(), arguments.draws), (chains, 10 * arguments.draws)):
        for name, block in rows:
            drawing = [] if block.opaque else milliseconds(functools.partial(block.draw, labels), draws)
            cells = [f"{statistics.median(drawing):.2f}" if drawing else ""]
            for opencv in (True, False):
                times = measure(block, sample, draws, opencv) if not opencv or cv2 is not None else []
                cells += [f"{statistics.median(times):.2f}", f"{statistics.mean(times):.2f}"] if times else ["", ""]
            table.add_row(name, *cells)
        table.add_section()
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
