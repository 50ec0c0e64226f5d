"""SSDlite320 on MobileNetV3 large, as torchvision builds and trains it."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec, named_recipe
from keras_ssd.backbones.blocks import ConvStyle, SeparableRow
from keras_ssd.backbones.mobilenet_v3 import MobileNetV3Style, mobilenet_v3_large
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import Extra, check_anchors, ssd
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from

TAPS = ("block13_expand", "top")
EXTRAS = tuple(
    Extra(
        (SeparableRow(f"extra{index}_1", filters // 2, 1), SeparableRow(f"extra{index}_2", filters, 3, stride=2, pad=1))
    )
    for index, filters in enumerate((512, 256, 256, 128), start=1)
)
# torchvision's thresholds; it clips boxes to the image before suppression.
DECODING: dict[str, Any] = {
    "confidence_threshold": 0.001,
    "iou_threshold": 0.55,
    "top_k": 300,
    "keep_top_k": 300,
    "clip_boxes": "before",
}


@checked_arguments
def ssdlite320(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    anchors: AnchorRecipe | AnchorSpec | None = None,
    reduced_tail: bool | None = None,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = None,
    freeze: str | Sequence[str] = (),
    name: str = "ssdlite320",
) -> SSD:
    """SSDlite320 on MobileNetV3 large: torchvision's detector for phones, 3.4 million parameters.

    Args:
        weights: a catalogue name such as "coco", the path of torchvision's .pth or of a .keras file, or
            None.
        classes: class names without background; with weights of other classes the heads are sub-sampled by name.
        weights_classes: what a weight file was trained on, where that is not COCO.
        input_size: (height, width) in pixels; None is the weights', or (320, 320).
        anchors: an `AnchorRecipe` or an `AnchorSpec`; None is the weights', or torchvision's.
        reduced_tail: half the widths from block 13 on; None is what the weights have, or True.
        l2: factor of Keras's L2 penalty on the kernels.
        kernel_initializer: of fresh kernels; None is torchvision's, normal with a deviation of 0.03.
        freeze: patterns of layers that are not trained, such as ("stem_*", "block?_*").
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: weights of another network, neither weights nor classes, or an image that is too small.

    Example:
        >>> model = keras_ssd.ssdlite320(weights="coco")
        >>> mine = keras_ssd.ssdlite320(weights="coco", classes=["person", "dog", "helmet"])

    Source: pytorch/vision, models/detection/ssdlite.py; Sandler et al., "MobileNetV2" (arXiv 1801.04381), section 6.2.
    """
    check_anchors(anchors)
    start = start_from(weights, classes, "ssdlite320", weights_classes=weights_classes)
    if kernel_initializer is None:
        kernel_initializer = keras.initializers.RandomNormal(stddev=0.03)
    style = ConvStyle(kernel_initializer, l2)
    spec = None if start.trained is None else start.trained.spec
    recipe = anchors or spec or named_recipe("ssdlite320")
    body = mobilenet_v3_large(
        recipe.image_size if input_size is None else input_size,
        reduced_tail=_reduced_tail(reduced_tail, start.trained),
        style=MobileNetV3Style(conv=style),
    )
    model = ssd(
        body,
        TAPS,
        start.classes,
        recipe,
        extras=EXTRAS,
        head="separable",
        style=style,
        freeze=freeze,
        decoding=start.decoding_or(DECODING),
        name=name,
    )
    return start.load_into(model)


def _reduced_tail(asked, trained):
    """The given value; None follows from the weights. A value that contradicts the weights is refused."""
    kernel = None if trained is None else trained.arrays["top_conv"].get("kernel")
    if trained is None or kernel is None:
        return True if asked is None else asked
    reduced = kernel.shape[-1] == 480
    if asked not in (None, reduced):
        raise ValueError(
            f"{trained.arrays.source} has reduced_tail={reduced}; leave that to the weights. "
            f"Received: reduced_tail={asked}"
        )
    return reduced
