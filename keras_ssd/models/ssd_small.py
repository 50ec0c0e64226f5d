"""`ssd_small`: a detector that a laptop trains in minutes."""

import os
from collections.abc import Sequence

import keras

from keras_ssd.anchors import AnchorRecipe, AnchorSpec, named_recipe
from keras_ssd.backbones.blocks import ConvStyle
from keras_ssd.backbones.small import small_body
from keras_ssd.calling import checked_arguments
from keras_ssd.models.composing import ssd
from keras_ssd.models.model import SSD
from keras_ssd.models.pretrained import start_from
from keras_ssd.names import unknown_name
from keras_ssd.wording import python_or_shell

TAPS = ("stage8", "stage16", "stage32")
ANCHORS = ("general", "cells")


@checked_arguments
def ssd_small(
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    *,
    weights_classes: Sequence[str] | None = None,
    input_size: tuple[int, int] | None = None,
    anchors: AnchorRecipe | AnchorSpec | str | None = None,
    width: float = 1.0,
    l2: float = 0.0,
    kernel_initializer: str | keras.initializers.Initializer | None = "he_normal",
    freeze: str | Sequence[str] = (),
    name: str = "ssd_small",
) -> SSD:
    """A compact SSD of 1.5 million parameters: plain convolutions, heads at strides 8, 16 and 32.

    It is made for training from scratch on a CPU. Its anchors cover objects of about 1/12 to 4/5 of the image's height;
    give other anchors for objects of other sizes.

    Args:
        weights: a catalogue name, the path of a weight file, or None.
        classes: class names without background; with weights of other classes the heads are sub-sampled by name.
        weights_classes: the classes of a weight file that does not state them.
        input_size: (height, width) in pixels; None is the file's, or (240, 320).
        anchors: "general", "cells" (round objects of few sizes), an `AnchorRecipe` or an `AnchorSpec`; None is the
            file's, or "general".
        width: factor of the backbone's filters: 0.5 is quicker, 1.5 more exact. Weights fit the width that they were
            trained with.
        l2: factor of Keras's L2 penalty on the kernels.
        kernel_initializer: of fresh kernels.
        freeze: patterns of layers that are not trained.
        name: the model's name.

    Returns:
        `SSD` from RGB images (B, H, W, 3), 0..255, to raw predictions (B, N, C + 1 + 12).

    Raises:
        ValueError: weights of another network, neither weights nor classes, or an image that is too small.

    Example:
        >>> model = keras_ssd.ssd_small(classes=["RBC", "WBC", "Platelets"], anchors="cells")
    """
    start = start_from(weights, classes, "ssd_small", weights_classes=weights_classes, backbone="small_body")
    style = ConvStyle(kernel_initializer, l2)
    recipe = _anchors(anchors, start.detector)
    if input_size is None:
        input_size = recipe.image_size
    model = ssd(
        small_body(input_size, width=width, style=style),
        TAPS,
        start.classes,
        recipe,
        style=style,
        freeze=freeze,
        decoding=start.decoding_or(),
        name=name,
    )
    return start.load_into(model)


def _anchors(anchors, trained):
    """The recipe or spec: the user's, else that of the weights."""
    if anchors is None and trained is not None:
        if trained.spec is not None:
            return trained.spec
        if trained.entry is not None and trained.entry.scales:
            anchors = trained.entry.scales
    anchors = anchors or "general"
    if not isinstance(anchors, str):
        return anchors
    if anchors not in ANCHORS:
        advice = python_or_shell(
            "An `AnchorRecipe` or an `AnchorSpec` works too.", "A JSON file of `keras-ssd anchors fit` works too."
        )
        raise ValueError(unknown_name("anchors", anchors, ANCHORS, advice))
    return named_recipe("ssd_small" if anchors == "general" else f"ssd_small_{anchors}")
