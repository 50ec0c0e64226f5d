"""SSD300 and SSD512: the original models. Only numbers; the building is `ssd()`'s."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec
from keras_ssd.backbones.blocks import ConvRow, ConvStyle, check_input_size
from keras_ssd.backbones.vgg16 import MEAN_RGB, vgg16
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import Extra, ssd
from keras_ssd.models.heads import Tap
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from
from keras_ssd.models.weights import recipe_for

TAPS = (Tap("conv4_3", l2_scale=20.0), Tap("fc7"))


@dataclass(frozen=True)
class _Architecture:
    name: str
    input_size: tuple[int, int]
    extras: tuple[Extra, ...]


def _extra(name, squeeze, filters, kernel_size=3, stride=2, pad=1):
    return Extra((ConvRow(f"{name}_1", squeeze, 1), ConvRow(f"{name}_2", filters, kernel_size, stride=stride, pad=pad)))


# examples/ssd/ssd_pascal.py, AddExtraLayers
_SSD300 = _Architecture(
    "ssd300",
    (300, 300),
    (
        _extra("conv6", 256, 512),
        _extra("conv7", 128, 256),
        _extra("conv8", 128, 256, stride=1, pad=0),
        _extra("conv9", 128, 256, stride=1, pad=0),
    ),
)
# the script inside the SSD512 model archives
_SSD512 = _Architecture(
    "ssd512",
    (512, 512),
    (
        _extra("conv6", 256, 512),
        _extra("conv7", 128, 256),
        _extra("conv8", 128, 256),
        _extra("conv9", 128, 256),
        _extra("conv10", 128, 256, kernel_size=4, stride=1, pad=1),
    ),
)

_DOC = """{title}: the original {size}x{size} model on VGG16, numerically equal to Caffe's.

    Args:
        weights: a catalogue name such as "voc07+12", "coco" or "ilsvrc" (`keras-ssd zoo list` shows all), the path of
            a weight file (ssd_keras .h5, chainercv .npz, .caffemodel, PyTorch .pth, .keras), "imagenet" for a trained
            backbone under fresh heads, or None.
        classes: class names without background. None is what the weights were trained on. Classes that the
            weights know keep their trained rows, others start fresh, and a message says which.
        weights_classes: what a weight file was trained on, in order, where nothing else tells.
        input_size: (height, width) in pixels.
        anchors: "voc", "coco", an `AnchorRecipe` or an `AnchorSpec`; None is what the weights were trained with.
        dropout: rate after fc6 and fc7; the original has none.
        l2: factor of Keras's L2 penalty on the kernels; Caffe's weight decay of 0.0005 is 0.00025.
        kernel_initializer: of fresh kernels; None is Caffe's xavier, other ports use "he_normal".
        freeze: patterns of layers that are not trained, such as ("conv1_*", "conv2_*", "conv3_*").
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: an unknown name, a file that cannot be read or does not fit, neither weights nor classes.

    Example:
        >>> model = keras_ssd.{name}(weights="voc07+12")
        >>> mine = keras_ssd.{name}(weights="coco", classes=["person", "dog", "helmet"])

    Source: weiliu89/caffe, branch ssd; Liu et al., "SSD: Single Shot MultiBox Detector", 2016.
    """


@checked_arguments
def ssd300(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] = _SSD300.input_size,
    anchors: AnchorRecipe | AnchorSpec | str | None = None,
    dropout: float = 0.0,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    freeze: str | Sequence[str] = (),
    name: str = "ssd300",
) -> SSD:
    style = ConvStyle(kernel_initializer, l2)
    return _build(_SSD300, weights, classes, weights_classes, input_size, anchors, dropout, style, freeze, name)


@checked_arguments
def ssd512(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] = _SSD512.input_size,
    anchors: AnchorRecipe | AnchorSpec | str | None = None,
    dropout: float = 0.0,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    freeze: str | Sequence[str] = (),
    name: str = "ssd512",
) -> SSD:
    style = ConvStyle(kernel_initializer, l2)
    return _build(_SSD512, weights, classes, weights_classes, input_size, anchors, dropout, style, freeze, name)


ssd300.__doc__ = _DOC.format(title="SSD300", size=300, name="ssd300")
ssd512.__doc__ = _DOC.format(title="SSD512", size=512, name="ssd512")


def _build(architecture, weights, classes, weights_classes, input_size, anchors, dropout, style, freeze, name):
    input_size = check_input_size(input_size)
    start = start_from(weights, classes, architecture.name, weights_classes=weights_classes, backbone="vgg16")
    recipe = recipe_for(start.detector, architecture.name, anchors)
    trained = start.detector
    if anchors is None and trained and isinstance(recipe, AnchorSpec) and recipe.image_size != input_size:
        raise ValueError(
            f"{trained.arrays.source} has anchors for images of {recipe.image_size}. Give `anchors=` for "
            f"another input size. Received: input_size={input_size}"
        )
    model = ssd(
        vgg16(input_size, style=style, dropout=dropout, mean_rgb=_mean_rgb(start.detector)),
        TAPS,
        start.classes,
        recipe,
        extras=architecture.extras,
        style=style,
        freeze=freeze,
        decoding=start.decoding_or(),
        name=name,
    )
    return start.load_into(model)


def _mean_rgb(trained):
    """The mean that was subtracted from the training images of the weights."""
    if trained is None or trained.preprocessing is None:
        return MEAN_RGB
    return tuple(-value for value in trained.preprocessing[1])
