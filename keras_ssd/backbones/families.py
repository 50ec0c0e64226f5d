"""The networks of `keras.applications` by name: their preprocessing, and the strides that detectors use."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_ssd.backbones.taps import STRIDES
from keras_ssd.calling import checked_arguments
from keras_ssd.names import fold, unknown_name

# Strides of detectors for phones.
MOBILE = (16, 32)


@dataclass(frozen=True)
class Family:
    """Networks that differ only in size.

    Args:
        networks: {name: attribute of `keras.applications`}.
        preprocessing: one of `preprocessing.MODES`, if the network does not preprocess its images itself.
        marks: name patterns that identify the family: the model's name or one of its layers' names matches one.
        strides: strides of the maps that a detector should read, in pixels.
        widths: whether the network takes a `width`.
    """

    networks: dict[str, str]
    preprocessing: str
    marks: tuple[str, ...]
    strides: tuple[int, ...] = STRIDES
    widths: bool = False


FAMILIES = (
    Family({"vgg16": "VGG16", "vgg19": "VGG19"}, "caffe", ("block5_conv1",)),
    Family({f"resnet{n}": f"ResNet{n}" for n in (50, 101, 152)}, "caffe", ("conv5_block1_add",)),
    Family({f"resnet{n}_v2": f"ResNet{n}V2" for n in (50, 101, 152)}, "tf", ("conv2_block1_preact_bn",)),
    Family({"mobilenet": "MobileNet"}, "tf", ("conv_pw_13",), MOBILE, widths=True),
    Family({"mobilenet_v2": "MobileNetV2"}, "tf", ("block_13_expand",), MOBILE, widths=True),
    Family(
        {"mobilenet_v3_small": "MobileNetV3Small", "mobilenet_v3_large": "MobileNetV3Large"},
        "tf",
        ("MobileNetV3*", "expanded_conv_1_expand"),
        MOBILE,
        widths=True,
    ),
    Family({f"efficientnet_b{n}": f"EfficientNetB{n}" for n in range(8)}, "none", ("efficientnetb?",)),
    Family({f"efficientnet_v2_b{n}": f"EfficientNetV2B{n}" for n in range(4)}, "torch", ("efficientnetv2-b?",)),
    Family({f"efficientnet_v2_{s}": f"EfficientNetV2{s.upper()}" for s in "sml"}, "unit", ("efficientnetv2-[sml]",)),
    Family({f"densenet{n}": f"DenseNet{n}" for n in (121, 169, 201)}, "torch", ("pool4_conv",)),
    Family({"inception_v3": "InceptionV3"}, "tf", ("inception_v3", "mixed9_1")),
    Family({"inception_resnet_v2": "InceptionResNetV2"}, "tf", ("block17_20_ac",)),
    Family(
        {
            f"convnext_{size}": f"ConvNeXt{keras_name}"
            for size, keras_name in (
                ("tiny", "Tiny"),
                ("small", "Small"),
                ("base", "Base"),
                ("large", "Large"),
                ("xlarge", "XLarge"),
            )
        },
        "torch",
        ("convnext_*",),
    ),
    Family({"xception": "Xception"}, "tf", ("block14_sepconv2",)),
    Family({"nasnet_mobile": "NASNetMobile", "nasnet_large": "NASNetLarge"}, "tf", ("normal_concat_0",)),
)
_BY_NAME = {name: family for family in FAMILIES for name in family.networks}
_FOLDED = {**{fold(name): name for name in _BY_NAME}, "mobilenetv1": "mobilenet"}


def backbone_names() -> tuple[str, ...]:
    """Names of the backbones that `keras_ssd.ssd` and `backbones.named` know.

    Example:
        >>> "resnet50" in keras_ssd.backbones.backbone_names()
        True
    """
    return tuple(_BY_NAME)


def known_name(name: str) -> str:
    """The name as in `backbone_names`; case, spaces, hyphens and underscores are ignored.

    Raises:
        ValueError: no such backbone.
    """
    found = _FOLDED.get(fold(name))
    if found is None:
        raise ValueError(unknown_name("backbone", name, _BY_NAME, "Or give a functional keras.Model from images."))
    return found


def family_of(model: Any) -> Family | None:
    """The `Family` of a `keras.applications` model, or None."""
    names = [model.name, *(layer.name for layer in model.layers)]
    return next((f for f in FAMILIES if any(fnmatch.filter(names, mark) for mark in f.marks)), None)


@checked_arguments
def named(
    name: str, input_size: Sequence[int] = (300, 300), *, width: float | None = None, weights: str | None = None
) -> keras.Model:
    """A network of `keras.applications` without its classifier, for images of any size that it supports.

    Args:
        name: one of `backbone_names()`.
        input_size: (height, width) in pixels.
        width: factor of the channels of all layers, `alpha` of MobileNets; None is 1.
        weights: None, "imagenet" (downloaded by Keras), or a file, as `keras.applications` takes it.

    Returns:
        functional `keras.Model`. Some families include their preprocessing and others do not; `keras_ssd.ssd` adds it
        if it is missing.

    Raises:
        ValueError: the name is unknown, the family has no widths, or the image is too small.
    """
    name = known_name(name)
    family = _BY_NAME[name]
    if width is not None and not family.widths:
        able = ", ".join(n for n, f in _BY_NAME.items() if f.widths)
        raise ValueError(f"`width` is for {able}; {name} has one width. Received: width={width}")
    make = getattr(keras.applications, family.networks[name])
    options = {} if width is None else {"alpha": width}
    try:
        return make(include_top=False, weights=weights, input_shape=(*input_size, 3), **options)
    except ValueError as error:
        if weights is not None:
            raise
        raise ValueError(f"{name} cannot be built for images of {input_size[0]}x{input_size[1]}: {error}") from error
