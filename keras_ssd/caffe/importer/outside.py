"""Detectors whose priors are not in the net: their blobs of offsets and scores, and the given priors."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_ssd.anchors import AnchorSpec
from keras_ssd.anchors.arrays import spec_of_array
from keras_ssd.caffe.files import CaffeNet
from keras_ssd.caffe.importer.blobs import Blob
from keras_ssd.caffe.importer.construction import Construction
from keras_ssd.caffe.importer.head import ACTIVATIONS, Heads, maps_of, parts_of
from keras_ssd.caffe.importer.preparation import last_blobs
from keras_ssd.layers.class_columns import ClassColumns
from keras_ssd.names import did_you_mean, nearest

SCORES = ("softmax", "sigmoid", "probabilities")


@dataclass(frozen=True, eq=False)
class GivenPriors:
    """An array of priors, as given to `from_caffe`; an `AnchorSpec` once the net's maps are known."""

    array: np.ndarray
    anchor_format: str
    variances: Any

    @property
    def num_anchors(self) -> int:
        """Number of priors; the array of a PriorBox holds variances, too."""
        shape = self.array.shape
        return len(self.array) if len(shape) == 2 and shape[1] == 4 else self.array.size // 8

    def spec(self, image_size: tuple[int, int], grids: Sequence[tuple[int, int, int]] | None) -> AnchorSpec:
        """The `AnchorSpec`."""
        given = {"anchor_format": self.anchor_format, "variances": self.variances}
        return spec_of_array(self.array, image_size, grids, **given)


def head_names(heads: Sequence[Any] | None) -> tuple[tuple[str, ...], ...]:
    """((offsets, scores), ...) of blob names, from a list of pairs or one pair of joined blobs."""
    if heads is None:
        return ()
    pairs = [heads] if len(heads) == 2 and all(isinstance(name, str) for name in heads) else list(heads)
    for pair in pairs:
        if isinstance(pair, str) or len(tuple(pair)) != 2 or not all(isinstance(name, str) for name in pair):
            raise TypeError(
                "`heads` must be pairs of blob names (offsets, scores), one per level, or one pair of joined blobs. "
                f"Received: {heads!r}"
            )
    return tuple(tuple(pair) for pair in pairs)


def wanted_blobs(net: CaffeNet, heads: Iterable[Sequence[str]]) -> list[str]:
    """Names of the blobs to build: the heads, or all results of the net if no head is named."""
    return [name for pair in heads for name in pair] or list(last_blobs(net.for_phase("TEST")))


def outside_heads(
    building: Construction,
    heads: Sequence[Sequence[str]],
    anchors: AnchorSpec | GivenPriors,
    scores: str | None,
    classes: Callable[[int], bool | None],
) -> tuple[Heads, int]:
    """(`Heads`, number of classes without background) of a net whose priors are given.

    Args:
        building: the `Construction`, after its run.
        heads: pairs of blob names; empty to find them by their shapes.
        anchors: `AnchorSpec` or `GivenPriors`.
        scores: one of `SCORES`, or None for the activation in the net.
        classes: function(n): True if the user gave n class names, None if none were given.
    """
    if scores is not None and scores not in SCORES:
        raise ValueError(
            f"`scores` must be one of {', '.join(SCORES)}: a softmax over the columns of a prior, a sigmoid of each "
            f"column, or finished scores that no layer of the net makes. Received: {scores!r}"
        )
    pairs = heads or (_found_by_shape(building, anchors),)
    offsets = [_part_list(building, name)[0] for name, _ in pairs]
    total = sum(_size(part) for parts in offsets for part in parts) // 4
    values = sum(_size(building.blobs[name]) for _, name in pairs)
    columns = values // total if total else 0
    if not total or columns * total != values or any(_size(p) % 4 for parts in offsets for p in parts):
        _refuse_sizes(building, pairs, total)
    found = [_part_list(building, name, columns) for _, name in pairs]
    scores = _score_kind([kind for _, kind in found], scores)
    offset_parts = [part for parts in offsets for part in parts]
    confidence_parts = [part for parts, _ in found for part in parts]
    spec = anchors if isinstance(anchors, AnchorSpec) else anchors.spec(building.image.size_hw, _grids(offset_parts))
    if spec.num_anchors != total:
        raise ValueError(
            f"The heads give offsets for {total} priors, {columns} scores each, and `anchors` has "
            f"{spec.num_anchors}. The maps are {_shown(offset_parts)}, the images {building.image.size_hw} (height, "
            "width)."
        )
    background = _background(scores, columns, classes)
    offset_maps = maps_of(offset_parts, spec, 4, "offsets")
    confidence_maps = maps_of(confidence_parts, spec, columns, "confidence")
    if background < 0:
        confidence_maps = [ClassColumns(columns, -1)(x) for x in confidence_maps]
    return Heads(confidence_maps, offset_maps, spec, scores), columns - (background >= 0)


def anchors_of(anchors: Any, anchor_format: str, variances: Any, net: CaffeNet) -> AnchorSpec | GivenPriors:
    """The `AnchorSpec` or `GivenPriors` that were given."""
    if isinstance(anchors, AnchorSpec):
        return anchors
    if anchors is None:
        priors = [layer.name for layer in net.layers if layer.type == "PriorBox"]
        if priors:
            raise ValueError(
                f"`heads` needs `anchors` too. The net has PriorBox layers ('{priors[0]}', ...) and no DetectionOutput "
                "layer, which would connect them to its offsets and scores. Append that layer to the prototxt and "
                "leave `heads` out; or give `anchors`, an AnchorSpec or an array (N, 4) in the order of the net's "
                "outputs, as fractions of the image."
            )
        raise ValueError(
            "A net without PriorBox layers needs its priors: `anchors`. They are an AnchorSpec, or an "
            "array (N, 4) in the order of the net's outputs, as fractions of the image."
        )
    try:
        array = np.asarray(anchors, np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"`anchors` must be an AnchorSpec or an array (N, 4). Received: {type(anchors).__name__}"
        ) from None
    _refuse_pixels(array, anchor_format)
    return GivenPriors(array, anchor_format, variances)


def _refuse_pixels(array, anchor_format):
    """Raises ValueError if most boxes have their centre more than one image size outside the image."""
    boxes = array if array.ndim == 2 and array.shape[1] == 4 else None
    if boxes is None and array.ndim and array.size and array.size % 8 == 0:  # of PriorBox: corners, then variances
        boxes, anchor_format = array.reshape(2, -1)[0].reshape(-1, 4), "xyxy"
    if boxes is None or not len(boxes):
        return  # `spec_of_array` refuses it
    centres = boxes[:, :2] if anchor_format == "cxcywh" else (boxes[:, :2] + boxes[:, 2:]) / 2
    if np.mean(((centres < -1) | (centres > 2)).any(axis=1)) > 0.5:
        low, high = np.nanmin(boxes), np.nanmax(boxes)
        raise ValueError(
            "`anchors` as an array are fractions of the image, 0 to 1, and these look like pixels: divide x by the "
            f"image's width and y by its height. Received: values from {low:g} to {high:g}"
        )


def _part_list(building, name, columns=None):
    """(parts, kind of scores) of a named blob, traced back to its maps."""
    if name not in building.blobs or building.blobs[name].tensor is None:
        made = ", ".join(last_blobs(building.net))
        close = did_you_mean([repr(other) for other in nearest(name, (*last_blobs(building.net), *building.blobs))])
        raise ValueError(f"Blob '{name}' is not computed from an image.{close} The net's last blobs are {made}.")
    blob, kind = building.blobs[name], "probabilities"
    source = _class_major_source(blob, columns) if columns else None
    if source is not None:
        return [_box_major(source, columns)], "softmax"
    if blob.rank == 4 and (blob.layer is None or blob.layer.type not in ("Permute", "Reshape", "Concat")):
        while blob.layer is not None and blob.layer.type in ACTIVATIONS and columns and _of_all(blob, columns):
            kind, blob = ACTIVATIONS[blob.layer.type], blob.inputs[0]
        return [Blob.of_plain(blob.maps())], kind
    return parts_of(blob, columns)


def _class_major_source(blob, columns):
    """The map (B, C * A, H, W) before a softmax over the first axis of (B, C, A * H, W), or None.

    RetinaFace (from MXNet) orders its scores like this: all boxes of a cell for one class, then for the next.
    """
    if blob.layer is not None and blob.layer.type == "Reshape":
        blob = blob.inputs[0]
    if blob.layer is None or blob.layer.type != "Softmax" or not blob.inputs[0].inputs:
        return None
    split, axis = blob.inputs[0], blob.layer.settings("softmax_param")["axis"]
    source = split.inputs[0]
    if split.layer.type != "Reshape" or source.rank != 4 or axis % blob.rank != 1 or source.shape[1] % columns:
        return None
    boxes = source.shape[1] // columns
    return source if split.shape[1:] == (columns, boxes * source.shape[2], source.shape[3]) else None


def _box_major(source, columns):
    """The map (B, H, W, A * C) of a class-major one, (B, C * A, H, W)."""
    _, channels, height, width = source.shape
    boxes = channels // columns
    x = source.maps()
    if boxes > 1:
        x = keras.layers.Reshape((height, width, columns, boxes))(x)
        x = keras.layers.Reshape((height, width, channels))(keras.layers.Permute((1, 2, 4, 3))(x))
    return Blob.of_plain(x)


def _of_all(blob, columns):
    return blob.layer.type == "Sigmoid" or blob.shape[1] == columns


def _size(blob):
    return math.prod(blob.shape[1:])


def _grids(parts):
    """(height, width, boxes per cell) of each part, or None if a part is not a map."""
    if not all(len(part.shape) == 4 and part.shape[3] % 4 == 0 for part in parts):
        return None
    return [(part.shape[1], part.shape[2], part.shape[3] // 4) for part in parts]


def _score_kind(found, given):
    kinds = set(found)
    if len(kinds) > 1:
        raise ValueError(f"The levels make their scores in different ways: {', '.join(sorted(kinds))}.")
    [kind] = kinds
    if kind == "probabilities":
        return given or "softmax"
    if given not in (None, "probabilities", kind):
        raise ValueError(f"The net makes its scores by a layer of {kind}. Received: scores={given}")
    return kind


def _background(scores, columns, fits):
    """0 if the first column is the background, -1 if there is none."""
    if scores == "sigmoid" and fits(columns) is not False:
        return -1
    if fits(columns - 1) is False or columns == 1:
        expected = f"{columns - 1} behind a background" + (f", or {columns}" if scores == "sigmoid" else "")
        raise ValueError(
            f"The net has {columns} scores for each prior, so the number of class names must be {expected}. Received "
            "another number of names. If each score is an independent sigmoid, set `scores`."
        )
    return 0


def _found_by_shape(building, anchors):
    """The pair of results whose sizes fit the number of priors."""
    count = anchors.num_anchors
    names = [name for name in wanted_blobs(building.net, ()) if building.blobs[name].tensor is not None]
    sizes = {name: _size(building.blobs[name]) for name in names}
    offsets = [name for name in names if sizes[name] == 4 * count]
    scores = [name for name in names if sizes[name] % count == 0 and sizes[name]]
    pairs = [(loc, conf) for loc in offsets for conf in scores if conf != loc]
    if len(pairs) != 1:
        shown = ", ".join(f"{name} {building.blobs[name].shape[1:]}" for name in names)
        raise ValueError(
            f"The shapes do not tell which blobs are the offsets and the scores of {count} priors: offsets have "
            f"{4 * count} values per image. The net's last blobs are {shown}. Name them with `heads`."
        )
    return pairs[0]


def _refuse_sizes(building, pairs, total):
    shown = "; ".join(
        f"offsets {loc} {building.blobs[loc].shape[1:]}, scores {conf} {building.blobs[conf].shape[1:]}"
        for loc, conf in pairs
    )
    raise ValueError(
        "`heads`: each prior has four offsets and one score per column, so the offsets must have 4 values per prior, "
        f"and the scores a multiple of {total or 'the number of priors'}. Received: {shown}. The offsets come first."
    )


def _shown(parts):
    return ", ".join("x".join(map(str, part.shape[1:])) for part in parts)
