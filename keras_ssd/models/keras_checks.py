"""Functions of Keras that do not work for a detector: one error each, which names the alternative."""

import contextlib
import inspect
import json
import os
import shutil
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

OF_KERAS = ("keras", "keras_hub", "keras_cv", "tf_keras")
INPUTS = ("x", "validation_data")
EXPORT_ENDINGS = {"openvino": ".xml", "litert": ".tflite", "torch": ".pt2"}  # that Keras insists on
# Formats whose file of a decoder by Keras no runtime takes: it holds operations of the backend alone.
OWN = {"onnx": ".onnx", "openvino": ".xml", "litert": ".tflite"}
ONNX = "keras_ssd.export(model, 'model.onnx') writes ONNX, with suppression, on every backend"


def check_compile(loss: Any, metrics: Any, weighted_metrics: Any) -> None:
    """Raises ValueError for losses and metrics of Keras, which compare tensors of one shape.

    Targets are (B, N, 5) and predictions (B, N, C + 13), so such a loss fails or, worse, is meaningless. The user's own
    losses and metrics are accepted.
    """
    for one in keras.tree.flatten(loss):
        if _is_of_keras(one):
            raise ValueError(
                "The targets of a detector are one row per anchor, which only its own loss understands. Use "
                f"compile(loss=keras_ssd.SSDLoss()), or a loss that you wrote. Received: loss={_told(one)}"
            )
    for name, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
        for one in keras.tree.flatten(given):
            if _is_of_keras(one):
                raise ValueError(
                    f"`{name}` of Keras compare a label with a score, and a detector predicts for each anchor. Use "
                    f"{name}=[keras_ssd.SSDLossMetric(loss)] for the parts of the loss, and the callback "
                    f"keras_ssd.callbacks.Evaluate(dataset) for the mean AP. Received: {_told(one)}"
                )


def _is_of_keras(one: Any) -> bool:
    if one is None or type(one) is keras.metrics.MeanMetricWrapper:  # it wraps a function of the user's
        return False
    if isinstance(one, str):
        return True
    kind = one if inspect.isfunction(one) or inspect.isclass(one) else type(one)
    return kind.__module__.split(".")[0] in OF_KERAS


def _told(one: Any) -> str:
    return repr(one) if isinstance(one, str) else getattr(one, "__name__", type(one).__name__)


def check_training(model: keras.Model, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises ValueError or TypeError for what `fit`, `evaluate`, ... cannot use with a detector."""
    given = inspect.signature(getattr(keras.Model, method)).bind_partial(None, *args, **kwargs).arguments
    for name in INPUTS:
        check_images(method, name, given.get(name))
    if given.get("class_weight") is not None:
        raise ValueError(
            f"`{method}(class_weight=...)` weighs one label per image, and each anchor of a detector has its own. Give "
            "the factors of the classes, in their order and without background, to the loss: "
            f"keras_ssd.SSDLoss(class_weights=[...]). Received: class_weight={given['class_weight']!r}"
        )
    if given.get("validation_split") and isinstance(given.get("x"), keras.utils.PyDataset):
        raise ValueError(
            f"`{method}(validation_split=...)` divides arrays, not batches. Divide the dataset, "
            "train, val = dataset.split(0.8, 0.2), and give validation_data=keras_ssd.data.batches(val, model, None). "
            f"Received: validation_split={given['validation_split']!r}"
        )
    shape = getattr(given.get("sample_weight"), "shape", None)
    if shape is not None and (len(shape) > 2 or (len(shape) == 2 and shape[1] != 1)):
        raise ValueError(
            f"`{method}(sample_weight=...)` takes one weight per image, an array (B,). Factors of classes belong to "
            f"the loss: keras_ssd.SSDLoss(class_weights=[...]). Received: sample_weight of shape {tuple(shape)}"
        )
    _check_arrays(method, given)
    if not model.compiled:
        raise ValueError(f"Model '{model.name}' is not compiled. {_COMPILE}")
    own = {type(model).compute_loss, type(model).train_step} - {keras.Model.compute_loss, keras.Model.train_step}
    if model.loss is None and not own:
        raise ValueError(f"Model '{model.name}' was compiled without a loss. {_COMPILE}")
    if hasattr(given.get("x"), "shape") and given.get("y") is None and not own:
        raise ValueError(
            f"`{method}` needs the targets of the images too: y, an array (B, N, 5) that "
            "keras_ssd.TargetEncoder.from_model(model).encode_batch(boxes, class_ids) makes; or give batches, "
            "keras_ssd.data.batches(dataset, model). Received: y=None"
        )


def _check_arrays(method, given):
    weights = given.get("sample_weight")
    if isinstance(weights, (list, tuple)) and hasattr(given.get("x"), "shape"):
        raise TypeError(
            f"`{method}(sample_weight=...)` takes one weight per image, an array (B,). Use "
            f"np.array(sample_weight). Received: a {type(weights).__name__} of {len(weights)}"
        )


_COMPILE = "Call compile(optimizer, loss=keras_ssd.SSDLoss()) before."


def check_images(method: str, name: str, given: Any) -> None:
    """Raises TypeError where `fit`, `evaluate` or `predict` are given a `Dataset` or files instead of arrays."""
    first = given[0] if isinstance(given, (tuple, list)) and given else given
    if hasattr(first, "annotations") and hasattr(first, "classes"):
        instead = {
            "evaluate": "keras_ssd.evaluation.evaluate(model, dataset) measures its mean AP; for the loss use "
            "keras_ssd.data.batches(dataset, model, None).",
            "predict": "Use model.detect([annotation.image for annotation in dataset]).",
        }
        use = "Use keras_ssd.data.batches(dataset, model), which reads, resizes and encodes them."
        raise TypeError(
            f"`{method}` takes arrays or batches, and a Dataset holds names of images and boxes. "
            f"{instead.get(method, use)} Received: {name}={type(first).__name__}"
        )
    if isinstance(first, (str, bytes, os.PathLike)):
        raise TypeError(
            f"`{method}` takes arrays of the model's size. For image files use model.detect(...) or "
            f"keras_ssd.data.batches(keras_ssd.data.read(folder), model). Received: {name}={given!r}"[:400]
        )


def refuse_quantizing(name: str, *args: Any, **kwargs: Any) -> None:
    """Raises ValueError, since Keras would silently quantize no layer of a detector."""
    raise ValueError(
        f"Keras quantizes Dense, EinsumDense and Embedding layers alone. Model '{name}' computes with convolutions, "
        "so nothing would change. For a smaller file for another program use keras_ssd.export(model, 'model.onnx', "
        "precision='float16'); for smaller weights keras_ssd.formats.write_keras_h5. keras_ssd.to_onnx writes a file "
        "that other tools quantize."
    )


def refuse_decoders(name: str, filepath: Any, format: str) -> None:
    """Raises ValueError for a model with a decoder in a format that Keras writes and no runtime then runs."""
    if format in OWN:
        stem = Path(os.fspath(filepath)).stem if isinstance(filepath, (str, os.PathLike)) else "model"
        raise ValueError(
            f"Keras writes suppression as operations that only its backend has, so no runtime of the format "
            f"'{format}' runs the file. keras_ssd.export(model, '{stem}{OWN[format]}') writes one that they run, and "
            f"compares it with the model. Received: format={format!r} for '{name}', which ends in a decoder"
        )


@contextlib.contextmanager
def telling_exports(name: str, filepath: Any, format: str) -> Iterator[None]:
    """Turns a backend's messages about an export that it cannot do into one error; half-written files are removed."""
    path = Path(os.fspath(filepath)) if isinstance(filepath, (str, os.PathLike)) else None
    made = path if path is not None and not path.exists() else None
    held: list[str] = []
    ending = EXPORT_ENDINGS.get(format)
    if ending and path is not None and path.suffix != ending:
        raise ValueError(f"`filepath` must end in {ending} for format='{format}'. Received: filepath={str(path)!r}")
    try:
        with _held_output(held):
            yield
    except Exception as error:
        if made is not None and made.is_dir():
            shutil.rmtree(made, ignore_errors=True)
        elif made is not None:
            made.unlink(missing_ok=True)
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if "Unrecognized format" in said:
            known = said.rpartition("are: ")[2].strip("[].").replace("'", "")
            raise ValueError(
                f"`format` must be one that Keras exports: {known}. {ONNX}. Received: format={format!r}"
            ) from error
        raise ValueError(
            f"Keras cannot export model '{name}' as format='{format}' on the backend {keras.config.backend()}: "
            f"{said[:200].rstrip('. ')}. {ONNX}; a SavedModel or LiteRT file comes from the backend tensorflow, where "
            "keras_ssd.load opens the .keras file of any backend."
        ) from error
    print(*held, sep="", end="")


@contextlib.contextmanager
def _held_output(held: list[Any]) -> Iterator[None]:
    """Keeps standard output back: an exporter prints the whole graph before it fails."""
    import io

    with contextlib.redirect_stdout(io.StringIO()) as output:
        yield
    held.append(output.getvalue())


@contextlib.contextmanager
def telling_shapes(filepath: Any, name: str) -> Iterator[None]:
    """Turns Keras's error for weights of another model, which prints arrays, into a short one."""
    try:
        with warnings.catch_warnings(record=True) as told:  # they only lead up to the error, if there is one
            warnings.simplefilter("always")
            yield
    except ValueError as error:
        if "could not be loaded" not in str(error) and "must match" not in str(error):
            raise
        first = " ".join(str(error).split("Target variable")[0].split())
        raise ValueError(
            f"'{os.fspath(filepath)}' holds the weights of another model than '{name}': {first[:300]} Load the whole "
            "model with keras_ssd.load and change it with keras_ssd.with_classes or keras_ssd.with_anchors; or give "
            "the file to a factory, ssd300(weights=...)."
        ) from error
    for warning in told:
        warnings.warn(warning.message, stacklevel=4)


@contextlib.contextmanager
def telling_compilation(model: keras.Model) -> Iterator[None]:
    """Says what to do where PyTorch's compiler fails, whose own error is its program."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            raise ValueError(
                f"PyTorch cannot compile model '{model.name}'. Train it with compile(..., jit_compile=False)."
            ) from error
        raise


def check_same_classes(filepath: Any, class_names: Sequence[str]) -> None:
    """Raises ValueError if a .keras file has other classes than the model that loads its weights.

    A .weights.h5 file has no class names.
    """
    path = os.fspath(filepath)
    if not path.endswith(".keras") or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        config: Mapping[str, Any] = json.loads(archive.read("config.json")).get("config", {})
    told = tuple(config.get("class_names") or ())
    if told and told != tuple(class_names):
        raise ValueError(
            f"'{path}' holds the weights of the classes {list(told)}, and this model has {list(class_names)}: its "
            "detections would have wrong names. Load the file with keras_ssd.load, and use keras_ssd.with_classes to "
            "pick classes by name."
        )
