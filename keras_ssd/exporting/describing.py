"""A model -> the description that its file carries."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_ssd import zoo
from keras_ssd.exporters.model_graph import ExportError
from keras_ssd.exporters.onnx.detector import Detector
from keras_ssd.exporters.onnx.inputs import PREPROCESSING, input_kind
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.file_metadata import FileMetadata


def description_of(model: Any, options: ExportOptions, **of_format: Any) -> FileMetadata:
    """The `FileMetadata` of a model that is exported with these options.

    Args:
        model: a detector of raw predictions or `with_decoder`.
        options: the `ExportOptions`.
        **of_format: fields of `FileMetadata` that the format decides: `layout`, `dtype`, `output`.
    """
    detector, kind = Detector.of(model), input_kind(options.channels)
    mean, scale = _outside(detector) if kind.prepared else (None, None)
    if kind.channels_reversed and mean is not None and scale is not None:
        mean, scale = mean[::-1], scale[::-1]
    confidence = getattr(model, "confidence", None)
    told: dict[str, Any] = {
        "class_names": tuple(getattr(model, "class_names", ())),
        "input_size": tuple(detector.model.inputs[0].shape[1:3]),
        "channels": "bgr" if kind.channels_reversed else "rgb",
        "mean": mean,
        "scale": scale,
        "decoding": {**vars(detector.options), "scores": detector.kind_of_scores},
        "confidence": confidence and confidence.value,
        "batch": options.batch,
        "precision": options.precision,
        "name": model.name,
        "licence": options.licence or licence_of(model),
    }
    return FileMetadata(**{**told, **of_format})


def licence_of(model: Any) -> str:
    """The licence of the weights that a factory loaded, where the catalogue knows their file; else ""."""
    source = getattr(getattr(model, "weights_report", None), "source", None)
    entry = zoo.by_file_name(Path(source)) if isinstance(source, str) and source else None
    return "" if entry is None else entry.licence


def _outside(detector):
    """(mean, scale) per channel of the layer `preprocessing`, found by what it does to black and to white."""
    size = tuple(detector.model.inputs[0].shape[1:])
    levels = [np.full((1, *size), value, np.float32) for value in (0.0, 128.0, 255.0)]
    low, middle, high = (detector.output_of(PREPROCESSING, x)[0].astype(np.float64) for x in levels)
    low, middle, high = (x.reshape(-1, x.shape[-1]) for x in (low, middle, high))
    scale = (high - low)[0] / 255.0
    straight = np.allclose(middle, low + 128.0 * scale, atol=1e-3) and np.allclose(high, low + 255.0 * scale, atol=1e-3)
    if not straight or not np.all(scale):
        raise ExportError(
            "The layer 'preprocessing' does more than a mean and a scale per channel, so a blob cannot be described. "
            "Use channels='rgb' or 'bgr', which take images in 0..255."
        )
    return tuple(map(_short, -low[0] / scale)), tuple(map(_short, scale))


def _short(number):
    """A number without the digits that float32 does not have."""
    return float(f"{number:.7g}") + 0.0
