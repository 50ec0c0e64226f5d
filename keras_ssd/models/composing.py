"""`ssd()`: anchors, extra layers and heads on any backbone."""

import fnmatch
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec
from keras_ssd.anchors.spreading import spread_spec
from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.backbones.resolving import described_name, pyramid_of, resolve_backbone
from keras_ssd.backbones.taps import feature_maps, possible_taps
from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import maker_of
from keras_ssd.layers import AnchorBoxes
from keras_ssd.models import fpn as pyramids
from keras_ssd.models.extras import FILTERS, derive_extras
from keras_ssd.models.extras import Extra as Extra
from keras_ssd.models.heads import PlainHead, SeparableHead, SharedHead, Tap, feature_map, head_of
from keras_ssd.models.model import SSD
from keras_ssd.models.taps import check_falling, check_tap, proposed_taps
from keras_ssd.names import unknown_name
from keras_ssd.zoo.label_fitting import class_list

log: logging.Logger = logging.getLogger("keras_ssd")


@checked_arguments
def ssd(
    backbone: str | keras.Model,
    taps: Sequence[str | Tap] | None = None,
    classes: Sequence[str] | None = None,
    anchors: AnchorRecipe | AnchorSpec | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    width: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    preprocessing: str = "auto",
    extras: int | Sequence[Extra] | None = None,
    fpn: bool | int = False,
    head: str | PlainHead | SeparableHead | SharedHead = "plain",
    style: ConvStyle | None = None,
    freeze: str | Sequence[str] = (),
    decoding: Mapping[str, Any] | None = None,
    name: str = "ssd",
) -> SSD:
    """An SSD on any backbone: `keras_ssd.ssd("resnet50", classes=["cat", "dog"])`.

    Taps, extra feature maps down to a grid of 1x1, and anchors follow from the backbone unless you give them.
    `print(model.composition)` shows them.

    Args:
        backbone: a name of `keras_ssd.backbones.backbone_names()`, or any functional `keras.Model` from images
            (B, H, W, 3), channels last. One of `keras.applications` is recognised and gets its family's preprocessing;
            others must have theirs inside. A model that needs none becomes part of the SSD; any other is copied.
        taps: layer names or `Tap`s, from the finest feature map to the coarsest; "P3" and the like for backbones of
            KerasHub. None proposes them, and says which.
        classes: class names without background.
        anchors: an `AnchorSpec`, or an `AnchorRecipe` that is fitted to the feature maps; one level for each tap and
            each extra. None spreads sizes evenly, see `keras_ssd.anchors.spread_spec`.
        input_size: (height, width) in pixels; None is the model's own, or (300, 300) for a name.
        width: factor of the channels of a MobileNet by name (Keras's `alpha`), and of derived extras.
        weights: of a backbone by name: None, "imagenet" (downloaded by Keras) or a file.
        preprocessing: "auto", "caffe", "tf", "torch", "unit" or "none": the layers before the backbone.
        extras: `Extra`s after the last tap, or how many to derive; None derives as many as the anchors need, or until
            the grid is 1x1.
        fpn: True adds a feature pyramid of 256 channels, which brings coarse features into finer maps; a number sets
            the channels.
        head: "plain" (3x3 convolutions), "separable" (SSDlite) or "shared" (RetinaNet's towers), or one of
            `keras_ssd.models.heads` with other numbers.
        style: a `ConvStyle` for extras, pyramid and heads; None is Caffe's xavier without penalty.
        freeze: patterns of layer names that are not trained, such as ("conv1_*", "conv2_*").
        decoding: options of `DecodeDetections` for the model's predictions, see `SSD`.
        name: the model's name.

    Returns:
        An `SSD` whose output is raw predictions (B, N, C + 1 + 12), see `keras_ssd.box_coder.Predictions`.

    Raises:
        TypeError: the backbone is not a functional model.
        ValueError: unknown backbone, taps or freeze patterns (possible taps are listed), bad class names, an image
            that is too small, anchors that do not fit the feature maps.

    Example:
        >>> backbone = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(300, 300, 3))
        >>> taps = ["conv3_block4_out", "conv4_block6_out", "conv5_block3_out"]
        >>> net = keras_ssd.ssd(backbone, taps=taps, classes=["cat", "dog"])
        >>> small = keras_ssd.ssd("mobilenet_v2", classes=["cat"], input_size=(320, 320), width=0.5, head="separable")
    """
    check_anchors(anchors)
    classes = class_list("classes", () if classes is None else classes)
    style, head = style or ConvStyle(), head_of(head)
    build = {"input_size": input_size, "width": width, "weights": weights, "preprocessing": preprocessing}
    body, found, taps = _tapped_body(backbone, taps, build)
    if not (anchors is not None and extras is not None) or fpn:
        check_falling(found, taps)
    tensors = [found[tap.layer].tensor for tap in taps]
    if fpn:
        filters = _pyramid_filters(fpn)
        tensors = pyramids.pyramid([tap.layer for tap in taps], tensors, style, filters)
        taps = [replace(tap, layer=f"{tap.layer}_fpn", l2_scale=None, batch_norm=False) for tap in taps]
    else:
        filters = _extra_filters(head, width)
    maps, x = [feature_map(tap, x) for tap, x in zip(taps, tensors, strict=True)], tensors[-1]
    for extra in _extras(extras, anchors, len(taps), x, isinstance(head, SeparableHead), filters):
        x = extra(x, style)
        taps.append(Tap(extra.layer))
        maps.append(x)
    images = body.inputs[0]
    spec = _fitted(anchors, images, maps, found, isinstance(head, SharedHead))
    sources = [(tap, x, level.boxes_per_cell) for tap, x, level in zip(taps, maps, spec.levels, strict=True)]
    predictions = AnchorBoxes(spec, name="predictions")(*head.maps(sources, len(classes), style))
    names = [tap.source for tap in taps]
    model = SSD(images, predictions, name=name, class_names=classes, decoding=decoding, sources=names)
    freeze_layers(model, freeze)
    return model


def _tapped_body(backbone, taps, build):
    """(the backbone as a model of images, its feature maps, its `Tap`s)."""
    levels = pyramid_of(backbone)
    body, mode, strides = resolve_backbone(backbone, **build)
    found = feature_maps(body)
    if taps is None:
        taps = proposed_taps(body, found, levels, strides)
        say = log.info if isinstance(backbone, str) else log.warning
        told = ", ".join(str(found[tap.layer]) for tap in taps)
        say("Taps of %s: %s. Preprocessing: %s.", described_name(backbone), told, mode)
        return body, found, taps
    taps = [tap if isinstance(tap, Tap) else Tap(tap) for tap in taps]
    if not taps:
        raise ValueError(f"`taps` must name at least one layer, or be None. Possible taps: {possible_taps(found)}.")
    taps = [replace(tap, layer=levels.get(tap.layer, tap.layer)) for tap in taps]
    for tap in taps:
        check_tap(body, found, tap)
    return body, found, taps


def _pyramid_filters(fpn):
    if fpn is True:
        return pyramids.FILTERS
    if not isinstance(fpn, int) or fpn < 1:
        raise ValueError(f"`fpn` must be True, False, or a number of channels. Received: fpn={fpn!r}")
    return fpn


def _extra_filters(head, width):
    """Channels of derived extras: a narrow backbone has narrow ones, and a shared head wants its own number."""
    if isinstance(head, SharedHead):
        return head.filters
    return max(16, round(FILTERS * min(width or 1.0, 1.0) / 8) * 8)


def _extras(extras, anchors, taps, x, separable, filters):
    """The `Extra`s after the last tap."""
    if isinstance(extras, (list, tuple)):
        if not all(isinstance(extra, Extra) for extra in extras):
            raise TypeError(f"`extras` must be `Extra`s, a whole number, or None. Received: extras={extras!r}")
        return extras
    if extras is not None and (not isinstance(extras, int) or isinstance(extras, bool) or extras < 0):
        raise TypeError(f"`extras` must be `Extra`s, a whole number from 0 on, or None. Received: extras={extras!r}")
    if extras is None and anchors is not None:
        levels = getattr(anchors, "levels", None) or getattr(anchors, "rows", ())
        extras = max(len(levels) - taps, 0)
    return derive_extras(x.shape[1:3], extras, separable=separable, filters=filters)


def check_anchors(anchors: Any) -> None:
    """Raises TypeError unless anchors are None, an `AnchorRecipe` or an `AnchorSpec`."""
    if anchors is not None and not isinstance(anchors, (AnchorRecipe, AnchorSpec)):
        raise TypeError(f"`anchors` must be an AnchorSpec or an AnchorRecipe. Received: anchors={anchors!r}")


def _fitted(anchors, images, maps, found, even):
    """The `AnchorSpec` of the feature maps."""
    size, grids = tuple(images.shape[1:3]), [tuple(x.shape[1:3]) for x in maps]
    if anchors is None:
        seen = feature_maps(keras.Model(images, maps))
        strides = [seen[maker_of(x).name].stride_hw for x in maps]
        return spread_spec(size, grids, strides, even=even)
    if isinstance(anchors, AnchorRecipe):
        if len(anchors.rows) != len(grids):
            raise ValueError(
                f"The anchors have {len(anchors.rows)} levels; the network has {len(grids)} feature maps, {grids}."
            )
        return anchors.spec(size, grids)
    if list(anchors.grids) != grids or anchors.image_size != size:
        raise ValueError(
            f"The anchors are made for images of {anchors.image_size} and grids {list(anchors.grids)}; the network "
            f"has {size} and {grids}. Use an AnchorRecipe, which adapts, or other taps. "
            f"Possible taps: {possible_taps(found)}."
        )
    return anchors


def freeze_layers(model: keras.Model, patterns: str | Sequence[str]) -> None:
    """Sets `trainable=False` on the layers whose names match.

    Raises:
        ValueError: a pattern that matches no layer.
    """
    if isinstance(patterns, str):
        patterns = (patterns,)
    names = [layer.name for layer in model.layers]
    for pattern in patterns:
        hits = fnmatch.filter(names, pattern)
        if not hits:
            raise ValueError(unknown_name("layer in `freeze`", pattern, names))
        for hit in hits:
            model.get_layer(hit).trainable = False
