"""What an exported file takes and gives: from images to its input, from its outputs to rows of detections."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_ssd.decoding.arrays import detection_rows_arrays
from keras_ssd.file_metadata import EFFICIENT_NMS, ROWS, SINGLE_TABLES, TABLES, TFLITE_DETECTION, FileMetadata

IMAGES, DETECTIONS, BOXES, SCORES = "images", "detections", "boxes", "scores"
PLUGIN_OUTPUTS = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
TFLITE_OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
OUTPUT_NAMES = {
    ROWS: (DETECTIONS,),
    TABLES: (BOXES, SCORES),
    SINGLE_TABLES: (BOXES, SCORES),
    EFFICIENT_NMS: PLUGIN_OUTPUTS,
    TFLITE_DETECTION: TFLITE_OUTPUTS,
}


def fed(metadata: FileMetadata, images: np.ndarray) -> np.ndarray:
    """The input of a file for images.

    Args:
        metadata: what the file says of itself.
        images: (B, H, W, 3) RGB in 0..255, of the file's size.

    Returns:
        (B, C, H, W) or (B, H, W, C), as `metadata.layout` says, with its order of channels, its mean and scale, and
        its dtype.
    """
    x = np.asarray(images, np.float32)
    x = x[..., ::-1] if metadata.channels == "bgr" else x
    if metadata.mean is not None and metadata.scale is not None:
        x = (x - np.asarray(metadata.mean, np.float32)) * np.asarray(metadata.scale, np.float32)
    x = x.transpose(0, 3, 1, 2) if metadata.layout == "NCHW" else x
    return np.ascontiguousarray(x).astype(metadata.dtype)


def rows_of(metadata: FileMetadata, outputs: Mapping[str, Any]) -> np.ndarray:
    """Rows (B, K, 6) of detections, see `DecodeDetections`, from the outputs of a file.

    Args:
        metadata: what the file says of itself.
        outputs: {name: array} with the names of `OUTPUT_NAMES`.

    Raises:
        ValueError: outputs of another kind.
    """
    names = OUTPUT_NAMES.get(metadata.output, ())
    if not names or not set(names) <= outputs.keys():
        raise ValueError(
            f"The file says that it gives {metadata.output}, with the outputs {', '.join(names) or 'of its own'}. "
            f"Received: {', '.join(map(str, outputs))}"
        )
    given = [np.asarray(outputs[name]) for name in names]
    if metadata.output == ROWS:
        return given[0]
    if metadata.output == EFFICIENT_NMS:
        return _of_plugin(*given)
    if metadata.output == TFLITE_DETECTION:
        boxes, classes, scores, counts = given
        return _of_plugin(counts, boxes[..., [1, 0, 3, 2]], scores, classes)
    boxes, scores = (array[None] for array in given) if metadata.output == SINGLE_TABLES else given
    options = metadata.options
    return np.stack([_decoded(b, s, options) for b, s in zip(boxes, scores, strict=True)])


def _decoded(boxes, scores, options):
    background = 1.0 - scores.sum(axis=-1, keepdims=True) if options.class_agnostic else np.zeros((len(scores), 1))
    return detection_rows_arrays(np.concatenate([background, scores], axis=-1), boxes, options)


def _of_plugin(counts, boxes, scores, classes):
    rows = np.concatenate([classes[..., None], scores[..., None], boxes], axis=-1).astype(np.float32)
    unused = np.arange(rows.shape[1])[None] >= counts.reshape(-1, 1)
    return np.where(unused[..., None], np.asarray([-1, 0, 0, 0, 0, 0], np.float32), rows)
