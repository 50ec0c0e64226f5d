"""The same detector with other anchors: rows of boxes that stay, and a start for the new ones."""

import math
from dataclasses import dataclass, replace

import keras
import numpy as np

from keras_ssd.anchors import AnchorRecipe, AnchorSpec
from keras_ssd.anchors.overlaps import concentric_iou
from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import nodes_of_layer
from keras_ssd.layers import AnchorBoxes
from keras_ssd.layers.class_columns import head_of
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector
from keras_ssd.zoo.port import arrays_of, port

SAME = 0.01  # sides of a box that stays differ by this share at most
NEAR = 0.5  # IoU from which a box is near enough to start from; with 0.5 an anchor is matched, too


@dataclass(frozen=True)
class ReanchoringReport:
    """The sources of the heads' rows; `str()` describes them.

    Args:
        kept: (level, box) of the new spec that the old one has, too.
        adapted: (level, box) that start from the rows of another box.
        fresh: (level, box) that start untrained.
        spec: the new `AnchorSpec`.
    """

    kept: tuple[tuple[int, int], ...]
    adapted: tuple[tuple[int, int], ...]
    fresh: tuple[tuple[int, int], ...]
    spec: AnchorSpec

    def __str__(self) -> str:
        total = sum(self.spec.boxes_per_cell)
        text = f"Anchors: {len(self.kept)} of {total} boxes keep their trained rows"
        if self.adapted:
            text += f", {len(self.adapted)} start from those of the nearest box of their level"
        if self.fresh:
            boxes = [(level, *self.spec.levels[level].boxes_hw[place]) for level, place in self.fresh]
            text += ", to be trained from nothing: "
            text += ", ".join(f"{height:.0f}x{width:.0f} on level {level}" for level, height, width in boxes)
        return text + "."


@checked_arguments
def with_anchors(model: SSD, anchors: AnchorRecipe | AnchorSpec, *, nearest: bool = True) -> SSD:
    """A copy of a detector with other anchors, which keeps the training of the boxes that stay.

    Anchors can be changed without training from scratch. A box that stays (sides equal to 1 %) keeps its rows in the
    heads. A new box starts from the rows of the box of its level that overlaps it most, if the IoU is at least 0.5:
    those filters detect objects of about its size. The offsets are rescaled, so that the new box predicts the same
    objects at first; training then adapts it. Other boxes start untrained. Only the heads change.

    Args:
        model: an `SSD` of raw predictions.
        anchors: an `AnchorSpec` for the model's grids and input size, such as that of
            `keras_ssd.anchors.fit(data, model)`, or an `AnchorRecipe`.
        nearest: False starts all boxes that do not stay untrained.

    Returns:
        A new `SSD`; its `weights_report` lists the boxes that stayed. The given model is unchanged, and shares no
        weights with it.

    Raises:
        ValueError: anchors for other grids, or heads that are not convolutions with channels for each box.
        TypeError: `anchors` is neither a spec nor a recipe.

    Example:
        >>> spec = keras_ssd.anchors.fit(train, model, boxes_per_cell=6)
        >>> mine = keras_ssd.with_anchors(model, spec)
    """
    model = as_detector(model)
    spec = _checked(anchors, model)
    heads = _heads_of(model)
    for layer, (_, levels) in heads.items():
        if len({spec.boxes_per_cell[level] for level in levels}) > 1:
            raise ValueError(
                f"The head '{layer}' of model '{model.name}' is shared by {len(levels)} levels, which need the same "
                f"number of boxes per cell. Received: {spec.boxes_per_cell}"
            )
    mine = _clone(model, spec, heads)
    sources = {levels: _sources(model.anchor_spec, spec, levels, nearest) for _, levels in heads.values()}
    trained, initial = arrays_of(model), arrays_of(mine, layers=tuple(heads)).layers
    layers = dict(trained.layers)
    for layer, (end, levels) in heads.items():
        rows = sources[levels]
        changes = _Changes.between(model, spec, levels, rows) if end == "loc" else None
        layers[layer] = {
            weight: _regrouped(array, initial[layer][weight], rows, changes, weight)
            for weight, array in trained[layer].items()
        }
    port(mine, replace(trained, layers=layers))
    mine.weights_report = _report(spec, sources)
    return mine


def _checked(anchors, model):
    """The `AnchorSpec`, after comparing it with the model's grids."""
    if model.has_decoder:
        raise ValueError("`model` must be a keras_ssd model of raw predictions, the one that a decoder was put on.")
    known = model.anchor_spec
    if isinstance(anchors, AnchorRecipe):
        anchors = anchors.spec(known.image_size, known.grids)
    if not isinstance(anchors, AnchorSpec):
        raise TypeError(f"`anchors` must be an AnchorSpec or an AnchorRecipe. Received: anchors={anchors!r}")
    if (anchors.image_size, anchors.grids) != (known.image_size, known.grids):
        raise ValueError(
            f"The anchors are made for images of {anchors.image_size} and grids {list(anchors.grids)}; model "
            f"'{model.name}' has {known.image_size} and {list(known.grids)}. "
            "`keras_ssd.anchors.fit(data, model)` makes anchors that fit."
        )
    return anchors


def _heads_of(model):
    """{name of a convolution: ("conf" or "loc", levels that it serves)}, found by what feeds the anchors."""
    [anchors] = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
    tensors = nodes_of_layer(anchors)[0].input_tensors
    count = len(anchors.spec.levels)
    found = {}
    for end, maps in (("conf", tensors[:count]), ("loc", tensors[count:])):
        for level, tensor in enumerate(maps):
            layer = head_of(tensor)[0]
            if not isinstance(layer, keras.layers.Conv2D):
                raise ValueError(
                    f"The {'class' if end == 'conf' else 'offset'} columns of model '{model.name}' come out of "
                    f"'{layer.name}' ({type(layer).__name__}), and only heads that are convolutions can be given other "
                    "anchors."
                )
            found.setdefault(layer.name, (end, []))[1].append(level)
    return {layer: (end, tuple(levels)) for layer, (end, levels) in found.items()}


def _clone(model, spec, heads):
    """A model of the same layers with heads and anchors of the spec, untrained."""
    known = model.anchor_spec

    def clone(layer):
        config = layer.get_config()
        if layer.name in heads:
            level = heads[layer.name][1][0]
            config["filters"] = config["filters"] // known.boxes_per_cell[level] * spec.boxes_per_cell[level]
        if isinstance(layer, AnchorBoxes):
            config["spec"] = spec.to_dict()
        return layer.__class__.from_config(config)

    copy = keras.models.clone_model(model, clone_function=clone)
    names = model.class_names if model.names_classes else ()
    kept = {"name": model.name, "decoding": model.decoding, "sources": model.sources}
    mine = SSD(copy.inputs[0], copy.outputs[0], class_names=names, **kept)
    for layer in mine.layers:
        if layer.weights:  # an input without a name has another one in the copy
            layer.trainable = model.get_layer(layer.name).trainable
    return mine


def _sources(before, after, levels, nearest):
    """For each box of the new spec on these levels: the old box whose rows it takes, or None.

    Rows that several levels share are compared by the mean of their boxes' IoUs.
    """
    old, new = _shapes(before, levels), _shapes(after, levels)  # (levels, boxes, 2)
    iou = np.mean([concentric_iou(mine, theirs) for mine, theirs in zip(new, old, strict=True)], axis=0)
    chosen = iou.argmax(axis=1)
    kept = [_stays(old[:, source], new[:, place]) for place, source in enumerate(chosen)]
    near = [stays or (nearest and iou[place, chosen[place]] >= NEAR) for place, stays in enumerate(kept)]
    return tuple(
        (int(source), stays) if ok else (None, False) for source, stays, ok in zip(chosen, kept, near, strict=True)
    )


def _shapes(spec, levels):
    return np.array([spec.levels[level].boxes_hw for level in levels])


def _stays(old, new):
    return bool(np.abs(np.log(new / old)).max() <= math.log1p(SAME))


@dataclass(frozen=True, eq=False)
class _Changes:
    """Converts offsets from one box to another, so that they decode to the same place.

    Args:
        scale: (boxes, 4) factors of the rows.
        shift: (boxes, 4) added to their biases.
    """

    scale: np.ndarray
    shift: np.ndarray

    @classmethod
    def between(cls, model, after, levels, rows):
        """From a model's boxes to those of another spec; ones and zeros for corner codes."""
        scale, shift = np.ones((len(rows), 4)), np.zeros((len(rows), 4))
        if model.decoding.get("code_type", "center_size") != "center_size":
            return cls(scale, shift)
        before = model.anchor_spec
        coded = model.decoding.get("variance_encoded_in_target", False)
        old_variance, new_variance = np.ones((2, 4)) if coded else np.array([before.variances, after.variances])
        old, new = _shapes(before, levels), _shapes(after, levels)
        for place, (source, _) in enumerate(rows):
            if source is None:
                continue
            log_wh = np.log(old[:, source] / new[:, place]).mean(axis=0)[::-1]
            scale[place] = old_variance / new_variance * np.exp([*log_wh, 0, 0])
            shift[place, 2:] = log_wh / new_variance[2:]
        return cls(scale, shift)


def _regrouped(array, initial, rows, changes, weight):
    """The head's array with the channels of each new box."""
    boxes = len(rows)
    result = np.array(initial).reshape(*initial.shape[:-1], boxes, -1)
    split = array.reshape(*array.shape[:-1], -1, result.shape[-1])
    for place, (source, _) in enumerate(rows):
        if source is None:
            continue
        result[..., place, :] = split[..., source, :]
        if changes is not None:
            result[..., place, :] *= changes.scale[place]
            if weight == "bias":
                result[..., place, :] += changes.shift[place]
    return result.reshape(initial.shape)


def _report(after, sources):
    kept, adapted, fresh = [], [], []
    for levels, rows in sources.items():
        for level in levels:
            for place, (source, stays) in enumerate(rows):
                (fresh if source is None else kept if stays else adapted).append((level, place))
    return ReanchoringReport(tuple(sorted(kept)), tuple(sorted(adapted)), tuple(sorted(fresh)), after)
