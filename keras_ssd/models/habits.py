"""What Keras offers to every model and cannot do for a detector: one error each, with what does it instead."""

import inspect
import json
import os
import zipfile

import keras


def check_training(method: str, args: tuple, kwargs: dict) -> None:
    """Raises ValueError where `fit`, `train_on_batch`, ... is given weights of classes, which only the loss can use."""
    given = inspect.signature(getattr(keras.Model, method)).bind_partial(None, *args, **kwargs).arguments
    if given.get("class_weight") is not None:
        raise ValueError(
            f"`{method}(class_weight=...)` weighs one label an image, and each anchor of a detector has its own. Give "
            "the factors of the classes, in their order and without background, to the loss: "
            f"keras_ssd.SSDLoss(class_weights=[...]). Received: class_weight={given['class_weight']!r}"
        )


def refuse_quantizing(name: str) -> None:
    """Raises ValueError: Keras would quantize no layer of a detector and say nothing."""
    raise ValueError(
        f"Keras quantizes Dense, EinsumDense and Embedding layers alone. Model '{name}' computes with convolutions, "
        "so nothing would change. For a smaller file write the weights in float16, keras_ssd.formats.write_keras_h5; "
        "for whole numbers export with keras_ssd.to_onnx and quantize the ONNX file."
    )


def detectors_in(model, kind: type) -> list[tuple[str, ...]]:
    """Paths of layer names to models of a kind inside a model."""
    found = []
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, kind):
            found.append((layer.name,))
        else:
            found += [(layer.name, *path) for path in detectors_in(layer, kind)]
    return found


def check_same_classes(filepath, class_names: tuple) -> None:
    """Raises ValueError where a .keras file names other classes than the model that takes its weights.

    A .weights.h5 file names none.
    """
    path = os.fspath(filepath)
    if not path.endswith(".keras") or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json")).get("config", {})
    told = tuple(config.get("class_names") or ())
    if told and told != class_names:
        raise ValueError(
            f"'{path}' holds the weights of the classes {list(told)}, and this model has {list(class_names)}: its "
            "detections would bear wrong names. Load the file with keras_ssd.load, and use keras_ssd.with_classes to "
            "pick classes by name."
        )
