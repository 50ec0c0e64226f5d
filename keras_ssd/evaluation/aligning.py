"""Gives detections and a dataset the same images and classes, so that a measure can compare them."""

import logging

import numpy as np

from keras_ssd.data.dataset import Dataset
from keras_ssd.evaluation.formats.rows import arranged
from keras_ssd.evaluation.tables import DetectionTable, ObjectTable
from keras_ssd.names import listed, nearest, unknown_name
from keras_ssd.wording import python_or_shell

log: logging.Logger = logging.getLogger("keras_ssd")


def aligned(found: DetectionTable, dataset: Dataset) -> tuple[DetectionTable, ObjectTable]:
    """(`DetectionTable`, `ObjectTable`) with the images and classes of the dataset, in its order, matched by name.

    Detections of classes that the dataset does not have are dropped with a warning; no class's value depends on them.

    Raises:
        ValueError: detections of other images, images that the detector has not seen, or objects of classes that it
            does not know.
    """
    truth = ObjectTable.of(dataset)
    _check_classes(found, dataset)
    images = _places(found.images, truth.images)
    _check_images(found, truth, images, dataset)
    classes = _places(found.class_names, truth.class_names)
    known = classes[found.class_ids] >= 0
    if not known.all():
        counts = np.bincount(found.class_ids[~known], minlength=len(classes))
        names = [name for name, count in zip(found.class_names, counts, strict=True) if count]
        log.warning(
            "%d detections are left out, of classes that %s does not have: %s",
            (~known).sum(),
            dataset.name,
            listed(names),
        )
        found = found[known]
    columns = images[found.image], classes[found.class_ids], found.scores, found.boxes_xyxy
    return arranged(DetectionTable(truth.images, truth.class_names, *columns)), truth


def _places(names, wanted):
    """The index of each name in `wanted`, or -1."""
    places = {name: place for place, name in enumerate(wanted)}
    return np.array([places.get(name, -1) for name in names], np.int32)


def _check_classes(found, dataset):
    lost = [name for name, count in dataset.counts().items() if count and name not in found.class_names]
    if not lost:
        return
    close = {name: nearest(name, found.class_names, 1) for name in lost}
    hints = [f"{name} may be its {other[0]}" for name, other in close.items() if other]
    advice = python_or_shell(
        "dataset.with_classes(classes, class_map, others='drop') gives the data other names, or leaves classes out.",
        "`classes` measures some classes alone.",
    )
    raise ValueError(
        f"{dataset.name} has objects of {listed(lost)}, which the detector does not know; its classes are "
        f"{listed(found.class_names)}.{' ' + listed(hints) + '.' if hints else ''} {advice}"
    )


def _check_images(found, truth, places, dataset):
    if (places < 0).any():
        lost = [name for name, place in zip(found.images, places, strict=True) if place < 0]
        raise ValueError(
            f"There are detections of {len(lost)} images that {dataset.name} does not have. "
            + unknown_name("image", lost[0], truth.images)
        )
    seen = set(found.images)
    lost = [name for name in truth.images if name not in seen]
    if lost:
        advice = python_or_shell(
            "Evaluate it on those that it has seen (dataset[mask]), or merge the tables of all workers.",
            "Name the split that it has seen, or the files of all workers.",
        )
        raise ValueError(
            f"The detector has not seen {len(lost)} of the {len(truth.images)} images of {dataset.name}: "
            f"{listed(lost)}. {advice}"
        )
