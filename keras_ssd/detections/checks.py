"""Checks of the arguments of `Detections`, and the conversions that it shares with code that makes one."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from keras_ssd.names import unknown_name


def class_ids_of(classes: str | Iterable[str], class_names: Sequence[str]) -> list[int]:
    """The indices of named classes in `class_names`.

    Args:
        classes: one name, or several.
        class_names: sequence of all names.

    Returns:
        List of int.

    Raises:
        ValueError: a name is unknown; the text gives the nearest one.
    """
    places = {name: place for place, name in enumerate(class_names)}
    classes = [classes] if isinstance(classes, str) else list(classes)
    for name in classes:
        if name not in places:
            raise ValueError(unknown_name("class", name, class_names))
    return [places[name] for name in classes]


def check(given: Any, boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray) -> None:
    """Raises ValueError or TypeError unless the arrays and fields of `Detections` fit together."""
    count = len(scores) if scores.ndim == 1 else -1
    nothing = count == 0 and boxes.shape == (0,)  # of an empty list
    if not (nothing or boxes.shape == (count, 4)) or class_ids.shape != (count,):
        raise ValueError(
            "Detections take boxes_xyxy of shape (K, 4) and scores and class_ids of shape (K,). Received: "
            f"boxes_xyxy={boxes.shape}, scores={scores.shape}, class_ids={class_ids.shape}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ValueError("boxes_xyxy and scores must be finite numbers; some are NaN or infinite.")
    if isinstance(given.class_names, str) or not isinstance(given.class_names, Sequence):
        raise TypeError(f"class_names must be a sequence of names. Received: class_names={given.class_names!r}")
    if count and class_ids.dtype.kind not in "iu":
        raise TypeError(f"class_ids must be whole numbers. Received: class_ids of dtype {class_ids.dtype}")
    if count and not (class_ids.min() >= 0 and class_ids.max() < len(given.class_names)):
        raise ValueError(
            f"class_ids must lie in 0..{len(given.class_names) - 1}, the places in class_names; background "
            f"does not count. Received: class ids from {class_ids.min()} to {class_ids.max()}"
        )
    if len(given.size_hw) != 2 or min(given.size_hw) < 1:
        raise ValueError(f"size_hw must be (height, width) in pixels. Received: size_hw={given.size_hw!r}")


def checked_track_ids(track_ids: Any, count: int) -> np.ndarray:
    """`track_ids` of `Detections` as an int64 array of its own.

    Raises:
        ValueError or TypeError: they are not `count` whole numbers.
    """
    track_ids = np.array(track_ids)
    if track_ids.shape != (count,):
        raise ValueError(f"track_ids must have one number for each of {count} objects. Received: {track_ids.shape}")
    if count and track_ids.dtype.kind not in "iu":
        raise TypeError(f"track_ids must be whole numbers. Received: track_ids of dtype {track_ids.dtype}")
    return track_ids.astype(np.int64)


def shortest(value: Any) -> float:
    """A float32 as its shortest decimal number: 0.9 instead of 0.8999999761581421."""
    return float(str(np.float32(value)))


def category_ids_of(category_ids: Any, class_names: Sequence[str]) -> Any:
    """The category id of each class, in the order of `class_names`; see `Detections.to_coco`."""
    if category_ids is None:
        return range(len(class_names))
    if hasattr(category_ids, "keys"):
        missing = [name for name in class_names if name not in category_ids]
        if missing:
            raise ValueError(f"category_ids has no id for these classes: {', '.join(missing)}")
        return [category_ids[name] for name in class_names]
    if len(category_ids) != len(class_names):
        raise ValueError(
            f"category_ids must give one id for each of the {len(class_names)} classes. "
            f"Received: {len(category_ids)} ids"
        )
    return list(category_ids)
