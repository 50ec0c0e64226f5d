"""What `weights=` of a factory means: a catalogue name, a file, or "imagenet"; and what follows from it."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from keras_ssd import formats, zoo
from keras_ssd.anchors import AnchorRecipe, AnchorSpec, named_recipe
from keras_ssd.models.conventions import CONVENTIONS, Conventions
from keras_ssd.names import files_nearby
from keras_ssd.wording import advice
from keras_ssd.zoo.caffe_mobilenet import is_caffe_mobilenet, keras_names
from keras_ssd.zoo.label_fitting import filled, fitted_columns, listed_names
from keras_ssd.zoo.port import arrays_of
from keras_ssd.zoo.read import count_classes, identify
from keras_ssd.zoo.reduced_vgg import is_keras_vgg16, reduce_vgg16
from keras_ssd.zoo.subsample import subsample

log: logging.Logger = logging.getLogger("keras_ssd")

VGG_MODELS = ("ssd300", "ssd512")
LABELS_BY_COUNT = {20: "voc", 80: "coco", 200: "ilsvrc"}
FILE_ENDINGS = (".h5", ".hdf5", ".npz", ".keras", ".caffemodel", ".tflite", ".pth", ".pt", ".onnx", ".xml")


@dataclass(frozen=True)
class TrainedWeights:
    """Arrays of a trained network, and facts about them.

    Args:
        arrays: `keras_ssd.formats.NamedArrays`.
        kind: "ssd300", "ssd512", "ssd7", "vgg16", or None if the layer names do not show it.
        entry: the catalogue's `WeightSet`, or None for a file that is not in it.
        classes: the trained classes in order, or None if unknown.
        spec: the `AnchorSpec` of a model of this package in the file, or None.
        preprocessing: (scale, offset) of the images, as stated by the file or its project, or None.
        decoding: options of `DecodeDetections` of the file or its project; None for the factory's.
    """

    arrays: formats.NamedArrays
    kind: str | None
    entry: zoo.WeightSet | None = None
    classes: tuple[str, ...] | None = None
    spec: AnchorSpec | None = None
    preprocessing: tuple[Any, ...] | None = None
    decoding: dict[str, Any] | None = None


def is_file(weights: Any) -> bool:
    """Whether `weights` is a file rather than a catalogue name.

    A folder counts as a file, unless its name is in the catalogue: many folders are called "coco".

    Raises:
        TypeError: neither text nor a path.
    """
    if not isinstance(weights, (str, os.PathLike)):
        raise TypeError(
            "`weights` must be a name that `keras-ssd zoo list` shows, or the path of a weight file. "
            f"Received: weights={weights!r}"
        )
    path = Path(weights)
    named = isinstance(weights, os.PathLike) or path.suffix.lower() in FILE_ENDINGS or len(path.parts) > 1
    return named or path.is_file() or (path.is_dir() and bool(weights) and not _catalogue_has(weights))


def _catalogue_has(name):
    return any(name in (entry.tag, entry.name) for entry in zoo.entries())


def find_entry(name: str, model: str | None) -> zoo.WeightSet:
    """The catalogue's row of this name; `model` is the factory's, or None.

    Raises:
        ValueError: unknown name, or a model without published weights.
    """
    if model is not None and model not in zoo.architectures():
        raise ValueError(
            f"The catalogue has no weights of {model}; give the path of a weight file. Received: weights={name!r}"
        )
    return zoo.find(name, model=model)


def read_weights(weights: Any, model: str | None = None) -> TrainedWeights:
    """The arrays of a catalogue name (downloaded if necessary) or a file; `TrainedWeights` are returned unchanged.

    `model` is the factory's name, which a catalogue tag needs.

    Raises:
        ValueError: unknown name, or a file that cannot be read.
        FileNotFoundError: no such file.
        DownloadError: no source delivered the file.
    """
    if isinstance(weights, TrainedWeights):
        return weights
    if is_file(weights):
        path = Path(weights)
        if not path.is_file():
            what = "That is a folder" if path.is_dir() else "No weight file"
            raise FileNotFoundError(
                f"{what}: '{path}'.{files_nearby(path)} Give the path of a file, or a name that "
                "`keras-ssd zoo list` shows."
            )
        return read_weight_file(path)
    entry = find_entry(weights, model)
    if not entry.readable:
        raise ValueError(
            f"Weights '{entry.name}' are listed, but this version cannot read any of their files "
            f"({', '.join(sorted({s.format for s in entry.sources}))}). `keras-ssd zoo list` shows those it can read."
        )
    return _described(formats.read(zoo.download(entry)), entry)


def read_weight_file(path: Path) -> TrainedWeights:
    """The arrays of one file, with the facts of the catalogue if the file's name is in it."""
    if path.suffix.lower() == ".keras":
        from keras_ssd.models.saved import load

        model = load(path)
        arrays = replace(arrays_of(model), path=path)
        classes = model.class_names if model.names_classes else None
        own = model.anchor_spec, _preprocessing(model), model.decoding
        return TrainedWeights(arrays, identify(arrays), None, classes, *own)
    return _described(formats.read(path), zoo.by_file_name(path))


def _preprocessing(model):
    """(scale, offset) of the model's first layer, or None if that is not a `Rescaling`."""
    [layer] = [layer for layer in model.layers if layer.name == "preprocessing"] or [None]
    return (layer.scale, layer.offset) if isinstance(layer, keras.layers.Rescaling) else None


def _described(arrays, entry):
    if is_keras_vgg16(arrays):
        arrays = reduce_vgg16(arrays)
    if is_caffe_mobilenet(arrays):
        arrays = keras_names(arrays)
    kind = identify(arrays)
    if entry is not None and entry.model != kind:
        entry = None  # another network under a published file name
    classes = arrays.class_names
    if classes is None and entry is not None and entry.classes:
        classes = zoo.labels(entry.classes)
    conventions = CONVENTIONS.get(arrays.origin or "") if kind in VGG_MODELS else None
    if conventions is None:
        return TrainedWeights(arrays, kind, entry, classes)
    offset = tuple(-mean for mean in conventions.mean_rgb)
    return TrainedWeights(arrays, kind, entry, classes, None, (1.0, offset), conventions.decoding)


def without_gaps(trained: TrainedWeights) -> TrainedWeights:
    """Weights whose heads have COCO's identifiers 1..90, reduced to its 80 classes; others unchanged.

    TensorFlow's and torchvision's heads have columns for ten identifiers that COCO does not use.
    """
    slots, names = zoo.slots("coco"), zoo.labels("coco")
    told = None if trained.classes is None else tuple(trained.classes)
    if count_classes(trained.arrays) != len(slots) or told not in (None, names):
        return trained
    if told is None:
        log.warning(
            "%s does not name its %d classes; taking them for COCO's 80 and the gaps between.%s",
            trained.arrays.source,
            len(slots),
            advice("weights_classes", "{} sets others."),
        )
    return replace(trained, arrays=subsample(trained.arrays, slots, names)[0], classes=names)


def named_as_given(trained: TrainedWeights, given: Any) -> TrainedWeights:
    """Weights with the user's class names, as `listed_names` takes them; head columns without a class are removed.

    Raises:
        TypeError, ValueError: not class names, or not as many as the weights have classes.
    """
    count = count_classes(trained.arrays)
    columns = fitted_columns("weights_classes", given, count)
    if columns is None:
        raise _other_count(trained.arrays.source, count, listed_names("weights_classes", given))
    named = tuple(filter(None, columns))
    if len(named) == len(columns):
        return replace(trained, classes=named)
    return replace(trained, arrays=subsample(trained.arrays, filled(columns), named)[0], classes=named)


def source_classes(trained: TrainedWeights, classes: Sequence[str] | None) -> tuple[str, ...]:
    """The classes of the weights; `classes` are those of the new model, or None.

    Raises:
        ValueError: the classes are unknown, or not as many as the weights have.
    """
    count = count_classes(trained.arrays)
    if trained.classes is not None:
        return trained.classes
    if classes is not None and len(classes) == count:
        return tuple(classes)
    if count in LABELS_BY_COUNT:
        label_set = LABELS_BY_COUNT[count]
        log.warning(
            "%s does not name its %d classes; taking those of %s.%s",
            trained.arrays.source,
            count,
            label_set.upper(),
            advice("weights_classes", "{} sets others."),
        )
        return zoo.labels(label_set)
    if classes is None and count is not None:
        return tuple(f"class_{i}" for i in range(count))
    raise ValueError(
        f"{trained.arrays.source} was trained on {count} classes whose names nothing tells. Give them in order as "
        f"`weights_classes=[...]`; then `classes` picks from them. Received: classes={list(classes or ())}"
    )


def check_count(source: Any, count: int | None, names: Sequence[str]) -> None:
    """Raises ValueError unless there are as many names as the weights of `source` have classes."""
    if count is not None and len(names) != count:
        raise _other_count(source, count, names)


def _other_count(source, count, names):
    return ValueError(
        f"{source} was trained on {count} classes, background not counted. Expected {count} names, in the order of its "
        f"training. Received: {len(names)} names, {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
    )


def recipe_for(trained: TrainedWeights | None, model: str, anchors: Any) -> AnchorRecipe | AnchorSpec:
    """The anchors of the weights of "ssd300" or "ssd512", unless `anchors` names others."""
    if isinstance(anchors, (AnchorRecipe, AnchorSpec)):
        return anchors
    if anchors is not None:
        return named_recipe(f"{model}_{anchors}")
    if trained is None:
        return named_recipe(f"{model}_voc")
    if trained.spec is not None:
        return trained.spec
    if trained.entry is not None and trained.entry.scales:
        cut = trained.entry.anchors_truncated
        clamp = trained.entry.anchors_clipped
        return named_recipe(f"{model}_{trained.entry.scales}", truncate_sizes=cut, clamp_sizes=clamp)
    config = trained.arrays.config
    if config is not None and config.anchor_boxes:
        # Saved by ssd_keras with its model: that model's boxes had fractional sizes.
        first = config.anchor_boxes[0]
        size = first.this_scale * min(first.image_size)
        names = (f"{model}_voc", f"{model}_coco")
        nearest = min(names, key=lambda name: abs((named_recipe(name).rows[0].min_size or 0) - size))
        return named_recipe(nearest, truncate_sizes=False)
    conventions = CONVENTIONS.get(trained.arrays.origin or "", Conventions(()))
    scales = conventions.scales or _likely_scales(trained.arrays)
    if trained.arrays.origin is None:
        return named_recipe(f"{model}_{scales}")
    cut, clamp = conventions.truncate_sizes, conventions.clamp_sizes
    return named_recipe(f"{model}_{scales}", truncate_sizes=cut, clamp_sizes=clamp)


def _likely_scales(arrays):
    scales = "coco" if count_classes(arrays) == len(zoo.labels("coco")) else "voc"
    log.warning(
        "%s does not say which anchors it was trained with; taking the %s scales.%s",
        arrays.source,
        scales.upper(),
        advice("anchors", "{} sets others."),
    )
    return scales


def imagenet_arrays() -> TrainedWeights:
    """The fc_reduced VGG16: from the catalogue or, if no source delivers it, subsampled from Keras's VGG16.

    Raises:
        DownloadError: neither is available.
    """
    try:
        return read_weights("imagenet", model="vgg16")
    except zoo.DownloadError as error:
        reason = error
    try:
        full = keras.applications.VGG16(weights="imagenet", include_top=True)
    except Exception as error:  # Keras raises a bare Exception if a download fails
        raise zoo.DownloadError(f"{reason}\nKeras's own VGG16, which would do, failed as well: {error}") from error
    log.warning("%s\nTook Keras's own VGG16 instead, with fc6 and fc7 thinned out.", reason)
    return TrainedWeights(reduce_vgg16(arrays_of(full)), "vgg16")
