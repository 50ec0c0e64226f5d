"""`Detections` in the forms of other programs."""

import importlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_ssd.detections.checks import shortest

COLUMNS = ("source", "name", "class_id", "score", "xmin", "ymin", "xmax", "ymax")


def cropped(image: np.ndarray, detections: Any, margin: float) -> list[np.ndarray]:
    """The part of an image around each object; see `Detections.crop`."""
    height, width = image.shape[:2]
    scale = np.array([width, height, width, height]) / np.array(detections.size_hw[::-1] * 2)
    parts = []
    for box in detections.boxes_xyxy * scale:
        room = margin * (box[2:] - box[:2])
        xmin, ymin = np.floor(np.maximum(box[:2] - room, 0)).astype(int)
        xmax, ymax = np.ceil(np.minimum(box[2:] + room, (width, height))).astype(int)
        xmin, ymin = min(xmin, width - 1), min(ymin, height - 1)  # a box at the very edge still has a pixel
        parts.append(image[ymin : max(ymax, ymin + 1), xmin : max(xmax, xmin + 1)])
    return parts


def yolo_lines(detections: Any, scores: bool) -> list[str]:
    """The lines of `Detections.to_yolo`."""
    height, width = detections.size_hw
    lines = []
    for class_id, score, (xmin, ymin, xmax, ymax) in zip(
        detections.class_ids, detections.scores, detections.boxes_xyxy.astype(float), strict=True
    ):
        middle_and_size = ((xmin + xmax) / 2 / width, (ymin + ymax) / 2 / height)
        middle_and_size += ((xmax - xmin) / width, (ymax - ymin) / height)
        numbers = " ".join(f"{value:.6f}" for value in middle_and_size)
        lines.append(f"{class_id} {numbers}" + (f" {shortest(score)}" if scores else ""))
    return lines


def data_frame(found: Iterable[Any]) -> Any:
    """A table of pandas with a row per object of some `Detections`."""
    pandas = _imported("pandas", "to_pandas")
    rows = []
    for one in found:
        for row, (name, score, box, class_id) in enumerate(one):
            told = dict(zip(COLUMNS, (one.source, name, class_id, score, *box), strict=True))
            told |= {} if one.frame is None else {"frame": one.frame, "time": one.time}
            told |= {} if one.track_ids is None else {"track_id": int(one.track_ids[row])}
            rows.append(told)
    return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=list(COLUMNS))


def as_supervision(detections: Any) -> Any:
    """`supervision.Detections` of the same objects."""
    supervision = _imported("supervision", "to_supervision")
    count = len(detections)
    return supervision.Detections(
        xyxy=detections.boxes_xyxy.reshape(count, 4).copy(),
        confidence=detections.scores.copy(),
        class_id=detections.class_ids.astype(int),
        tracker_id=None if detections.track_ids is None else detections.track_ids.astype(int),
        data={"class_name": np.array(detections.names, dtype=str)},
    )


def _imported(package, method):
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(f"{method} needs the package `{package}`: pip install {package}") from error
