"""Converts to and from bounding-box dictionaries of Keras and KerasCV, and `tf.data` of them.

{"images": ..., "bounding_boxes": {"boxes": ..., "labels": ...}}, one image or a batch, padded with -1 or ragged.
KerasCV has "classes" instead of "labels"; both are read. No library is needed: anything that converts to numpy arrays
is accepted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from keras_ssd import boxes as bx
from keras_ssd.calling import checked_arguments
from keras_ssd.data import assembling
from keras_ssd.data.annotation import Annotation
from keras_ssd.data.problems import DEFAULT_POLICY, DataError, Problems, check_policy
from keras_ssd.data.records import CORNER_BOXES, Record
from keras_ssd.images import read_image, resize_bilinear
from keras_ssd.names import check_class_names, unknown_name

_PLAIN = {
    "xyxy": (lambda boxes: boxes, lambda boxes: boxes),
    "yxyx": (bx.swap_xy, bx.swap_xy),
    "xywh": (bx.xywh_to_xyxy, bx.xyxy_to_xywh),
    "center_xywh": (bx.cxcywh_to_xyxy, bx.xyxy_to_cxcywh),
    "center_yxhw": (lambda b: bx.cxcywh_to_xyxy(bx.swap_xy(b)), lambda b: bx.swap_xy(bx.xyxy_to_cxcywh(b))),
}
BOUNDING_BOX_FORMATS = (*_PLAIN, *(f"rel_{name}" for name in _PLAIN))
PADDING = -1


@checked_arguments
def from_dictionaries(
    source: Iterable[Any], classes: Sequence[str], bounding_box_format: str = "xyxy", *, policy: str = DEFAULT_POLICY
) -> Iterator[Annotation]:
    """Annotations, with their images, from bounding-box dictionaries.

    Args:
        source: iterable of dictionaries, or of pairs (images, bounding_boxes), of one image or of batches: a list,
            a generator, a `tf.data.Dataset`, a loader of PyTorch. Images are (H, W, 3) RGB in 0..255.
        classes: names of the classes with the labels 0..C-1.
        bounding_box_format: one of `BOUNDING_BOX_FORMATS`: Keras's names for them; "rel_" for fractions.
        policy: as in `keras_ssd.data.read`.

    Yields:
        `Annotation` with names "0", "1", ...; `Dataset("mine", classes, list(...))` collects them.

    Raises:
        DataError: while iterating: an object has faults and the policy is "error".
        ValueError: an unknown format, or not such a dictionary.

    Example:
        >>> pair = {"images": image, "bounding_boxes": {"boxes": [[4, 8, 9, 12]], "labels": [0]}}
        >>> [annotation] = from_dictionaries([pair], ["cat"])
    """
    to_corners, fractions = _conversion(bounding_box_format, 0)
    classes = check_class_names("classes", classes)
    check_policy(policy)
    return _annotations(source, classes, (to_corners, fractions), policy)


def _annotations(source, classes, conversion, policy):
    count = 0
    for item in source:
        for image, boxes, labels in _rows(item, count):
            record, found = _record(str(count), image, boxes, labels, conversion)
            _name_labels(record, classes)
            annotations = assembling.annotations_of([record], CORNER_BOXES, classes, policy, found)
            faults = Problems(found).faults
            if faults and policy == "error":
                raise DataError(faults, "Correct them, or pass policy='drop' or policy='clip'.")
            yield from annotations  # none of an image that lost an object
            count += 1


def _rows(item, count):
    """(image, boxes, labels) of each image of an item of a source."""
    images, boxes = _parts(item, count)
    labels = boxes.get("labels", boxes.get("classes"))
    if _batched(images):
        yield from zip(_pieces(images), _pieces(boxes["boxes"]), _pieces(labels), strict=True)
    else:
        yield _dense(images), _dense(boxes["boxes"]), _dense(labels)


def _parts(item, count):
    if isinstance(item, Mapping):
        images, boxes = item.get("images"), item.get("bounding_boxes")
    else:
        images, boxes = item[:2] if isinstance(item, (tuple, list)) and len(item) >= 2 else (None, None)
    whole = isinstance(boxes, Mapping) and "boxes" in boxes and ({"labels", "classes"} & set(boxes))
    if images is None or boxes is None or not whole:
        keys = ", ".join(map(str, item)) if isinstance(item, Mapping) else type(item).__name__
        raise ValueError(
            "Expected dictionaries with images and bounding_boxes, and in those boxes and labels (or classes). "
            f"Received as item {count}: {keys}"
        )
    return images, boxes


def _batched(images):
    return isinstance(images, (list, tuple)) or len(images.shape) == 4


def _pieces(batch):
    return [_dense(piece) for piece in batch]


def _dense(values):
    values = values.to_tensor() if hasattr(values, "to_tensor") else values  # ragged
    values = values.detach().cpu() if hasattr(values, "detach") else values  # PyTorch's
    return np.asarray(values)


def _record(name, image, boxes, labels, conversion):
    to_corners, fractions = conversion
    image = read_image(image, name=f"image {name}")
    boxes = boxes.astype(np.float64).reshape(-1, 4)
    labels = labels.reshape(-1)
    if len(boxes) != len(labels):
        raise ValueError(f"Image {name} has {len(boxes)} boxes and {len(labels)} labels. Expected as many of each.")
    kept = labels != PADDING
    boxes, labels = boxes[kept], labels[kept]
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise ValueError(f"Box {row} of image {name} is not finite: {boxes[row].tolist()}. Expected four numbers.")
    corners = to_corners(boxes)
    corners = bx.scale(corners, image.shape[:2]) if fractions else corners
    record = Record(name, image, f"image {name}", image.shape[:2])
    for label, box in zip(labels.tolist(), corners.tolist(), strict=True):
        record.add(label, box)
    return record, []


def _name_labels(record, classes):
    """Numbers to names; a number without a class stays, and is reported as an unknown label."""
    inside = [label == int(label) and 0 <= label < len(classes) for label in record.labels]
    pairs = zip(record.labels, inside, strict=True)
    record.labels[:] = [classes[int(label)] if known else label for label, known in pairs]


@checked_arguments
def to_dictionaries(
    data: Iterable[Annotation],
    bounding_box_format: str = "xyxy",
    *,
    labels: str = "labels",
    size_hw: tuple[int, int] | None = None,
    max_boxes: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Bounding-box dictionaries, one per image, read while iterating.

    Args:
        data: a `Dataset`, or annotations.
        bounding_box_format: one of `BOUNDING_BOX_FORMATS`.
        labels: "labels" for Keras, "classes" for KerasCV.
        size_hw: size that all images are resized to, None for their own.
        max_boxes: pads every image to this number of objects with -1, so that images can be batched.

    Yields:
        {"images": (H, W, 3) uint8, "bounding_boxes": {"boxes": (M, 4) float32, labels: (M,) float32}}.

    Raises:
        ValueError: an unknown format, or an image with more objects than `max_boxes`.

    Example:
        >>> pairs = lambda: to_dictionaries(train, size_hw=(300, 300), max_boxes=100)
        >>> tf.data.Dataset.from_generator(pairs, output_signature=signature).batch(8)
    """
    from_corners, fractions = _conversion(bounding_box_format, 1)
    if labels not in ("labels", "classes"):
        raise ValueError(f"labels must be 'labels' or 'classes'. Received: labels={labels!r}")
    return (_dictionary(a, (from_corners, fractions), labels, size_hw, max_boxes) for a in data)


def _dictionary(annotation, conversion, labels, size_hw, max_boxes):
    from keras_ssd.data.sample import Sample

    sample = Sample.of(annotation)
    image = sample.image if size_hw is None else resize_bilinear(sample.image, tuple(size_hw))
    from_corners, fractions = conversion
    if fractions:
        corners = sample.boxes_xyxy
    elif size_hw is None:
        corners = annotation.boxes_xyxy
    else:
        corners = bx.scale(sample.boxes_xyxy, size_hw)
    boxes, ids = from_corners(corners), sample.class_ids
    if max_boxes is not None:
        if len(ids) > max_boxes:
            raise ValueError(f"Image {sample.name!r} has {len(ids)} objects. Received: max_boxes={max_boxes}")
        lacking = max_boxes - len(ids)
        boxes = np.pad(boxes, ((0, lacking), (0, 0)), constant_values=PADDING)
        ids = np.pad(ids, (0, lacking), constant_values=PADDING)
    return {"images": image, "bounding_boxes": {"boxes": boxes.astype(np.float32), labels: ids.astype(np.float32)}}


def _conversion(name, direction):
    """The function to (0) or from (1) corners, and whether the numbers are fractions."""
    if name not in BOUNDING_BOX_FORMATS:
        raise ValueError(unknown_name("bounding_box_format", name, BOUNDING_BOX_FORMATS))
    return _PLAIN[name.removeprefix("rel_")][direction], name.startswith("rel_")
