"""The end of a detector: its inputs, traced back to one map of scores and one of offsets per level."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from keras_ssd.anchors import AnchorSpec
from keras_ssd.box_coder import CODE_TYPES
from keras_ssd.caffe.files import CaffeLayer
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.priors import spec_of
from keras_ssd.layers import SliceAxis
from keras_ssd.layers.class_columns import BoxesOfClasses, ClassColumns

SAME_VALUES = ("Flatten", "Reshape", "Split", "Dropout")
ACTIVATIONS = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Ending:
    """The settings of the net's last layer.

    Args:
        num_classes: class columns of the net's scores, including a background.
        background: its column, or -1.
        share_location: one box per prior for all classes, instead of one for each class.
        decoding: fields of `keras_ssd.decoding.DecodeOptions`.
        scores: "softmax" or "sigmoid" if the layer states it, as a loss does; else None, and the activations before it
            decide.
    """

    num_classes: int
    background: int
    share_location: bool
    decoding: dict[str, Any]
    scores: str | None = None


def ending_of(layer: CaffeLayer) -> Ending:
    """The `Ending` of a DetectionOutput or MultiBoxLoss layer."""
    found = _detection_output(layer) if layer.type == "DetectionOutput" else _multibox_loss(layer)
    if not found.num_classes or found.num_classes < 1 or found.background >= found.num_classes:
        raise ValueError(
            f"Layer '{layer.name}' ({layer.type}) needs num_classes and a background_label_id below it. "
            f"Received: num_classes={found.num_classes}, background_label_id={found.background}"
        )
    if found.decoding["code_type"] not in CODE_TYPES:
        raise ValueError(
            f"Layer '{layer.name}': code_type must be one of {', '.join(CODE_TYPES)}. "
            f"Received: {found.decoding['code_type']}"
        )
    return found


def _detection_output(layer):
    s = layer.settings("detection_output_param")
    nms = s["nms_param"]
    decoding = {
        "confidence_threshold": s.get("confidence_threshold"),
        "iou_threshold": nms["nms_threshold"],
        "top_k": _limit(nms.get("top_k")),
        "eta": nms["eta"],
        "keep_top_k": _limit(s["keep_top_k"]),
        "code_type": s["code_type"].lower(),
        "variance_encoded_in_target": s["variance_encoded_in_target"],
    }
    if s.get("clip") or s.get("clip_bbox"):  # of OpenCV and of forks, before suppression
        decoding["clip_boxes"] = "before"
    low = decoding["confidence_threshold"]
    decoding["confidence_threshold"] = None if low is None or low < 0 else low
    return Ending(s["num_classes"], s["background_label_id"], s["share_location"], decoding)


def _multibox_loss(layer):
    s = layer.settings("multibox_loss_param")
    decoding = {"code_type": s["code_type"].lower(), "variance_encoded_in_target": s["encode_variance_in_target"]}
    scores = "sigmoid" if s["conf_loss_type"] == "LOGISTIC" else "softmax"
    return Ending(s["num_classes"], s["background_label_id"], s["share_location"], decoding, scores)


def _limit(number):
    return number if number is not None and number > 0 else None


@dataclass(frozen=True)
class Heads:
    """Maps and anchors as `AnchorBoxes` takes them, and how scores are made."""

    confidence_maps: list[Any]
    offset_maps: list[Any]
    spec: AnchorSpec
    scores: str


def heads_of(layer: CaffeLayer, ending: Ending, offsets: Blob, confidence: Blob, priors: Blob) -> Heads:
    """The maps of all levels, from the net's last layer, its `Ending`, and the blobs that it reads."""
    if not priors.levels:
        raise ValueError(f"Layer '{layer.name}' must read its priors from PriorBox layers, joined by Concat on axis 2.")
    spec, classes = spec_of(priors.levels), ending.num_classes
    boxes = 1 if ending.share_location else classes
    offset_parts, _ = parts_of(offsets)
    confidence_parts, scores = parts_of(confidence, classes)
    scores = ending.scores or scores
    _check_size(layer, "offsets", offset_parts, spec.num_anchors * boxes * 4, f"{spec.num_anchors} priors")
    what = f"{spec.num_anchors} priors and num_classes={classes}"
    _check_size(layer, "scores", confidence_parts, spec.num_anchors * classes, what)
    offset_maps = maps_of(offset_parts, spec, boxes * 4, "offsets")
    confidence_maps = maps_of(confidence_parts, spec, classes, "confidence")
    if not ending.share_location:
        spec = replace(
            spec,
            levels=tuple(
                replace(
                    level,
                    boxes_hw=tuple(box for box in level.boxes_hw for _ in range(classes)),
                    shifts_hw=tuple(shift for shift in level.shifts_hw for _ in range(classes)),
                )
                for level in spec.levels
            ),
        )
        confidence_maps = [BoxesOfClasses(classes, scores)(x) for x in confidence_maps]
        if scores == "softmax":
            scores = "sigmoid"
    if ending.background != 0:
        confidence_maps = [ClassColumns(classes, ending.background)(x) for x in confidence_maps]
    return Heads(confidence_maps, offset_maps, spec, scores)


def _check_size(layer, what, parts, expected, because):
    sizes = [math.prod(part.shape[1:]) for part in parts]
    if sum(sizes) != expected:
        raise ValueError(
            f"Layer '{layer.name}' needs {expected} {what} per image, for {because}. Received: {sum(sizes)}"
            + (f" = {' + '.join(map(str, sizes))}" if len(sizes) > 1 else "")
            + ". The number of classes or priors does not fit the heads."
        )


def parts_of(blob: Blob, num_classes: int | None = None) -> tuple[list[Blob], str]:
    """The blobs whose values, concatenated, are this blob's before its activation.

    Returns:
        (list of `Blob`, "softmax" | "sigmoid" | "probabilities"); the last if there is no activation.
    """
    scores = None
    while blob.layer is not None and blob.inputs:
        kind, before = blob.layer.type, blob.inputs[0]
        if kind in SAME_VALUES:
            blob = before
        elif kind in ACTIVATIONS and scores is None and _over_classes(blob, num_classes):
            scores, blob = ACTIVATIONS[kind], before
        elif kind == "Permute" and scores is None and _permuted_activation(before, num_classes):
            scores = ACTIVATIONS[before.layer.type]
            blob = replace(blob, tensor=before.inputs[0].tensor, layer=None)
        elif kind == "Concat" and _joins_values(blob):
            parts, found = zip(*(parts_of(part, num_classes) for part in blob.inputs), strict=True)
            inner = set(found) - {"probabilities"}
            if (scores is None and len(set(found)) > 1) or (scores and inner):
                break  # the parts differ, so their scores stay as they are
            return [part for group in parts for part in group], scores or found[0]
        else:
            break
    return [blob], scores or "probabilities"


def _over_classes(blob, num_classes):
    """Whether an activation acts on the classes of one prior: Sigmoid, or Softmax over the last axis longer than 1."""
    if num_classes is None:
        return False
    if blob.layer.type == "Sigmoid":
        return True
    axis = blob.layer.settings("softmax_param")["axis"] % len(blob.shape)
    return blob.shape[axis] == num_classes and math.prod(blob.shape[axis + 1 :]) == 1


def _permuted_activation(blob, num_classes):
    """Whether a map's activation comes before its permutation: over all channels, with one prior per cell."""
    if blob.layer is None or blob.layer.type not in ACTIVATIONS or num_classes is None:
        return False
    if blob.inputs[0].order != blob.order or blob.inputs[0].channels_reversed:
        return False
    if blob.layer.type == "Sigmoid":
        return True
    return blob.layer.settings("softmax_param")["axis"] % len(blob.shape) == 1 and blob.shape[1] == num_classes


def _joins_values(blob):
    """Whether a Concat joins the values of its parts one after the other."""
    s = blob.layer.settings("concat_param")
    axis = s.get("concat_dim") if s.has("concat_dim") else s["axis"]
    return math.prod(blob.shape[1 : axis % len(blob.shape)]) == 1


def maps_of(parts: Sequence[Blob], spec: AnchorSpec, width: int, name: str) -> list[Any]:
    """One tensor (B, H, W, boxes * width) per level."""
    sizes = [level.num_anchors * width for level in spec.levels]
    shapes = [(*level.grid_hw, level.boxes_per_cell * width) for level in spec.levels]
    if [math.prod(part.shape[1:]) for part in parts] == sizes:
        return [_reshaped(part.plain(), shape) for part, shape in zip(parts, shapes, strict=True)]
    flat = [_reshaped(part.plain(), (math.prod(part.shape[1:]),)) for part in parts]
    joined = keras.layers.Concatenate(axis=-1)(flat) if len(flat) > 1 else flat[0]
    maps, start = [], 0
    for size, shape in zip(sizes, shapes, strict=True):
        maps.append(_reshaped(_cut(joined, start, start + size), shape))
        start += size
    return maps


def _cut(tensor, start, stop):
    return tensor if (start, stop) == (0, tensor.shape[1]) else SliceAxis(1, start, stop)(tensor)


def _reshaped(tensor, shape):
    return tensor if tuple(tensor.shape[1:]) == shape else keras.layers.Reshape(shape)(tensor)
