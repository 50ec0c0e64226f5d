"""The formats that `keras_ssd.export` writes, a module each."""

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ssd.exporting.options import TENSORRT, ExportOptions
from keras_ssd.names import unknown_name


@dataclass(frozen=True)
class Format:
    """A format, known before its module is imported.

    The module has two functions. `write(model, path, options)` writes `path` and what lies beside it, and returns a
    `Written`; where the model cannot be expressed it raises one `ExportError` before anything is written. `path` is in
    a folder of its own that is empty, and what is written gets its place when it has been compared with the model.
    `open_file(path, metadata)` returns a `keras_ssd.exporting.parity.Runner`, or None where nothing here runs the
    format.

    Args:
        name: of the format.
        ending: of its files; "" for a folder.
        module: that writes it, in this package.
        what: the format in words, for help.
        precisions: what it can be written in.
        suppressions: values of `suppression` that it knows.
        channels: values of `channels` that it knows.
        free_batch: whether a file can take any number of images.
    """

    name: str
    ending: str
    module: str
    what: str
    precisions: tuple[str, ...] = ("float32",)
    suppressions: tuple[bool | str, ...] = (True, False)
    channels: tuple[str, ...] = ("rgb",)
    free_batch: bool = True

    def load(self) -> Any:
        """The module."""
        return importlib.import_module(f"{__name__}.{self.module}")

    def check(self, options: ExportOptions) -> None:
        """Raises ValueError for options that this format does not have."""
        for name, known in (
            ("precision", self.precisions),
            ("suppression", self.suppressions),
            ("channels", self.channels),
        ):
            given = getattr(options, name)
            if given not in known:
                raise ValueError(
                    f"The format {self.name} knows `{name}` {' or '.join(str(one) for one in known)}. "
                    f"Received: {name}={given!r}"
                )


_EVERY_INPUT = ("rgb", "bgr", "blob", "rgb_blob")
# One row a format; another one needs a row here and its module.
_ROWS = (
    Format(
        "onnx",
        ".onnx",
        "onnx_file",
        "ONNX, for servers, browsers, OpenCV 5 and TensorRT",
        precisions=("float32", "float16", "int8"),
        suppressions=(True, False, TENSORRT),
        channels=_EVERY_INPUT,
    ),
    Format(
        "openvino",
        ".xml",
        "openvino_file",
        "OpenVINO's .xml and .bin",
        precisions=("float32", "float16", "int8"),
        channels=_EVERY_INPUT,
    ),
    Format(
        "tflite",
        ".tflite",
        "tflite",
        "TensorFlow Lite: LiteRT, Android, MediaPipe, Coral",
        precisions=("float32", "float16", "int8"),
        channels=("rgb", "bgr"),
        free_batch=False,
    ),
    Format("saved_model", "", "saved_model", "TensorFlow's SavedModel"),
    Format("keras", ".keras", "keras_file", "this package's own model file"),
    Format(
        "caffe",
        ".prototxt",
        "caffe_net",
        "a Caffe net and its .caffemodel, for OpenCV 4",
        suppressions=(True,),
        channels=_EVERY_INPUT,
        free_batch=False,
    ),
)
FORMATS = {row.name: row for row in _ROWS}


def format_of(path: str | os.PathLike[str], name: str | None) -> Format:
    """The format of this name, or the one whose files end like `path`.

    Raises:
        ValueError: an unknown name, or an ending that is not the format's.
    """
    ending = Path(path).suffix.lower()
    if name is not None:
        if name not in FORMATS:
            raise ValueError(unknown_name("format", name, FORMATS))
        found = FORMATS[name]
        if ending != found.ending:
            wanted = f"end in {found.ending}" if found.ending else "be a folder, without an ending"
            raise ValueError(f"A file of the format {name} must {wanted}. Received: {path}")
        return found
    for found in FORMATS.values():
        if ending == found.ending:
            return found
    endings = ", ".join(row.ending or "none (a folder)" for row in FORMATS.values())
    raise ValueError(f"The ending of `path` tells no format; known are {endings}. Received: {path}")
