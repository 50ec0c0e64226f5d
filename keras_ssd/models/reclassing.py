"""The same detector for other classes: trained rows of the classes that stay, fresh rows for the new ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras

from keras_ssd.calling import checked_arguments
from keras_ssd.keras_private import nodes_of_layer
from keras_ssd.layers import AnchorBoxes
from keras_ssd.layers.class_columns import head_of
from keras_ssd.models.model import SSD
from keras_ssd.models.wrapping import as_detector
from keras_ssd.zoo.label_fitting import class_list
from keras_ssd.zoo.port import arrays_of, port
from keras_ssd.zoo.subsample import subsample


@checked_arguments
def with_classes(model: SSD, classes: Sequence[str]) -> SSD:
    """A copy of a detector for other classes, its heads sub-sampled by class name.

    It works for any model of this package: of a factory, imported, or your own. Known classes keep their trained rows
    and detect as before; new ones must be trained. Everything else, including anchors and preprocessing, stays.

    Args:
        model: an `SSD` of raw predictions.
        classes: the wanted class names in order, without background.

    Returns:
        A new `SSD`; its `weights_report` lists the kept classes. The given model is unchanged, and shares no weights
        with it.

    Raises:
        ValueError: bad class names, or heads that are not convolutions with one channel for each class of each box.

    Example:
        >>> plates = keras_ssd.from_caffe("deploy.prototxt", "plates.caffemodel", classes=["plate"])
        >>> mine = keras_ssd.with_classes(plates, ["plate", "sticker"])
    """
    classes = class_list("classes", classes)
    model = as_detector(model)
    _refuse_lora(model)
    heads = class_heads_of(model)
    background = {head.background for head in heads.values()}.pop()
    columns = len(classes) + (background >= 0)
    changes = {}
    for name, head in heads.items():
        changes[name] = {"filters": head.boxes * columns}
        changes.update({each: _columns_config(background, columns) for each in head.adapters})

    def clone(layer):
        return layer.__class__.from_config(layer.get_config() | changes.get(layer.name, {}))

    copy = keras.models.clone_model(model, clone_function=clone)
    kept = {"name": model.name, "decoding": model.decoding, "sources": model.sources}
    mine = SSD(copy.inputs[0], copy.outputs[0], class_names=classes, **kept)
    for layer in mine.layers:
        if layer.weights:  # an input without a name has another one in the copy
            layer.trainable = model.get_layer(layer.name).trainable
    initial = arrays_of(mine, layers=tuple(heads)).layers
    arrays, report = subsample(
        arrays_of(model), model.class_names, classes, initial=initial, heads=tuple(heads), background=background
    )
    port(mine, arrays)
    mine.weights_report = report
    return mine


def _refuse_lora(model):
    """Raises ValueError if LoRA holds a part of the weights, whose rows do not belong to classes."""
    held = [layer.name for layer in model.layers if getattr(layer, "lora_enabled", False)]
    if held:
        raise ValueError(
            f"LoRA is enabled in {len(held)} layers of model '{model.name}' ({held[0]}, ...), and its factors cannot "
            "be divided by class. Merge them first: model.save_weights('merged.weights.h5') writes merged kernels, and "
            "load_weights('merged.weights.h5') of the same model made without LoRA reads them. Give that model."
        )


@dataclass(frozen=True)
class ClassHead:
    """A convolution that makes class columns.

    Args:
        boxes: boxes per cell.
        background: the background's column among a box's columns: 0, or the last; -1 if the head has none.
        adapters: names of the `ClassColumns` layers after it, which put the background first.
    """

    boxes: int
    background: int
    adapters: tuple[str, ...]


def _columns_config(background, columns):
    """Configuration of a `ClassColumns` layer; a background that stood last stays last."""
    return {"num_columns": columns, "background": background if background <= 0 else columns - 1}


def class_heads_of(model: SSD) -> dict[str, ClassHead]:
    """{name of a convolution that makes class columns: its `ClassHead`}, found from the inputs of the anchors.

    Raises:
        ValueError: the class columns of a level do not come directly from a convolution.
    """
    if model.has_decoder:
        raise ValueError("`model` must be a keras_ssd model of raw predictions, the one that a decoder was put on.")
    [anchors] = [layer for layer in model.layers if isinstance(layer, AnchorBoxes)]
    levels = anchors.spec.levels
    tensors = nodes_of_layer(anchors)[0].input_tensors[: len(levels)]
    makers = [head_of(tensor) for tensor in tensors]
    heads = {}
    for (layer, adapter), level in zip(makers, levels, strict=True):
        # A shared head makes the columns of several levels, and must have no other reader.
        uses = sum(layer is maker for maker, _ in makers)
        if not isinstance(layer, keras.layers.Conv2D) or len(nodes_of_layer(layer)) != uses:
            raise ValueError(
                f"The class columns of model '{model.name}' come out of '{layer.name}' ({type(layer).__name__}), and "
                "only heads that are convolutions of their own can be given other classes."
            )
        background = 0 if adapter is None else adapter.background
        before = heads[layer.name].adapters if layer.name in heads else ()
        adapters = before if adapter is None else (*before, adapter.name)
        heads[layer.name] = ClassHead(level.boxes_per_cell, background, adapters)
    if any(0 < head.background < len(model.class_names) for head in heads.values()):
        raise ValueError(
            f"The heads of model '{model.name}' have the background between two classes, and can be given other "
            "classes only if it is the first or the last column."
        )
    if len({head.background for head in heads.values()}) > 1:
        raise ValueError(
            f"The heads of model '{model.name}' have the background in different columns, and can be given other "
            "classes only if it stands in the same one everywhere."
        )
    return heads
