"""Datasets of a few images and tables of detections, for tests of files."""

import numpy as np

from keras_ssd.data import Annotation, Dataset
from keras_ssd.evaluation import DetectionTable

NAMES = ("p0", "p1", "p2", "p3")
CLASSES = ("cat", "dog", "bird")
SIZE_HW = (80, 120)
FILES = {"json": "d.json", "coco": "c.json", "voc": "comp4.zip", "ilsvrc": "d.txt", "csv": "d.csv"}
ROWS = ((0, 1, 0.9, 10, 20, 30.5, 60.1), (0, 0, 0.25, 0, 0, 1, 1), (2, 1, 0.1, 10.1, 5, 60.3, 9))


def dataset(names=NAMES, classes=CLASSES, **options):
    annotations = [Annotation(name, f"/images/{name}.jpg", [[1, 2, 30, 40]], [0], SIZE_HW) for name in names]
    return Dataset("pets", classes, annotations, **options)


def table(*rows, names=NAMES, classes=CLASSES):
    """Of (image, class id, score, xmin, ymin, xmax, ymax) rows."""
    rows = np.array(rows, np.float32).reshape(-1, 7)
    return DetectionTable(names, classes, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:])


def random_table(seed=0, count=300):
    """Many digits, ties, sides of 0, and nothing in the last image."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2)).astype(np.float32)
    boxes = np.hstack([corner, corner + rng.uniform(0, 20, (count, 2)).astype(np.float32)])
    scores = np.where(rng.random(count) < 0.5, rng.random(count), np.round(rng.random(count), 1))
    image, class_ids = np.sort(rng.integers(0, 3, count)), rng.integers(0, 3, count)
    order = np.lexsort((class_ids, -scores.astype(np.float32), image))
    return DetectionTable(NAMES, CLASSES, image, class_ids[order], scores[order], boxes)


def assert_equal(one, other):
    assert (one.images, one.class_names) == (other.images, other.class_names)
    for name in ("image", "class_ids", "scores", "boxes_xyxy"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
