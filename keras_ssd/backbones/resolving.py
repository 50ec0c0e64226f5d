"""Turns a name or a model into a functional backbone of RGB images 0..255."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_ssd.backbones.blocks import check_input_size
from keras_ssd.backbones.families import family_of, known_name, named
from keras_ssd.backbones.preprocessing import check_mode, preprocessed, takes_raw_images
from keras_ssd.backbones.rebuilding import rebuilt
from keras_ssd.backbones.taps import STRIDES, feature_maps, possible_taps
from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import maker_of
from keras_ssd.layer_calls import is_functional

DEFAULT_SIZE = (300, 300)


def resolve_backbone(
    backbone: Any,
    *,
    input_size: Sequence[int] | None = None,
    width: float | None = None,
    weights: str | None = None,
    preprocessing: str = "auto",
) -> tuple[keras.Model, str, tuple[int, ...]]:
    """The backbone as a functional model of RGB images 0..255, with its preprocessing inside.

    A model that already is one is returned itself. Any other model is copied with its weights, and training later
    changes only the copy.

    Args:
        backbone: a name of `backbone_names()`, or a functional `keras.Model`.
        input_size: (height, width) in pixels; None is the model's own, or (300, 300) for a name.
        width, weights: for a backbone by name, see `named`.
        preprocessing: "auto", or one of `preprocessing.MODES`.

    Returns:
        (`keras.Model`, name of the preprocessing that was added, strides that its family's detectors read).

    Raises:
        TypeError: neither a name nor a functional model.
        ValueError: the name is unknown, the model has other inputs, or it does not support the size.
    """
    known = isinstance(backbone, str)
    if not known and (width is not None or weights is not None):
        raise ValueError(
            "`width` and `weights` are for backbones by name; a model has its own. "
            f"Received: backbone='{getattr(backbone, 'name', backbone)}', width={width}, weights={weights!r}"
        )
    if known:
        size = check_input_size(DEFAULT_SIZE if input_size is None else input_size)
        model = named(backbone, size, width=width, weights=weights)
    else:
        model, size = backbone, _size_of(backbone, input_size)
    family = family_of(model)
    if preprocessing == "auto":
        mode = family.preprocessing if family is not None and takes_raw_images(model) else "none"
    else:
        mode = check_mode(preprocessing)
    strides = STRIDES if family is None else family.strides
    if not known and mode == "none" and tuple(model.inputs[0].shape[1:3]) == size:
        return model, mode, strides
    images = keras.Input((*size, 3), name="images", dtype="float32")
    try:
        made = rebuilt(model, preprocessed(images, mode), renumber=known)
    except ValueError as error:
        if tuple(model.inputs[0].shape[1:3]) == size:
            raise
        raise ValueError(
            f"Backbone '{model.name}' cannot be rebuilt for images of {size[0]}x{size[1]}: {error}"
        ) from error
    return made, mode, strides


@checked_arguments
def prepared(
    backbone: Any,
    input_size: Sequence[int] | None = None,
    *,
    width: float | None = None,
    weights: str | None = None,
    preprocessing: str = "auto",
) -> keras.Model:
    """A backbone as `keras_ssd.ssd` uses it: a model of RGB images 0..255 that includes its preprocessing.

    Args:
        backbone: a name of `backbone_names()`, or a functional `keras.Model`.
        input_size: (height, width) in pixels; None is the model's own, or (300, 300) for a name.
        width, weights: for a backbone by name, see `named`.
        preprocessing: "auto", "caffe", "tf", "torch", "unit" or "none".

    Raises:
        TypeError, ValueError: as `keras_ssd.ssd`.

    Example:
        >>> body = keras_ssd.backbones.prepared("resnet50", (224, 320))
        >>> list(keras_ssd.backbones.feature_maps(body))[-1]
        'conv5_block3_out'
    """
    options = {"width": width, "weights": weights, "preprocessing": preprocessing}
    return resolve_backbone(backbone, input_size=input_size, **options)[0]


def pyramid_of(backbone: Any) -> dict[str, str]:
    """{level such as "P3": layer name} of a backbone of KerasHub or KerasCV, finest first; empty for others."""
    levels = getattr(backbone, "pyramid_outputs", None) or getattr(backbone, "pyramid_level_inputs", None) or {}
    found = {}
    for level, output in sorted(dict(levels).items()):
        found[level] = output if isinstance(output, str) else maker_of(output).name
    return found


def described_name(backbone: Any) -> str:
    """The name of a backbone in messages."""
    return known_name(backbone) if isinstance(backbone, str) else backbone.name


def _size_of(model, input_size):
    """(height, width) of the images, after checks of the inputs of the model."""
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise TypeError(
            "`backbone` must be a functional keras.Model from images, or a name such as 'mobilenet_v2'. "
            f"Received: backbone={model!r}"
        )
    shapes = [tuple(x.shape) for x in model.inputs]
    if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == 3 and shapes[0][3] != 3:
        raise ValueError(
            f"`backbone` '{model.name}' has its channels first. Build it with data_format='channels_last', or after "
            "keras.config.set_image_data_format('channels_last'). Received: input "
            f"{shapes[0]}.{_taps_text(model)}"
        )
    size = None if input_size is None else check_input_size(input_size)
    fixed = len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][3] is not None
    if not fixed or (size is None and None in shapes[0][1:3]):
        raise ValueError(
            "`backbone` must have one input (B, H, W, 3) of fixed size, channels last; `input_size=(height, width)` "
            f"gives one to a model of any size. Received: inputs {shapes}.{_taps_text(model)}"
        )
    if not is_functional(model) and not isinstance(model, keras.Sequential):
        raise TypeError(
            f"`backbone` must be a functional keras.Model. Received: '{model.name}' ({type(model).__name__})"
        )
    return size or shapes[0][1:3]


def _taps_text(model):
    """A sentence with the layers that can be tapped, or ""."""
    try:
        text = possible_taps(feature_maps(model))
    except (TypeError, ValueError, AttributeError):
        return ""
    return f" Possible taps: {text}."
