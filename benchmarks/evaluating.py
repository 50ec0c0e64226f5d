"""What evaluating costs: seconds of each measure, against pycocotools, and beside running SSD300.

    python benchmarks/evaluating.py
    python benchmarks/evaluating.py --detections 200 --share 16
    python benchmarks/evaluating.py --memory --detections 200

Detections are drawn: as many as VOC 2007's test list has images for the VOC measures and ILSVRC's, and 5,000
images of 80 classes for COCO's, as many as its validation list. Each is timed from the tables to the result;
pycocotools gets the same numbers as Python lists, which it turns into what it needs. Seconds are of the processor, so
that other work on the machine does not count.

--share runs SSD300 with fresh weights, which finds the most that it can, 200 objects, over so many drawn images, and
shows what collecting and measuring take beside that.

--memory shows how much the largest resident memory of a process grows after Keras is imported: while detections are
collected as a network would give them, with their journal on the disk, and while they are written, read again and
measured.
"""

import argparse
import contextlib
import io
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from keras_ssd.evaluation import measure
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

SIDE = 640


def drawn(images, classes, each, objects, seed=0):
    """A pair of tables: `objects` an image on average, and `each` detections, most of them near an object."""
    rng = np.random.default_rng(seed)
    counts = np.maximum(rng.poisson(objects, images), 1)
    starts, total = np.cumsum(counts) - counts, counts.sum()
    sizes = np.exp(rng.uniform(np.log(8), np.log(400), (total, 2)))
    corners = rng.uniform(0, 1, (total, 2)) * (SIDE - sizes)
    ids = rng.integers(0, classes, total)
    image = np.repeat(np.arange(images), each)
    near = starts[image] + rng.integers(0, counts[image])
    found_corners = corners[near] + rng.normal(0, 0.1, (len(near), 2)) * sizes[near]
    found_sizes = sizes[near] * np.exp(rng.normal(0, 0.15, (len(near), 2)))
    found_ids = np.where(rng.random(len(near)) < 0.5, ids[near], rng.integers(0, classes, len(near)))
    names = tuple(f"{place:06}" for place in range(images)), tuple(f"class {place}" for place in range(classes))
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    found_boxes = np.concatenate([found_corners, found_corners + found_sizes], axis=1)
    rare = rng.random(total) < 0.05
    no = np.zeros(total, bool)
    truth = ObjectTable(
        *names, np.full((images, 2), SIDE), np.repeat(np.arange(images), counts), ids, boxes, no, no, rare,
        np.prod(sizes, axis=1),
    )  # fmt: skip
    return DetectionTable(*names, image, found_ids, rng.random(len(near)), found_boxes), truth


def seconds(call, rounds):
    """The least processor time of some calls, and what the last returned."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        value = call()
        times.append(time.process_time() - start)
    return min(times), value


def as_lists(found, truth):
    """What a user of pycocotools has: images, categories, annotations and detections, read from their files."""

    def rows(table):
        boxes = table.boxes_xyxy.astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        return zip(table.image.tolist(), table.class_ids.tolist(), boxes.tolist(), strict=True)

    keys = ("image_id", "category_id", "bbox")
    objects = [dict(zip(keys, row, strict=True)) for row in rows(truth)]
    for place, (row, crowd, area) in enumerate(zip(objects, truth.crowd.tolist(), truth.areas.tolist(), strict=True)):
        row.update(id=place + 1, iscrowd=int(crowd), area=area)
    detections = [dict(zip(keys, row, strict=True)) for row in rows(found)]
    for row, score in zip(detections, found.scores.tolist(), strict=True):
        row["score"] = score
    images = [{"id": place, "width": SIDE, "height": SIDE} for place in range(len(truth.images))]
    categories = [{"id": place, "name": name} for place, name in enumerate(truth.class_names)]
    return {"images": images, "categories": categories, "annotations": objects}, detections


def by_pycocotools(annotations, detections):
    """The twelve numbers."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO()
        objects.dataset = annotations
        objects.createIndex()
        evaluation = COCOeval(objects, objects.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def show_measures(args):
    table = Table(title="Measures, seconds of the processor")
    for title in ("measure", "images", "classes", "detections", "seconds"):
        table.add_column(title, justify="right")
    found, truth = drawn(4952, 20, 4, 3)
    for name in ("voc07", "voc12", "ilsvrc"):
        taken, _ = seconds(lambda name=name: measure(found, truth, name), args.rounds)
        table.add_row(name, "4952", "20", str(len(found)), f"{taken:.3f}")
    found, truth = drawn(args.images, 80, args.detections, 7)
    size = (str(args.images), "80", str(len(found)))
    for name in ("voc12", "coco"):
        ours, result = seconds(lambda name=name: measure(found, truth, name), 1)
        table.add_row(name, *size, f"{ours:.2f}")
    lists = as_lists(found, truth)
    theirs, stats = seconds(lambda: by_pycocotools(*lists), 1)
    table.add_row("pycocotools", *size, f"{theirs:.2f}")
    Console().print(table)
    equal = "equal" if np.array_equal(list(result.numbers.values()), stats) else "NOT equal"
    print(f"coco takes {ours / theirs:.2f} of the time of pycocotools; the twelve numbers are {equal}")


def show_share(count, batch):
    """Times detection of some drawn images, then collecting and measuring what was found."""
    import keras_ssd
    from keras_ssd.data import Annotation, Dataset
    from keras_ssd.evaluation import evaluate
    from keras_ssd.evaluation.collecting import Collector

    rng = np.random.default_rng(0)
    model = keras_ssd.ssd300(classes=[f"class {place}" for place in range(20)])
    images = rng.integers(0, 256, (count, 375, 500, 3), dtype=np.uint8)
    boxes = rng.uniform(0, 180, (count, 3, 2))
    boxes = np.concatenate([boxes, boxes + rng.uniform(20, 180, (count, 3, 2))], axis=2)
    size_hw = images.shape[1:3]
    rows = [Annotation(f"{i:04}", images[i], boxes[i], rng.integers(0, 20, 3), size_hw) for i in range(count)]
    data = Dataset("drawn", model.class_names, rows)
    options = {"confidence": 0.01, "batch_size": batch}
    list(model.detect(list(images[:batch]), **options))  # the first call compiles
    start = time.perf_counter()
    found = list(model.detect(list(images), **options))
    running = time.perf_counter() - start
    table = Table(
        title=f"SSD300, {running / count * 1e3:.0f} ms per image, {sum(map(len, found)) / count:.0f} found in each"
    )
    for title in ("measure", "collecting and measuring, ms per image", "share"):
        table.add_column(title, justify="right")
    for name in ("voc07", "coco"):
        start = time.perf_counter()
        collector = Collector(model.class_names)
        for annotation, detections in zip(data, found, strict=True):
            collector.add(annotation.name, detections)
        evaluate(collector.table(), data, name)
        taken = time.perf_counter() - start
        table.add_row(name, f"{taken / count * 1e3:.2f}", f"{taken / running:.1%}")
    Console().print(table)


def show_memory(args):
    """Collects as `collect` does, without a network; each step's growth stands beside it."""
    from keras_ssd.detections import Detections
    from keras_ssd.evaluation import read_detections, write_detections
    from keras_ssd.evaluation.collecting import Collector
    from keras_ssd.evaluation.journal import Journal

    data, classes = dataset_of(args.images), tuple(f"class {place}" for place in range(80))
    rng, steps, start = np.random.default_rng(0), {}, resident()
    with tempfile.TemporaryDirectory() as folder:
        journal, collector = Journal(Path(folder) / "d.json.part", {}), Collector(classes)
        for annotation in data:
            corners = rng.uniform(0, SIDE / 2, (args.detections, 2))
            boxes = np.concatenate([corners, corners + rng.uniform(1, SIDE / 2, corners.shape)], axis=1)
            ids = rng.integers(0, 80, args.detections)
            found = Detections(boxes, rng.random(args.detections), ids, classes, (SIDE, SIDE))
            journal.add(found)
            collector.add(annotation.name, found)
        table = collector.table()
        steps["collecting"] = resident() - start
        journal.remove()
        write_detections(table, Path(folder) / "d.json")
        steps["writing"] = resident() - start
        read_detections(Path(folder) / "d.json", data)
        steps["reading"] = resident() - start
        measure(table, ObjectTable.of(data), "voc07")
        steps["measuring"] = resident() - start
    shown = Table(title=f"{args.images} images, {len(table)} detections; the process has {start} MiB before")
    for title in ("up to", "MiB more at most"):
        shown.add_column(title, justify="right")
    for name, value in steps.items():
        shown.add_row(name, str(value))
    Console().print(shown)


def dataset_of(count):
    """So many images of nothing with an object in each."""
    from keras_ssd.data import Annotation, Dataset

    box = [[10, 10, 100, 100]]
    rows = [Annotation(f"{i:06}", f"{i:06}.jpg", box, [i % 80], (SIDE, SIDE)) for i in range(count)]
    return Dataset("drawn", [f"class {place}" for place in range(80)], rows)


def resident():
    """The largest resident memory of this process so far in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="in each of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=int, default=0, metavar="IMAGES", help="that SSD300 looks at")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--memory", action="store_true", help="show memory instead of time")
    args = parser.parse_args()
    if args.memory:
        show_memory(args)
        return
    show_measures(args)
    if args.share:
        show_share(args.share, args.batch)


if __name__ == "__main__":
    main()
