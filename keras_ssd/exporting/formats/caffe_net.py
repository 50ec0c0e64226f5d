"""A Caffe net: a .prototxt, and the .caffemodel beside it."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ssd.caffe.exporter import to_caffe
from keras_ssd.exporters.onnx.inputs import input_kind
from keras_ssd.exporting.describing import description_of
from keras_ssd.exporting.options import ExportOptions
from keras_ssd.exporting.written import Written
from keras_ssd.file_metadata import KEY, ROWS, FileMetadata

NOTE = "Nothing here runs Caffe's nets, so the file was not compared with the model. OpenCV 4 reads it."


def write(model: Any, path: Path, options: ExportOptions) -> Written:
    """Writes both files, with the description as a comment at the top."""
    kind = input_kind(options.channels)
    options = ExportOptions(**{**vars(options), "batch": options.batch or 1})
    if options.batch != 1:
        raise ValueError(f"A Caffe net takes one image at once. Received: batch={options.batch}")
    metadata = _uncalibrated(description_of(model, options, output=ROWS))
    to_caffe(
        model,
        path,
        path.with_suffix(".caffemodel"),
        channel_order="bgr" if kind.channels_reversed else "rgb",
        mean_inside=not kind.prepared,
    )
    path.write_text(f"# {KEY}: {metadata.to_json()}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    return Written(metadata, (NOTE,))


def _uncalibrated(metadata):
    """The description of a net whose scores are not calibrated: Caffe's layer cannot do it."""
    calibration = metadata.options.calibration
    confidence = metadata.confidence
    if calibration and confidence is not None:
        confidence = calibration.undo(confidence)
    return dataclasses.replace(metadata, decoding=vars(metadata.options.before_calibration), confidence=confidence)


def open_file(path: Path, metadata: FileMetadata) -> None:
    """Nothing runs it."""
    return
