"""SSD7: ssd_keras's seven-layer detector, small enough to train on a laptop."""

import numbers
import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec, RecipeLevel, named_recipe
from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.backbones.ssd7 import ssd7_body
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import ssd
from keras_ssd.models.heads import Tap
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from

TAPS = tuple(Tap(f"elu{i}", confidence_name=f"classes{i}", offsets_name=f"boxes{i}") for i in range(4, 8))


@checked_arguments
def ssd7(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    anchors: AnchorRecipe | AnchorSpec | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = "he_normal",
    freeze: str | Sequence[str] = (),
    name: str = "ssd7",
) -> SSD:
    """SSD7: seven convolutions with BatchNorm and ELU, heads on the last four.

    Args:
        weights: path of a weight file (ssd_keras .h5 in either layout, .keras), or None. A file written by
            `model.save` also tells the input size and the anchors.
        classes: class names without background; with weights of the same number of classes they name those.
        weights_classes: the classes of a weight file, if `classes` selects from them.
        input_size: (height, width) in pixels; None is the file's, or (300, 480).
        anchors: an `AnchorRecipe` or `AnchorSpec`; None is the file's, or ssd_keras's five scales 0.1 to 0.9.
        mean, std: numbers; images (RGB, 0..255) enter as (x - mean) / std. None is what a .keras file does, or
            127.5.
        l2: factor of Keras's L2 penalty on the kernels.
        kernel_initializer: of fresh kernels.
        freeze: patterns of layers that are not trained.
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: a file that cannot be read or does not fit, neither weights nor classes.

    Example:
        >>> model = keras_ssd.ssd7(weights="ssd7_traffic.h5", classes=["car", "truck", "pedestrian"])

    Source: pierluigiferrari/ssd_keras, models/keras_ssd7.py.
    """
    start = start_from(weights, classes, "ssd7", weights_classes=weights_classes)
    style = ConvStyle(kernel_initializer, l2)
    scale, offset = _preprocessing(mean, std, start.trained)
    size: Any = _input_size(start.trained) if input_size is None else input_size
    model = ssd(
        ssd7_body(size, style=style, scale=scale, offset=offset),
        TAPS,
        start.classes,
        anchors or _anchors(start.trained),
        style=style,
        freeze=freeze,
        decoding=start.decoding_or(),
        name=name,
    )
    return start.load_into(model)


def _preprocessing(mean, std, trained):
    """(scale, offset) of the images."""
    if mean is None and std is None and trained and trained.preprocessing:
        return trained.preprocessing
    mean, std = (127.5 if value is None else value for value in (mean, std))
    if not isinstance(mean, numbers.Real) or not isinstance(std, numbers.Real) or not float(std) > 0:
        raise ValueError(
            "`mean` must be a number and `std` a positive one, the same for all colours. "
            f"Received: mean={mean!r}, std={std!r}"
        )
    return 1 / float(std), -float(mean) / float(std)


def _input_size(trained):
    config = trained and trained.arrays.config
    if trained and trained.spec:
        return trained.spec.image_size
    return config.input_size if config and config.input_size else named_recipe("ssd7").image_size


def _anchors(trained):
    """The file's anchors; missing steps and offsets are those of SSD7: image size / grid, 0.5."""
    if trained and trained.spec:
        return trained.spec
    config = trained and trained.arrays.config
    if not config or not config.anchor_boxes:
        return named_recipe("ssd7")
    shorter = min(config.anchor_boxes[0].image_size)
    rows = tuple(
        RecipeLevel(
            (1, 1),
            row.this_scale * shorter,
            row.next_scale * shorter if row.two_boxes_for_ar1 else None,
            row.aspect_ratios,
            row.steps,
        )
        for row in config.anchor_boxes
    )
    first = config.anchor_boxes[0]
    return AnchorRecipe(first.image_size, rows, first.variances, truncate_sizes=False, ordered=True)
