"""Loads weights from a file into a model: reads them, sub-samples them if the classes differ, and ports them."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

from keras_ssd.formats import NamedArrays
from keras_ssd.formats import read as read_file
from keras_ssd.names import check_class_names
from keras_ssd.zoo.port import PortError, PortReport, arrays_of, leaf_layers, port
from keras_ssd.zoo.subsample import class_heads, subsample

log: logging.Logger = logging.getLogger("keras_ssd")

# The classification layer that files of the ImageNet VGG may have; a detector does not use it.
CLASSIFIER = ("fc8", "predictions")


def load_weights_into(
    model: Any,
    source: str | PathLike[str] | NamedArrays,
    *,
    source_classes: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> PortReport:
    """Loads a weight file into a model, strictly, sub-sampling the class heads if the classes differ.

    Args:
        model: a built detector with the layer names of its kind.
        source: path of a weight file, or `NamedArrays`.
        source_classes: the classes of the source in order, without background; by default those in the file.
        classes: the model's classes in order; `model.class_names` by default.
        ignore: source layers that may stay unused, as in `port`.
        keep: target layers that may stay unchanged, as in `port`.

    Returns:
        A `PortReport`. Newly initialised rows of classes are also logged as a warning, since those classes will not be
        detected before training.

    Raises:
        WeightFileError: the file cannot be read.
        PortError: weights and model do not fit; the model is unchanged.
        ValueError: the class lists do not fit the heads.

    Example:
        >>> report = load_weights_into(model, "coco.h5", source_classes=COCO, classes=["person", "helmet"])
    """
    arrays = source if isinstance(source, NamedArrays) else read_file(os.fspath(source))
    source_classes = arrays.class_names if source_classes is None else source_classes
    classes = getattr(model, "class_names", None) if classes is None else classes
    chosen = None
    if source_classes is not None and classes is not None and class_heads(arrays):
        _check_count(arrays, check_class_names("source_classes", source_classes))
        if tuple(classes) != tuple(source_classes):
            initial = arrays_of(model, layers=class_heads(arrays)).layers
            arrays, chosen = subsample(arrays, source_classes, classes, initial=initial)
    try:
        report = port(model, arrays, ignore=ignore, keep=keep)
    except PortError as error:
        raise _with_advice(error, arrays, source_classes) from None
    if chosen is not None:
        report = replace(report, classes=chosen)
        if chosen.initialised:
            log.warning("%s: %s", report.source, chosen)
    return report


def load_backbone_into(
    model: Any, source: str | PathLike[str] | NamedArrays, *, heads: Sequence[str] = ()
) -> PortReport:
    """Loads weights of a backbone into the layers that a detector shares with it; the `PortReport` names the others.

    Args:
        model: a built detector.
        source: path of a weight file, or `NamedArrays`, of one of `BACKBONES`.
        heads: layers of the model that the file has no weights for (shell patterns); by default every layer beyond
            the backbone's.

    Raises:
        WeightFileError, PortError: as `load_weights_into`.
    """
    arrays = source if isinstance(source, NamedArrays) else read_file(os.fspath(source))
    kind = identify(arrays)
    if kind not in BACKBONES:
        raise PortError(
            f"{arrays.source} is not a backbone that detectors can start from: the VGG16 with fully convolutional fc6 "
            f"and fc7, or that of ssd_small. Received: a file of {kind or 'unknown kind'} with {len(arrays.layers)} "
            "layers."
        )
    keep = heads or tuple(layer.name for layer in leaf_layers(model) if layer.name not in BACKBONES[kind])
    return port(model, arrays, ignore=CLASSIFIER, keep=keep)


VGG16 = (
    *("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3", "conv5_1", "conv5_2", "conv5_3", "fc6", "fc7"),
)
SMALL_BODY = tuple(
    f"{row}_{layer}"
    for row in (
        *("stem1", "stem2", "stem3"),
        *(f"stage{stride}_{place}" for stride in (8, 16, 32) for place in ("down", "1", "2")),
    )
    for layer in ("conv", "bn")
)
BACKBONES = {"vgg16": VGG16, "small_body": SMALL_BODY}


SSD_MOBILENET_V1 = ("conv11_pointwise", "conv13_pointwise", "conv14_2", "conv15_2", "conv16_2", "conv17_2")
MOBILENET_SSD = ("conv11", "conv13", "conv14_2", "conv15_2", "conv16_2", "conv17_2")
SSDLITE320 = ("block13_expand", "top", "extra1_2", "extra2_2", "extra3_2", "extra4_2")


def identify(arrays: NamedArrays) -> str | None:
    """The model that arrays belong to, by layer names: "ssd300", "ssd_mobilenet_v1", "vgg16", ..., or None."""
    if {f"{kind}{i}" for kind in ("conv", "bn") for i in range(1, 8)} <= set(arrays.layers):
        return "ssd7" if "classes4" in arrays else None
    if {f"stage{stride}_mbox_{kind}" for stride in (8, 16, 32) for kind in ("loc", "conf")} <= set(arrays.layers):
        return "ssd_small" if "stem1_conv" in arrays else None
    if set(arrays.layers) == set(SMALL_BODY):
        return "small_body"
    if {f"{tap}_mbox_{kind}" for tap in SSD_MOBILENET_V1 for kind in ("loc", "conf")} <= set(arrays.layers):
        return "ssd_mobilenet_v1" if "conv0" in arrays or "conv0_conv" in arrays else None
    if {f"{tap}_mbox_conf" for tap in SSDLITE320} <= set(arrays.layers):
        return "ssdlite320" if "block15_squeeze" in arrays and "top_conv" in arrays else None
    if {f"{tap}_mbox_{kind}" for tap in MOBILENET_SSD for kind in ("loc", "conf")} <= set(arrays.layers):
        return "mobilenet_ssd" if {"conv0", "conv1--dw", "conv13--dw"} <= set(arrays.layers) else None
    if not set(VGG16) <= set(arrays.layers):
        return None
    heads = {layer.removesuffix("_mbox_conf") for layer in class_heads(arrays)}
    shared = {"conv4_3_norm", "fc7", "conv6_2", "conv7_2", "conv8_2", "conv9_2"}
    if heads == shared:
        return "ssd300"
    if heads == shared | {"conv10_2"}:
        return "ssd512"
    extras = any(layer.startswith(("conv6_", "conv7_", "conv4_3_norm")) for layer in arrays.layers)
    return None if heads or extras else "vgg16"


def count_classes(arrays: NamedArrays, *, background: bool = True) -> int | None:
    """The number of classes, without background, of arrays; None without class heads.

    A localisation head has four channels per box, which gives the boxes per cell; the class head then gives the
    classes. The majority of the heads decides: `port` reports a single head of a wrong shape.
    """
    votes = Counter()
    for head, boxes_head in class_heads(arrays).items():
        channels, offsets = _channels(arrays, head), _channels(arrays, boxes_head)
        if channels and offsets and offsets % 4 == 0 and channels % (offsets // 4) == 0:
            votes[channels // (offsets // 4) - (1 if background else 0)] += 1
    return votes.most_common(1)[0][0] if votes else None


def _channels(arrays, layer):
    """Output channels of a convolution, or None."""
    kernel = arrays[layer].get("kernel") if layer in arrays else None
    return None if kernel is None else kernel.shape[-1]


def _check_count(arrays, source_classes):
    count = count_classes(arrays)
    if count is not None and count != len(source_classes):
        raise ValueError(
            f"{arrays.source} was trained on {count} classes. Received: {len(source_classes)} "
            "source_classes. Name the "
            "classes of the file in their order."
        )


def _with_advice(error, arrays, source_classes):
    heads = class_heads(arrays)
    only_heads = error.misshaped and all(name.split("/")[0] in heads for name, _, _ in error.misshaped)
    if not (only_heads and source_classes is None and not error.unused and not error.missing):
        return error
    advice = (
        f"\nOnly the class heads differ: the file has {count_classes(arrays)} classes. Say which ones with "
        "source_classes=[...], and those that the model shares with the file are kept by name."
    )
    return PortError(f"{error}{advice}", error.unused, error.missing, error.misshaped)
