"""What reading a caffemodel costs: seconds, and memory beyond the process's own, as a share of the file's size.

    python benchmarks/caffe_reading.py
    python benchmarks/caffe_reading.py --mb 100 --folder /tmp

Each file is written first, then read in a process of its own that touches every number (the sum), so that a memory
map does not look free. "own" is memory that the process allocated; the peak counts the file's pages, too, which the
system takes back when it needs them. The page cache is warm: disks are not measured. Only Linux gives these numbers.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from keras_ssd.caffe.files import CaffeLayer, CaffeNet, write_caffemodel

FORMS = ("packed", "unpacked")
SIDE = 1024  # channels of a layer: 3 x 3 kernels of 36 MB


def net_of(megabytes):
    """Convolutions that fill about this many megabytes."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.01, (SIDE, SIDE, 3, 3)).astype(np.float32)
    left = megabytes * 1_000_000 // 4
    layers = []
    while left > 0:
        rows = max(min(SIDE, left // kernel[0].size), 1)
        blobs = (kernel[:rows], np.zeros(rows, np.float32))
        layers.append(CaffeLayer(f"conv{len(layers)}", "Convolution", ("x",), ("x",), {}, blobs))
        left -= rows * kernel[0].size
    return CaffeNet("benchmark", tuple(layers))


def varint(value):
    low = value & 127
    return bytes([low]) if value < 128 else bytes([low | 128]) + varint(value >> 7)


def framed(number, *parts):
    """A record with a length, in parts."""
    return [varint(number << 3 | 2) + varint(sum(map(len, parts))), *parts]


def write_unpacked(net, path):
    """Writes each value behind a tag of its own, as tools without packed fields did."""
    with open(path, "wb") as stream:
        for layer in net.layers:
            parts = [*framed(1, layer.name.encode()), *framed(2, layer.type.encode())]
            for blob in layer.blobs:
                tagged = np.full((blob.size, 5), 5 << 3 | 5, np.uint8)
                tagged[:, 1:] = blob.reshape(-1, 1).view(np.uint8)
                sides = framed(7, *framed(1, b"".join(map(varint, blob.shape))))
                parts += framed(7, *sides, tagged.tobytes())
            stream.writelines(framed(100, *parts))


MEASURED = """
import sys, time
import numpy as np
from keras_ssd.caffe.files import read_caffemodel

def memory():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {name: int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "VmRSS", "VmHWM")}

before = memory()
start = time.perf_counter()
net = read_caffemodel(sys.argv[1])
opened = time.perf_counter() - start
total = sum(float(blob.sum(dtype=np.float64)) for layer in net.layers for blob in layer.blobs)
summed = time.perf_counter() - start
after = memory()
print(opened, summed, after["RssAnon"] - before["RssAnon"], after["VmHWM"] - before["VmRSS"], len(net.layers), total)
"""


def measure(path):
    """(seconds to open, seconds with the sum, bytes allocated, bytes at the peak) of one fresh process."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], env=environment, capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()[:4]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, nargs="+", default=[100, 600], help="sizes of the files in MB of numbers")
    parser.add_argument("--rounds", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--folder", help="where to write the files")
    args = parser.parse_args()
    print("| file | MB | open, s | open and sum, s | own memory / file | peak with mapped pages / file |")
    print("|---|---|---|---|---|---|")
    for megabytes in args.mb:
        net = net_of(megabytes)
        for name in FORMS:
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                path = Path(folder) / "a.caffemodel"
                (write_caffemodel if name == "packed" else write_unpacked)(net, path)
                size = path.stat().st_size
                best = np.min([measure(path) for _ in range(args.rounds)], axis=0)
            opened, summed, own, peak = best
            row = f"| {name} | {size / 1e6:.0f} | {opened:.2f} | {summed:.2f} | {own / size:.2f} | {peak / size:.2f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
