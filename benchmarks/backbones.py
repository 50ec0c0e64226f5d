"""What an SSD on each known backbone costs, and with `--check` that it trains, is saved and comes back the same.

    python benchmarks/backbones.py                                     # one small network of each family, 300x300
    python benchmarks/backbones.py --all --check --sizes 300x300 512x384 257x389
    python benchmarks/backbones.py --names resnet50 mobilenet_v2 --head separable

Every network gets its proposed taps, derived extras and anchors, fresh weights and 20 classes. Parameters are in
millions. A multiplication with an addition counts as two FLOPs, in convolutions and dense layers (SSD300 on VGG16:
62.8 GFLOP). Time is one image through `predict_on_batch`, compiled by Keras, median of `--rounds`. `--check` makes
one step of training, checks that weights of all parts move, and compares the outputs of the saved file to the last
bit. Rows are written to `--out` as they come; networks that stand there already are left out.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import keras_ssd
from keras_ssd.pruning import flops_of_model

CLASSES = list(keras_ssd.zoo.labels("voc"))
SMALL = (
    *("vgg16", "resnet50", "resnet50_v2", "mobilenet", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
    *("efficientnet_v2_b0", "efficientnet_v2_s", "densenet121", "inception_v3", "inception_resnet_v2"),
    *("convnext_tiny", "xception", "nasnet_mobile"),
)


def image(model, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (1, *model.input_size, 3)).astype(np.float32)


def milliseconds(model, rounds):
    x, times = image(model), []
    model.predict_on_batch(x)
    for _ in range(rounds):
        start = time.perf_counter()
        model.predict_on_batch(x)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def train_one_step(model):
    """The loss of one step on two objects; raises unless it is finite and the backbone and all heads have moved."""
    target = keras_ssd.TargetEncoder.from_model(model).encode([[0.1, 0.1, 0.5, 0.6], [0.6, 0.5, 0.7, 0.7]], [3, 7])
    first = next(v for v in model.trainable_variables if v.name == "kernel")
    watched = [first, *(v for v in model.trainable_variables if "_mbox_" in v.path and v.path.endswith("/kernel"))]
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in watched]
    model.compile(keras.optimizers.SGD(1e-4), loss=keras_ssd.SSDLoss(), run_eagerly=keras.backend.backend() != "jax")
    loss = float(model.train_on_batch(image(model), target[None]))
    moved = [(keras.ops.convert_to_numpy(v) != old).any() for v, old in zip(watched, before, strict=True)]
    still = [v.path for v, has_moved in zip(watched, moved, strict=True) if not has_moved]
    # Maps on which no anchor was picked have no gradient; the finest map's class head always has one.
    if not np.isfinite(loss) or still[:1] == [first.path] or len(still) > len(watched) // 2:
        raise RuntimeError(f"loss {loss}; not moved: {still}")
    return loss


def saved_and_loaded(model):
    """The largest difference of the outputs after saving and loading."""
    x = image(model, 1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        again = keras_ssd.load(path)
    same = again.anchor_spec == model.anchor_spec and again.sources == model.sources
    if not same or again.class_names != model.class_names:
        raise RuntimeError("anchors, sources or class names are not those that were saved")
    ours, theirs = (keras.ops.convert_to_numpy(m(x, training=False)) for m in (model, again))
    return float(abs(ours - theirs).max())


def measure(name, size, args):
    """One row of the table."""
    keras.utils.set_random_seed(0)
    model = keras_ssd.ssd(name, classes=CLASSES, input_size=size, head=args.head, fpn=args.fpn)
    row = {"name": name, "size": size, "head": args.head, "fpn": args.fpn}
    row |= {
        "parameters": model.count_params(),
        "flops": flops_of_model(model),
        "anchors": model.anchor_spec.num_anchors,
    }
    row |= {"grids": model.anchor_spec.grids, "sources": model.sources}
    if args.rounds:
        row["ms"] = milliseconds(model, args.rounds)
    if args.check:
        row["loss"] = train_one_step(model)
        row["difference"] = saved_and_loaded(model)
    return row


def shown(rows, args):
    from importlib.metadata import version

    title = f"SSD with {args.head} heads on {keras.backend.backend()}, Keras {version('keras')}, {len(CLASSES)} classes"
    table = Table(title=title)
    table.add_column("backbone")
    for column in ("input", "parameters, M", "GFLOPs", "grids", "anchors", "ms"):
        table.add_column(column, justify="right")
    if args.check:
        table.add_column("one step's loss", justify="right")
        table.add_column("after loading", justify="right")
    for row in rows:
        grids = " ".join(f"{h}x{w}" if h != w else str(h) for h, w in row["grids"])
        cells = [row["name"], "x".join(map(str, row["size"])), f"{row['parameters'] / 1e6:.2f}"]
        cells += [f"{row['flops'] / 1e9:.2f}", grids, f"{row['anchors']:,}"]
        cells.append(f"{row['ms']:.0f}" if "ms" in row else "")
        if args.check:
            equal = "equal" if row["difference"] == 0 else f"differs by {row['difference']:.1e}"
            cells += [f"{row['loss']:.2f}", equal]
        table.add_row(*cells)
    return table


def size_of(text):
    height, width = text.split("x")
    return int(height), int(width)


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="+", choices=keras_ssd.backbones.backbone_names(), metavar="NAME")
    parser.add_argument("--all", action="store_true", help="every known network, the largest too")
    parser.add_argument("--sizes", nargs="+", type=size_of, default=[(300, 300)], metavar="HEIGHTxWIDTH")
    parser.add_argument("--head", choices=("plain", "separable", "shared"), default="plain")
    parser.add_argument("--fpn", action="store_true")
    parser.add_argument("--check", action="store_true", help="train one step, save, load and compare")
    parser.add_argument("--rounds", type=int, default=5, help="timed calls; 0 for no timing (default: 5)")
    parser.add_argument("--out", type=Path, help="a file of JSON lines")
    return parser.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    names = args.names or (keras_ssd.backbones.backbone_names() if args.all else SMALL)
    rows = []
    if args.out and args.out.exists():
        rows = [json.loads(line) for line in args.out.read_text(encoding="utf-8").splitlines()]
    known = {(row["name"], tuple(row["size"])) for row in rows}
    wanted = [(name, size) for name in names for size in args.sizes if (name, size) not in known]
    for name, size in track(wanted, "backbones", console=Console(stderr=True)):
        rows.append(measure(name, size, args))
        if args.out:
            with args.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        keras.backend.clear_session()
        gc.collect()
    Console(width=200).print(shown(rows, args))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
