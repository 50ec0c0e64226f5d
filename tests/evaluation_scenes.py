"""Scenes for tests of evaluation: detections and objects by hand, or drawn at random."""

import numpy as np

from keras_ssd.evaluation.origin import Training
from keras_ssd.evaluation.result import Result
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable

CLASSES = ("cat", "dog", "bird")


def truth(*objects, images=2, classes=CLASSES, size_hw=(200, 200), **flags):
    """An `ObjectTable` of (image, class id, xmin, ymin, xmax, ymax) rows; flags name rows, such as difficult=[2]."""
    rows = np.array(objects, float).reshape(-1, 6)
    marks = {name: np.isin(np.arange(len(rows)), flags.get(name, [])) for name in ("difficult", "truncated", "crowd")}
    boxes = rows[:, 2:]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    names = [f"p{i}" for i in range(images)]
    return ObjectTable(
        names, classes, [size_hw] * images, rows[:, 0], rows[:, 1], boxes_xyxy=boxes, areas=areas, **marks
    )


def found(*detections, images=2, classes=CLASSES):
    """A `DetectionTable` of (image, class id, score, xmin, ymin, xmax, ymax) rows."""
    rows = np.array(detections, float).reshape(-1, 7)
    names = [f"p{i}" for i in range(images)]
    return DetectionTable(names, classes, rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:])


def result(detections, objects, measure="voc12", **settings):
    """A `Result` with the tables alone, for what does not need its figures."""
    return Result(measure, {}, {}, {"mAP": float("nan")}, {"iou_threshold": 0.5, **settings}, detections, objects)


def random_scene(rng, images=8, classes=3, digits=2):
    """(detections, objects) with all kinds of errors, and at least one object in each image; few digits give ties."""
    objects, detections = [], []
    for image in range(images):
        for _ in range(rng.integers(1, 7)):
            corner = rng.uniform(0, 140, 2)
            box = np.concatenate([corner, corner + rng.uniform(15, 60, 2)])
            class_id = rng.integers(0, classes)
            objects.append((image, class_id, *box))
            for _ in range(rng.integers(0, 4)):
                moved = box + rng.normal(0, rng.choice([1, 4, 12]), 4)
                moved[2:] = np.maximum(moved[2:], moved[:2] + 1)
                said = class_id if rng.random() < 0.7 else rng.integers(0, classes)
                detections.append((image, said, round(rng.random(), digits), *moved))
        for _ in range(rng.integers(0, 4)):
            corner = rng.uniform(0, 150, 2)
            box = (*corner, *(corner + rng.uniform(10, 50, 2)))
            detections.append((image, rng.integers(0, classes), round(rng.random() * 0.6, digits), *box))
    names = CLASSES[:classes]
    return found(*detections, images=images, classes=names), truth(*objects, images=images, classes=names)


def trained(*values, name="val_mAP", loss=1.0):
    rows = tuple({"epoch": place + 1.0, "loss": loss, name: value} for place, value in enumerate(values))
    return Training(rows, {"epochs": len(rows), "recipe": "small-data", "batch_size": 8}, "pets/train, 90 images")
