"""SSD MobileNet V1 of TensorFlow's Object Detection API: small enough for phones."""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_ssd.anchors import AnchorRecipe, AnchorSpec, named_recipe
from keras_ssd.backbones.blocks import ConvStyle, check_input_size
from keras_ssd.backbones.mobilenet_v1 import MobileNetStyle, mobilenet_v1
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import ssd
from keras_ssd.models.heads import Tap
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from

RECIPE = "ssd_mobilenet_v1"
# (1x1 filters, 3x3 filters) of conv14 .. conv17
_EXTRAS = ((256, 512), (128, 256), (128, 256), (64, 128))
_WIDEST = 1024  # filters of conv13_pointwise at width 1; smaller ones may be at their minimum
TAPS = tuple(
    Tap(name, kernel_size=1)
    for name in ("conv11_pointwise", "conv13_pointwise", *(f"conv{i}_2" for i in range(14, 14 + len(_EXTRAS))))
)
# The published pipelines'; each score is a separate sigmoid, so an anchor may have several classes.
DECODING: dict[str, Any] = {"scores": "sigmoid", "iou_threshold": 0.6, "keep_top_k": 100}


@checked_arguments
def ssd_mobilenet_v1(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    anchors: AnchorRecipe | AnchorSpec | None = None,
    width: float | None = None,
    batch_norm: bool | None = None,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = "he_normal",
    freeze: str | Sequence[str] = (),
    name: str = "ssd_mobilenet_v1",
) -> SSD:
    """TensorFlow's SSD on MobileNet V1: heads at strides 16 to 512, sigmoid scores.

    Trained weights come from TensorFlow Lite files, whose integers become floats; TensorFlow is not needed.

    Args:
        weights: a catalogue name such as "coco", the path of a .tflite file of this network or of a .keras file, or
            None.
        classes: class names without background; with weights of other classes the heads are sub-sampled by name.
        weights_classes: the classes of a weight file, if they are not COCO's.
        input_size: (height, width) in pixels; None is the weights', or (300, 300).
        anchors: an `AnchorRecipe` or an `AnchorSpec`; None is the weights', or TensorFlow's.
        width: factor of the numbers of filters; None is the weights' (0.75 for "coco"), or 1.
        batch_norm: BatchNorm after each convolution; None is as in the weights, or True. Files for phones have it
            folded into the convolutions.
        l2: factor of Keras's L2 penalty on the kernels.
        kernel_initializer: of fresh kernels.
        freeze: patterns of layers that are not trained, such as ("conv?_*",).
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: weights of another network or width, anchors other than the file's, neither weights nor classes.

    Example:
        >>> model = keras_ssd.ssd_mobilenet_v1(weights="coco", classes=["person", "dog"])
        >>> same = keras_ssd.ssd_mobilenet_v1(weights="detect.tflite", classes=["person", "dog"])

    Source: Huang et al., "Speed/accuracy trade-offs for modern convolutional object detectors" (2017);
    tensorflow/models, research/object_detection, ssd_mobilenet_v1_feature_extractor.py.
    """
    start = start_from(weights, classes, "ssd_mobilenet_v1", weights_classes=weights_classes)
    trained = start.trained
    style = MobileNetStyle(*_width_and_norm(width, batch_norm, trained), conv=ConvStyle(kernel_initializer, l2))
    input_size = _input_size(trained) if input_size is None else check_input_size(input_size)
    model = ssd(
        _with_extras(mobilenet_v1(input_size, style=style), style),
        TAPS,
        start.classes,
        _anchors(trained) if anchors is None else anchors,
        style=style.conv,
        freeze=freeze,
        decoding=start.decoding_or(_decoding(trained)),
        name=name,
    )
    return start.load_into(model)


def _with_extras(body, style):
    """The backbone with conv14_1 to conv17_2."""
    x = body.output
    for index, (squeeze, filters) in enumerate(_EXTRAS, start=14):
        x = style.convolution(x, f"conv{index}_1", style.filters(squeeze))
        x = style.convolution(x, f"conv{index}_2", style.filters(filters), 3, 2)
    return keras.Model(body.input, x, name="mobilenet_v1_extras")


def _width_and_norm(width, batch_norm, trained):
    """The given values; missing ones follow from the weights. Values that contradict the weights are refused."""
    if trained is None:
        return 1.0 if width is None else width, True if batch_norm is None else batch_norm
    folded = "conv0" in trained.arrays
    own_width = trained.arrays["conv13_pointwise" + ("" if folded else "_conv")]["kernel"].shape[-1] / _WIDEST
    if width not in (None, own_width) or batch_norm not in (None, not folded):
        raise ValueError(
            f"{trained.arrays.source} has width {own_width:g} and batch_norm={not folded}; leave both to the weights. "
            f"Received: width={width}, batch_norm={batch_norm}"
        )
    return own_width, not folded


def _input_size(trained):
    if trained is not None and trained.spec is not None:
        return trained.spec.image_size
    ending = None if trained is None else trained.arrays.post_processing
    return named_recipe(RECIPE).image_size if ending is None else ending.input_size


def _anchors(trained):
    """The weights' anchors. A file that stores its own must mean those of the recipe, which are exact."""
    if trained is not None and trained.spec is not None:
        return trained.spec
    recipe = named_recipe(RECIPE)
    ending = None if trained is None else trained.arrays.post_processing
    if ending is None:
        return recipe
    recipe = replace(recipe, variances=tuple(float(f"{value:.6g}") for value in ending.variances))
    grids = [tuple(-(-side // 2**level) for side in ending.input_size) for level in range(4, 4 + len(TAPS))]
    _check_anchors(trained, recipe.spec(ending.input_size, grids))
    return recipe


def _check_anchors(trained, spec: AnchorSpec):
    ending = trained.arrays.post_processing
    stored, room = ending.anchors_cxcywh, ending.anchors_step / 2 + 1e-4  # what rounding to eight bits may move
    same = len(stored) == spec.num_anchors  # before anything is computed for a size that only a file claims
    if not same or not np.abs(stored - spec.anchors_cxcywh()).max() <= room:
        raise ValueError(
            f"{trained.arrays.source} has {len(stored)} anchors that are not the {spec.num_anchors} of TensorFlow's "
            f"ssd_anchor_generator for images of {ending.input_size}. Give the AnchorSpec that it was trained with, "
            "`anchors=...`."
        )


def _decoding(trained):
    ending = None if trained is None else trained.arrays.post_processing
    if ending is None:
        return DECODING
    overlap = ending.settings.get("nms_iou_threshold", DECODING["iou_threshold"])
    return {**DECODING, "scores": ending.scores, "iou_threshold": float(f"{overlap:.6g}")}
